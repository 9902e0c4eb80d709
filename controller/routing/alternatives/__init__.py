"""More than one path: the k best, and pairs that are disjoint by links, routers or risk groups."""
