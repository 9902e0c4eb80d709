"""Call auction, pay-as-clear: all orders at once, one price for all, the greatest volume.

The price is one of those at which the most is traded, and of these one at which the sides differ least; where several
are left, scarcity says which, so that nobody whose limit is better than the price goes without.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from heapq import nlargest
from typing import Self

from trading.core.orders import Order, Side
from trading.core.units import MAX_PRICE, MicroPerKwh, Wh
from trading.mechanisms.choices import Choices
from trading.mechanisms.mechanism import (
    INTERFACE_VERSION,
    Clearing,
    Match,
    Price,
    UniformPrice,
    Unmatched,
)
from trading.mechanisms.network import MarketNetwork, Pair, barred_among
from trading.mechanisms.pairing import Filled, paired
from trading.mechanisms.uniform_price import Eligible, eligible, price_of
from trading.reasons import MarketReason

# How often orders that would get less than they take at least are left out, before all such orders are.
_MAX_ROUNDS = 64


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

    def choosing(self, choices: Choices) -> Self:
        """By a market's reference price, where it has one; a class that is made of this one stays itself."""
        chosen = copy(self)
        if choices.reference is not None:
            chosen._reference = choices.reference
        return chosen

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
        price, fills, apart = self._filled(orders)
        bought, sold = (
            [Filled(o, max(0, fills[o.seq])) for o in orders if o.side is side and o.seq in fills]
            for side in (Side.BUY, Side.SELL)
        )
        pairs = paired(bought, sold, barred)
        got: dict[int, int] = defaultdict(int)
        for buy, sell, wh in pairs:
            got[buy] += wh
            got[sell] += wh
        return _Outcome(price, fills, apart, pairs, got)

    def _filled(
        self, orders: Sequence[Order]
    ) -> tuple[MicroPerKwh | None, dict[int, int], set[int]]:
        """The price; by order what it gets, below 0 for what had to be passed over for its least fill; and who gets no
        more since nobody but his own party is there.
        """
        bids = [order for order in orders if order.side is Side.BUY]
        asks = [order for order in orders if order.side is Side.SELL]
        price = price_of(bids, asks, self._reference)
        if price is None:
            return None, {}, _own_only(bids, asks)
        bids = [order for order in bids if order.limit >= price]
        asks = [order for order in asks if order.limit <= price]
        found = eligible(bids, asks, price)
        # Each party sells what others buy at most, and the other way round.
        buying = _Room(found, price, found.supply, found.sold)
        selling = _Room(found, price, found.demand, found.bought)
        fills = self._share_out(bids, price, buying) | self._share_out(asks, price, selling)
        return price, fills, buying.apart | selling.apart

    def _share_out(
        self, side: Sequence[Order], price: MicroPerKwh, room: "_Room"
    ) -> dict[int, int]:
        """Better limits first, and at one by seq; ``side`` is by seq."""
        inside = [order for order in side if order.limit != price]
        margin = [order for order in side if order.limit == price]
        fills: dict[int, int]
        if room.is_for_all:
            fills = {order.seq: int(order.wh) for order in inside}
            room.volume -= sum(fills.values())
        else:
            inside.sort(key=lambda order: abs(order.limit - price), reverse=True)
            fills = {order.seq: room.take(order) for order in inside}
        if self._margin is Margin.PRO_RATA:
            return fills | _pro_rata(margin, room)
        return fills | _first_come(margin, room)


class ProRataCallAuction(CallAuction):
    """Orders at the price share in proportion, whoever came first."""

    def __init__(self) -> None:
        super().__init__(margin=Margin.PRO_RATA)


class _Room:
    """What a side can still trade: in all, and of each party as much as others have on the other side."""

    def __init__(
        self, found: Eligible, price: int, other_side: int, own_there: Mapping[str, int]
    ) -> None:
        self.volume = found.volume
        # No party could want more than others have.
        self.is_for_all = found.dominant <= found.volume
        self._is_bound = self.volume < min(found.demand, found.supply)
        self._price = price
        self._other_side = other_side
        self._own_there = own_there
        self._taken: dict[str, int] = defaultdict(int)
        # Orders that get less for their own party's sake.
        self.apart: set[int] = set()

    def of(self, party: str) -> int:
        return self._other_side - self._own_there.get(party, 0) - self._taken[party]

    def take(self, order: Order, wanted: int | None = None, *, least: int = 0) -> int:
        """What of it there is room for; -1, and nothing is taken, where that is less than its least."""
        wanted = order.wh if wanted is None else wanted
        room = self.of(order.party)
        filled = min(wanted, self.volume, room)
        is_for_own = order.party in self._own_there and room == filled < wanted
        # At the margin it may as well be that the other side has no more.
        is_at_margin = order.limit == self._price and room == self.volume
        if is_for_own and (self._is_bound or not is_at_margin):
            self.apart.add(order.seq)
        if filled and filled < least:
            return -1
        self.volume -= filled
        self._taken[order.party] += filled
        return filled

    def note_own(self, left: Iterable[Order]) -> None:
        """Of orders that would have more: whose party has all that others have for it, where that is what binds."""
        for order in left:
            is_own = order.party in self._own_there and not self.of(order.party)
            if self._is_bound and is_own:
                self.apart.add(order.seq)


