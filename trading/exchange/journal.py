"""Journal of an exchange in one SQLite file: write-ahead log, one writer thread, one flush for all that waits.

A row is the newest record of an order, a trade, an interval; what has ended stays, to be listed. Whoever opens the file
last is its writer: another's next commit finds that, and fails.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from digitalgrid.supervision import start_thread_once
from trading.market.phases import Phase
from trading.market.records import (
    ClearingRecord,
    IntervalRecord,
    NonceRecord,
    OrderRecord,
    Record,
    TradeRecord,
)
from trading.market.restoring import Journalled

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE orders (seq INTEGER PRIMARY KEY, start_ns INTEGER NOT NULL, party TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE trades (
    start_ns INTEGER NOT NULL, number INTEGER NOT NULL, trade_id TEXT NOT NULL UNIQUE,
    buyer TEXT NOT NULL, seller TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (start_ns, number)
) WITHOUT ROWID;
CREATE TABLE intervals (start_ns INTEGER PRIMARY KEY, has_ended INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX intervals_open ON intervals (start_ns) WHERE has_ended = 0;
CREATE TABLE clearings (
    start_ns INTEGER NOT NULL, round INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (start_ns, round)
);
CREATE TABLE nonces (party TEXT PRIMARY KEY, nonce INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), market TEXT NOT NULL, term INTEGER NOT NULL);
"""
# How long (s) a writer waits for another's transaction.
_BUSY_S = 5.0
# Commands in one commit: all who wait share one flush, and the first does not wait long.
MAX_COMMANDS_PER_COMMIT = 256

R = TypeVar("R")


class JournalError(Exception):
    """The file is no journal of this market, or cannot be read or written. Its message says which, and what to do."""


class Journal:
    """Of the market ``name``. Raises :class:`JournalError`."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._term = 0
        self._queue: queue.SimpleQueue[tuple[int, Sequence[Record]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_over = False
        try:
            # Made in one thread, used in the writer's from start() on.
            self._db = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._begin()
        except sqlite3.Error as error:
            raise JournalError(f"{path} is no journal, or cannot be read: {error}") from error

    def _begin(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise JournalError(f"{self._path} was written by a later release; use that one")
        if version == 0:
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise JournalError(f"{self._path} is no journal of a market")
            self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if version == 0:
            self._db.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA user_version={_SCHEMA_VERSION}; COMMIT;"
            )
            self._db.execute("INSERT INTO meta VALUES (1, ?, 0)", (self._name,))
        (market,) = self._db.execute("SELECT market FROM meta").fetchone()
        if market != self._name:
            raise JournalError(
                f"{self._path} is of market {market!r}, and not {self._name!r}: give it another file"
            )

    def load(self) -> Journalled:
        """In one transaction, with a term above all others': who wrote before may not any more."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("UPDATE meta SET term = term + 1")
            (self._term,) = self._db.execute("SELECT term FROM meta").fetchone()
            found = self._loaded()
            self._db.execute("COMMIT")
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise JournalError(f"{self._path} cannot be read: {error}") from error
        return found

    def _loaded(self) -> Journalled:
        intervals = self._read(
            IntervalRecord, "SELECT record FROM intervals WHERE has_ended = 0 ORDER BY start_ns"
        )
        first_seq = min((each.first_seq for each in intervals if each.first_seq), default=None)
        orders: list[OrderRecord] = []
        trades: list[TradeRecord] = []
        starts = {each.interval.start_ns for each in intervals}
        if first_seq is not None:
            orders = self._read(
                OrderRecord, "SELECT record FROM orders WHERE seq >= ? ORDER BY seq", first_seq
            )
        for start_ns in sorted(starts):
            trades += self._read(
                TradeRecord,
                "SELECT record FROM trades WHERE start_ns = ? ORDER BY number",
                start_ns,
            )
        (last_seq,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM orders").fetchone()
        nonces = self._db.execute("SELECT party, nonce FROM nonces").fetchall()
        return Journalled(
            tuple(intervals),
            tuple([each for each in orders if each.order.interval.start_ns in starts]),
            tuple(trades),
            tuple([NonceRecord(*row) for row in nonces]),
            last_seq + 1,
        )

    def _read(self, kind: type[R], question: str, *values: object) -> list[R]:
        rows = self._db.execute(question, values)
        return [msgspec.msgpack.decode(record, type=kind) for (record,) in rows]

    # The writer

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[Exception], None]
    ) -> None:
        def run() -> None:
            try:
                self._write_all(on_durable)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                self._is_over = True
                on_failure(error)

        self._thread = start_thread_once("journal", run)

    def submit(self, ticket: int, records: Sequence[Record]) -> None:
        """After a failure or :meth:`close` it is dropped, and never told durable."""
        if not self._is_over:
            self._queue.put((ticket, records))

    def close(self) -> None:
        """Any number of times."""
        self._is_over = True
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        self._db.close()

    def _write_all(self, on_durable: Callable[[int], None]) -> None:
        is_last = False
        while not is_last:
            ticket, groups, is_last = self._take()
            if groups:
                self._commit([record for group in groups for record in group])
                on_durable(ticket)

    def _take(self) -> tuple[int, list[Sequence[Record]], bool]:
        """What there is to write, and whether it is the last."""
        ticket, groups = 0, []
        item = self._queue.get()
        while item is not None:
            ticket, records = item
            groups.append(records)
            if len(groups) == MAX_COMMANDS_PER_COMMIT or self._queue.empty():
                return ticket, groups, False
            # This thread is the only one that takes.
            item = self._queue.get()
        return ticket, groups, True

    def _commit(self, records: Sequence[Record]) -> None:
        rows = _rows(records)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            (term,) = self._db.execute("SELECT term FROM meta").fetchone()
            if term != self._term:
                raise JournalError(
                    f"{self._path}: another exchange has opened it, and this one ends; give each its own"
                )
            for statement, values in rows:
                self._db.executemany(statement, values)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise


