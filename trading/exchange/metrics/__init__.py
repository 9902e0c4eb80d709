"""Metrics of an exchange, which Prometheus reads at the exchange itself."""
