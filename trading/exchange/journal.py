"""Journal of an exchange in one SQLite file: write-ahead log, one writer thread, one flush for all that waits.

A row is the newest record of an order, a trade, an interval; what has ended stays, to be listed. Whoever opens the file
last is its writer: another's next commit finds that, and fails.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from digitalgrid.supervision import start_thread_once
from digitalgrid.transactions import transaction
from trading.exchange.ports import ClearingsAsked, OrdersAsked, TradesAsked
from trading.market.phases import Phase
from trading.market.records import (
    ClearingRecord,
    ForecastRecord,
    IntervalRecord,
    NonceRecord,
    OrderRecord,
    Record,
    TradeRecord,
)
from trading.market.restoring import Journalled

# Of the tables below; a file of a later one is refused.
_SCHEMA_VERSION = 2
# What a file of the first has not.
_SINCE_2 = """
CREATE TABLE forecasts (
    start_ns INTEGER NOT NULL, meter_id TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (start_ns, meter_id)
) WITHOUT ROWID;
"""
_SCHEMA = """
CREATE TABLE orders (seq INTEGER PRIMARY KEY, party TEXT NOT NULL, record BLOB NOT NULL);
CREATE INDEX orders_of ON orders (party, seq);
CREATE TABLE trades (
    start_ns INTEGER NOT NULL, number INTEGER NOT NULL, trade_id TEXT NOT NULL UNIQUE,
    buyer TEXT NOT NULL, seller TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (start_ns, number)
);
CREATE INDEX trades_bought ON trades (buyer, start_ns, number);
CREATE INDEX trades_sold ON trades (seller, start_ns, number);
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
# Above all that there are.
_NEWEST = (2**63 - 1, 2**63 - 1)

R = TypeVar("R")
Encode = Callable[[object], bytes]


class JournalError(Exception):
    """The file is no journal of this market, or cannot be read or written. Its message says which, and what to do."""


