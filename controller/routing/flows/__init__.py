"""Flows without losses: min-cost flow, maximum flow, and the cuts that bind them."""
