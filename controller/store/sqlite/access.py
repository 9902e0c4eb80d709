"""Access for tools (export, import, backup, verify), beside a daemon that may be using the file."""

import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    RegisterRecord,
)
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.protocol import StoreContents, StoreError
from controller.store.restored import epoch_beyond_lost
from controller.store.sqlite.faults import explained
from controller.store.sqlite.file import (
    make,
    open_to_read,
    open_to_verify,
    open_to_write,
)
from controller.store.sqlite.lock import Lock, resolved
from controller.store.sqlite.rows import (
    drain_rows,
    meta_of,
    read_circuit,
    read_drain,
    read_entry,
    read_register,
    read_router,
    register_rows,
    router_rows,
)
from controller.store.sqlite.schema import (
    SCHEMA_VERSION,
    Meta,
    create,
    migrate,
    schema_version,
    write_audit,
    write_circuits,
    write_drains,
    write_meta,
    write_registers,
    write_routers,
)
from controller.store.sqlite.verification import findings
from digitalgrid.transactions import transaction


class SqliteAccess:
    """A `StoreAccess`; each call opens the file anew."""

    def __init__(self, path: Path) -> None:
        self._path = resolved(path)

    def read(self) -> StoreContents:
        return _Snapshot(self._path).contents()

    def fill(self, contents: StoreContents) -> None:
        with closing(Lock(self._path)) as lock:
            # That the store is another than the one left here, if there was one, is meant.
            lock.begin(self._fill(contents))

    def _fill(self, contents: StoreContents) -> Meta:
        if not self._path.exists():
            meta = _meta_above(contents, Meta(generation=0))
            make(self._path, lambda connection: _make_filled(connection, contents, meta))
            return meta
        with (
            closing(open_to_write(self._path)) as connection,
            explained(self._path),
            transaction(connection),
        ):
            present = meta_of(connection, self._path)
            if present.counters != Counters() or not _is_empty(connection):
                raise StoreError(
                    f"{self._path}: is not empty, nothing was changed; name a file that is not"
                    " there yet"
                )
            meta = _meta_above(contents, present)
            _write(connection, contents, meta)
        return meta

    def verify(self) -> list[str]:
        with closing(open_to_verify(self._path)) as connection, explained(self._path):
            # Everything is looked at as of one moment.
            connection.execute("BEGIN")
            return findings(connection, self._path)

    def backup(self, target: Path) -> None:
        """A copy as of one moment, whole and in one file. Who leads with it gets a higher generation."""
        if target.exists():
            raise StoreError(f"{target}: is there already; name another file for the backup")
        with closing(open_to_read(self._path)) as source:
            make(resolved(target), lambda copy: _copy(source, copy, self._path))


class _Snapshot:
    """One read transaction. The connection is closed when nobody can read on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_to_read(path)
        weakref.finalize(self, self._connection.close)

    def contents(self) -> StoreContents:
        with explained(self._path):
            self._connection.execute("BEGIN")
            meta = meta_of(self._connection, self._path)
        return StoreContents(
            SCHEMA_VERSION,
            meta.generation,
            meta.epoch,
            meta.counters,
            self._circuits(),
            self._audit(),
            self._routers(),
            self._drains(),
            self._registers(),
        )

    def _circuits(self) -> Iterator[CircuitRecord]:
        query = "SELECT circuit_id, record FROM circuits ORDER BY circuit_id"
        with explained(self._path):
            for circuit_id, data in self._connection.execute(query):
                yield read_circuit(self._path, circuit_id, data)

    def _routers(self) -> Iterator[RouterRecord]:
        with explained(self._path):
            for router_id, data in router_rows(self._connection):
                yield read_router(self._path, router_id, data)

    def _drains(self) -> Iterator[DrainRecord]:
        with explained(self._path):
            for id_, data in drain_rows(self._connection):
                yield read_drain(self._path, id_, data)

    def _registers(self) -> Iterator[RegisterRecord]:
        with explained(self._path):
            for circuit_id, generation, data in register_rows(self._connection):
                yield read_register(self._path, circuit_id, generation, data)

    def _audit(self) -> Iterator[AuditEntry]:
        with explained(self._path):
            for row in self._connection.execute("SELECT * FROM audit ORDER BY seq"):
                yield read_entry(self._path, row)


def _make_filled(connection: sqlite3.Connection, contents: StoreContents, meta: Meta) -> None:
    with transaction(connection):
        create(connection, meta)
        _write(connection, contents, meta)


def _write(connection: sqlite3.Connection, contents: StoreContents, meta: Meta) -> None:
    write_drains(connection, contents.drains)
    write_routers(connection, contents.routers)
    write_circuits(connection, contents.circuits)
    write_registers(connection, contents.registers)
    write_audit(connection, contents.audit)
    write_meta(connection, meta)


def _meta_above(contents: StoreContents, present: Meta) -> Meta:
    """Under a generation above that of the contents, of the file, and of whatever a right clock makes."""
    generation = max(contents.generation, present.generation, int(time.time())) + 1
    epoch = epoch_beyond_lost(max(contents.epoch, present.epoch))
    return Meta(generation, epoch, contents.counters)


def _is_empty(connection: sqlite3.Connection) -> bool:
    (rows,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM circuits) OR EXISTS (SELECT 1 FROM audit)"
        " OR EXISTS (SELECT 1 FROM routers) OR EXISTS (SELECT 1 FROM drains)"
        " OR EXISTS (SELECT 1 FROM registers)"
    ).fetchone()
    return not rows


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, path: Path) -> None:
    # In one step: a daemon that goes on writing would make many steps begin anew each time.
    source.backup(copy)
    copy.execute("PRAGMA journal_mode=DELETE")
    with transaction(copy):
        # Its meta is written as today's, so its tables must be.
        migrate(copy, schema_version(copy))
        write_meta(copy, replace(meta_of(copy, path), is_backup=True))
