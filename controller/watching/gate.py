"""Gate before all work for watchers: lets it through as the budget allows, what is urgent first."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from controller.watching.budget import Budget
from digitalgrid.metrics.histogram import Histogram

# What one message to one watcher takes (s), half of it in the loop and half in gRPC's threads, and each byte of it, as
# measured on loopback with a hundred watchers and more: no clock of ours sees it.
MESSAGE_S = 65e-6
BYTE_S = 1e-9


# Upper bounds of waits (s): what is urgent is told at once; a hundred watchers of much wait for seconds.
WAIT_BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """Somebody before the gate; ``passed`` is done when he may go on."""

    is_urgent: Callable[[], bool]
    passed: asyncio.Future[None]


class Gate:
    """One for all feeds of a server. Who waits goes on in the order of coming, but first those to whom it is urgent.

    Only as many are woken as there is room for: a hundred who look in vain cost more than what they wait to do.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: dict[_Waiting, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        # What the last message was charged (s): by that it is judged how many have room.
        self._usual_s = MESSAGE_S
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
        urgent = is_urgent()
        wait_s = self._budget.wait_s(urgent=urgent)
        if wait_s > 0.0 or (self._waiting and not urgent):
            await self._wait(is_urgent, wait_s)
        self.waits_s.observe(time.monotonic() - begun_s)

    async def _wait(self, is_urgent: Callable[[], bool], wait_s: float) -> None:
        waiting = _Waiting(is_urgent, asyncio.get_running_loop().create_future())
        self._waiting[waiting] = None
        self._open_in(wait_s)
        try:
            await waiting.passed
        finally:
            self._waiting.pop(waiting, None)

    def send(self, message: bytes, message_s: float = MESSAGE_S) -> bytes:
        """The message, which is charged: it goes to one watcher, by a way that takes ``message_s`` for each."""
        self._usual_s = message_s + len(message) * BYTE_S
        self._budget.charge(self._usual_s)
        self.messages += 1
        return message

    @contextmanager
    def working(self) -> Iterator[None]:
        """What is done inside, without giving the loop to others, is charged. Not for what takes little: looks at a
        thread's clock may take as long as a message, so of answers that many share only the making is charged.
        """
        begun_s = time.thread_time()
        try:
            yield
        finally:
            self._budget.charge(time.thread_time() - begun_s)

    def look_again(self) -> None:
        """Something has become urgent: who waits is asked whether it is that to him."""
        if self._waiting:
            self._open_in(0.0)

    def _open_in(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        when_s = loop.time() + wait_s
        if self._timer is not None:
            if self._timer.when() <= when_s:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when_s, self._open)

    def _open(self) -> None:
        """For as many as there is room for. It is looked again when those have been charged for what they did."""
        self._timer = None
        urgent = [each for each in self._waiting if each.is_urgent()]
        for some, is_urgent in ((urgent, True), (list(self._waiting), False)):
            if not some:
                continue
            wait_s = self._budget.wait_s(urgent=is_urgent)
            if wait_s > 0.0:
                self._open_in(wait_s)
                continue
            room = 1 + int(self._budget.room_s(urgent=is_urgent) / self._usual_s)
            for each in some[:room]:
                del self._waiting[each]
                if not each.passed.done():
                    each.passed.set_result(None)
            self._open_in(0.0)
            return
