"""How long energy is held in a hop's buffer before it is spent, so that no packet can come too late."""

from typing import NamedTuple

from digitalgrid.units import NS_PER_MS

# Kept beyond a tick: a router that was punctual may be held up by so much all of a sudden, as by what a fault brings.
SUDDEN_NS = 100 * NS_PER_MS


class Cushion(NamedTuple):
    """Packets come every ``tick_ns``, or every ``quick_ns`` while the hop primes; each may be ``late_ns`` late.

    ``usual_ns`` is the lateness of the last while, ``least_ns`` what is always allowed for.
    A hop that was filled before power was wanted of it begins before its upstream neighbour hears of that: the way
    there and back must be in its buffer too, and counts as one ``round_trip_ns``.
    """

    tick_ns: int
    quick_ns: int
    late_ns: int
    usual_ns: int
    least_ns: int
    round_trip_ns: int

    @property
    def ready_ns(self) -> int:
        """Enough to play on with while packets come at short intervals."""
        return self.quick_ns + self.late_ns + self.round_trip_ns

    @property
    def full_ns(self) -> int:
        """Enough once packets come by ticks."""
        return self.tick_ns + self.late_ns + self.round_trip_ns

    @property
    def charged_ns(self) -> int:
        """Enough to be called charged, whatever happens just now."""
        return self.tick_ns + self.least_ns + self.round_trip_ns

    @property
    def kept_ns(self) -> int:
        """Worth having: what a stream is filled up to while it runs, where nobody needs the room."""
        return self.tick_ns + max(SUDDEN_NS, self.usual_ns) + self.round_trip_ns
