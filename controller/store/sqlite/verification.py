"""Verification of a file: what is damaged in it, and what contradicts another thing in it.

Nothing found hides what comes after it, but for this: of a table with a damaged page SQLite reads the rows up to that
page only.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.store.consistency import Consistency
from controller.store.protocol import StoreError
from controller.store.records_codec import garbage_collection_paused
from controller.store.sqlite.faults import explained
from controller.store.sqlite.file import OtherSchema, require_schema
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
from controller.store.sqlite.schema import OLDEST_READABLE, Meta

# SQLite's own default; what is damaged that much need not be listed further.
_MAX_FINDINGS_OF_SQLITE = 100


def findings(connection: sqlite3.Connection, path: Path) -> list[str]:
    """A sentence on each, within the caller's transaction."""
    found: list[str] = []
    with _noting(found, path):
        require_schema(connection, path, oldest=OLDEST_READABLE)
    with _noting(found, path):
        _check_pages(connection, path, found)
    # Without its counters the rest can still be read.
    consistency: Consistency | None = None
    with _noting(found, path):
        meta: Meta = meta_of(connection, path)
        consistency = Consistency(meta.counters)
    with _noting(found, path), garbage_collection_paused():
        for circuit_id, data in connection.execute("SELECT circuit_id, record FROM circuits"):
            with _noting(found, path):
                record = read_circuit(path, circuit_id, data)
                if consistency is not None:
                    found += [f"{path}: {each}" for each in consistency.circuit(record)]
    with _noting(found, path):
        for router_id, data in router_rows(connection):
            with _noting(found, path):
                owner = read_router(path, router_id, data)
                if consistency is not None:
                    found += [f"{path}: {each}" for each in consistency.router(owner)]
    with _noting(found, path):
        for id_, data in drain_rows(connection):
            with _noting(found, path):
                read_drain(path, id_, data)
    with _noting(found, path):
        for circuit_id, generation, data in register_rows(connection):
            with _noting(found, path):
                register = read_register(path, circuit_id, generation, data)
                if consistency is not None:
                    found += [f"{path}: {each}" for each in consistency.register(register)]
    with _noting(found, path):
        for row in connection.execute("SELECT * FROM audit ORDER BY seq"):
            with _noting(found, path):
                entry = read_entry(path, row)
                if consistency is not None:
                    found += [f"{path}: {each}" for each in consistency.audit_entry(entry)]
    return found


def _check_pages(connection: sqlite3.Connection, path: Path, found: list[str]) -> None:
    for (line,) in connection.execute(f"PRAGMA integrity_check({_MAX_FINDINGS_OF_SQLITE})"):
        if line != "ok":
            found.append(f"{path}: {line}")


@contextmanager
def _noting(found: list[str], path: Path) -> Iterator[None]:
    try:
        with explained(path):
            yield
    except OtherSchema:
        raise
    except StoreError as error:
        # What hinders all steps is said once.
        if str(error) not in found:
            found.append(str(error))
