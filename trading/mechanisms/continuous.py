"""Continuous double auction: orders one after another, each matched with the best that waits, at its limit."""

from collections.abc import Sequence
from copy import copy
from typing import Self

from trading.core.orders import Order, Side
from trading.core.units import Wh
from trading.mechanisms.book import Matched, OrderBook, SelfTrade
from trading.mechanisms.choices import Choices
from trading.mechanisms.mechanism import (
    INTERFACE_VERSION,
    Clearing,
    Match,
    Price,
    Unmatched,
)
from trading.mechanisms.network import MarketNetwork, barred_among
from trading.reasons import MarketReason

# Before any date: whoever clears has let go of what is over.
_NO_TIME = -(2**63)


class ContinuousAuction:
    """All orders of an interval at once, as if they had come in the order of ``seq``; an exchange that takes them as
    they come keeps an :class:`OrderBook`. The price that is told is the last one.
    """

    interface_version = INTERFACE_VERSION

    def __init__(self, self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST) -> None:
        self._self_trade = self_trade

    def choosing(self, choices: Choices) -> Self:
        """Where two orders of a party meet, as in a market's own book; a class made of this one stays itself."""
        chosen = copy(self)
        chosen._self_trade = choices.self_trade
        return chosen

    def clear(self, orders: Sequence[Order], network: MarketNetwork, seed: int) -> Clearing:
        book = OrderBook(self._self_trade)
        by_seq = sorted(orders, key=lambda order: order.seq)
        barred: dict[int, set[int]] = {}
        for pair in network.barred:
            for one, other in (pair, pair[::-1]):
                barred.setdefault(one, set()).add(other)
        matches, unmatched, prices = [], [], []
        for order in by_seq:
            for event in book.submit(order, _NO_TIME, barred.get(order.seq, ())):
                if isinstance(event, Matched):
                    price = event.price
                    prices = [Price("", price)]
                    pair = (event.buy_seq, event.sell_seq)
                    matches.append(Match(*pair, event.wh, price, price, event.wh))
                elif event.wh:
                    unmatched.append(Unmatched(event.seq, event.wh, event.reason))
        barred_here = barred_among(network.barred, {order.seq for order in orders})
        is_one_sided = len({order.side for order in orders}) < 2
        for side in Side:
            for order, wh in book.resting(side):
                reason = MarketReason.ONE_SIDED if is_one_sided else MarketReason.NO_CROSS
                if order.seq in barred_here:
                    reason = MarketReason.BARRED
                unmatched.append(Unmatched(order.seq, Wh(wh), reason))
        unmatched.sort(key=lambda each: each.seq)
        return Clearing(tuple(matches), tuple(prices), tuple(unmatched), None, seed)
