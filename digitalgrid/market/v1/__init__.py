"""Protobuf and gRPC stubs of the API, generated from proto/ by `make proto`."""
