"""The software digital grid router: a pure device model, and the sockets, clock and gRPC session around it."""
