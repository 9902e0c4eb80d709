"""Scheduling latency: how late this router has lately been woken, by which it judges its neighbours leniently."""

from collections import deque

from digitalgrid.metrics.histogram import LATENESS_BOUNDS_S, Histogram
from digitalgrid.units import NS_PER_S

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
