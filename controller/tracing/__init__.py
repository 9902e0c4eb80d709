"""Traces of what clients ask for and what routers are told, made at the edges: the core knows nothing of them."""