_ORDER = "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?)"
_TRADE = "INSERT OR REPLACE INTO trades VALUES (?, ?, ?, ?, ?, ?)"
_INTERVAL = "INSERT OR REPLACE INTO intervals VALUES (?, ?, ?)"
_CLEARING = "INSERT OR REPLACE INTO clearings VALUES (?, ?, ?)"
_NONCE = "INSERT OR REPLACE INTO nonces VALUES (?, ?)"


def _rows(records: Iterable[Record]) -> list[tuple[str, list[tuple[object, ...]]]]:
    """Statements with their rows. Of one thing the last word is enough."""
    orders: dict[int, OrderRecord] = {}
    trades: dict[str, TradeRecord] = {}
    intervals: dict[int, IntervalRecord] = {}
    clearings: list[ClearingRecord] = []
    nonces: dict[str, int] = {}
    for each in records:
        match each:
            case OrderRecord():
                orders[each.order.seq] = each
            case TradeRecord():
                trades[each.trade.trade_id] = each
            case IntervalRecord():
                intervals[each.interval.start_ns] = each
            case ClearingRecord():
                clearings.append(each)
            case NonceRecord():
                nonces[each.party] = each.nonce
    encode = msgspec.msgpack.Encoder().encode
    found: list[tuple[str, list[tuple[object, ...]]]] = [
        (
            _ORDER,
            [
                (seq, each.order.interval.start_ns, each.order.party, encode(each))
                for seq, each in orders.items()
            ],
        ),
        (
            _TRADE,
            [
                (
                    each.trade.interval.start_ns,
                    each.number,
                    trade_id,
                    each.trade.buyer,
                    each.trade.seller,
                    encode(each),
                )
                for trade_id, each in trades.items()
            ],
        ),
        (
            _INTERVAL,
            [
                (start_ns, each.phase is Phase.ENDED, encode(each))
                for start_ns, each in intervals.items()
            ],
        ),
        (
            _CLEARING,
            [(each.interval.start_ns, each.round, encode(each)) for each in clearings],
        ),
        (_NONCE, list(nonces.items())),
    ]
    return [each for each in found if each[1]]
