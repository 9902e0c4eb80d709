"""Files of a log: the database that a ledger writes, and a copy of one that anybody can take away and check.

A copy is ``dg-market-log-v1`` and a line's end, then each entry and last the head, each after its length (four bytes,
the highest first); the head is after a length of 0. Every bit of it counts.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar
from urllib.parse import quote

from google.protobuf.message import DecodeError

from digitalgrid.config_file import open_regular
from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.ledger.forms import MAX_ENTRY_BYTES, bare
from trading.ledger.verifying import BadLog, Verifier, verify

MAGIC = b"dg-market-log-v1\n"
_SQLITE_MAGIC = b"SQLite format 3\x00"
# Bytes of a length; and of the longest entry with its signature and what else is around it.
_LENGTH_BYTES, _MOST_BYTES = 4, MAX_ENTRY_BYTES + 128

_Stored = TypeVar("_Stored", pb.SignedEntry, pb.SignedTreeHead)


class _Row(NamedTuple):
    """An entry's bytes, and what it is found by, where that is kept beside it."""

    signed: object
    seq: int | None = None
    key: str | None = None


def verify_file(path: Path, seen: Sequence[pb.TreeHead] = ()) -> Verifier:
    """The whole log in a file, and that it goes on from heads that were seen before.

    Raises :class:`~.verifying.BadLog`, and OSError where the file cannot be read.
    """
    with open(path, "rb", opener=open_regular) as file:
        magic = file.read(len(MAGIC))
        if magic == MAGIC:
            return verify_rows(CopyReader(file), seen)
    if magic.startswith(_SQLITE_MAGIC):
        with closing(open_to_look(path)) as database:
            return verify_rows(DatabaseReader(database), seen)
    raise BadLog(f"{path} is no log: neither a ledger's database nor a copy of a log")


def write_copy(file: BinaryIO, entries: Iterable[pb.SignedEntry], head: pb.SignedTreeHead) -> int:
    """How many entries it has."""
    file.write(MAGIC)
    written = 0
    for each in entries:
        _write_one(file, each.SerializeToString(deterministic=True))
        written += 1
    file.write(bytes(_LENGTH_BYTES))
    _write_one(file, head.SerializeToString(deterministic=True))
    return written


def _write_one(file: BinaryIO, content: bytes) -> None:
    file.write(len(content).to_bytes(_LENGTH_BYTES) + content)


class CopyReader:
    """Entries of a copy from ``first`` on, which is the next in the file, and its head once they were all read."""

    def __init__(self, file: BinaryIO, first: int = 0) -> None:
        self._file = file
        self._first = first

    def rows(self) -> Iterator[_Row]:
        for seq in count(self._first):
            size = self._size(seq)
            if size == 0:
                return
            yield _Row(self._content(size, seq))

    def head(self) -> object:
        head = self._content(self._size(None), None)
        if self._file.read(1):
            raise BadLog("something stands after the head")
        return head

    def _size(self, seq: int | None) -> int:
        size = int.from_bytes(self._content(_LENGTH_BYTES, seq))
        if size > _MOST_BYTES:
            what = "the head" if seq is None else "it"
            raise BadLog(f"{what} is said to be of {size} bytes, and none is of so many", seq)
        return size

    def _content(self, size: int, seq: int | None) -> bytes:
        content = self._file.read(size)
        if len(content) < size:
            raise BadLog(
                "the file ends within the head" if seq is None else "the file ends within it", seq
            )
        return content


class DatabaseReader:
    """Rows of a ledger's database, whatever stands in them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def rows(self) -> Iterator[_Row]:
        seq = 0
        try:
            for each in self._database.execute("SELECT signed, seq, key FROM entries ORDER BY seq"):
                yield _Row(*each)
                seq += 1
        except sqlite3.Error as error:
            raise BadLog(f"the database cannot be read from there on: {error}", seq) from error

    def head(self) -> object:
        try:
            row = self._database.execute("SELECT signed FROM head").fetchone()
        except sqlite3.Error as error:
            raise BadLog(f"the head cannot be read: {error}") from error
        return row[0] if row else b""


def open_to_look(path: Path) -> sqlite3.Connection:
    """Read only. Where no writer has left anything beside it, nothing is made beside it either.

    All is read as it was at one moment: entries and head of a log that grows meanwhile would not belong together.
    """
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    where = f"file:{quote(str(path.absolute()))}?{how}"
    database = sqlite3.connect(where, uri=True, isolation_level=None)
    database.execute("BEGIN")
    return database


def verify_rows(
    reader: CopyReader | DatabaseReader,
    seen: Sequence[pb.TreeHead],
    begun: Verifier | None = None,
) -> Verifier:
    """``begun`` has taken all entries before those that the reader has. Raises BadLog."""
    verifier = begun or Verifier()
    for seq, row in enumerate(reader.rows(), verifier.tree.size):
        if row.seq not in (None, seq):
            raise BadLog(f"it is kept as entry {row.seq}: one is missing, or moved", seq)
        entry = verifier.take(_parsed(pb.SignedEntry, row.signed, seq))
        if row.key not in (None, entry.key):
            raise BadLog("it is found under another key than its own", seq)
    if not verifier.tree.size:
        raise BadLog("there is no entry: this is no log")
    return verify((), _parsed(pb.SignedTreeHead, reader.head(), None), seen, verifier)


def _parsed(kind: type[_Stored], content: object, seq: int | None) -> _Stored:
    """Of the only bytes that say it."""
    what = "the head" if seq is None else "it"
    if not isinstance(content, bytes):
        raise BadLog(f"{what} is not there", seq)
    try:
        message = kind.FromString(content)
    except DecodeError as error:
        raise BadLog(f"{what} cannot be read: {error}", seq) from error
    if bare(message) != content:
        raise BadLog(f"{what} has bytes that say nothing", seq)
    return message
