"""Reads of the store: the audit log, final registers, and how the store is; each in a thread, beside the writing."""

import asyncio
from collections.abc import Awaitable, Callable

from controller.core.circuits.records import AuditEntry
from controller.runtime.durability import Durability
from controller.runtime.leadership import unavailable
from controller.store.protocol import (
    AuditQuestion,
    RegisterPage,
    RegisterQuestion,
    Store,
    StoreError,
    StoreRoom,
    StoreVitals,
    WatchedStore,
)
from digitalgrid.reasons import Reason


class StoredReads:
    """``to_read`` gives the store of whoever leads, once it has all that was decided."""

    def __init__(self, durability: Durability, to_read: Callable[[], Awaitable[Store]]) -> None:
        self._durability = durability
        self._to_read = to_read
        self._loop = asyncio.get_running_loop()

    @property
    def vitals(self) -> StoreVitals | None:
        """None where this controller has no store, or one that does not say."""
        store = self._durability.store
        return store.vitals() if isinstance(store, WatchedStore) else None

    async def room(self) -> StoreRoom | None:
        """Likewise; StoreError where it cannot be told."""
        store = self._durability.store
        if isinstance(store, WatchedStore):
            return await self._loop.run_in_executor(None, store.room)
        return None

    async def audit(self, question: AuditQuestion) -> list[AuditEntry]:
        """Of what is durable, for whoever leads: only its store has it. Refusal by others."""
        store = await self._to_read()
        try:
            return await self._loop.run_in_executor(None, store.audit, question)
        except StoreError as error:
            raise unavailable(Reason.AUDIT_UNREADABLE, f"the audit log: {error}") from error

    async def registers(self, question: RegisterQuestion) -> RegisterPage:
        """Likewise of final registers."""
        store = await self._to_read()
        try:
            return await self._loop.run_in_executor(None, store.registers, question)
        except StoreError as error:
            raise unavailable(Reason.REGISTERS_UNREADABLE, f"final registers: {error}") from error
