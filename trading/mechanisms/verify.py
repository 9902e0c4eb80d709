"""Verification of clearings: what must be true of any, and that a certificate proves what it claims.

Separate on purpose from what makes clearings: nothing here knows how a mechanism works, only what it promises.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from trading.core.orders import PPM, Order, Side
from trading.core.units import MAX_PRICE, MicroPerKwh, Wh, power_w
from trading.mechanisms.duality import figures_of
from trading.mechanisms.mechanism import Clearing, NodalPrices, UniformPrice
from trading.mechanisms.network import MarketNetwork
from trading.reasons import MarketReason

# Of what flows, and of the value of what is traded: what sums of floats and a solver may be off by.
_PHYSICAL = 1e-6
_WELFARE = 1e-6
_IDENTITY = 1e-9
# Orders that may be left although they could trade with each other.
_LEFT_FOR_A_REASON = (MarketReason.SELF_TRADE, MarketReason.BARRED, MarketReason.LEAST_FILL)


def verify(orders: Sequence[Order], network: MarketNetwork, clearing: Clearing) -> list[str]:
    """What is wrong with a clearing, in sentences; empty of one that keeps all that it promises."""
    faults = list(_unfair(orders, network, clearing))
    if isinstance(clearing.certificate, UniformPrice):
        faults += _not_best_at_one_price(orders, clearing, clearing.certificate.price)
    if isinstance(clearing.certificate, NodalPrices):
        faults += _not_best_at_nodal_prices(orders, network, clearing, clearing.certificate)
    return faults


def _unfair(orders: Sequence[Order], network: MarketNetwork, clearing: Clearing) -> Iterator[str]:
    """Of any clearing: quantities, limits, budget, whom nobody may trade with, and that everybody hears of his rest."""
    by_seq = {order.seq: order for order in orders}
    got: dict[int, int] = defaultdict(int)
    for match in clearing.matches:
        buy, sell = by_seq.get(match.buy_seq), by_seq.get(match.sell_seq)
        name = f"match of {match.buy_seq} with {match.sell_seq}"
        if buy is None or sell is None or buy.side is not Side.BUY or sell.side is not Side.SELL:
            yield f"{name}: these are no buyer's and seller's orders"
            continue
        if match.wh <= 0:
            yield f"{name}: {match.wh} Wh is no trade"
        if match.buyer_price > buy.limit:
            yield f"{name}: the buyer pays {match.buyer_price}, above the limit {buy.limit}"
        # A seller who gives more than is delivered is paid for all of it at least.
        if match.seller_price * PPM < sell.limit * match.injected_ppm:
            yield f"{name}: the seller gets {match.seller_price}, below the limit {sell.limit}"
        if match.buyer_price < match.seller_price:
            yield f"{name}: the buyer pays less than the seller gets"
        if buy.party == sell.party:
            yield f"{name}: both are of party {buy.party}"
        if (match.buy_seq, match.sell_seq) in network.barred:
            yield f"{name}: the network has refused this pair"
        got[match.buy_seq] += match.wh
        got[match.sell_seq] += match.injected_wh
    yield from _badly_filled(by_seq, clearing, got)


def _badly_filled(
    by_seq: dict[int, Order], clearing: Clearing, got: dict[int, int]
) -> Iterator[str]:
    rest = {unmatched.seq: unmatched.wh for unmatched in clearing.unmatched}
    for seq, order in by_seq.items():
        filled = got[seq]
        if filled > order.wh:
            yield f"order {seq} gets {filled} Wh of {order.wh}"
        if 0 < filled < order.least_wh:
            yield f"order {seq} gets {filled} Wh, less than its least of {order.least_wh}"
        if filled + rest.get(seq, 0) != order.wh:
            yield f"order {seq} gets {filled} Wh, is told of {rest.get(seq, 0)}, and has {order.wh}"


def _not_best_at_one_price(
    orders: Sequence[Order], clearing: Clearing, price: MicroPerKwh | None
) -> Iterator[str]:
    """That nobody inside the price goes without proves welfare the greatest, as prices of linear programs do; that
    nobody is left who could trade with another who is left proves volume the greatest.
    """
    for match in clearing.matches:
        if match.buyer_price != price or match.seller_price != price:
            yield f"match of {match.buy_seq} with {match.sell_seq} is not at the price {price}"
    excused = {each.seq for each in clearing.unmatched if each.reason in _LEFT_FOR_A_REASON}
    left = {each.seq for each in clearing.unmatched} - excused
    for order in orders:
        is_inside = price is not None and (
            order.limit > price if order.side is Side.BUY else order.limit < price
        )
        if is_inside and order.seq in left:
            yield f"order {order.seq} is left out although its limit {order.limit} is inside {price}"
    bids = [order.limit for order in orders if order.seq in left and order.side is Side.BUY]
    asks = [order.limit for order in orders if order.seq in left and order.side is Side.SELL]
    if max(bids, default=-MAX_PRICE) >= min(asks, default=MAX_PRICE + 1):
        yield "a buyer and a seller are left who could have traded with each other"


def _not_best_at_nodal_prices(
    orders: Sequence[Order], network: MarketNetwork, clearing: Clearing, certificate: NodalPrices
) -> Iterator[str]:
    """That prices support the allocation proves its welfare the greatest; whole matches are what is below it."""
    # Who takes all or nothing has no price that would choose it for him.
    out = {each.seq for each in clearing.unmatched if each.reason is MarketReason.LEAST_FILL}
    figures = figures_of([each for each in orders if each.seq not in out], network, certificate)
    if figures.unphysical > _PHYSICAL:
        yield f"limits or balances are missed by {figures.unphysical:.2g} of all that flows"
    if figures.gap > _WELFARE:
        yield f"welfare may be {figures.gap:.2g} of its value below the greatest"
    if figures.complementarity_per_mwh > figures.tolerance_per_mwh:
        yield f"limits and prices disagree by {figures.complementarity_per_mwh:.2g} per MWh"
    if abs(figures.surplus - figures.rents) > _IDENTITY * figures.value:
        yield f"the operator keeps {figures.surplus:.6g}, and losses, tolls and lines are worth {figures.rents:.6g}"
    taken: dict[int, int] = defaultdict(int)
    for match in clearing.matches:
        taken[match.buy_seq] += match.wh
    for order in orders:
        planned_w = certificate.power_w.get(order.seq, 0.0)
        if power_w(Wh(taken[order.seq]), order.interval.length_ns) > planned_w * (1 + _PHYSICAL):
            yield f"order {order.seq} gets more than was planned for it"
