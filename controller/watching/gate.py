"""Gate before all work for watchers: lets it through as the budget allows, what is urgent first."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from controller.watching.budget import Budget
from digitalgrid.metrics.histogram import Histogram

# What one message to one watcher takes (s), half of it in the loop and half in gRPC's threads, and each byte of it, as
# measured on loopback with a hundred watchers and more: no clock of ours sees it.
MESSAGE_S = 65e-6
BYTE_S = 1e-9


# Upper bounds of waits (s): what is urgent is told at once; a hundred watchers of much wait for seconds.
WAIT_BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Gate:
    """One for all feeds of a server."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._opened = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        # Messages that were let through, by all watchers; and how long each look at changes had to wait.
        self.messages = 0
        self.waits_s = Histogram(WAIT_BOUNDS_S)

    @property
    def worked_s(self) -> float:
        """All that was ever worked for watchers, in seconds of the loop."""
        return self._budget.worked_s

    async def enter(self, is_urgent: Callable[[], bool]) -> None:
        """Return once more may be done; ``is_urgent`` is asked anew whenever something has become so."""
        begun_s = time.monotonic()
        while (wait_s := self._budget.wait_s(urgent=is_urgent())) > 0.0:
            self._open_in(wait_s)
            await self._opened.wait()
        self.waits_s.observe(time.monotonic() - begun_s)

    def send(self, message: bytes, message_s: float = MESSAGE_S) -> bytes:
        """The message, which is charged: it goes to one watcher, by a way that takes ``message_s`` for each."""
        self._budget.charge(message_s + len(message) * BYTE_S)
        self.messages += 1
        return message

    @contextmanager
    def working(self) -> Iterator[None]:
        """What is done inside, without giving the loop to others, is charged."""
        begun_s = time.thread_time()
        try:
            yield
        finally:
            self._budget.charge(time.thread_time() - begun_s)

    def look_again(self) -> None:
        """Something has become urgent: whoever waits asks again."""
        if self._timer is not None:
            self._timer.cancel()
        self._open()

    def _open_in(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() > loop.time() + wait_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_later(wait_s, self._open)

    def _open(self) -> None:
        self._timer = None
        self._opened.set()
        self._opened = asyncio.Event()
