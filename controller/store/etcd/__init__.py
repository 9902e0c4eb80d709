"""The store in an etcd cluster, and the meeting place of the controllers that share it."""
