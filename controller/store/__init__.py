"""Durable stores of what was promised: one protocol, in a SQLite file for one controller, or in etcd for a cluster."""
