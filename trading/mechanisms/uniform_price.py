"""The price of a call auction, at which the most is traded, and how much that is, where nobody trades with himself.

Of one price: buyers who would pay it, sellers who would take it. Of what is eligible all of the smaller side can be
traded, but for a party that has more than half of all, both sides together: whatever it buys, others sell, and whatever
it sells, others buy. (That is the least cut of the flow from buyers to sellers of other parties.)
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.core.orders import Order
from trading.core.units import MicroPerKwh

Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Eligible:
    """Who would trade at a price: how much in all, and of each party."""

    demand: int
    supply: int
    bought: dict[str, int]
    sold: dict[str, int]

    @property
    def dominant(self) -> int:
        """The most that one party has, both sides together."""
        return max((wh + self.sold.get(p, 0) for p, wh in self.bought.items()), default=0)

    @property
    def volume(self) -> int:
        """The most that can be traded."""
        return min(self.demand, self.supply, self.demand + self.supply - self.dominant)


def eligible(bids: Iterable[Order], asks: Iterable[Order], price: int) -> Eligible:
    bought: defaultdict[str, int] = defaultdict(int)
    sold: defaultdict[str, int] = defaultdict(int)
    for order in bids:
        if order.limit >= price:
            bought[order.party] += order.wh
    for order in asks:
        if order.limit <= price:
            sold[order.party] += order.wh
    return Eligible(sum(bought.values()), sum(sold.values()), dict(bought), dict(sold))


def price_of(
    bids: Sequence[Order], asks: Sequence[Order], reference: MicroPerKwh | None
) -> MicroPerKwh | None:
    """The price of a call auction; None where nothing can be traded.

    Of those at which the most is traded one at which the sides differ least; of several, scarcity says which, so that
    nobody whose limit is better goes without.
    """
    if not bids or not asks:
        return None
    curves = _Curves(bids, asks)
    most = int(curves.volume.max())
    if most == 0:
        return None
    best = curves.least_apart((curves.volume == most) & curves.are_fair(most))
    lowest, highest = _between(curves.prices[best], curves.surplus[best])
    wanted = (lowest + highest) // 2 if reference is None else int(reference)
    price = min(max(wanted, lowest), highest)
    if curves.are_plain(most):
        return MicroPerKwh(price)
    # Where a party has more than half, what holds of two prices need not hold between them: there is less of others.
    found = eligible(bids, asks, price)
    if found.demand == found.supply == found.volume == most:
        return MicroPerKwh(price)
    return MicroPerKwh(min(curves.prices[best].tolist(), key=lambda p: (abs(p - wanted), p)))


def _between(candidates: Whole, left: Whole) -> tuple[int, int]:
    """The lowest and the highest price that candidates allow, by what is left over at each."""
    if left.min() > 0:
        return int(candidates[-1]), int(candidates[-1])
    if left.max() < 0:
        return int(candidates[0]), int(candidates[0])
    # Between the highest price at which demand is left over, and the lowest at which supply is.
    lowest = int(candidates[left >= 0].max() if (left > 0).any() else candidates[0])
    highest = int(candidates[left <= 0].min() if (left < 0).any() else candidates[-1])
    return lowest, highest


class _Curves:
    """At each limit that somebody named, rising: what would be bought, and what sold. Sums fit 64 bits: MAX_WH."""

    def __init__(self, bids: Sequence[Order], asks: Sequence[Order]) -> None:
        bid_limit, bid_wh = _columns(bids)
        ask_limit, ask_wh = _columns(asks)
        self.prices = np.unique(np.concatenate([bid_limit, ask_limit]))
        self.demand = self._bought(bid_limit, bid_wh)
        self.supply = self._sold(ask_limit, ask_wh)
        self.surplus = self.demand - self.supply
        self._orders = bids, asks
        self._parties = sorted({o.party for o in bids} & {o.party for o in asks})
        self._totals: defaultdict[str, int] = defaultdict(int)
        if self._parties:
            for order in (*bids, *asks):
                self._totals[order.party] += order.wh
        self._smaller = np.minimum(self.demand, self.supply)
        larger = np.maximum(self.demand, self.supply)
        # Of half of what trades at any price less is nobody's.
        self._dominant = list(self._two_sided(int(larger.min())))
        self._bound = self._least_bound()
        self.volume = np.minimum(self._smaller, self._bound)

    def are_plain(self, most: int) -> bool:
        """Whether no party could ever be more than half of the market, nor between two prices at which ``most`` is
        traded: there no more is bought, and no more is sold.
        """
        return all(self._totals[party] <= most for party in self._parties)

    def are_fair(self, most: int) -> npt.NDArray[np.bool_]:
        """Prices at which, where ``most`` is traded there, nobody whose limit is better goes without, but for want of
        others than himself.
        """
        inside_bids, inside_asks = _next(self.demand), _before(self.supply)
        for bought, sold in self._two_sided(most):
            # What of it cannot be had from others.
            own_bids = np.maximum(0, _next(bought) - (self.supply - sold))
            own_asks = np.maximum(0, _before(sold) - (self.demand - bought))
            inside_bids = inside_bids - np.where(sold > 0, own_bids, 0)
            inside_asks = inside_asks - np.where(bought > 0, own_asks, 0)
        are_served = (self.surplus <= 0) | (inside_bids <= self.supply)
        are_served &= (self.surplus >= 0) | (inside_asks <= self.demand)
        return are_served | (self._bound <= self._smaller)

    def least_apart(self, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Of prices those at which the sides differ least."""
        apart = np.abs(self.surplus)
        least: npt.NDArray[np.bool_] = among & (apart == apart[among].min())
        return least

    def _least_bound(self) -> Whole:
        """What can be traded since of a party that is on both sides neither is with itself."""
        both = self.demand + self.supply
        found = both
        for bought, sold in self._dominant:
            is_here = (bought > 0) & (sold > 0)
            found = np.where(is_here, np.minimum(found, both - bought - sold), found)
        return found

    def _two_sided(self, least: int) -> Iterator[tuple[Whole, Whole]]:
        """What is bought and sold at each price by parties on both sides that have more than ``least`` in all."""
        for party in self._parties:
            if self._totals[party] > least:
                bought, sold = (
                    _columns([order for order in orders if order.party == party])
                    for orders in self._orders
                )
                yield self._bought(*bought), self._sold(*sold)

    def _bought(self, limit: Whole, wh: Whole) -> Whole:
        return np.cumsum(self._at(limit, wh)[::-1])[::-1]

    def _sold(self, limit: Whole, wh: Whole) -> Whole:
        return np.cumsum(self._at(limit, wh))

    def _at(self, limit: Whole, wh: Whole) -> Whole:
        found = np.zeros(len(self.prices), dtype=np.int64)
        np.add.at(found, np.searchsorted(self.prices, limit), wh)
        return found


def _next(values: Whole) -> Whole:
    """At the next higher price."""
    return np.append(values[1:], 0)


def _before(values: Whole) -> Whole:
    """At the next lower price."""
    return np.append(0, values[:-1])


def _columns(orders: Sequence[Order]) -> tuple[Whole, Whole]:
    limit = np.array([order.limit for order in orders], dtype=np.int64)
    return limit, np.array([order.wh for order in orders], dtype=np.int64)
