"""Standing streams: constant rates on a line, whose energy both ends know by the time alone.

A rate is whole milliwatts, the grant that was stated. Since ``since_ns`` a flow has brought ``rate * time``, rounded
down to a millijoule: so it is the same at both ends, and whether it is counted tick by tick or once an hour.
"""

from collections.abc import Iterable, Mapping

from digitalgrid.model import CircuitGeneration

# Milliwatts times nanoseconds in a millijoule.
_UNITS_PER_MJ = 10**9


def brought_mj(rate_mw: int, since_ns: int, from_ns: int, to_ns: int) -> int:
    """Whole millijoules that come due in a stretch of a stream that began at ``since_ns``."""
    by_then_mj = rate_mw * (to_ns - since_ns) // _UNITS_PER_MJ
    return by_then_mj - rate_mw * (from_ns - since_ns) // _UNITS_PER_MJ


class Stream:
    """One direction of a line; times are its sender's clock.

    Energy has flowed until ``until_ns``, and is in the books until ``settled_ns``.
    """

    __slots__ = ("_total_mw", "rates_mw", "settled_ns", "since_ns", "until_ns")

    def __init__(
        self, rates_mw: Mapping[CircuitGeneration, int], since_ns: int, settled_ns: int = 0
    ) -> None:
        self.rates_mw = dict(rates_mw)
        self._total_mw = sum(self.rates_mw.values())
        self.since_ns = since_ns
        self.settled_ns = self.until_ns = settled_ns or since_ns

    @property
    def circuits(self) -> int:
        return len(self.rates_mw)

    def about_mj(self, until_ns: int) -> int:
        """What comes until then, but for less than a millijoule a flow."""
        return self._total_mw * (until_ns - self.until_ns) // _UNITS_PER_MJ

    @property
    def told_mj(self) -> int:
        """All since it began."""
        return sum(mj for _, mj in self._moved(self.rates_mw, self.since_ns, self.until_ns))

    def settle(self) -> list[tuple[CircuitGeneration, int]]:
        """The energy of each flow that is not in the books yet; it counts as booked from now on."""
        from_ns, self.settled_ns = self.settled_ns, self.until_ns
        if from_ns == self.until_ns:
            return []
        return list(self._moved(self.rates_mw, from_ns, self.until_ns))

    def skip(self, until_ns: int) -> int:
        """What came due until then and never arrived; all before is settled."""
        lost_mj = sum(mj for _, mj in self._moved(self.rates_mw, self.until_ns, until_ns))
        self.settled_ns = self.until_ns = until_ns
        return lost_mj

    def _moved(
        self, rates_mw: Mapping[CircuitGeneration, int], from_ns: int, to_ns: int
    ) -> Iterable[tuple[CircuitGeneration, int]]:
        since_ns = self.since_ns
        for key, rate_mw in rates_mw.items():
            if moved_mj := brought_mj(rate_mw, since_ns, from_ns, to_ns):
                yield key, moved_mj
