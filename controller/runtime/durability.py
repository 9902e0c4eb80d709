"""Durability of one term's decisions: its store, which tickets that has written, and the calls that wait for theirs."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from controller.core.circuits.records import StateChange
from controller.store.protocol import Store
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.units import NS_PER_S


class StoreFailed(Exception):
    """What was decided could not be made durable, or nobody knows whether it was."""


class Decided(NamedTuple):
    """All that was decided up to a ticket of one term, which is that of its store."""

    store: Store | None
    ticket: int


class Durability:
    """Tickets ascend within a term, and become durable in order."""

    def __init__(self, commits_s: Histogram) -> None:
        self._commits_s = commits_s
        # The change that is timed on its way to the store, and since when (ns): one at a time, so that it costs little.
        self._timed: tuple[int, int] | None = None
        self._last_ticket = self._durable_ticket = 0
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        # Of the term; None between terms.
        self._store: Store | None = None

    @property
    def store(self) -> Store | None:
        """That of the term."""
        return self._store

    def decided(self) -> Decided:
        """Everything that was decided until now."""
        return Decided(self._store, self._last_ticket)

    @property
    def unwritten(self) -> int:
        """How many changes are on their way to the store."""
        return self._last_ticket - self._durable_ticket

    def begin_term(self, store: Store) -> None:
        self._store = store
        self._last_ticket = self._durable_ticket = 0
        self._timed = None

    def end_term(self, reason: str) -> None:
        self._store = None
        self.give_up(reason)

    def submit(self, ticket: int, change: StateChange, clock_ns: Callable[[], int]) -> None:
        if self._store is None:
            raise StoreFailed("there is no store to write to")
        self._store.submit(ticket, change)
        self._last_ticket = ticket
        if self._timed is None:
            self._timed = ticket, clock_ns()

    def made_durable(self, ticket: int, clock_ns: Callable[[], int]) -> None:
        """This and every ticket before it."""
        self._durable_ticket = ticket
        if self._timed is not None and self._timed[0] <= ticket:
            self._commits_s.observe((clock_ns() - self._timed[1]) / NS_PER_S)
            self._timed = None
        while self._waiters and self._waiters[0][0] <= ticket:
            _, _, waiter = heappop(self._waiters)
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for(self, decided: Decided) -> None:
        """Return once it is durable; StoreFailed where the term ends before."""
        store, ticket = decided
        if store is None or store is not self._store:
            # A later term knows nothing of what this one may not have stored.
            raise StoreFailed("the lead was lost")
        if self._durable_ticket >= ticket:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiters, (ticket, next(self._order), waiter))
        await waiter

    def give_up(self, reason: str) -> None:
        """Who waits will not hear of it any more."""
        for _, _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(StoreFailed(reason))
        self._waiters.clear()
