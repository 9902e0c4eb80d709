"""Call auction, pay-as-clear: all orders at once, one price for all, the greatest volume.

The price is one of those at which the most is traded, and of these one at which the sides differ least; where several
are left, scarcity says which, so that nobody whose limit is better than the price goes without.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from trading.core.orders import Order, Side
from trading.core.units import MicroPerKwh, Wh
from trading.mechanisms.mechanism import (
    INTERFACE_VERSION,
    Clearing,
    Match,
    Price,
    UniformPrice,
    Unmatched,
)
from trading.mechanisms.network import MarketNetwork, Pair, barred_among
from trading.mechanisms.pairing import paired
from trading.reasons import MarketReason

# How often orders that would get less than they take at least are left out, before all such orders are.
_MAX_ROUNDS = 64
Whole = npt.NDArray[np.int64]


class Margin(StrEnum):
    """Who gets what is left, among orders whose limit is the price."""

    FIRST_COME = "first come"
    PRO_RATA = "pro rata"


class CallAuction:
    """``reference``: the price nearest to which ours is chosen, where the orders leave it open (else the middle)."""

    interface_version = INTERFACE_VERSION

    def __init__(
        self, reference: MicroPerKwh | None = None, margin: Margin = Margin.FIRST_COME
    ) -> None:
        self._reference = reference
        self._margin = margin

    def clear(self, orders: Sequence[Order], network: MarketNetwork, seed: int) -> Clearing:
        """One price, by the orders alone; pairs keep off those that the network has refused."""
        by_seq = sorted(orders, key=lambda order: order.seq)
        left = by_seq
        for attempt in range(_MAX_ROUNDS + 1):
            if attempt == _MAX_ROUNDS:
                left = [order for order in left if not order.least_wh]
            outcome = self._outcome(left, network.barred)
            short = outcome.short_of_least(left)
            if not short:
                break
            left = [order for order in left if order.seq not in short]
        return _clearing(by_seq, {order.seq for order in left}, outcome, network.barred, seed)

    def _outcome(self, orders: Sequence[Order], barred: frozenset[Pair]) -> "_Outcome":
        price, fills = self._filled(orders)
        bought, sold = (
            [(o, fills[o.seq]) for o in orders if o.side is side and fills.get(o.seq, 0) > 0]
            for side in (Side.BUY, Side.SELL)
        )
        pairs = paired(bought, sold, barred)
        got: dict[int, int] = defaultdict(int)
        for buy, sell, wh in pairs:
            got[buy] += wh
            got[sell] += wh
        return _Outcome(price, fills, pairs, got)

    def _filled(self, orders: Sequence[Order]) -> tuple[MicroPerKwh | None, dict[int, int]]:
        """The price, and by order what it gets; below 0 for what had to be passed over for its least fill."""
        bids = [order for order in orders if order.side is Side.BUY]
        asks = [order for order in orders if order.side is Side.SELL]
        price = price_of(bids, asks, self._reference)
        if price is None:
            return None, {}
        demand = sum(order.wh for order in bids if order.limit >= price)
        supply = sum(order.wh for order in asks if order.limit <= price)
        volume = min(demand, supply)
        fills: dict[int, int] = {}
        self._share_out(bids, price, lambda limit: limit > price, volume, fills)
        self._share_out(asks, price, lambda limit: limit < price, volume, fills)
        return price, fills

    def _share_out(
        self,
        side: Sequence[Order],
        price: MicroPerKwh,
        better: Callable[[int], bool],
        volume: int,
        fills: dict[int, int],
    ) -> None:
        for order in side:
            if better(order.limit):
                fills[order.seq] = order.wh
                volume -= order.wh
        margin = [order for order in side if order.limit == price]
        if self._margin is Margin.PRO_RATA:
            fills.update(_pro_rata(margin, volume))
        else:
            fills.update(_first_come(margin, volume))


def price_of(
    bids: Sequence[Order], asks: Sequence[Order], reference: MicroPerKwh | None
) -> MicroPerKwh | None:
    """The price of a call auction; None where nothing can be traded."""
    if not bids or not asks:
        return None
    prices, demand, supply = _curves(bids, asks)
    volume = np.minimum(demand, supply)
    most = int(volume.max())
    if most == 0:
        return None
    surplus = demand - supply
    best = volume == most
    best &= np.abs(surplus) == np.abs(surplus[best]).min()
    candidates, left = prices[best], surplus[best]
    if left.min() > 0:
        return MicroPerKwh(int(candidates[-1]))
    if left.max() < 0:
        return MicroPerKwh(int(candidates[0]))
    # Between the highest price at which demand is left over, and the lowest at which supply is.
    lowest = int(candidates[left >= 0].max() if (left > 0).any() else candidates[0])
    highest = int(candidates[left <= 0].min() if (left < 0).any() else candidates[-1])
    if reference is None:
        return MicroPerKwh((lowest + highest) // 2)
    return MicroPerKwh(min(max(reference, lowest), highest))


def _curves(bids: Sequence[Order], asks: Sequence[Order]) -> tuple[Whole, Whole, Whole]:
    """At each limit that somebody named, rising: what would be bought, and what sold. Sums fit 64 bits: MAX_WH."""
    bid_limit, bid_wh = _columns(bids)
    ask_limit, ask_wh = _columns(asks)
    prices = np.unique(np.concatenate([bid_limit, ask_limit]))
    bought = np.zeros(len(prices), dtype=np.int64)
    sold = np.zeros(len(prices), dtype=np.int64)
    np.add.at(bought, np.searchsorted(prices, bid_limit), bid_wh)
    np.add.at(sold, np.searchsorted(prices, ask_limit), ask_wh)
    return prices, np.cumsum(bought[::-1])[::-1], np.cumsum(sold)


def _columns(orders: Sequence[Order]) -> tuple[Whole, Whole]:
    limit = np.array([order.limit for order in orders], dtype=np.int64)
    return limit, np.array([order.wh for order in orders], dtype=np.int64)


def _first_come(margin: Sequence[Order], volume: int) -> dict[int, int]:
    """By seq; who cannot have his least is passed over."""
    fills = {}
    for order in margin:
        filled = min(order.wh, volume)
        if filled and filled < order.least_wh:
            fills[order.seq] = -1
            continue
        fills[order.seq] = filled
        volume -= filled
    return fills


def _pro_rata(margin: Sequence[Order], volume: int) -> dict[int, int]:
    """In proportion to quantities; the Wh that are left over go to the largest remainders, then to the first come."""
    whole = sum(order.wh for order in margin)
    if not whole:
        return {}
    shares = {order.seq: divmod(order.wh * volume, whole) for order in margin}
    left = volume - sum(share for share, _ in shares.values())
    by_remainder = sorted(shares, key=lambda seq: (-shares[seq][1], seq))
    fills = {seq: share for seq, (share, _) in shares.items()}
    for seq in by_remainder[:left]:
        fills[seq] += 1
    return fills


@dataclass(frozen=True, slots=True)
class _Outcome:
    """``fills``: by order what it is to get, below 0 for what was passed over; ``pairs``: (buy_seq, sell_seq, wh);
    ``got``: by order what it gets in pairs.
    """

    price: MicroPerKwh | None
    fills: dict[int, int]
    pairs: list[tuple[int, int, int]]
    got: dict[int, int]

    def short_of_least(self, orders: Sequence[Order]) -> set[int]:
        """Who would get less than he takes at least."""
        return {
            order.seq
            for order in orders
            if order.least_wh
            and (self.fills.get(order.seq, 0) < 0 or 0 < self.got[order.seq] < order.least_wh)
        }


def _clearing(
    orders: Sequence[Order], kept: set[int], outcome: _Outcome, barred: frozenset[Pair], seed: int
) -> Clearing:
    price, got = outcome.price, outcome.got
    matches: tuple[Match, ...] = ()
    if price is not None:
        matches = tuple(
            [Match(buy, sell, Wh(wh), price, price, Wh(wh)) for buy, sell, wh in outcome.pairs]
        )
    is_one_sided = len({order.side for order in orders}) < 2
    unmatched, fills = [], outcome.fills
    barred_here = barred_among(barred, {order.seq for order in orders})
    for order in orders:
        seq = order.seq
        rest = order.wh - got.get(seq, 0)
        if not rest:
            continue
        if is_one_sided:
            reason = MarketReason.ONE_SIDED
        elif seq not in kept:
            reason = MarketReason.LEAST_FILL
        elif got.get(seq, 0) < fills.get(seq, 0):
            reason = MarketReason.BARRED if seq in barred_here else MarketReason.SELF_TRADE
        else:
            reason = _beyond(order, price)
        unmatched.append(Unmatched(seq, Wh(rest), reason))
    if price is None or not matches:
        return Clearing((), (), tuple(unmatched), UniformPrice(None), seed)
    return Clearing(matches, (Price("", price),), tuple(unmatched), UniformPrice(price), seed)


def _beyond(order: Order, price: MicroPerKwh | None) -> MarketReason:
    if price is None:
        return MarketReason.NO_CROSS
    return MarketReason.AT_MARGIN if order.limit == price else MarketReason.BEYOND_PRICE
