"""Rows of the file, decoded and checked; an error names the row."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from controller.core.circuits.records import AuditEntry, CircuitRecord, RegisterRecord
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.protocol import (
    AUDIT_ENTRIES_SEARCHED,
    AuditQuestion,
    RegisterPage,
    RegisterQuestion,
    StoreError,
)
from controller.store.records_codec import checksum, decode
from controller.store.sqlite.faults import damaged
from controller.store.sqlite.schema import Meta, read_meta, schema_version

_R = TypeVar("_R", CircuitRecord, RouterRecord, DrainRecord, RegisterRecord)

# The first schema versions with a table of routers, of drains, and of registers.
_WITH_ROUTERS, _WITH_DRAINS, _WITH_REGISTERS = 4, 5, 6

# Before the checksum; what came with version 3 stands after it.
_AUDIT_FIELDS = 8


def meta_of(connection: sqlite3.Connection, path: Path) -> Meta:
    try:
        return read_meta(connection)
    except StoreError as error:
        raise damaged(path, str(error)) from error


def read_circuit(path: Path, circuit_id: int, data: object) -> CircuitRecord:
    record = _decoded(path, f"circuit {circuit_id}", data, CircuitRecord)
    if record.circuit_id != circuit_id:
        raise damaged(path, f"circuit {record.circuit_id} is in the place of {circuit_id}")
    return record


def router_rows(connection: sqlite3.Connection) -> Iterator[tuple[str, object]]:
    """Ids and records of all routers; none in a file of a version that kept none, which is read as it stands."""
    if schema_version(connection) >= _WITH_ROUTERS:
        yield from connection.execute("SELECT router_id, record FROM routers ORDER BY router_id")


def read_router(path: Path, router_id: str, data: object) -> RouterRecord:
    record = _decoded(path, f"router {router_id!r}", data, RouterRecord)
    if record.router_id != router_id:
        raise damaged(path, f"router {record.router_id!r} is in the place of {router_id!r}")
    return record


def drain_rows(connection: sqlite3.Connection) -> Iterator[tuple[str, object]]:
    """Ids and records of all that is taken out of service; likewise."""
    if schema_version(connection) >= _WITH_DRAINS:
        yield from connection.execute("SELECT id, record FROM drains ORDER BY id")


def read_drain(path: Path, id_: str, data: object) -> DrainRecord:
    record = _decoded(path, f"drain of {id_!r}", data, DrainRecord)
    if record.id != id_:
        raise damaged(path, f"drain of {record.id!r} is in the place of {id_!r}")
    return record


def register_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, int, object]]:
    """Keys and records of all final registers; likewise."""
    if schema_version(connection) >= _WITH_REGISTERS:
        yield from connection.execute(
            "SELECT circuit_id, generation, record FROM registers ORDER BY circuit_id, generation"
        )


def read_register(path: Path, circuit_id: int, generation: int, data: object) -> RegisterRecord:
    what = f"registers of circuit {circuit_id} generation {generation}"
    record = _decoded(path, what, data, RegisterRecord)
    if record.key != (circuit_id, generation):
        raise damaged(path, f"{what}: are those of {tuple(record.key)}")
    return record


def _decoded(path: Path, what: str, data: object, record_type: type[_R]) -> _R:
    # On a damaged page there may be anything.
    if not isinstance(data, bytes):
        raise damaged(path, f"{what}: has no record")
    try:
        return decode(data, record_type)
    except StoreError as error:
        raise damaged(path, f"{what}: {error}") from error


def read_entry(path: Path, row: tuple[Any, ...]) -> AuditEntry:
    """Of a whole row of the table ``audit``, of the present version or the one before."""
    fields, crc32, later = row[:_AUDIT_FIELDS], row[_AUDIT_FIELDS], row[_AUDIT_FIELDS + 1 :]
    seq, at_unix_ns, who, action, subject, asked, decided, why = fields
    roles, proven = later or ("", False)
    entry = AuditEntry(
        *(seq, at_unix_ns, who, action, subject, asked, decided, why),
        roles=tuple(str(roles).split()),
        proven=bool(proven),
    )
    if checksum(entry) != crc32:
        raise damaged(path, f"audit entry {entry.seq}: its checksum is another")
    return entry


def registers_page(
    path: Path, connection: sqlite3.Connection, question: RegisterQuestion
) -> RegisterPage:
    """What is asked for; one more than is given tells whether there is another page."""
    wanted = {
        "circuit_id = ?": question.circuit_id,
        "request_id = ?": question.request_id,
        "ended_unix_ns >= ?": question.since_unix_ns,
        "ended_unix_ns < ?": question.until_unix_ns,
    }
    given = {each: value for each, value in wanted.items() if value}
    where = " AND ".join(["(circuit_id, generation) > (?, ?)", *given])
    rows = connection.execute(
        f"SELECT circuit_id, generation, record FROM registers WHERE {where}"
        " ORDER BY circuit_id, generation LIMIT ?",
        (*question.after, *given.values(), question.most + 1),
    ).fetchall()
    records = tuple(read_register(path, *row) for row in rows[: question.most])
    return RegisterPage(records, records[-1].key if len(rows) > question.most else None)


def newest_entries(
    path: Path, connection: sqlite3.Connection, question: AuditQuestion
) -> list[AuditEntry]:
    """Those that are asked for, oldest first."""
    subjects = sorted(question.subjects)
    of_these = f" AND subject IN ({', '.join('?' * len(subjects))})" if subjects else ""
    rows = connection.execute(
        "SELECT * FROM audit WHERE seq > (SELECT coalesce(max(seq), 0) FROM audit) - ?"
        f" AND at_unix_ns >= ?{of_these} ORDER BY seq DESC LIMIT ?",
        (AUDIT_ENTRIES_SEARCHED, question.since_unix_ns, *subjects, question.newest),
    ).fetchall()
    return [read_entry(path, row) for row in reversed(rows)]
