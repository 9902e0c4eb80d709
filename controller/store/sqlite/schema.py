"""Schema of the SQLite file: its tables, the figures in ``meta``, and the migration from each older version.

``meta`` holds figures of the whole store, with a checksum. ``circuits``, ``routers``, ``drains`` and ``registers`` hold
records, as the codec writes them; ``registers`` only grows.
``audit`` is a table of plain columns, so that it can be read without this program; each row has a checksum.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    RegisterRecord,
)
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.protocol import StoreError
from controller.store.records_codec import checksum, encode
from controller.store.sqlite.version_1 import read_circuit

SCHEMA_VERSION = 6
# The oldest that is read as it stands, by whoever does not write; the rest of its columns has defaults.
OLDEST_READABLE = 2

_META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)"
_VERSION_2 = (
    "CREATE TABLE circuits (circuit_id INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    """CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at_unix_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    asked TEXT NOT NULL,
    decided TEXT NOT NULL,
    why TEXT NOT NULL,
    crc32 INTEGER NOT NULL
)""",
    """CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_keeps_words BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    # INSERT OR REPLACE would delete without asking the first trigger.
    """CREATE TRIGGER audit_ascends BEFORE INSERT ON audit
WHEN NEW.seq <= (SELECT max(seq) FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
)
_VERSION_3 = (
    "ALTER TABLE audit ADD COLUMN roles TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE audit ADD COLUMN proven INTEGER NOT NULL DEFAULT 0",
)
_VERSION_4 = ("CREATE TABLE routers (router_id TEXT PRIMARY KEY, record BLOB NOT NULL)",)
_VERSION_5 = ("CREATE TABLE drains (id TEXT PRIMARY KEY, record BLOB NOT NULL)",)
_VERSION_6 = (
    """CREATE TABLE registers (
    circuit_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    ended_unix_ns INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (circuit_id, generation)
) WITHOUT ROWID""",
    "CREATE INDEX registers_by_request ON registers (request_id)",
    "CREATE INDEX registers_by_end ON registers (ended_unix_ns)",
    """CREATE TRIGGER registers_keep_rows BEFORE DELETE ON registers
BEGIN SELECT RAISE(ABORT, 'final registers are kept for ever'); END""",
    """CREATE TRIGGER registers_keep_figures BEFORE UPDATE ON registers
BEGIN SELECT RAISE(ABORT, 'final registers are never changed'); END""",
)
_NAMES = {
    *("meta", "circuits", "audit", "routers", "drains", "registers"),
    *("registers_by_request", "registers_by_end", "registers_keep_rows", "registers_keep_figures"),
    *("audit_keeps_entries", "audit_keeps_words", "audit_ascends"),
}


@dataclass(frozen=True, slots=True)
class Meta:
    """Figures of the whole store. ``generation`` and ``epoch`` are the halves of election ids."""

    generation: int
    epoch: int = 0
    counters: Counters = field(default_factory=Counters)
    # A copy, which gets a higher generation and numbers of its own before anybody leads with it.
    is_backup: bool = False


def create(connection: sqlite3.Connection, meta: Meta) -> None:
    """An empty store, in a file without anything."""
    for statement in (_META, *_VERSION_2, *_VERSION_3, *_VERSION_4, *_VERSION_5, *_VERSION_6):
        connection.execute(statement)
    write_meta(connection, meta)


def schema_version(connection: sqlite3.Connection) -> int:
    """Zero where there is none."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    return found[0] if found and isinstance(found[0], int) else 0


def missing_names(connection: sqlite3.Connection) -> list[str]:
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return sorted(_NAMES - present)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """From an older version to the present one, within the caller's transaction."""
    for step in MIGRATIONS[version - 1 :]:
        step(connection)


def read_meta(connection: sqlite3.Connection) -> Meta:
    """StoreError where a figure is missing or is not what was written."""
    found: dict[str, int] = dict(connection.execute("SELECT key, value FROM meta"))
    stored = found.pop("crc32", None)
    try:
        meta = Meta(
            found["generation"],
            found["epoch"],
            Counters(
                found["next_circuit_id"], found["next_admission_seq"], found["next_audit_seq"]
            ),
            bool(found["is_backup"]),
        )
    except KeyError as error:
        raise StoreError(f"meta has no {error.args[0]}") from error
    if stored != _meta_checksum(found):
        raise StoreError("the checksum of meta is another")
    return meta


