"""A forecast limits what a meter sells: what is offered beyond it ends, and what is sold stays so."""

from typing import Any

import msgspec
import pytest

from tests.support.market_journal import MemoryJournal
from tests.support.market_settings import SETTINGS
from tests.support.market_steps import (
    CALLED,
    CONTINUOUS,
    NOW_NS,
    holds,
    records,
    refused_by,
    taken,
    tender,
)
from trading.core.orders import Side, Tender
from trading.core.trades import Refusal, Released
from trading.core.units import Wh
from trading.market.market import Market
from trading.market.records import ForecastRecord, NonceRecord, OrderRecord
from trading.reasons import MarketReason, Refused

R = MarketReason


def test_a_forecast_limits_what_a_meter_sells_also_after_a_restart_and_what_is_sold_stays_so() -> (
    None
):
    market, journal = Market(SETTINGS), MemoryJournal()
    journal.write(market.resume(0).records)
    sold = tender("bob", Side.SELL, 60, 10, nonce=1, start_ns=CONTINUOUS)
    bought = tender("ann", Side.BUY, 60, 10, nonce=1, start_ns=CONTINUOUS)
    journal.write(taken(market, sold, bought, now_ns=0).records)

    def foretold(most: int, nonce: int, party: str = "bob", start_ns: int = CONTINUOUS) -> Any:
        return market.forecast(party, nonce, "meter of bob", start_ns, most, 0)

    meter, interval = foretold(50, 2).answer
    assert (meter.meter_id, interval.start_ns) == ("meter of bob", CONTINUOUS)
    position = market.positions.of(meter.meter_id, interval)
    assert (position.sold, position.open_sold) == (60, 0)
    assert market.positions.most(meter, interval, Side.SELL) == 50
    # The same again is answered; another word of an old nonce is none.
    assert not foretold(50, 2).records
    assert refused_by(lambda: foretold(70, 2)).reason is R.STALE_NONCE
    told = foretold(80, 3)
    # Nothing is written down beside it, as what others have said.
    assert {type(each) for each in told.records} == {NonceRecord, ForecastRecord}
    journal.write(told.records)
    market = Market(SETTINGS, journal.journalled())
    (over,) = taken(market, changed(sold, 21, 4), now_ns=0).answer
    assert isinstance(over, Refused) and over.reason is R.POSITION_LIMIT
    (within,) = taken(market, changed(sold, 20, 5), now_ns=0).answer
    assert isinstance(within, OrderRecord)
    (other,) = taken(market, changed(sold, 900, 6, side=Side.BUY), now_ns=0).answer
    assert isinstance(other, OrderRecord)
    # Whose meter it is not says nothing, and nobody anything of a time that is closed or unknown.
    assert refused_by(lambda: foretold(5, 7, "ann")).reason is R.METER_NOT_YOURS
    assert refused_by(lambda: foretold(-1, 8)).reason is R.FORECAST_OUT_OF_RANGE
    assert refused_by(lambda: foretold(5, 9, start_ns=7)).reason is R.INTERVAL_UNKNOWN
    assert foretold(5, 10, "operator").answer[0] == meter
    market.tick(CONTINUOUS)
    assert refused_by(lambda: foretold(6, 11)).reason is R.INTERVAL_CLOSED


@pytest.mark.parametrize(("start_ns", "now_ns"), [(CONTINUOUS, 0), (CALLED, NOW_NS)])
def test_what_a_meter_offers_beyond_its_forecast_ends_the_newest_first(
    start_ns: int, now_ns: int
) -> None:
    market = Market(SETTINGS)
    market.resume(now_ns)
    first = tender("bob", Side.SELL, 30, 10, nonce=1, start_ns=start_ns)
    others = [
        changed(first, 15, 2),
        changed(first, 600, 3),
        tender("bob", Side.BUY, 900, 1, nonce=4, start_ns=start_ns),
    ]
    joe = tender("joe", Side.SELL, 500, 10, nonce=1, start_ns=start_ns)
    taken(market, first, *others, joe, now_ns=now_ns)
    told = market.forecast("operator", 1, "meter of bob", start_ns, 50, now_ns)
    (ended,) = records(told, OrderRecord)
    assert (ended.order.order_id, ended.open_wh) == ("o3", 0)
    assert ended.reason == ended.closed == R.FORECAST
    assert not records(market.forecast("bob", 5, "meter of bob", start_ns, 45, now_ns), OrderRecord)
    ended_too = records(
        market.forecast("bob", 6, "meter of bob", start_ns, 44, now_ns), OrderRecord
    )
    assert [each.order.order_id for each in ended_too] == ["o2"]
    position = market.positions.of("meter of bob", first.interval)
    assert (position.open_sold, position.open_bought) == (30, 900)
    assert market.order("joe", "o1").open_wh == 500


def test_what_is_sold_beyond_a_forecast_is_not_offered_again_if_the_network_refuses_it() -> None:
    market = Market(SETTINGS)
    market.resume(0)
    sold = tender("bob", Side.SELL, 60, 10, nonce=1, start_ns=CONTINUOUS)
    bought = tender("ann", Side.BUY, 60, 10, nonce=1, start_ns=CONTINUOUS)
    (trade_id,) = holds(taken(market, sold, bought, now_ns=0))
    market.forecast("bob", 2, "meter of bob", CONTINUOUS, 50, 0)
    position = market.positions.of("meter of bob", sold.interval)
    assert position.sold == 60 and market.order("bob", "o1").closed == R.FORECAST
    market.hear(trade_id, Refusal("NO_ROUTE"), 1)
    market.hear(trade_id, Released(), 2)
    assert (market.order("bob", "o1").open_wh, market.order("ann", "o1").open_wh) == (0, 60)
    assert market.positions.of("meter of bob", sold.interval).most_injected == 0


def changed(of: Tender, wh: int, nonce: int, side: Side = Side.SELL) -> Tender:
    order_id = f"o{nonce}"
    return msgspec.structs.replace(of, wh=Wh(wh), nonce=nonce, order_id=order_id, side=side)
