"""The store in an etcd cluster, with leader election among the controllers that share it."""
