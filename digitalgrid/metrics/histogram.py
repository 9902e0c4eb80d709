"""Histogram: how often which of some ranges was met, in plain numbers, for where a library's would take too long."""

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

# Upper bounds (s) of how late a timer comes.
LATENESS_BOUNDS_S = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Histogram:
    """How often which of some ranges was met, and the sum of all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        # One more, for what is beyond the last.
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: npt.ArrayLike) -> None:
        """Several at once, which takes a tenth of the time for each."""
        found = np.searchsorted(self.bounds, values)
        for index, count in enumerate(np.bincount(found, minlength=len(self.counts)).tolist()):
            self.counts[index] += count
        self.total += float(np.sum(values))
