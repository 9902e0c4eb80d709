"""What an exchange tells of its memory, while its disk is late: nothing that a restart would forget."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.northbound import until
from tests.unit.trading.test_market_service import Parties, among

Read = Callable[[Parties], Awaitable[Any]]


@contextmanager
def _late(journal: Path) -> Iterator[None]:
    """Nothing is written to it meanwhile."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        yield
        held.execute("ROLLBACK")


async def _book(parties: Parties) -> list[int]:
    request = pb.GetBookRequest(interval_start_unix_ns=parties.interval.start_unix_ns)
    return [level.wh for level in (await parties.market.GetBook(request)).bids]


async def _intervals(parties: Parties) -> list[int]:
    told = await parties.market.GetMarket(pb.GetMarketRequest())
    return [10 for each in told.intervals if each.interval == parties.interval]


async def _watched_book(parties: Parties) -> list[int]:
    watch = parties.market.WatchMarket(pb.WatchMarketRequest())
    async for event in watch:
        if event.book.interval.interval.start_unix_ns == parties.interval.start_unix_ns:
            watch.cancel()
            return [level.wh for level in event.book.bids]
    raise AssertionError("no snapshot has the book")


async def _open_tenders(parties: Parties) -> list[int]:
    listed = await parties.market.ListTenders(pb.ListTendersRequest(open_only=True))
    return [order.open_wh for order in listed.orders]


async def _positions(parties: Parties) -> list[int]:
    listed = await parties.market.ListPositions(pb.ListPositionsRequest(party="ann"))
    return [each.open_bought_wh for each in listed.positions if each.open_bought_wh]


async def _open_trades(parties: Parties) -> list[int]:
    listed = await parties.market.ListTransactions(pb.ListTransactionsRequest(open_only=True))
    return [each.wh for each in listed.transactions]


async def _watched_trades(parties: Parties) -> list[int]:
    watch = parties.market.WatchTransactions(pb.WatchTransactionsRequest())
    traded: list[int] = []
    async for event in watch:
        if event.HasField("snapshot_end"):
            watch.cancel()
            return traded
        traded.append(event.transaction.wh)
    raise AssertionError("the snapshot has no end")


@pytest.mark.parametrize(
    "read",
    [_book, _watched_book, _intervals, _open_tenders, _positions, _open_trades, _watched_trades],
)
def test_what_is_read_of_memory_is_told_once_it_is_durable(tmp_path: Path, read: Read) -> None:
    async def story(parties: Parties) -> None:
        runtime = parties.exchange.runtime
        if read in (_open_trades, _watched_trades):
            await parties.tender("bob", parties.of("s1", "sell"))
        await until(lambda: runtime.unwritten == 0)
        with _late(tmp_path / "state" / "journal.sqlite"):
            tendering = asyncio.ensure_future(parties.tender("ann", parties.of("o1")))
            await until(lambda: runtime.unwritten > 0)
            reading = asyncio.ensure_future(read(parties))
            # Of one connection calls are heard in order.
            await parties.ledger.GetBalance(ledger_pb.GetBalanceRequest(account="ann"))
            done, _ = await asyncio.wait({reading}, timeout=0.1)
            assert not done
        assert await reading == [10]
        await tendering

    among(tmp_path, story, mechanisms=["continuous"])
