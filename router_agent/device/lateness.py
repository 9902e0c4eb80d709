"""Scheduling latency: how late this router has lately been woken, by which it judges its neighbours leniently."""


class Lateness:
    """Remembers the worst of the last one to two ``memory_ns``."""

    def __init__(self, memory_ns: int, now_ns: int) -> None:
        self._memory_ns = memory_ns
        self._began_ns = now_ns
        self._worst_ns = 0
        self._worst_before_ns = 0

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
