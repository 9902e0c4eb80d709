"""Scheduling latency: how late this router has lately been woken, by which it judges its neighbours leniently."""

from collections import deque

from digitalgrid.metrics.histogram import LATENESS_BOUNDS_S, Histogram
from digitalgrid.units import NS_PER_S

# Milliseconds. Who is later than that, or says so, is waited for no longer: a router that has stood still for so long
# is dead to its neighbours. By more than that no router waits for a silent one either, however late it was itself.
MAX_LATE_MS = 5_000
# What a router has said of its lateness counts for so long at least. It says it again with each hello and each sign of
# life; but states take the place of hellos where both are as frequent, and say nothing of it, and earlier releases say
# it seldom.
TOLD_COUNTS_NS = 2 * NS_PER_S
# Beyond the time after which a silent neighbour is dead it counts for so many hellos at least: else nothing of it would
# be left by then where hellos are slow.
_HELLOS_BEYOND = 2
# Ticks of which it is known how late they began.
_TICKS_KEPT = 1000


class Lateness:
    """Remembers the worst of the last one to two ``memory_ns``, and how late each of the last ticks was."""

    def __init__(self, memory_ns: int, now_ns: int) -> None:
        self._memory_ns = memory_ns
        self._began_ns = now_ns
        self._worst_ns = 0
        self._worst_before_ns = 0
        self._ticks_ns: deque[int] = deque(maxlen=_TICKS_KEPT)
        # Of all ticks.
        self.ticks_s = Histogram(LATENESS_BOUNDS_S)

    def note_tick(self, due_ns: int, now_ns: int) -> None:
        """A tick was to begin at ``due_ns``, and begins now."""
        late_ns = max(0, now_ns - due_ns)
        self._ticks_ns.append(late_ns)
        self.ticks_s.observe(late_ns / NS_PER_S)

    @property
    def ticks_p99_ns(self) -> int:
        """No more than one tick of a hundred was later; 0 before the first."""
        late_ns = sorted(self._ticks_ns)
        return late_ns[len(late_ns) * 99 // 100] if late_ns else 0

    def note(self, due_ns: int, now_ns: int) -> None:
        """It was to be woken at ``due_ns``, and is awake now."""
        elapsed_ns = now_ns - self._began_ns
        if elapsed_ns >= self._memory_ns:
            fresh = elapsed_ns < 2 * self._memory_ns
            self._worst_before_ns = self._worst_ns if fresh else 0
            self._worst_ns = 0
            self._began_ns = now_ns
        self._worst_ns = max(self._worst_ns, now_ns - due_ns)

    @property
    def recent_ns(self) -> int:
        return max(self._worst_ns, self._worst_before_ns)


class ToldLateness:
    """How late a neighbour says that it is, for as long as that counts; ``dead_ns``: who is silent so long is dead."""

    def __init__(self, hello_ns: int, dead_ns: int) -> None:
        self._counts_ns = max(TOLD_COUNTS_NS, dead_ns + _HELLOS_BEYOND * hello_ns)
        self._late_ns = 0
        self._until_ns = 0

    def hear(self, late_ns: int, now_ns: int) -> None:
        """It says how late it was lately."""
        self._late_ns, self._until_ns = late_ns, now_ns + self._counts_ns

    def hear_at_least(self, late_ns: int, now_ns: int) -> None:
        """It is so late by now, which is not all that it may be: it said more before."""
        if late_ns >= self._late_ns or now_ns >= self._until_ns:
            self.hear(late_ns, now_ns)

    def forget(self) -> None:
        self._late_ns = 0

    def after(self, deadline_ns: int) -> int:
        """By how much longer it is waited for than until a deadline."""
        return max(0, min(self._late_ns, self._until_ns - deadline_ns))
