"""What is always true of a market: limits of meters, what is told of orders, the levels of its books."""

from collections import Counter

import msgspec

from tests.support.market_settings import MOST_WH
from trading.core.orders import Interval, Side
from trading.core.positions import Position
from trading.market.market import Market
from trading.market.order_table import record_of


def check_market(market: Market) -> None:
    for (meter_id, interval), position in market.positions.rows().items():
        _check_limits(market, meter_id, interval, position)
    for row in market.orders.rows():
        assert 0 <= row.away_wh <= row.matched_wh and row.open_wh >= 0
        assert row.open_wh + row.matched_wh <= row.order.wh
        told = msgspec.structs.replace(row, record=None)
        assert row.record is None or row.record == record_of(told), "told as it was before"
    _check_levels(market)


def _check_levels(market: Market) -> None:
    waits: Counter[tuple[int, Side, int]] = Counter()
    for row in market.orders.rows():
        if row.open_wh:
            waits[row.order.interval.start_ns, row.order.side, row.order.limit] += row.open_wh
    for start_ns in market.sessions:
        levels = market.orders.levels(start_ns)
        for side, sign in ((Side.BUY, -1), (Side.SELL, 1)):
            ladder = [(each.limit, each.wh) for each in levels.best(side, 10**6)]
            known = {k[2]: wh for k, wh in waits.items() if k[:2] == (start_ns, side)}
            assert ladder == sorted(known.items(), key=lambda each: sign * each[0])


def _check_limits(market: Market, meter_id: str, interval: Interval, position: Position) -> None:
    meter = market.meters[meter_id]
    most = market.positions.most(meter, interval, Side.SELL)
    # What was sold before less was forecast stays so, and nothing is offered beside it.
    is_sold = position.most_injected <= MOST_WH and not position.open_sold
    assert position.most_injected <= most or is_sold, "offered beyond what the meter can give"
    most = market.positions.most(meter, interval, Side.BUY)
    assert position.most_drawn <= most, "bought beyond what the meter can take"
