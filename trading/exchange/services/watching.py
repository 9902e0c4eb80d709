"""Watchers of a market: what was told and is not read yet is kept once a thing, however slow they are."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any, Self

from digitalgrid.market.v1 import market_pb2 as pb
from trading.exchange.runtime import Runtime
from trading.exchange.services.books import Books, interval_of
from trading.exchange.services.clearings import Clearings
from trading.exchange.services.codec import (
    market_interval,
    record_of_trade,
    transaction_to_pb,
)
from trading.market.phases import Phase
from trading.market.records import (
    ClearingRecord,
    IntervalRecord,
    OrderRecord,
    Record,
    TradeRecord,
)

# Between two looks of one watcher (s): a book that a thousand tenders change in it is told once.
_PAUSE_S = 0.1
# Trades of a snapshot that are read in one turn.
_AT_ONCE = 256
# Things that are kept for a watcher who does not read: of more the oldest are left out.
_MOST = 4_096


class _Watch(ABC):
    """Hears of records while it is entered."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._news = asyncio.Event()
        self._leave = runtime.subscribe(self._heard)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _heard(self, records: Sequence[Record]) -> None:
        for record in records:
            self._note(record)

    @abstractmethod
    def _note(self, record: Record) -> None:
        """What of it is to be told."""

    async def _woken(self) -> None:
        await asyncio.sleep(_PAUSE_S)
        await self._news.wait()
        self._news.clear()


class MarketWatch(_Watch):
    """Books, intervals and clearings: nobody is named."""

    def __init__(self, runtime: Runtime, books: Books, cleared: Clearings) -> None:
        super().__init__(runtime)
        self._made = books
        self._cleared = cleared
        self._books: set[int] = set()
        self._intervals: dict[int, IntervalRecord] = {}
        self._clearings: dict[tuple[int, int], ClearingRecord] = {}

    def _note(self, record: Record) -> None:
        match record:
            case OrderRecord():
                self._books.add(record.order.interval.start_ns)
            case IntervalRecord():
                self._intervals[record.interval.start_ns] = record
                _bound(self._intervals)
            case ClearingRecord():
                self._clearings[record.interval.start_ns, record.round] = record
                _bound(self._clearings)
            case _:
                return
        self._news.set()

    async def events(self) -> AsyncIterator[pb.WatchMarketResponse]:
        market = self._runtime.market
        for _, session in sorted(market.sessions.items()):
            if session.phase is Phase.OPEN:
                first = pb.WatchMarketResponse(book=self._made.of(session))
            else:
                first = pb.WatchMarketResponse(interval=interval_of(market, session))
            yield await self._runtime.told(first)
        yield pb.WatchMarketResponse(snapshot_end=pb.SnapshotEnd())
        while True:
            await self._woken()
            for event in await self._runtime.told(list(self._taken())):
                yield event

    def _taken(self) -> Iterator[pb.WatchMarketResponse]:
        market = self._runtime.market
        gate_ns = market.settings.rules.gate_ns
        books, self._books = self._books, set()
        intervals, self._intervals = self._intervals, {}
        clearings, self._clearings = self._clearings, {}
        for start_ns in sorted(books):
            session = market.sessions.get(start_ns)
            if session is not None:
                yield pb.WatchMarketResponse(book=self._made.of(session))
        for interval in intervals.values():
            yield pb.WatchMarketResponse(
                interval=market_interval(
                    interval.interval, interval.mechanism, interval.phase, gate_ns
                )
            )
        for clearing in clearings.values():
            yield pb.WatchMarketResponse(clearing=self._cleared.of(clearing))


class TransactionsWatch(_Watch):
    """Of one party on either side, or of all where it is empty; each as it stands by then."""

    def __init__(self, runtime: Runtime, party: str) -> None:
        super().__init__(runtime)
        self._party = party
        self._trades: dict[str, TradeRecord] = {}

    def _note(self, record: Record) -> None:
        if isinstance(record, TradeRecord) and self._is_of(record.trade.buyer, record.trade.seller):
            self._trades[record.trade.trade_id] = record
            _bound(self._trades)
            self._news.set()

    def _is_of(self, *parties: str) -> bool:
        return self._party in ("", *parties)

    async def events(self) -> AsyncIterator[pb.WatchTransactionsResponse]:
        rows = iter(list(self._runtime.market.trades()))
        while some := list(islice(rows, _AT_ONCE)):
            wanted = (row for row in some if self._is_of(row.trade.buyer, row.trade.seller))
            for record in await self._runtime.told([record_of_trade(row) for row in wanted]):
                yield pb.WatchTransactionsResponse(transaction=transaction_to_pb(record))
        yield pb.WatchTransactionsResponse(snapshot_end=pb.SnapshotEnd())
        while True:
            await self._woken()
            trades, self._trades = self._trades, {}
            for record in trades.values():
                yield pb.WatchTransactionsResponse(transaction=transaction_to_pb(record))


def _bound(kept: dict[Any, Any]) -> None:
    if len(kept) > _MOST:
        del kept[next(iter(kept))]
