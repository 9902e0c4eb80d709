"""Verification of clearings: what must be true of any, and that a certificate proves what it claims.

Separate on purpose from what makes clearings: nothing here knows how a mechanism works, only what it promises.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from digitalgrid.limits import MAX_POWER_W, MAX_PRICE_PER_MWH
from trading.core.orders import PPM, Order, Side
from trading.core.units import MAX_PRICE, MicroPerKwh, Wh, power_w, whole
from trading.mechanisms.duality import figures_of
from trading.mechanisms.mechanism import Clearing, Match, NodalPrices, UniformPrice, Unmatched
from trading.mechanisms.network import MarketNetwork, barred_among
from trading.mechanisms.possible_trades import Exchanges, most_at_one_price
from trading.reasons import MarketReason

# Of what flows, and of the value of what is traded: what sums of floats and a solver may be off by.
_PHYSICAL = 1e-6
_WELFARE = 1e-6
# Of the value of what is traded: how far rounding parts two sums that are the same.
_IDENTITY = 1e-9
# Millionths of an ask that may be missing: what has to be injected is rounded up, and planned as exactly as _PHYSICAL.
_INJECTED_PPM = 2
# Orders that may be left although others are left whom their limits would reach.
_KEPT_APART = (MarketReason.SELF_TRADE, MarketReason.BARRED)


def verify(orders: Sequence[Order], network: MarketNetwork, clearing: Clearing) -> list[str]:
    """What is wrong with a clearing, in sentences; empty of one that keeps all that it promises."""
    faults = [*_unfair(orders, network, clearing), *_badly_told(orders, network, clearing)]
    if isinstance(clearing.certificate, UniformPrice):
        faults += _not_best_at_one_price(orders, network, clearing, clearing.certificate.price)
    if isinstance(clearing.certificate, NodalPrices):
        unfit = list(_unfit(network, clearing.certificate))
        faults += unfit or _not_best_at_nodal_prices(
            orders, network, clearing, clearing.certificate
        )
    return faults


def _unfair(orders: Sequence[Order], network: MarketNetwork, clearing: Clearing) -> Iterator[str]:
    """Of any clearing: quantities, limits, budget, whom nobody may trade with, and that everybody hears of his rest."""
    by_seq = {order.seq: order for order in orders}
    got: dict[int, int] = defaultdict(int)
    of_ask: dict[int, list[Match]] = defaultdict(list)
    for match in clearing.matches:
        buy, sell = by_seq.get(match.buy_seq), by_seq.get(match.sell_seq)
        name = f"match of {match.buy_seq} with {match.sell_seq}"
        if buy is None or sell is None or buy.side is not Side.BUY or sell.side is not Side.SELL:
            yield f"{name}: these are no buyer's and seller's orders"
            continue
        figures = (match.wh, match.buyer_price, match.seller_price, match.injected_wh)
        if not all(map(whole, (*figures, match.injected_ppm))):
            yield f"{name}: a quantity or price is no whole number"
            continue
        if match.wh <= 0:
            yield f"{name}: {match.wh} Wh is no trade"
        if match.injected_ppm < PPM:
            yield f"{name}: of a million delivered, {match.injected_ppm} are said to be injected"
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
        of_ask[match.sell_seq].append(match)
    for seq, matches in of_ask.items():
        yield from _badly_injected(by_seq[seq], got[seq], matches)
    yield from _badly_filled(by_seq, clearing, got)


def _badly_injected(order: Order, taken: int, matches: Sequence[Match]) -> Iterator[str]:
    """What is delivered has to be injected, losses included, and counts of the order that it comes from. Each match may
    be rounded up.
    """
    needed = -(-sum(match.wh * match.injected_ppm for match in matches) // PPM)
    if not min(needed, order.wh) <= taken < needed + len(matches):
        yield f"of order {order.seq} {taken} Wh count, and {needed} have to be injected"
    if (needed - order.wh - len(matches)) * PPM > _INJECTED_PPM * order.wh:
        yield f"order {order.seq} has {order.wh} Wh, and {needed} have to be injected"


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


def _badly_told(
    orders: Sequence[Order], network: MarketNetwork, clearing: Clearing
) -> Iterator[str]:
    """Reasons that excuse an order from being served must be true: whoever clears could leave out anybody by them."""
    by_seq = {order.seq: order for order in orders}
    sides = {(order.party, order.side) for order in orders}
    barred = barred_among(network.barred, by_seq)
    told = Counter(each.seq for each in clearing.unmatched)
    below_least = [by_seq[seq] for seq in _left_for_their_least(by_seq, clearing)]
    below_least.sort(key=_goodness, reverse=True)
    for each in clearing.unmatched:
        order = by_seq.get(each.seq)
        if order is None:
            yield f"order {each.seq} is told of, and there is none"
            continue
        if told[each.seq] > 1:
            yield f"order {each.seq} is told of {told[each.seq]} times"
        is_for_least = each.reason is MarketReason.LEAST_FILL
        if is_for_least and not (_is_below_least(order, each) or _meets(order, below_least)):
            yield f"order {each.seq} is left for its least of {order.least_wh} Wh, which it has not missed"
        if each.reason is MarketReason.BARRED and each.seq not in barred:
            yield f"order {each.seq} is left as barred, and the network has refused it with nobody here"
        if (
            each.reason is MarketReason.SELF_TRADE
            and (order.party, _OTHER[order.side]) not in sides
        ):
            yield f"order {each.seq} is left for its own party, which has no other order to trade with"


_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def _is_below_least(order: Order, unmatched: Unmatched) -> bool:
    return order.least_wh > 0 and unmatched.wh == order.wh


def _left_for_their_least(by_seq: Mapping[int, Order], clearing: Clearing) -> set[int]:
    """And not for that of others, which excuses nobody from being served."""
    return {
        each.seq
        for each in clearing.unmatched
        if each.reason is MarketReason.LEAST_FILL
        and each.seq in by_seq
        and _is_below_least(by_seq[each.seq], each)
    }


def _meets(order: Order, others: Iterable[Order]) -> bool:
    """Whether it could trade with one of them, by their limits; ``others``: the best first."""
    for other in others:
        if _goodness(order) + _goodness(other) < 0:
            break
        if other.side is not order.side and other.party != order.party:
            return True
    return False


def _not_best_at_one_price(
    orders: Sequence[Order],
    network: MarketNetwork,
    clearing: Clearing,
    price: MicroPerKwh | None,
) -> Iterator[str]:
    """That nobody inside the price goes without proves welfare the greatest, as prices of linear programs do; that
    nobody is left who could trade with another who is left proves volume the greatest.
    """
    for match in clearing.matches:
        if match.buyer_price != price or match.seller_price != price:
            yield f"match of {match.buy_seq} with {match.sell_seq} is not at the price {price}"
    apart = {each.seq for each in clearing.unmatched if each.reason in _KEPT_APART}
    below_least = _left_for_their_least({order.seq: order for order in orders}, clearing)
    left = {each.seq for each in clearing.unmatched} - apart - below_least
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
    yield from _not_kept_apart([order for order in orders if order.seq in apart], network)
    there = [order for order in orders if order.seq not in below_least]
    yield from _more_is_possible(there, network, clearing, price)


def _more_is_possible(
    there: Sequence[Order],
    network: MarketNetwork,
    clearing: Clearing,
    price: MicroPerKwh | None,
) -> Iterator[str]:
    """Nobody trades with himself: that this has cost no more than it had to is not believed either.

    ``there``: all but those who took their least or nothing. Where the network bars pairs, more may be possible at
    another price.
    """
    traded = sum(match.wh for match in clearing.matches)
    is_plain = not network.barred
    if is_plain and traded < (most := most_at_one_price(there)):
        yield f"{traded} Wh are traded, and {most} Wh could be at one price"
    if price is None:
        return
    eligible = [o for o in there if (o.limit >= price if o.side is Side.BUY else o.limit <= price)]
    left = {each.seq: each.reason for each in clearing.unmatched}
    exchanges = Exchanges(
        eligible,
        {(match.buy_seq, match.sell_seq) for match in clearing.matches},
        lambda buy, sell: buy.party != sell.party and (buy.seq, sell.seq) not in network.barred,
    )
    buyers = [o for o in eligible if o.side is Side.BUY and o.seq in left]
    for other in exchanges.reached(buyers):
        if other.side is Side.SELL and other.seq in left:
            yield f"more could be traded at {price}: something of order {other.seq} is left"
            return
    if is_plain:
        yield from _better_is_left(
            [o for o in eligible if left.get(o.seq) is MarketReason.SELF_TRADE], exchanges
        )
        seqs = {order.seq for order in eligible}
        for seq, reason in left.items():
            if reason is MarketReason.SELF_TRADE and seq not in seqs:
                yield f"order {seq} is left for its own party, and the price does not reach its limit"


def _better_is_left(left: Sequence[Order], exchanges: Exchanges) -> Iterator[str]:
    """Of each party the best that is left for its own sake: whether somebody of a worse limit trades in its place."""
    best: dict[tuple[str, Side], Order] = {}
    for order in sorted(left, key=_goodness, reverse=True):
        best.setdefault((order.party, order.side), order)
    for order in best.values():
        for other in exchanges.reached([order]):
            if other.side is order.side and _goodness(other) < _goodness(order):
                yield f"order {order.seq} is left for its own party, and order {other.seq} could give way"
                break


def _goodness(order: Order) -> int:
    return order.limit if order.side is Side.BUY else -order.limit


def _not_kept_apart(orders: Sequence[Order], network: MarketNetwork) -> Iterator[str]:
    """Of orders that are left since nobody is left whom they may trade with: that it is so."""
    asks: dict[str, list[Order]] = defaultdict(list)
    for order in sorted(orders, key=lambda order: order.limit):
        if order.side is Side.SELL:
            asks[order.party].append(order)
    for buy in orders:
        if buy.side is not Side.BUY:
            continue
        for party, theirs in asks.items():
            for sell in theirs if party != buy.party else ():
                if sell.limit > buy.limit:
                    break
                if (buy.seq, sell.seq) not in network.barred:
                    yield f"orders {buy.seq} and {sell.seq} are left, and could have traded with each other"
                    # One is enough: there may be as many as pairs of orders.
                    return


def _unfit(network: MarketNetwork, certificate: NodalPrices) -> Iterator[str]:
    """A certificate that says nothing of this network proves nothing of it."""
    graph = network.graph
    prices, flows = certificate.price_per_mwh, certificate.received_w
    powers = tuple(certificate.power_w.values())
    for what, values, count, most in (
        ("prices", prices, graph.node_count, MAX_PRICE_PER_MWH),
        ("flows", flows, graph.arc_count, MAX_POWER_W),
        ("powers", powers, len(powers), MAX_POWER_W),
    ):
        if len(values) != count:
            yield f"the certificate has {len(values)} {what} of {count}"
        # What is not a number is no less than anything.
        if not all(abs(value) <= most for value in values):
            yield f"{what} of the certificate are not all numbers up to {most:g}"
    if min((*flows, *powers), default=0.0) < -_PHYSICAL * max(1.0, *powers, *flows):
        yield "power flows backwards in the certificate"


def _not_best_at_nodal_prices(
    orders: Sequence[Order], network: MarketNetwork, clearing: Clearing, certificate: NodalPrices
) -> Iterator[str]:
    """That prices support the allocation proves its welfare the greatest; whole matches are what is below it."""
    # Who takes all or nothing has no price that would choose it for him.
    out = _left_for_their_least({order.seq: order for order in orders}, clearing)
    figures = figures_of([each for each in orders if each.seq not in out], network, certificate)
    # What is not a number is at no limit.
    if not figures.unphysical <= _PHYSICAL:
        yield f"limits or balances are missed by {figures.unphysical:.2g} of all that flows"
    if not figures.gap <= _WELFARE:
        yield f"welfare may be {figures.gap:.2g} of its value below the greatest"
    if not figures.complementarity_per_mwh <= figures.tolerance_per_mwh:
        yield f"limits and prices disagree by {figures.complementarity_per_mwh:.2g} per MWh"
    if not abs(figures.surplus - figures.rents) <= _IDENTITY * figures.value:
        yield f"the operator keeps {figures.surplus:.6g}, and losses, tolls and lines are worth {figures.rents:.6g}"
    taken: dict[int, int] = defaultdict(int)
    for match in clearing.matches:
        taken[match.buy_seq] += match.wh
    for order in orders:
        planned_w = certificate.power_w.get(order.seq, 0.0)
        if power_w(Wh(taken[order.seq]), order.interval.length_ns) > planned_w * (1 + _PHYSICAL):
            yield f"order {order.seq} gets more than was planned for it"
