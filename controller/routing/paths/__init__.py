"""The best path for power: exact search, what leads it, many requests in one call, and trees that are repaired."""