def is_term(connection: sqlite3.Connection, meta: Meta) -> bool:
    """Whether the file is still in the term of ``meta``; cheap enough for every commit."""
    present = connection.execute(
        "SELECT (SELECT value FROM meta WHERE key = 'generation'),"
        " (SELECT value FROM meta WHERE key = 'epoch')"
    ).fetchone()
    return bool(present == (meta.generation, meta.epoch))


def write_meta(connection: sqlite3.Connection, meta: Meta) -> None:
    figures = {
        "schema_version": SCHEMA_VERSION,
        "generation": meta.generation,
        "epoch": meta.epoch,
        "is_backup": int(meta.is_backup),
        "next_circuit_id": meta.counters.next_circuit_id,
        "next_admission_seq": meta.counters.next_admission_seq,
        "next_audit_seq": meta.counters.next_audit_seq,
    }
    figures["crc32"] = _meta_checksum(figures)
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", figures.items())


def write_circuits(connection: sqlite3.Connection, records: Iterable[CircuitRecord]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO circuits VALUES (?, ?)",
        ((each.circuit_id, encode(each)) for each in records),
    )


def write_routers(connection: sqlite3.Connection, records: Iterable[RouterRecord]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO routers VALUES (?, ?)",
        ((each.router_id, encode(each)) for each in records),
    )


def write_drains(connection: sqlite3.Connection, records: Iterable[DrainRecord]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO drains VALUES (?, ?)", ((each.id, encode(each)) for each in records)
    )


def write_registers(connection: sqlite3.Connection, records: Iterable[RegisterRecord]) -> None:
    """The first word stands."""
    connection.executemany(
        "INSERT OR IGNORE INTO registers VALUES (?, ?, ?, ?, ?)",
        (
            (each.circuit_id, each.generation, each.request_id, each.ended_unix_ns, encode(each))
            for each in records
        ),
    )


def write_audit(connection: sqlite3.Connection, entries: Iterable[AuditEntry]) -> None:
    connection.executemany(
        "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                *(each.seq, each.at_unix_ns, each.who, each.action, each.subject),
                *(each.asked, each.decided, each.why, checksum(each)),
                *(" ".join(each.roles), int(each.proven)),
            )
            for each in entries
        ),
    )


def _meta_checksum(figures: dict[str, int]) -> int:
    return zlib.crc32(repr(sorted(figures.items())).encode())


def _to_version_2(connection: sqlite3.Connection) -> None:
    """Records get checksums, decisions an audit log, and copies a mark."""
    connection.execute("ALTER TABLE circuits RENAME TO circuits_1")
    for statement in _VERSION_2:
        connection.execute(statement)
    rows = connection.execute("SELECT record FROM circuits_1")
    write_circuits(connection, (read_circuit(record) for (record,) in rows))
    connection.execute("DROP TABLE circuits_1")
    old: dict[str, int] = dict(connection.execute("SELECT key, value FROM meta"))
    try:
        counters = Counters(old["next_circuit_id"], old["next_admission_seq"])
        meta = Meta(old["generation"], old["epoch"], counters)
    except KeyError as error:
        raise StoreError(f"meta has no {error.args[0]}") from error
    write_meta(connection, meta)


def _to_version_3(connection: sqlite3.Connection) -> None:
    """Audit entries say with which roles somebody asked, and whether he had proven who he is."""
    for statement in _VERSION_3:
        connection.execute(statement)
    write_meta(connection, read_meta(connection))


def _to_version_4(connection: sqlite3.Connection) -> None:
    """What routers own becomes durable; nothing is owned until they say so."""
    for statement in _VERSION_4:
        connection.execute(statement)
    write_meta(connection, read_meta(connection))


def _to_version_5(connection: sqlite3.Connection) -> None:
    """What is taken out of service becomes durable; nothing is."""
    for statement in _VERSION_5:
        connection.execute(statement)
    write_meta(connection, read_meta(connection))


def _to_version_6(connection: sqlite3.Connection) -> None:
    """Final registers are kept; those of generations that ended before are not known."""
    for statement in _VERSION_6:
        connection.execute(statement)
    write_meta(connection, read_meta(connection))


# The n-th leads from schema version n to the next.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _to_version_2,
    _to_version_3,
    _to_version_4,
    _to_version_5,
    _to_version_6,
)
