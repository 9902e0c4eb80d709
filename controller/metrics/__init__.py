"""Metrics of the daemon for Prometheus, at ``/metrics``."""
