"""Rows of the file, decoded and checked; an error names the row."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from controller.core.circuits.records import AuditEntry, CircuitRecord, RegisterRecord
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.protocol import (
    AUDIT_ENTRIES_SEARCHED,
    REGISTERS_SEARCHED,
    AuditQuestion,
    RegisterPage,
    RegisterQuestion,
    StoreError,
)
from controller.store.records_codec import checksum, decode
from controller.store.sqlite.faults import damaged
from controller.store.sqlite.schema import Meta, read_meta, schema_version
from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration

_R = TypeVar("_R", CircuitRecord, RouterRecord, DrainRecord, RegisterRecord)

# The first schema versions with a table of routers, of drains, and of registers.
_WITH_ROUTERS, _WITH_DRAINS, _WITH_REGISTERS = 4, 5, 6

# Of keys of registers: conditions, and what is above them all.
_AFTER, _UP_TO = ("(circuit_id, generation) > (?, ?)",), ("(circuit_id, generation) <= (?, ?)",)
_AFTER_ALL = CircuitGeneration(MAX_INT64, MAX_INT64)

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
    """What is asked for; one more than is given tells whether there is another page. Of a time, by the index of ends
    where that is short, else among the next :data:`REGISTERS_SEARCHED` in order: the table only grows.
    """
    ended = _given(
        {
            "ended_unix_ns >= ?": question.since_unix_ns,
            "ended_unix_ns < ?": question.until_unix_ns,
        }
    )
    named = _given({"circuit_id = ?": question.circuit_id, "request_id = ?": question.request_id})
    searched_to: CircuitGeneration | None = None
    if ended and not named and _is_short(connection, ended):
        rows = connection.execute(
            "SELECT circuit_id, generation, record FROM registers WHERE (circuit_id, generation) IN"
            " (SELECT circuit_id, generation FROM registers INDEXED BY registers_by_end"
            f" WHERE {_all_of(ended, _AFTER)} ORDER BY circuit_id, generation LIMIT ?)"
            " ORDER BY circuit_id, generation",
            (*ended.values(), *question.after, question.most + 1),
        ).fetchall()
    else:
        if ended:
            searched_to = _searched_to(connection, question, named)
        until = searched_to or _AFTER_ALL
        rows = connection.execute(
            "SELECT circuit_id, generation, record FROM registers"
            f" WHERE {_all_of(_AFTER, _UP_TO, named, ended)} ORDER BY circuit_id, generation LIMIT ?",
            (*question.after, *until, *named.values(), *ended.values(), question.most + 1),
        ).fetchall()
    records = tuple(read_register(path, *row) for row in rows[: question.most])
    return RegisterPage(records, records[-1].key if len(rows) > question.most else searched_to)


def _given(wanted: dict[str, Any]) -> dict[str, Any]:
    return {each: value for each, value in wanted.items() if value}


def _all_of(*conditions: Iterable[str]) -> str:
    return " AND ".join(chain(*conditions))


def _is_short(connection: sqlite3.Connection, ended: dict[str, Any]) -> bool:
    """Whether no more ended in this time than are looked at for a page."""
    (count,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM registers INDEXED BY registers_by_end"
        f" WHERE {_all_of(ended)} LIMIT ?)",
        (*ended.values(), REGISTERS_SEARCHED + 1),
    ).fetchone()
    return bool(count <= REGISTERS_SEARCHED)


def _searched_to(
    connection: sqlite3.Connection, question: RegisterQuestion, named: dict[str, Any]
) -> CircuitGeneration | None:
    """The last that is looked at, as far as they are ``named``; None where that is all of them."""
    row = connection.execute(
        f"SELECT circuit_id, generation FROM registers WHERE {_all_of(_AFTER, named)}"
        " ORDER BY circuit_id, generation LIMIT 1 OFFSET ?",
        (*question.after, *named.values(), REGISTERS_SEARCHED - 1),
    ).fetchone()
    return None if row is None else CircuitGeneration(*row)


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
