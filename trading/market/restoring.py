"""What a journal has of a market, and the intervals, orders and trades that were made of it."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from trading.core.orders import Order
from trading.core.tenders import Standing
from trading.market.order_table import OrderTable
from trading.market.records import (
    ClearingRecord,
    ForecastRecord,
    IntervalRecord,
    NonceRecord,
    OrderRecord,
    TradeRecord,
)
from trading.market.sessions import Session, may_be_undone, restored
from trading.mechanisms.book import SelfTrade
from trading.reasons import MarketReason


class Journalled(msgspec.Struct, frozen=True):
    """The newest record of everything that belongs to an interval that has not ended; ``next_seq``: above all orders
    that there ever were.
    """

    intervals: tuple[IntervalRecord, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    trades: tuple[TradeRecord, ...] = ()
    nonces: tuple[NonceRecord, ...] = ()
    next_seq: int = 1
    # Of intervals whose newest clearing is not dealt with: that one.
    clearings: tuple[ClearingRecord, ...] = ()
    forecasts: tuple[ForecastRecord, ...] = ()


# Of a market that begins.
NOTHING = Journalled()


def standings_of(journalled: Journalled) -> dict[str, Standing]:
    """What the desk has to remember."""
    away = away_of(journalled.trades)
    standings: defaultdict[str, Standing] = defaultdict(Standing)
    for each in journalled.nonces:
        standings[each.party].nonce = each.nonce
    for record in journalled.orders:
        order = record.order
        standing = standings[order.party]
        standing.orders[order.order_id] = order
        standing.open_orders += record.open_wh > 0 or away[order.seq] > 0
    return dict(standings)


def away_of(trades: Iterable[TradeRecord]) -> defaultdict[int, int]:
    """By order: how much of it is matched in trades that may still be undone."""
    away: defaultdict[int, int] = defaultdict(int)
    for each in trades:
        trade = each.trade
        if may_be_undone(trade):
            away[trade.buy_seq] += trade.terms.wh
            away[trade.sell_seq] += trade.injected_wh
    return away


def fill(table: OrderTable, journalled: Journalled) -> None:
    away = away_of(journalled.trades)
    for record in journalled.orders:
        table.restore(record, away[record.order.seq])


def sessions_of(journalled: Journalled, self_trade: SelfTrade) -> dict[int, Session]:
    away = away_of(journalled.trades)
    trades: defaultdict[int, list[TradeRecord]] = defaultdict(list)
    orders: defaultdict[int, list[tuple[Order, int, int, MarketReason | None]]] = defaultdict(list)
    for each in journalled.trades:
        trades[each.trade.interval.start_ns].append(each)
    for record in journalled.orders:
        order = record.order
        closed = MarketReason[record.closed] if record.closed else None
        kept = (order, int(record.open_wh), away[order.seq], closed)
        orders[order.interval.start_ns].append(kept)
    clearings = {each.interval.start_ns: each for each in journalled.clearings}
    sessions = {
        start_ns: restored(
            *(record, trades[start_ns], orders[start_ns], clearings.get(start_ns)), self_trade
        )
        for record in journalled.intervals
        for start_ns in (record.interval.start_ns,)
    }
    for said in journalled.forecasts:
        sessions[said.interval.start_ns].forecasts[said.meter_id] = said.most
    return sessions
