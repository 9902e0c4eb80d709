"""What all gRPC servers of the controller share."""
