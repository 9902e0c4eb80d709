"""Searches for routes as figures: a value, for whoever tells how long a decision searched."""

from typing import NamedTuple


class Searched(NamedTuple):
    """How many searches there were, what they took in all (s), and how many routers they looked at."""

    searches: int
    took_s: float
    looked_at: float

    def since(self, before: "Searched") -> "Searched":
        return Searched(
            self.searches - before.searches,
            self.took_s - before.took_s,
            self.looked_at - before.looked_at,
        )
