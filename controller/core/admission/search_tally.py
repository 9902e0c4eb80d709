"""Tally of searches for routes: how many of each kind there were, how long each took, and how far it had to look."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from controller.core.circuits.searched import Searched
from controller.core.settings import no_time
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.units import NS_PER_S

# Upper bounds (s) of a search, and of how many routers it looked at.
SEARCH_BOUNDS_S = (
    *(0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.25, 1.0),
)
LOOKED_AT_BOUNDS = (*(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0), *(1e3, 1e4, 1e5))


class Search(StrEnum):
    """What is searched for: one route; those of several plain requests at once; a route and a standby; two routes that
    have little in common; the best few; parts that carry it together.
    """

    ROUTE = "route"
    BATCH = "batch"
    STANDBY = "standby"
    PAIR = "pair"
    FEW = "few"
    SPLIT = "split"


class SearchTally:
    """Counts only; nothing is decided by it. ``stopwatch_ns`` is lent by whoever runs the core, which has no clock."""

    def __init__(self, stopwatch_ns: Callable[[], int] = no_time) -> None:
        self.stopwatch_ns = stopwatch_ns
        self.took_s = {search: Histogram(SEARCH_BOUNDS_S) for search in Search}
        # Of those kinds that say so, by the search.
        self.looked_at = {
            search: Histogram(LOOKED_AT_BOUNDS) for search in (Search.ROUTE, Search.BATCH)
        }

    def note(self, search: Search, begun_ns: int, looked_at: int) -> None:
        """One that began then is over, and has looked at so many routers."""
        self.took_s[search].observe((self.stopwatch_ns() - begun_ns) / NS_PER_S)
        self.looked_at[search].observe(looked_at)

    @contextmanager
    def timed(self, search: Search) -> Iterator[None]:
        """One that takes long enough for a context of its own."""
        begun_ns = self.stopwatch_ns()
        try:
            yield
        finally:
            self.took_s[search].observe((self.stopwatch_ns() - begun_ns) / NS_PER_S)

    @property
    def so_far(self) -> Searched:
        """All of them together."""
        return Searched(
            sum(sum(each.counts) for each in self.took_s.values()),
            sum(each.total for each in self.took_s.values()),
            sum(each.total for each in self.looked_at.values()),
        )
