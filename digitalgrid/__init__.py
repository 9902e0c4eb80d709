"""What controllers, routers and clients of a digital grid share."""
