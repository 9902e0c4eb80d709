"""Storage of a log: entries in their order and the newest head, both in one transaction; in memory, or elsewhere."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from digitalgrid.market.v1 import ledger_pb2 as pb


class Fenced(Exception):
    """Somebody else has written to this log since: this writer's state is old, and it must begin anew."""


class Appended(msgspec.Struct, frozen=True):
    """An entry that is to be written, and what it is found by."""

    key: str
    entry: pb.SignedEntry


class Storage(Protocol):
    """What a backend keeps. Nothing that was written changes."""

    def entries(self, first: int = 0, count: int | None = None) -> Iterator[pb.SignedEntry]:
        """In order, from ``first`` on, ``count`` of them or all."""

    def seq_of(self, key: str) -> int | None:
        """Of the entry that was written under a key."""

    def head(self) -> pb.SignedTreeHead | None: ...

    def append(self, first: int, entries: Sequence[Appended], head: pb.SignedTreeHead) -> None:
        """All or none, durable when this returns. Raises :class:`Fenced` where there are not ``first`` before."""

    def close(self) -> None: ...


class MemoryStorage:
    """For tests, and for markets that end with their process."""

    def __init__(self) -> None:
        self._entries: list[pb.SignedEntry] = []
        self._seqs: dict[str, int] = {}
        self._head: pb.SignedTreeHead | None = None

    def entries(self, first: int = 0, count: int | None = None) -> Iterator[pb.SignedEntry]:
        yield from self._entries[first : None if count is None else first + count]

    def seq_of(self, key: str) -> int | None:
        return self._seqs.get(key)

    def head(self) -> pb.SignedTreeHead | None:
        return self._head

    def append(self, first: int, entries: Sequence[Appended], head: pb.SignedTreeHead) -> None:
        if first != len(self._entries):
            raise Fenced(f"the log has {len(self._entries)} entries, and not {first}")
        for offset, each in enumerate(entries):
            self._entries.append(each.entry)
            self._seqs[each.key] = first + offset
        self._head = head

    def close(self) -> None:
        """Nothing is open."""
