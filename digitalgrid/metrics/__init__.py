"""Metrics of the controller and of routers: what they are, how they are counted, and how Prometheus reads them."""
