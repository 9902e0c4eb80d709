"""Version 3 of etcd's API, generated from proto/ by `make proto`."""
