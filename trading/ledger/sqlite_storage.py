"""A log in a SQLite file (WAL): one transaction, flushed to the disk, for each group of entries and its head."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from digitalgrid.errors import ExplainedError
from digitalgrid.market.v1 import ledger_pb2 as pb
from digitalgrid.transactions import transaction
from trading.ledger.storage import Appended, Fenced

# Of the tables below; a file of a later one is refused.
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE entries (seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, signed BLOB NOT NULL);
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), signed BLOB NOT NULL);
"""
# How long (s) a writer waits for another's transaction.
_BUSY_S = 5.0
# Entries that are read at a time.
_PAGE = 1024


class NoLedger(ExplainedError):
    """A file that is no ledger of this program, or cannot be read. Its message says which, and what to do."""


class SqliteStorage:
    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        """Raises :class:`NoLedger`."""
        if must_exist and not path.is_file():
            raise NoLedger(f"there is no ledger {path}")
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            self._begin(must_exist=must_exist)
        except sqlite3.Error as error:
            raise NoLedger(f"{path} is no ledger, or cannot be read: {error}") from error

    def _begin(self, *, must_exist: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise NoLedger(f"{self._path} was written by a later release; use that one")
        if version == _SCHEMA_VERSION:
            self._db.execute("PRAGMA synchronous=FULL")
            return
        if must_exist or self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise NoLedger(f"{self._path} is no ledger")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_SCHEMA_VERSION}; COMMIT;")

    def entries(self, first: int = 0, count: int | None = None) -> Iterator[pb.SignedEntry]:
        end = None if count is None else first + count
        while end is None or first < end:
            size = _PAGE if end is None else min(_PAGE, end - first)
            rows = self._db.execute(
                "SELECT seq, signed FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?",
                (first, size),
            ).fetchall()
            for _, signed in rows:
                yield pb.SignedEntry.FromString(signed)
            if not rows:
                return
            first = rows[-1][0] + 1

    def seq_of(self, key: str) -> int | None:
        row = self._db.execute("SELECT seq FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])

    def head(self) -> pb.SignedTreeHead | None:
        row = self._db.execute("SELECT signed FROM head").fetchone()
        return None if row is None else pb.SignedTreeHead.FromString(row[0])

    def append(self, first: int, entries: Sequence[Appended], head: pb.SignedTreeHead) -> None:
        try:
            self._append(first, entries, head)
        except sqlite3.Error as error:
            raise NoLedger(
                f"{self._path} cannot be written: {error}; see whether its disk is full or failing"
            ) from error

    def _append(self, first: int, entries: Sequence[Appended], head: pb.SignedTreeHead) -> None:
        with transaction(self._db):
            (size,) = self._db.execute("SELECT coalesce(max(seq) + 1, 0) FROM entries").fetchone()
            if size != first:
                raise Fenced(f"the log has {size} entries, and not {first}")
            self._db.executemany(
                "INSERT INTO entries VALUES (?, ?, ?)",
                [
                    (first + offset, each.key, each.entry.SerializeToString(deterministic=True))
                    for offset, each in enumerate(entries)
                ],
            )
            self._db.execute(
                "INSERT INTO head VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET signed = excluded.signed",
                (head.SerializeToString(deterministic=True),),
            )

    def close(self) -> None:
        self._db.close()