class Journal:
    """Of the market ``name``. Raises :class:`JournalError`."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path.resolve()
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
        with transaction(self._db):
            if version < _SCHEMA_VERSION:
                self._make(_SINCE_2 if version else _SCHEMA + _SINCE_2)
            # One that ended between the two, of an earlier release, had nothing written to it yet.
            self._db.execute("INSERT OR IGNORE INTO meta VALUES (1, ?, 0)", (self._name,))
        (market,) = self._db.execute("SELECT market FROM meta").fetchone()
        if market != self._name:
            raise JournalError(
                f"{self._path} is of market {market!r}, and not {self._name!r}: give it another file"
            )

    def _make(self, tables: str) -> None:
        for statement in tables.split(";"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    def load(self) -> Journalled:
        """In one transaction, with a term above all others': who wrote before may not any more."""
        try:
            with transaction(self._db):
                self._db.execute("UPDATE meta SET term = term + 1")
                (self._term,) = self._db.execute("SELECT term FROM meta").fetchone()
                found = self._loaded()
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise JournalError(f"{self._path} cannot be read: {error}") from error
        return found

    def _loaded(self) -> Journalled:
        intervals = self._read(
            IntervalRecord, "SELECT record FROM intervals WHERE has_ended = 0 ORDER BY start_ns"
        )
        orders: list[OrderRecord] = []
        trades: list[TradeRecord] = []
        forecasts: list[ForecastRecord] = []
        starts = {each.interval.start_ns for each in intervals}
        among = "SELECT record FROM orders WHERE seq BETWEEN ? AND ? ORDER BY seq"
        for first, last in _places(intervals):
            orders += self._read(OrderRecord, among, first, last)
        for start_ns in sorted(starts):
            trades += self._read(
                TradeRecord,
                "SELECT record FROM trades WHERE start_ns = ? ORDER BY number",
                start_ns,
            )
            forecasts += self._read(
                ForecastRecord, "SELECT record FROM forecasts WHERE start_ns = ?", start_ns
            )
        clearings: list[ClearingRecord] = []
        for each in intervals:
            if each.left:
                clearings += self._read(
                    ClearingRecord,
                    "SELECT record FROM clearings WHERE start_ns = ? AND round = ?",
                    each.interval.start_ns,
                    each.rounds,
                )
        (last_seq,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM orders").fetchone()
        nonces = self._db.execute("SELECT party, nonce FROM nonces").fetchall()
        return Journalled(
            tuple(intervals),
            tuple([each for each in orders if each.order.interval.start_ns in starts]),
            tuple(trades),
            tuple([NonceRecord(*row) for row in nonces]),
            last_seq + 1,
            tuple(clearings),
            tuple(forecasts),
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

    # Reads

    def trades(self, asked: TradesAsked) -> list[TradeRecord]:
        """The newest first, of all that there ever were; in any thread."""
        where = ["(start_ns, number) < (?, ?)"]
        values: list[object] = [*(asked.before or _NEWEST)]
        if asked.start_ns is not None:
            where.append("start_ns = ?")
            values.append(asked.start_ns)
        if asked.party is not None:
            where.append("(buyer = ? OR seller = ?)")
            values += [asked.party, asked.party]
        return self._ask(
            TradeRecord, "trades", where, "start_ns DESC, number DESC", values, asked.count
        )

    def trade(self, trade_id: str) -> TradeRecord | None:
        found = self._ask(TradeRecord, "trades", ["trade_id = ?"], "number", [trade_id], 1)
        return found[0] if found else None

    def orders(self, asked: OrdersAsked) -> list[OrderRecord]:
        where = ["seq < ?"]
        values: list[object] = [asked.before or _NEWEST[0]]
        if asked.party is not None:
            where.append("party = ?")
            values.append(asked.party)
        return self._ask(OrderRecord, "orders", where, "seq DESC", values, asked.count)

    def clearings(self, asked: ClearingsAsked) -> list[ClearingRecord]:
        where, values = ["(start_ns, round) < (?, ?)"], asked.before or _NEWEST
        newest = "start_ns DESC, round DESC"
        return self._ask(ClearingRecord, "clearings", where, newest, values, asked.count)

    def _ask(
        self,
        kind: type[R],
        table: str,
        where: Sequence[str],
        order: str,
        values: Sequence[object],
        count: int,
    ) -> list[R]:
        question = (
            f"SELECT record FROM {table} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?"
        )
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as db:
                rows = db.execute(question, (*values, count))
                return [msgspec.msgpack.decode(record, type=kind) for (record,) in rows]
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise JournalError(f"{self._path} cannot be read: {error}") from error

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
        rows = list(_rows(records))
        try:
            with transaction(self._db):
                self._check_term()
                for table, values in rows:
                    _insert(self._db, table, values)
        except sqlite3.Error as error:
            raise JournalError(
                f"{self._path} cannot be written: {error}; see whether its disk is full or failing"
            ) from error

    def _check_term(self) -> None:
        (term,) = self._db.execute("SELECT term FROM meta").fetchone()
        if term != self._term:
            raise JournalError(
                f"{self._path}: another exchange has opened it, and this one ends; give each its own"
            )


def _places(intervals: Iterable[IntervalRecord]) -> list[tuple[int, int]]:
    """Of seqs among which all their orders are, in order: an interval that waits for one decision for days is no reason
    to read all orders since.
    """
    places: list[tuple[int, int]] = []
    for each in sorted(intervals, key=lambda each: each.first_seq):
        first, last = each.first_seq, each.last_seq or _NEWEST[0]
        if not first:
            continue
        if places and first <= places[-1][1]:
            first, last = places[-1][0], max(last, places.pop()[1])
        places.append((first, last))
    return places


# What identifies a row never changes, so that no index does.
_NEW_RECORD = "DO UPDATE SET record = excluded.record"
# Rows of one statement: it lets go of the interpreter's lock once, and not once a row, and the loop has it meanwhile.
# Each other number of rows is a statement to be prepared, so there are few; more rows of one would gain little.
_TOGETHER = (64, 16, 4)


class _Table(msgspec.Struct, frozen=True):
    """``columns`` of a record are what its row has; ``on_conflict``: what becomes of the row that is there."""

    name: str
    width: int
    on_conflict: str
    key: Callable[[Any], object]
    columns: Callable[[Any, Encode], tuple[object, ...]]

    def insert(self, count: int) -> str:
        return _insertion(self.name, self.width, count, self.on_conflict)


# Made anew, they would be a quarter of what few rows cost.
@cache
def _insertion(table: str, width: int, count: int, on_conflict: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * count)} ON CONFLICT {on_conflict}"


def _insert(db: sqlite3.Connection, table: _Table, rows: Sequence[tuple[object, ...]]) -> None:
    first = 0
    for count in _TOGETHER:
        while len(rows) - first >= count:
            together = rows[first : first + count]
            db.execute(table.insert(count), list(chain.from_iterable(together)))
            first += count
    db.executemany(table.insert(1), rows[first:])


def _rows(records: Iterable[Record]) -> Iterator[tuple[_Table, list[tuple[object, ...]]]]:
    """Rows by table. Of one thing the last word is enough."""
    last: dict[type[Record], dict[object, Record]] = {}
    for each in records:
        kind = type(each)
        last.setdefault(kind, {})[_TABLES[kind].key(each)] = each
    encode = msgspec.msgpack.Encoder().encode
    for kind, words in last.items():
        table = _TABLES[kind]
        columns = table.columns
        yield table, [columns(each, encode) for each in words.values()]


def _of_trade(each: TradeRecord, encode: Encode) -> tuple[object, ...]:
    trade = each.trade
    start_ns = trade.interval.start_ns
    return start_ns, each.number, trade.trade_id, trade.buyer, trade.seller, encode(each)


def _of_interval(each: IntervalRecord, encode: Encode) -> tuple[object, ...]:
    return each.interval.start_ns, each.phase is Phase.ENDED, encode(each)


def _of_clearing(each: ClearingRecord, encode: Encode) -> tuple[object, ...]:
    return each.interval.start_ns, each.round, encode(each)


_TABLES: dict[type[Record], _Table] = {
    OrderRecord: _Table(
        "orders",
        3,
        f"(seq) {_NEW_RECORD}",
        lambda each: each.order.seq,
        lambda each, encode: (each.order.seq, each.order.party, encode(each)),
    ),
    TradeRecord: _Table(
        "trades",
        6,
        f"(start_ns, number) {_NEW_RECORD}",
        lambda each: each.trade.trade_id,
        _of_trade,
    ),
    IntervalRecord: _Table(
        "intervals",
        3,
        f"(start_ns) {_NEW_RECORD}, has_ended = excluded.has_ended",
        lambda each: each.interval.start_ns,
        _of_interval,
    ),
    ForecastRecord: _Table(
        "forecasts",
        3,
        f"(start_ns, meter_id) {_NEW_RECORD}",
        lambda each: (each.interval.start_ns, each.meter_id),
        lambda each, encode: (each.interval.start_ns, each.meter_id, encode(each)),
    ),
    ClearingRecord: _Table(
        "clearings",
        3,
        f"(start_ns, round) {_NEW_RECORD}",
        lambda each: (each.interval.start_ns, each.round),
        _of_clearing,
    ),
    NonceRecord: _Table(
        "nonces",
        2,
        "(party) DO UPDATE SET nonce = excluded.nonce",
        lambda each: each.party,
        lambda each, encode: (each.party, each.nonce),
    ),
}
