"""Many who sell the same at once: no meter is sold beyond what it can give, by one exchange or two, nor money twice."""

import asyncio
from collections import Counter
from pathlib import Path

import msgspec

from tests.support.market_ports import Others, journal, runtime, tender
from tests.support.market_settings import MOST_WH
from tests.support.market_world import Controller
from tests.support.northbound import in_loop, until
from trading.core.orders import Side
from trading.core.trades import State
from trading.core.units import MicroPerKwh
from trading.exchange.runtime import Runtime
from trading.market.records import OrderRecord
from trading.reasons import MarketReason, Refused

SELLS = 1_000
_WH = 10


async def raced(
    others: Others, exchange: Runtime, party: str, side: Side, count: int
) -> list[OrderRecord | Refused]:
    """Each a call of its own, and all under way at once."""
    calls = [
        exchange.create_tenders([tender(others, party, side, _WH)], mandate_holds=True)
        for _ in range(count)
    ]
    return [each for answer in await asyncio.gather(*calls) for each in answer]


def taken(answers: list[OrderRecord | Refused]) -> int:
    return sum(each.order.wh for each in answers if isinstance(each, OrderRecord))


@in_loop
async def test_a_thousand_sells_of_one_meter_come_to_what_it_can_give(tmp_path: Path) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))
    exchange.start()
    answers = await raced(others, exchange, "bob", Side.SELL, SELLS)
    assert taken(answers) == MOST_WH
    reasons = Counter(each.reason for each in answers if isinstance(each, Refused))
    assert reasons == {MarketReason.POSITION_LIMIT: SELLS - MOST_WH // _WH}
    await exchange.close()


@in_loop
async def test_a_thousand_buys_of_one_party_come_to_no_more_than_it_has(tmp_path: Path) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))
    exchange.start()
    before = others.ledger.book.balance("ann")
    price = MicroPerKwh(9_000_000)
    tenders = [
        msgspec.structs.replace(tender(others, "ann", Side.BUY, _WH), limit=price)
        for _ in range(SELLS)
    ]
    calls = [exchange.create_tenders([each], mandate_holds=True) for each in tenders]
    answers = [each for answer in await asyncio.gather(*calls) for each in answer]
    cost = sum(each.order.wh * price for each in answers if isinstance(each, OrderRecord))
    assert cost <= before and before - cost < _WH * price
    assert exchange.free("ann") == before - cost
    assert {each.reason for each in answers if isinstance(each, Refused)} == {MarketReason.FUNDS}
    await exchange.close()


@in_loop
async def test_two_exchanges_that_sell_the_same_source_hold_no_more_than_it_has(
    tmp_path: Path,
) -> None:
    """Neither sees the other's positions: whoever comes second is refused by capacity, before any money moves."""
    worlds, exchanges = [], []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        others = Others()
        exchange = runtime(others, journal(tmp_path / name))
        exchange.start()
        worlds.append(others)
        exchanges.append(exchange)
    shared = Controller(worlds[0], room_wh=MOST_WH)
    for number, others in enumerate(worlds):
        others.controller = shared
        # Their circuits are called differently, as their markets are.
        others.prefix = f"{number} "
    both = list(zip(worlds, exchanges, strict=True))
    sold = await asyncio.gather(*[raced(*each, "bob", Side.SELL, SELLS // 2) for each in both])
    bought = await asyncio.gather(*[raced(*each, "ann", Side.BUY, SELLS // 2) for each in both])
    assert all(taken(answers) == MOST_WH for answers in (*sold, *bought))
    for exchange in exchanges:
        await until(
            lambda: all(
                row.trade.state is State.CONFIRMED or row.trade.state.ended
                for row in exchange.market.trades()  # noqa: B023
            )
        )
    held = [each for each in shared.circuits.values() if each.state == "held"]
    assert sum(each.wh for each in held) == MOST_WH
    confirmed = refused = 0
    for others, exchange in both:
        states = [row.trade for row in exchange.market.trades()]
        refused += sum(each.state is State.REJECTED for each in states)
        for each in states:
            assert (each.state is State.CONFIRMED) == others.ledger.book.has_escrow(each.trade_id)
            confirmed += each.terms.wh * (each.state is State.CONFIRMED)
        # Nothing was ever locked for what was refused.
        assert len(others.ledger.signed) == sum(e.state is State.CONFIRMED for e in states)
        assert sum(key.endswith("/lock") for key in others.ledger.written) == len(
            others.ledger.signed
        )
        await exchange.close()
    assert confirmed == MOST_WH and refused
