"""Timer of the core: fires in the loop no later than the core's next deadline."""

import asyncio
from collections.abc import Callable


class CoreTimer:
    """Armed once for all events of a turn of the loop. Firing too early does no harm."""

    def __init__(
        self,
        clock_ns: Callable[[], int],
        next_deadline_ns: Callable[[], int | None],
        fire: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock_ns = clock_ns
        self._next_deadline_ns = next_deadline_ns
        self._fire = fire
        self._handle: asyncio.TimerHandle | None = None
        self._armed_ns = 0
        self._arming = self._closed = False

    def arm(self) -> None:
        """Look at the deadlines at the end of this turn."""
        if not self._arming:
            self._arming = True
            self._loop.call_soon(self._arm)

    def close(self) -> None:
        """Never fire again."""
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        self._arming = False
        deadline_ns = None if self._closed else self._next_deadline_ns()
        if deadline_ns is None:
            return
        if self._handle is not None:
            if self._armed_ns <= deadline_ns:
                return
            self._handle.cancel()
        self._armed_ns = deadline_ns
        delay_s = max(0.0, (deadline_ns - self._clock_ns()) / 1e9)
        self._handle = self._loop.call_later(delay_s, self._on_time)

    def _on_time(self) -> None:
        self._handle = None
        self._fire()
