"""The service that routers dial: one session each, over which the core programs them."""
