"""The file as tools see it, beside a daemon that may be using it."""

import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from controller.core.records import AuditEntry, CircuitRecord, Counters
from controller.store.protocol import StoreContents, StoreError
from controller.store.sqlite.faults import explained
from controller.store.sqlite.file import (
    lock,
    make,
    open_to_read,
    open_to_write,
    resolved,
    transaction,
)
from controller.store.sqlite.rows import meta_of, read_circuit, read_entry
from controller.store.sqlite.schema import (
    SCHEMA_VERSION,
    Meta,
    create,
    write_audit,
    write_circuits,
    write_meta,
)
from controller.store.sqlite.verification import findings


class SqliteAccess:
    """A `StoreAccess`; each call opens the file anew."""

    def __init__(self, path: Path) -> None:
        self._path = resolved(path)

    def read(self) -> StoreContents:
        return _Snapshot(self._path).contents()

    def fill(self, contents: StoreContents) -> None:
        with lock(self._path):
            if not self._path.exists():
                make(self._path, lambda connection: _make_filled(connection, contents))
                return
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
                _fill(connection, contents, present)

    def verify(self) -> list[str]:
        with closing(open_to_read(self._path)) as connection, explained(self._path):
            # Everything is looked at as of one moment.
            connection.execute("BEGIN")
            return findings(connection, self._path)

    def backup(self, target: Path) -> None:
        """A copy as of one moment, whole and in one file. Who leads with it gets a higher generation."""
        if target.exists():
            raise StoreError(f"{target}: is there already; name another file for the backup")
        with closing(open_to_read(self._path)) as source:
            make(target, lambda copy: _copy(source, copy, self._path))


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
        )

    def _circuits(self) -> Iterator[CircuitRecord]:
        query = "SELECT circuit_id, record FROM circuits ORDER BY circuit_id"
        with explained(self._path):
            for circuit_id, data in self._connection.execute(query):
                yield read_circuit(self._path, circuit_id, data)

    def _audit(self) -> Iterator[AuditEntry]:
        with explained(self._path):
            for row in self._connection.execute("SELECT * FROM audit ORDER BY seq"):
                yield read_entry(self._path, row)


def _make_filled(connection: sqlite3.Connection, contents: StoreContents) -> None:
    with transaction(connection):
        create(connection, Meta(generation=0))
        _fill(connection, contents, Meta(generation=0))


def _fill(connection: sqlite3.Connection, contents: StoreContents, present: Meta) -> None:
    """Under a generation above that of the contents, of the file, and of whatever a right clock makes."""
    write_circuits(connection, contents.circuits)
    write_audit(connection, contents.audit)
    generation = max(contents.generation, present.generation, int(time.time())) + 1
    epoch = max(contents.epoch, present.epoch)
    write_meta(connection, Meta(generation, epoch, contents.counters))


def _is_empty(connection: sqlite3.Connection) -> bool:
    (rows,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM circuits) OR EXISTS (SELECT 1 FROM audit)"
    ).fetchone()
    return not rows


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, path: Path) -> None:
    # In one step: a daemon that goes on writing would make many steps begin anew each time.
    source.backup(copy)
    copy.execute("PRAGMA journal_mode=DELETE")
    with transaction(copy):
        write_meta(copy, replace(meta_of(copy, path), is_backup=True))
