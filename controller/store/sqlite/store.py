"""The daemon's store in one SQLite file: write-ahead log, one writer thread, group commit with one flush."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    StateChange,
    StoredState,
)
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.group_commit import GroupCommit
from controller.store.protocol import (
    AuditQuestion,
    RegisterPage,
    RegisterQuestion,
    StoreError,
    StoreRoom,
    StoreVitals,
)
from controller.store.records_codec import garbage_collection_paused
from controller.store.restored import beyond_lost, epoch_beyond_lost
from controller.store.sqlite.faults import explained
from controller.store.sqlite.file import (
    Identity,
    open_to_read,
    open_to_write,
    room_of,
)
from controller.store.sqlite.lock import Lock, resolved
from controller.store.sqlite.rows import (
    drain_rows,
    meta_of,
    newest_entries,
    read_circuit,
    read_drain,
    read_router,
    registers_page,
    router_rows,
)
from controller.store.sqlite.schema import (
    Meta,
    is_term,
    write_audit,
    write_circuits,
    write_drains,
    write_meta,
    write_registers,
    write_routers,
)
from digitalgrid.model import NO_ELECTION_ID, ElectionId
from digitalgrid.transactions import transaction

_log = logging.getLogger(__name__)


class SqliteStore:
    """A `Store` in one file. A lock beside it keeps a second daemon out; should that be deleted, the second one's term
    ends the first one's at its next commit.
    """

    def __init__(self, path: Path) -> None:
        self._path = path = resolved(path)
        self._lock = Lock(path)
        try:
            self._connection = open_to_write(path)
            self._identity = Identity.of(path)
        except BaseException:
            self._lock.close()
            raise
        self._writer = GroupCommit(self._commit)
        # As it is in the file; unknown until it is loaded.
        self._meta: Meta | None = None

    @property
    def election_id(self) -> ElectionId:
        if self._meta is None:
            return NO_ELECTION_ID
        return ElectionId(self._meta.generation, self._meta.epoch)

    def may_act(self) -> bool:
        """The lock keeps everybody else out, until it is found that it did not."""
        return not self._lock.closed

    def load(self) -> StoredState:
        """In one transaction: where anything is damaged, nothing is changed."""
        with explained(self._path), transaction(self._connection):
            meta = meta_of(self._connection, self._path)
            circuits = self._read_circuits()
            routers, drains = self._read_routers(), self._read_drains()
            meta = self._next_term(meta)
            write_meta(self._connection, meta)
        self._lock.begin(meta)
        self._meta = meta
        return StoredState(meta.epoch, circuits, meta.counters, routers, drains)

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        self._writer.start(on_durable, on_failure)

    def submit(self, ticket: int, change: StateChange) -> None:
        self._writer.submit(ticket, change)

    def audit(self, question: AuditQuestion) -> list[AuditEntry]:
        with closing(open_to_read(self._path)) as connection, explained(self._path):
            return newest_entries(self._path, connection, question)

    def registers(self, question: RegisterQuestion) -> RegisterPage:
        with closing(open_to_read(self._path)) as connection, explained(self._path):
            return registers_page(self._path, connection, question)

    def vitals(self) -> StoreVitals:
        return StoreVitals(self._writer.sizes)

    def room(self) -> StoreRoom:
        return room_of(self._path)

    def close(self) -> None:
        """Any number of times."""
        self._writer.close()
        self._connection.close()
        if self._meta is not None and not self._lock.closed:
            self._lock.end(self._meta)
        self._lock.close()

    def _next_term(self, meta: Meta) -> Meta:
        """Above all terms before, also above those of a store that this one is a copy of, for which the time is taken:
        no file can tell that it was copied with all that is beside it, or set back with its machine.
        """
        generation = max(int(time.time()), meta.generation + meta.is_backup)
        epoch, counters = meta.epoch + 1, meta.counters
        if counters != Counters() and (meta.is_backup or not self._lock.left(meta)):
            epoch, counters = epoch_beyond_lost(epoch), beyond_lost(counters)
            _log.warning(
                "%s: seems to be a copy; what was promised after it was made is withdrawn"
                " from routers. Circuits are numbered from %d on",
                self._path,
                counters.next_circuit_id,
            )
        return Meta(generation, epoch, counters)

    def _read_circuits(self) -> tuple[CircuitRecord, ...]:
        rows = self._connection.execute("SELECT circuit_id, record FROM circuits")
        with garbage_collection_paused():
            return tuple(read_circuit(self._path, circuit_id, data) for circuit_id, data in rows)

    def _read_routers(self) -> tuple[RouterRecord, ...]:
        rows = router_rows(self._connection)
        return tuple(read_router(self._path, router_id, data) for router_id, data in rows)

    def _read_drains(self) -> tuple[DrainRecord, ...]:
        rows = drain_rows(self._connection)
        return tuple(read_drain(self._path, id_, data) for id_, data in rows)

    def _commit(self, changes: Sequence[StateChange]) -> None:
        if self._meta is None:
            raise StoreError(f"{self._path}: load() comes before the first change")
        # Of one circuit the last word is enough, be it a record or that it is forgotten.
        last_words: dict[int, CircuitRecord | None] = {}
        owners: dict[str, RouterRecord | None] = {}
        drains: dict[str, DrainRecord | None] = {}
        for change in changes:
            last_words.update((each.circuit_id, each) for each in change.circuits)
            last_words.update(dict.fromkeys(change.forgotten_ids))
            owners.update((each.router_id, each) for each in change.routers)
            owners.update(dict.fromkeys(change.forgotten_router_ids))
            drains.update((each.id, each) for each in change.drains)
            drains.update(dict.fromkeys(change.undrained_ids))
        meta = replace(self._meta, counters=changes[-1].counters)
        with explained(self._path), transaction(self._connection):
            self._require_term(meta)
            write_circuits(self._connection, filter(None, last_words.values()))
            self._connection.executemany(
                "DELETE FROM circuits WHERE circuit_id = ?",
                [(circuit_id,) for circuit_id, record in last_words.items() if record is None],
            )
            if owners:
                self._write_owners(owners)
            if drains:
                self._write_drains(drains)
            write_registers(
                self._connection, (each for change in changes for each in change.registers)
            )
            write_audit(self._connection, (each for change in changes for each in change.audit))
            write_meta(self._connection, meta)
        self._meta = meta

    def _write_owners(self, owners: Mapping[str, RouterRecord | None]) -> None:
        """None for a router that is forgotten."""
        write_routers(self._connection, filter(None, owners.values()))
        self._connection.executemany(
            "DELETE FROM routers WHERE router_id = ?",
            [(router_id,) for router_id, record in owners.items() if record is None],
        )

    def _write_drains(self, drains: Mapping[str, DrainRecord | None]) -> None:
        """None for what is in service again."""
        write_drains(self._connection, filter(None, drains.values()))
        self._connection.executemany(
            "DELETE FROM drains WHERE id = ?",
            [(id_,) for id_, record in drains.items() if record is None],
        )

    def _require_term(self, meta: Meta) -> None:
        """Fatal, for nobody takes the file from a daemon by right. Within the transaction that it guards."""
        if Identity.of(self._path) != self._identity:
            found = "was deleted or replaced while this daemon used it"
        elif not is_term(self._connection, meta):
            found = "another daemon has taken it, though its lock should keep others out"
        else:
            return
        # From now on nobody is told anything.
        self._lock.close()
        raise StoreError(
            f"{self._path}: {found} (was {self._path}.lock deleted?); nothing more was written: see"
            " that one daemon alone is given this file"
        )
