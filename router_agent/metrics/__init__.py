"""Metrics of a router, which Prometheus reads at the router itself."""