def _own_only(bids: Sequence[Order], asks: Sequence[Order]) -> set[int]:
    """Where nothing can be traded: orders that somebody would have met, who then is of their own party."""
    highest: dict[str, int] = {}
    lowest: dict[str, int] = {}
    for order in bids:
        highest[order.party] = max(order.limit, highest.get(order.party, order.limit))
    for order in asks:
        lowest[order.party] = min(order.limit, lowest.get(order.party, order.limit))
    return {o.seq for o in bids if o.party in lowest and o.limit >= lowest[o.party]} | {
        o.seq for o in asks if o.party in highest and o.limit <= highest[o.party]
    }


def _first_come(margin: Sequence[Order], room: _Room) -> dict[int, int]:
    """By seq; who cannot have his least is passed over."""
    return {order.seq: room.take(order, least=order.least_wh) for order in margin}


def _pro_rata(margin: Sequence[Order], room: _Room) -> dict[int, int]:
    """In proportion to quantities; the Wh that are left over go to the largest remainders, then to the first come.

    A party that is to have more than others have for it gets that, and the rest is shared out among the others. Who
    cannot have his least is passed over, and all is shared out anew.
    """
    fills: dict[int, int] = {}
    left = list(margin)
    while left:
        shares = _shares(left, room.volume)
        of_party: dict[str, int] = defaultdict(int)
        for order in left:
            of_party[order.party] += shares[order.seq]
        beyond = {party for party, wh in of_party.items() if wh > room.of(party)}
        # Whoever goes last: of nobody is there too little any more.
        party = min(beyond, default=None)
        now = [order for order in left if party in (None, order.party)]
        volume = room.volume if party is None else room.of(party)
        shares = shares if party is None else _shares(now, volume)
        if short := _short(now, shares, volume):
            fills.update(dict.fromkeys(short, -1))
        else:
            if party is not None:
                room.apart.update(order.seq for order in now)
            fills.update((order.seq, room.take(order, shares[order.seq])) for order in now)
        left = [order for order in left if order.seq not in fills]
    room.note_own(order for order in margin if fills[order.seq] < order.wh)
    return fills


def _short(orders: Sequence[Order], shares: Mapping[int, int], volume: int) -> list[int]:
    """Of those whose share is less than their least, whom to pass over next: who could not have it alone either; then
    the last come, since the shares of all others rise with each who goes. Half of whom would have to go if nothing else
    changed, so that a few times are enough.
    """
    if not volume:
        return []
    if beyond := [order.seq for order in orders if order.least_wh > volume]:
        return beyond
    whole = sum(int(order.wh) for order in orders)
    passed = []
    for order in reversed(orders):
        is_short = shares[order.seq] < order.least_wh
        if is_short and order.wh * min(volume, whole) < order.least_wh * whole:
            passed.append(order.seq)
            whole -= order.wh
    return passed[: (len(passed) + 1) // 2]


def _shares(orders: Sequence[Order], volume: int) -> dict[int, int]:
    """Of so much at most."""
    whole = sum(order.wh for order in orders)
    volume = min(volume, whole)
    shares = {order.seq: divmod(order.wh * volume, whole) for order in orders}
    left = volume - sum(share for share, _ in shares.values())
    by_remainder = sorted(shares, key=lambda seq: (-shares[seq][1], seq))
    found = {seq: share for seq, (share, _) in shares.items()}
    for seq in by_remainder[:left]:
        found[seq] += 1
    return found


@dataclass(frozen=True, slots=True)
class _Outcome:
    """``fills``: by order what it is to get, below 0 for what was passed over; ``apart``: who gets less since only his
    own party is there; ``pairs``: (buy_seq, sell_seq, wh); ``got``: by order what it gets in pairs.
    """

    price: MicroPerKwh | None
    fills: dict[int, int]
    apart: set[int]
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
    missed = _Missed([order for order in orders if order.seq not in kept])
    barred_here = barred_among(barred, {order.seq for order in orders}) if barred else set()
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
        elif seq in outcome.apart:
            reason = MarketReason.SELF_TRADE
        elif price is None and missed.reaches(order):
            reason = MarketReason.LEAST_FILL
        else:
            reason = _beyond(order, price)
        unmatched.append(Unmatched(seq, Wh(rest), reason))
    if price is None or not matches:
        return Clearing((), (), tuple(unmatched), UniformPrice(None), seed)
    return Clearing(matches, (Price("", price),), tuple(unmatched), UniformPrice(price), seed)


class _Missed:
    """Orders that were left out for their least: whoever could have traded with one goes without for that."""

    def __init__(self, left_out: Sequence[Order]) -> None:
        best: dict[Side, dict[str, int]] = {side: {} for side in Side}
        for order in left_out:
            limits = best[order.side]
            limits[order.party] = max(_goodness(order), limits.get(order.party, -MAX_PRICE))
        # One of two is of another party.
        self._best = {
            side: nlargest(2, limits.items(), key=lambda each: each[1])
            for side, limits in best.items()
        }

    def reaches(self, order: Order) -> bool:
        other = Side.SELL if order.side is Side.BUY else Side.BUY
        return any(
            party != order.party and goodness + _goodness(order) >= 0
            for party, goodness in self._best[other]
        )


def _goodness(order: Order) -> int:
    """For whoever trades with it."""
    return order.limit if order.side is Side.BUY else -order.limit


def _beyond(order: Order, price: MicroPerKwh | None) -> MarketReason:
    if price is None:
        return MarketReason.NO_CROSS
    return MarketReason.AT_MARGIN if order.limit == price else MarketReason.BEYOND_PRICE
