"""Owns the core: its only caller and only writer, in one asyncio loop. Carries its effects out."""

import asyncio
import logging
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from controller.core.controller import Controller, CoreSettings
from controller.core.effects import CircuitChanged, Effect, Persist, Send, TopologyChanged
from controller.core.errors import Refusal
from controller.core.messages import ToRouter
from controller.store.protocol import Store, StoreError
from digitalgrid.model import ElectionId

_log = logging.getLogger(__name__)
T = TypeVar("T")


class StoreFailed(Exception):
    """What was decided could not be made durable; the daemon is stopping."""


class Runtime:
    """Events go in through :meth:`handle`, from the loop's own thread.

    A failure of the store, or an exception of the core that is no Refusal, ends the daemon by way of
    :attr:`failure`: the routers run on, and a restarted daemon knows exactly what is durable.
    """

    def __init__(
        self,
        store: Store,
        settings: CoreSettings,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._clock_ns = clock_ns
        self._timer: asyncio.TimerHandle | None = None
        self._durable_ticket = 0
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._routers: dict[str, Callable[[ToRouter], None]] = {}
        self.circuit_listeners: set[Callable[[int], None]] = set()
        self.topology_listeners: set[Callable[[], None]] = set()
        self.failure: asyncio.Future[Exception] = self._loop.create_future()
        self.core = Controller(store.load(), settings, clock_ns())
        store.start(
            lambda ticket: self._from_thread(self._on_durable, ticket),
            lambda error: self._from_thread(self._on_store_failure, error),
        )
        self._pump()

    @property
    def election_id(self) -> ElectionId:
        return self._store.election_id

    def handle(self, event: Callable[[Controller, int], T]) -> T:
        """Let the core take one event, at the present time, and carry out what follows.

        Of an event that failed half-way nothing is carried out: what is durable is whole.
        """
        try:
            result = event(self.core, self._clock_ns())
        except Refusal:
            raise
        except Exception as error:
            self.core.take_effects()
            _log.critical("the core failed; stopping", exc_info=True)
            self._fail(error)
            raise
        self._pump()
        return result

    async def durable(self) -> None:
        """Return once everything decided until now is durable; StoreFailed if it cannot be."""
        ticket = self.core.book.last_ticket
        if self.failure.done():
            raise StoreFailed(str(self.failure.result()))
        if self._durable_ticket >= ticket:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        heappush(self._waiters, (ticket, next(self._order), waiter))
        await waiter

    def attach(self, router_id: str, send: Callable[[ToRouter], None]) -> None:
        """A router's session begins; what the core has for it goes to ``send``."""
        self._routers[router_id] = send
        self.handle(lambda core, now_ns: core.on_connected(router_id, now_ns))

    def detach(self, router_id: str) -> None:
        self._routers.pop(router_id, None)
        self.handle(lambda core, now_ns: core.on_disconnected(router_id, now_ns))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._store.close()

    def _pump(self) -> None:
        while effects := self.core.take_effects():
            for effect in effects:
                self._carry_out(effect)
        self._arm()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Persist(ticket, change):
                self._store.submit(ticket, change)
            case Send(router_id, message):
                send = self._routers.get(router_id)
                if send is not None:
                    send(message)
            case CircuitChanged(circuit_id):
                for circuit_listener in tuple(self.circuit_listeners):
                    circuit_listener(circuit_id)
            case TopologyChanged():
                for topology_listener in tuple(self.topology_listeners):
                    topology_listener()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_ns = self.core.next_deadline_ns()
        if deadline_ns is not None and not self.failure.done():
            delay_s = max(0.0, (deadline_ns - self._clock_ns()) / 1e9)
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.handle(lambda core, now_ns: core.on_timer(now_ns))

    def _on_durable(self, ticket: int) -> None:
        self._durable_ticket = ticket
        while self._waiters and self._waiters[0][0] <= ticket:
            _, _, waiter = heappop(self._waiters)
            if not waiter.done():
                waiter.set_result(None)
        self.handle(lambda core, now_ns: core.on_durable(ticket, now_ns))

    def _on_store_failure(self, error: StoreError) -> None:
        _log.critical("%s; stopping, nothing that was promised is lost", error)
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.failure.done():
            self.failure.set_result(error)
        for _, _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(StoreFailed(str(error)))
        self._waiters.clear()

    def _from_thread(self, callback: Callable[..., None], argument: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, argument)
