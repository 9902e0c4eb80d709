"""What was promised, durable: one protocol, in a SQLite file for one controller, or in etcd for a cluster of them."""
