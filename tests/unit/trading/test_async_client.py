"""The asyncio client of a market has the calls of the blocking one, and gets the same answers."""

import asyncio
import inspect
import re
from contextlib import aclosing
from pathlib import Path

import pytest

from digitalgrid.client.errors import ControllerUnreachable, RequestRefused
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.exchanges import ANN, BOB, OPERATOR
from tests.unit.trading.test_market_service import Parties, among
from trading.client import AsyncMarketClient, MarketClient, Signer, Undecided
from trading.ledger.keys import SigningKey
from trading.reasons import MarketReason

REFERENCE = (Path(__file__).parents[3] / "docs" / "client.md").read_text(encoding="utf-8")


def calls(client: type) -> set[str]:
    return {name for name in dir(client) if not name.startswith("_")}


def test_both_clients_have_the_same_calls_with_the_same_arguments_and_the_reference_names_them() -> (
    None
):
    assert calls(MarketClient) == calls(AsyncMarketClient)
    for name in calls(MarketClient):
        blocking, awaited = (
            inspect.signature(getattr(each, name)) for each in (MarketClient, AsyncMarketClient)
        )
        assert blocking.parameters == awaited.parameters, name
        assert re.search(rf"`{name}\(", REFERENCE), name


def of(directory: Path, party: str, key: SigningKey) -> AsyncMarketClient:
    return AsyncMarketClient(f"unix:{directory}/socket", signer=Signer(party, key))


def test_it_tenders_waits_reads_and_watches(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        async with of(tmp_path, "ann", ANN) as ann, of(tmp_path, "bob", BOB) as bob:
            assert {each.party for each in (await ann.market()).parties} >= {"ann", "bob"}
            # Many at a time, which is what it is for.
            orders = await asyncio.gather(
                *(ann.create_tender(parties.of(f"o{number}", wh=1)) for number in range(20))
            )
            assert sorted(each.seq for each in orders) == list(range(1, 21))
            assert [each.seq for each in await ann.list_tenders("ann", newest=3)] == [20, 19, 18]
            assert await ann.list_tenders("ann", newest=0) == []
            results = await bob.create_tenders([parties.of("s", "sell", 7, 300_000)])
            assert [each.order.seq for each in results] == [21]
            start_ns = parties.interval.start_unix_ns
            book = await ann.book(start_ns)
            assert [sum(each.wh for each in side) for side in (book.bids, book.asks)] == [20, 7]
            assert (await bob.set_forecast("bob", start_ns, 3)).most_sold_wh == 3
            # A meter without a key needs no registration.
            standing = (await bob.get_meter("bob")).standing
            assert (standing.party, standing.public_key, standing.registered) == ("bob", b"", False)
            ended = await ann.cancel_tender("o0")
            assert not ended.open_wh
            assert (await ann.wait_until_decided(ended, 5.0))[0].seq == ended.seq
            with pytest.raises(Undecided):
                await ann.wait_until_decided(orders[1], 0.0)
            with pytest.raises(ControllerUnreachable) as nobody:
                await ann.preview_clearing(start_ns, "nodal")
            assert nobody.value.reason == MarketReason.NO_ANSWER, "this exchange has no controller"
            assert {each.meter_id for each in await bob.list_positions("bob")} == {"bob"}
            async with aclosing(ann.watch_market()) as news:
                first = await anext(news)
                assert isinstance(first, pb.WatchMarketResponse)

    among(tmp_path, story)


def test_money_and_the_log_are_read_and_what_is_refused_is_raised(tmp_path: Path) -> None:
    async def story(_: Parties) -> None:
        async with of(tmp_path, "operator", OPERATOR) as operator:
            before = (await operator.balance("ann")).free_nano
            assert (await operator.deposit("ann", 5)).free_nano == before + 5
            assert (await operator.withdraw("ann", 5)).free_nano == before
            entries = [each async for each in operator.entries(0, 4)]
            assert len(entries) == 4
            assert await operator.consistency(2, 4)
            assert (await operator.head()).log_public_key
            for call, reason in (
                (operator.get_transaction("none"), MarketReason.TRADE_UNKNOWN),
                (operator.cancel_tender("none"), MarketReason.ORDER_UNKNOWN),
                (operator.refund("none"), "NO_ESCROW"),
            ):
                with pytest.raises(RequestRefused) as refused:
                    await call
                assert refused.value.reason == reason

    among(tmp_path, story)


def test_who_only_reads_needs_no_key_and_nobody_there_is_said() -> None:
    async def told() -> None:
        async with AsyncMarketClient("127.0.0.1:9", timeout_s=1.0) as client:
            with pytest.raises(ControllerUnreachable):
                await client.balance("ann")
            with pytest.raises(ValueError, match="signer"):
                await client.cancel_tender("o")

    asyncio.run(told())
