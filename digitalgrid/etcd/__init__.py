"""Stubs of the part of etcd's API that the controller's store uses."""
