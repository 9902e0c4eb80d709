"""A controller's place in a cluster: what the membership's threads tell, brought into the runtime's loop."""

import asyncio
import logging
from collections.abc import Callable

from controller.core.records import StateChange, StoredState
from controller.runtime import Runtime
from controller.store.protocol import Leader, Membership, Store, StoreError

_log = logging.getLogger(__name__)


class Member:
    """Follows, leads when it is elected, and follows again."""

    def __init__(self, runtime: Runtime, membership: Membership) -> None:
        self._runtime = runtime
        self._membership = membership
        self._loop = asyncio.get_running_loop()
        self._leaving = False

    def join(self) -> None:
        self._membership.join(self)

    async def leave(self) -> None:
        """Hand the lead over, if it is here, and stop following."""
        self._leaving = True
        await self._runtime.resign(self._membership.leave)

    # From the membership's threads

    def on_state(self, state: StoredState) -> None:
        self._post(self._runtime.follow, state)

    def on_change(self, change: StateChange) -> None:
        self._post(self._runtime.apply, change)

    def on_leader(self, leader: Leader | None) -> None:
        self._post(self._take_leader, leader)

    def on_elected(self, store: Store) -> None:
        self._post(self._lead, store)

    def _post(self, callback: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)

    # In the loop

    def _take_leader(self, leader: Leader | None) -> None:
        self._runtime.set_leader(leader)
        if leader is not None and not self._runtime.leads:
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
        _log.info("leading, election id %s", store.election_id)
