"""How long energy is held in a hop's buffer before it is spent, so that no packet can come too late."""

from typing import NamedTuple


class Cushion(NamedTuple):
    """Packets come every ``tick_ns``, or every ``quick_ns`` while the hop primes; each may be ``late_ns`` late.

    A hop that was filled before power was wanted of it begins before its upstream neighbour hears of that: the way
    there and back must be in its buffer too, and counts as one ``round_trip_ns``.
    """

    tick_ns: int
    quick_ns: int
    late_ns: int
    round_trip_ns: int

    @property
    def ready_ns(self) -> int:
        """Enough to play on with while packets come at short intervals."""
        return self.quick_ns + self.late_ns + self.round_trip_ns

    @property
    def full_ns(self) -> int:
        """Enough once packets come by ticks."""
        return self.tick_ns + self.late_ns + self.round_trip_ns
