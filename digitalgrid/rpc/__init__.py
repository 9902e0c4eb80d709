"""What all gRPC servers share, of the controller and of others."""
