"""A controller's membership of a cluster: what its election and watch threads tell comes into the runtime's loop."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from controller.core.circuits.records import StateChange, StoredState
from controller.runtime.runtime import Runtime
from controller.store.protocol import Leader, Membership, Standby, Store, StoreError
from digitalgrid.supervision import start_once

_log = logging.getLogger(__name__)

# Between two signs of life of the loop (s), for the watchdog: a small part of its time.
_TICK_S = 1.0
# Watchdog (s): a loop that has not turned for so long hangs, and must not lead. Its longest turn, which takes over the
# state of a large network, needs far less.
_HANGS_AFTER_S = 30.0


class Member:
    """Follows, leads when it is elected, and follows again.

    A mistake in the program on the way ends the lead at once, and the daemon by way of the runtime's failure.
    """

    def __init__(self, runtime: Runtime, membership: Membership) -> None:
        self._runtime = runtime
        self._membership = membership
        self._loop = asyncio.get_running_loop()
        self._leaving = False
        self._told_standbys: tuple[Standby, ...] | None = None
        self._ticked_s = time.monotonic()

    def join(self) -> None:
        self._tick()
        self._membership.join(self)

    async def leave(self) -> None:
        """Hand the lead over, if it is here, and stop following."""
        self._leaving = True
        led = self._runtime.leads
        _log.info("told to end; %s", "handing the lead over" if led else "standing by no more")
        await self._runtime.resign(self._membership.leave)

    # From the membership's threads

    def on_state(self, state: StoredState) -> None:
        self._post(self._runtime.follow, state)

    def on_change(self, change: StateChange) -> None:
        self._post(self._runtime.apply, change)

    def on_leader(self, leader: Leader | None) -> None:
        self._post(self._take_leader, leader)

    def on_standbys(self, standbys: tuple[Standby, ...]) -> None:
        if standbys != self._told_standbys:
            self._told_standbys = standbys
            self._post(self._runtime.set_standbys, standbys)

    def on_elected(self, store: Store) -> None:
        self._post(self._lead, store)

    def is_responsive(self) -> bool:
        return time.monotonic() - self._ticked_s < _HANGS_AFTER_S

    def _post(self, callback: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, callback, *arguments)

    # In the loop

    def _tick(self) -> None:
        self._ticked_s = time.monotonic()
        self._loop.call_later(_TICK_S, self._tick)

    def _take(self, callback: Callable[..., None], *arguments: object) -> None:
        """Nothing more of it once the daemon is about to end: what it knows may be wrong."""
        failure = self._runtime.failure
        if failure.done():
            return
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would notice
            _log.critical("cannot follow or lead any more; stopping", exc_info=True)
            self._leaving = True
            # The lease goes before anything else is tried of what may fail too.
            start_once("leave", partial(asyncio.to_thread, self._membership.leave))
            failure.set_result(error)

    def _take_leader(self, leader: Leader | None) -> None:
        before = self._runtime.leader
        self._runtime.set_leader(leader)
        if leader is None:
            if before is not None:
                _log.info("%s leads no more", before.name)
        elif self._leaving:
            _log.info("%s leads now, at %s", leader.name, leader.northbound)
        elif not self._runtime.leads:
            _log.info("standing by; %s leads, at %s", leader.name, leader.northbound)

    def _lead(self, store: Store) -> None:
        if self._leaving:
            return
        try:
            self._runtime.lead(store)
        except StoreError as error:
            _log.critical("elected, but cannot lead: %s", error)
            store.close()
            return
