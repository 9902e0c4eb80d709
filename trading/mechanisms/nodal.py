"""Network-constrained clearing: the greatest welfare that lines can carry, with exact losses; each router has a price.

No solver of its own: the dispatch of :mod:`controller.routing` does it. A bid for q at v becomes a load of q that must
be served, and beside it a *virtual source* that can do so for v: what that does not give is what the bid gets. It can
never export, since it covers no more than its own load. A buyer pays the price of its router, a seller gets that of his
less the conversion; what is between them is losses, tolls and what full lines are worth, and goes to the operator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from controller.routing.dispatch import (
    Circuits,
    Dispatch,
    DispatchProblem,
    circuits_of,
    dispatch,
)
from controller.routing.dispatch.flood import flooded
from controller.routing.graph import Floats, Ints, PowerGraph
from digitalgrid.units import NS_PER_HOUR
from trading.core.orders import ANY_WAY, PPM, Order, Side
from trading.core.units import AS_GOOD_AS, MicroPerKwh, Wh
from trading.mechanisms.mechanism import (
    INTERFACE_VERSION,
    Clearing,
    Match,
    NodalPrices,
    Price,
    Unmatched,
)
from trading.mechanisms.network import MarketNetwork
from trading.reasons import MarketReason

# The dispatch counts money per MWh.
_MICRO_PER_KWH = 1_000.0
# How often orders that would get less than they take at least are left out, before all such orders are.
_MAX_ROUNDS = 8
# Of a bid: what is less is the solver's last digits.
_NOTHING = 1e-9
# Of a limit: what is nearer to it than that is at it, and sets no price.
_AT_LIMIT = 1e-6
# Share of the dearest limit that the dispatch's price of loss is at most.
_MOST_TIE_BREAK = 1e-5
# Of money per MWh: the dispatch prices losses by 3 millionths of a usual cost, so that nothing is wasted.
_TIES = 1e-3
_SEQ = attrgetter("seq")


class NodalAuction:
    """Sellers' limits are at their routers, where they inject; buyers' where power is delivered."""

    interface_version = INTERFACE_VERSION

    def clear(self, orders: Sequence[Order], network: MarketNetwork, seed: int) -> Clearing:
        by_seq = sorted(orders, key=_SEQ)
        out = {
            o.seq: MarketReason.METER_GONE for o in by_seq if o.meter_id not in network.router_of
        }
        for attempt in range(_MAX_ROUNDS + 1):
            there = [order for order in by_seq if order.seq not in out] if out else by_seq
            if attempt == _MAX_ROUNDS:
                there = [order for order in there if not order.least_wh]
            clearing = _cleared(there, network, seed)
            short = _short_of_least(there, clearing)
            if not short:
                break
            out |= dict.fromkeys(short, MarketReason.LEAST_FILL)
        if len(there) == len(by_seq):
            return clearing
        kept = {order.seq for order in there}
        left_out = [
            Unmatched(o.seq, o.wh, out.get(o.seq, MarketReason.LEAST_FILL))
            for o in by_seq
            if o.seq not in kept
        ]
        unmatched = sorted((*clearing.unmatched, *left_out), key=_SEQ)
        return msgspec.structs.replace(clearing, unmatched=tuple(unmatched))


def _short_of_least(orders: Sequence[Order], clearing: Clearing) -> list[int]:
    """Who would get less than he takes at least."""
    least = {order.seq: order for order in orders if order.least_wh}
    if not least:
        return []
    left = {each.seq: each.wh for each in clearing.unmatched}
    return [seq for seq, order in least.items() if 0 < order.wh - left.get(seq, 0) < order.least_wh]


def _cleared(orders: Sequence[Order], network: MarketNetwork, seed: int) -> Clearing:
    """Of orders whose meters are all there, whatever they take at least."""
    book = _Book.of(orders, network)
    if book is None:
        return _nothing(orders, MarketReason.ONE_SIDED, seed)
    answer = dispatch(book.problem)
    if answer.status == "not converged":
        return _nothing(orders, MarketReason.NOT_SOLVED, seed)
    allocation = _Allocation(book, answer)
    rounded = _Rounding(allocation, network)
    matches = tuple(rounded.matches())
    unmatched = rounded.unmatched()
    # Else it is not known to be the best: power had to be curtailed that would pay to be used, the solver could not
    # have the last digits, or a converter may be full, whose worth no price of a router tells.
    is_proven = answer.exact and answer.status == "optimal" and not network.graph.through_w
    certificate = allocation.certificate() if is_proven else None
    prices = rounded.prices() if matches else ()
    return Clearing(matches, prices, unmatched, certificate, seed, is_path_priced=True)


def _nothing(orders: Sequence[Order], reason: MarketReason, seed: int) -> Clearing:
    return Clearing((), (), tuple(Unmatched(o.seq, o.wh, reason) for o in orders), None, seed)


@dataclass(frozen=True, slots=True)
class _Book:
    """Orders whose meters are in the network, and what the dispatch is asked about them: asks first, then the virtual
    sources of bids, in the order of the bids' loads. ``cost`` and ``worth`` are limits per MWh.
    """

    bids: list[Order]
    asks: list[Order]
    cost: Floats
    worth: Floats
    problem: DispatchProblem

    @classmethod
    def of(cls, orders: Sequence[Order], network: MarketNetwork) -> "_Book | None":
        """None where one side is missing."""
        buy = Side.BUY
        bids = [order for order in orders if order.side is buy]
        asks = [order for order in orders if order.side is not buy]
        if not (bids and asks):
            return None
        bid_node, wanted_w, worth = _columns(bids, network)
        ask_node, offered_w, cost = _columns(asks, network)
        efficiency = network.graph.efficiency[bid_node]
        problem = DispatchProblem(
            network.graph,
            source_node=np.concatenate([ask_node, bid_node]),
            source_max_w=np.concatenate([offered_w, wanted_w / efficiency]),
            source_cost_per_mwh=np.concatenate([cost, worth * efficiency]),
            load_node=bid_node,
            load_power_w=wanted_w,
            toll_per_mwh=np.array(network.toll_per_mwh),
        )
        return cls(bids, asks, cost, worth, problem)


def _columns(orders: Sequence[Order], network: MarketNetwork) -> tuple[Ints, Floats, Floats]:
    router_of, length_ns = network.router_of, _length_ns(orders)
    node = np.array([router_of[order.meter_id] for order in orders], dtype=np.int32)
    energy_wh = np.array([order.wh for order in orders], dtype=np.float64)
    price = np.array([order.limit for order in orders], dtype=np.float64) / _MICRO_PER_KWH
    return node, energy_wh * NS_PER_HOUR / length_ns, price


def _length_ns(orders: Sequence[Order]) -> int:
    """Of the one interval that all are for."""
    return orders[0].interval.length_ns


class _Allocation:
    """The answer of the dispatch without its virtual sources: what bids get, what asks give, over which circuits."""

    def __init__(self, book: _Book, answer: Dispatch) -> None:
        problem, count = book.problem, len(book.asks)
        efficiency = problem.graph.efficiency[problem.load_node]
        got_w = answer.served_w - efficiency * answer.generated_w[count:]
        self.delivered_w = np.where(got_w > _NOTHING * problem.load_power_w, got_w, 0.0)
        self.generated_w = answer.generated_w[:count]
        self.book = book
        self.answer = answer
        self.price_per_mwh = _without_tie_break(problem, answer)
        self._real = replace(
            problem,
            source_node=problem.source_node[:count],
            source_max_w=problem.source_max_w[:count],
            source_cost_per_mwh=problem.source_cost_per_mwh[:count],
            source_carbon_kg_per_mwh=problem.source_carbon_kg_per_mwh[:count],
        )

    def circuits(self) -> Circuits:
        """In the order in which they are to be admitted."""
        real = replace(self.answer, generated_w=self.generated_w, served_w=self.delivered_w)
        return circuits_of(self._real, real)

    def certificate(self) -> NodalPrices:
        book = self.book
        power_w = dict(zip((o.seq for o in book.bids), self.delivered_w.tolist(), strict=True))
        power_w |= zip((o.seq for o in book.asks), self.generated_w.tolist(), strict=True)
        return NodalPrices(
            tuple(self.price_per_mwh.tolist()), tuple(self.answer.received_w.tolist()), power_w
        )


def _without_tie_break(problem: DispatchProblem, answer: Dispatch) -> Floats:
    """Prices of routers without the price of loss that breaks ties in the dispatch, which is the same for all sources:
    where a source gives some of what it could, it is what the price is above its cost. Where none does, it is what the
    price is above the cost of any that could give more: of a bid that lacks no more than what is lost on its way to it.
    """
    limit, given = problem.source_max_w, answer.generated_w
    efficiency, node = problem.graph.efficiency, problem.source_node
    has_room = given < (1.0 - _AT_LIMIT) * limit
    sets_price = (given > _AT_LIMIT * limit) & has_room
    price = answer.price_per_mwh
    above = efficiency[node] * price[node] - problem.source_cost_per_mwh
    found = np.median(above[sets_price]) if sets_price.any() else above[has_room].max(initial=0.0)
    dearest = np.abs(problem.source_cost_per_mwh).max()
    tie_break = np.clip(found, 0.0, _MOST_TIE_BREAK * dearest)
    return np.where(price == 0.0, 0.0, price - tie_break / efficiency)


class _Rounding:
    """Circuits in watts to matches in whole Wh and whole prices, each within both limits, and none at the operator's
    cost.
    """

    def __init__(self, allocation: _Allocation, network: MarketNetwork) -> None:
        book = allocation.book
        self._allocation = allocation
        self._network = network
        # By bid and by ask, what is taken; by ask, the millionths of Wh that its matches need together.
        self._bought = [0] * len(book.bids)
        self._sold = [0] * len(book.asks)
        self._needed = [0] * len(book.asks)
        self._dropped: dict[int, MarketReason] = {}
        self._particular = {
            order.seq: order.constraints
            for orders in (book.bids, book.asks)
            for order in orders
            if order.constraints is not ANY_WAY
        }
        self._price = allocation.price_per_mwh * _MICRO_PER_KWH

    def matches(self) -> Iterator[Match]:
        book, bought, sold = self._allocation.book, self._bought, self._sold
        circuits = self._allocation.circuits()
        for number, (load, source, wh, injected_ppm, buyer_price, seller_price, path) in enumerate(
            self._figures(circuits)
        ):
            buy, sell = book.bids[load], book.asks[source]
            if wh > buy.wh - bought[load]:
                wh = Wh(buy.wh - bought[load])
            if wh <= 0:
                continue
            reason = self._kept_apart(buy, sell)
            if reason is None and self._particular:
                nodes = book.problem.graph.tail[circuits.arcs(number)].tolist()
                nodes.append(book.problem.load_node[load])
                ids = {*path, *(self._network.router_ids[node] for node in nodes)}
                reason = self._unwanted(buy, sell, ids, injected_ppm)
            if reason is None and buyer_price < seller_price:
                # What both could gain is less than what is lost by whole prices.
                reason = MarketReason.AT_MARGIN
            if reason is not None:
                for order in (buy, sell):
                    self._dropped.setdefault(order.seq, reason)
                continue
            # What counts of an ask: its matches together are rounded up, not each by itself.
            needed = self._needed[source] + wh * injected_ppm
            injected_wh = Wh(min(-(-needed // PPM), sell.wh) - sold[source])
            self._needed[source] = needed
            bought[load] += wh
            sold[source] += injected_wh
            yield Match(
                buy.seq, sell.seq, wh, buyer_price, seller_price, injected_wh, injected_ppm, path
            )

    def _figures(
        self, circuits: Circuits
    ) -> Iterator[tuple[int, int, Wh, int, MicroPerKwh, MicroPerKwh, tuple[str, ...]]]:
        """Of each circuit: its load and source, whole Wh, millionths to be injected, the buyer's price, and the
        seller's, delivered; its links.
        """
        book, efficiency = self._allocation.book, self._network.graph.efficiency
        first = book.problem.source_node[circuits.source]
        last = book.problem.load_node[circuits.load]
        ratio = circuits.injected_w / circuits.delivered_w
        loads, sources = circuits.load.tolist(), circuits.source.tolist()
        energy_wh = _whole(_wh_below(circuits.delivered_w, _length_ns(book.bids)))
        injected_ppm = _whole(np.ceil(PPM * ratio))
        # What a seller's limit comes to at the delivery point; prices of routers, in whole numbers, may be just below.
        # What the buyer pays is never less, nor more than his limit.
        asked = (book.asks[source].limit for source in sources)
        least = np.array(
            [-(-limit * ppm // PPM) for limit, ppm in zip(asked, injected_ppm, strict=True)],
            dtype=np.float64,
        )
        most = np.array([book.bids[load].limit for load in loads], dtype=np.float64)
        buyer_price = np.minimum(most, np.maximum(np.rint(self._price[last]), least))
        fair = np.ceil(self._price[first] * efficiency[first] * ratio)
        seller_price = np.maximum(least, np.minimum(fair, buyer_price))
        ids = self._network.link_ids
        links = [ids[link] for link in book.problem.graph.link[circuits.arc].tolist()]
        ends = circuits.start.tolist()
        paths = [tuple(links[begin:end]) for begin, end in pairwise(ends)]
        prices = _whole(buyer_price), _whole(seller_price)
        return zip(loads, sources, energy_wh, injected_ppm, *prices, paths, strict=True)

    def _kept_apart(self, buy: Order, sell: Order) -> MarketReason | None:
        if buy.party == sell.party:
            return MarketReason.SELF_TRADE
        barred = self._network.barred
        return MarketReason.BARRED if barred and (buy.seq, sell.seq) in barred else None

    def _unwanted(
        self, buy: Order, sell: Order, ids: set[str], injected_ppm: int
    ) -> MarketReason | None:
        """Why one of both does not want a circuit over these routers and links, or one that loses so much."""
        for seq in (buy.seq, sell.seq):
            if seq in self._particular:
                constraints = self._particular[seq]
                if not ids.isdisjoint(constraints.avoid_ids):
                    return MarketReason.AVOIDED
                most_ppm = constraints.max_loss_ppm
                # Of what is injected.
                if most_ppm is not None and (PPM - most_ppm) * injected_ppm > PPM * PPM:
                    return MarketReason.LOSES_TOO_MUCH
        return None

    def prices(self) -> tuple[Price, ...]:
        """At the routers where somebody of this market is."""
        ids, nodes = self._network.router_ids, np.unique(self._allocation.book.problem.source_node)
        price = np.rint(self._price[nodes]).astype(np.int64).tolist()
        return tuple(
            Price(ids[node], each) for node, each in zip(nodes.tolist(), price, strict=True)
        )

    def unmatched(self) -> tuple[Unmatched, ...]:
        """What orders have not got, and why."""
        book, dropped = self._allocation.book, self._dropped
        left = [
            Unmatched(order.seq, Wh(order.wh - taken), dropped.get(order.seq, _WHY[number]))
            for order, taken, number in zip(
                (*book.asks, *book.bids), (*self._sold, *self._bought), self._why(), strict=True
            )
            if taken < order.wh
        ]
        return tuple(sorted(left, key=_SEQ))

    def _why(self) -> list[int]:
        """Why orders have not got all, asks first, as ``_WHY`` has it."""
        book = self._allocation.book
        graph, price = book.problem.graph, self._allocation.price_per_mwh
        count = len(book.asks)
        nodes = book.problem.source_node
        limit = np.concatenate([book.cost, book.worth])
        at_order = price[nodes]
        at_order[:count] *= graph.efficiency[nodes[:count]]
        # Asks are beyond the price where their limit is above it, bids where theirs is below.
        outside = limit - at_order
        outside[count:] *= -1.0
        has_route = _reached(graph, book)[(np.arange(len(nodes)) >= count).astype(np.intp), nodes]
        why = np.where(outside > 0, 0, 1)
        why[np.abs(outside) <= _TIES + _TIES * np.abs(at_order)] = 2
        why[~has_route] = 3
        numbers: list[int] = why.tolist()
        return numbers


def _whole(numbers: Floats) -> list[Any]:
    return numbers.astype(np.int64).tolist()  # type: ignore[no-any-return]


def _wh_below(watts: Floats, length_ns: int) -> Floats:
    """:func:`trading.core.units.wh_below` of many."""
    energy = watts * length_ns / NS_PER_HOUR
    nearest = np.rint(energy)
    is_whole = np.abs(energy - nearest) <= AS_GOOD_AS * np.maximum(1.0, energy)
    whole: Floats = np.where(is_whole, nearest, np.floor(energy))
    return whole


_WHY = (
    MarketReason.BEYOND_PRICE,
    MarketReason.BELOW_ONE_WH,
    MarketReason.AT_MARGIN,
    MarketReason.NO_ROUTE,
)


def _reached(graph: PowerGraph, book: _Book) -> npt.NDArray[np.bool_]:
    """By router: from where sellers can reach a buyer, and below it where a seller can be a buyer's, over lines that
    have any room.
    """
    is_open = graph.headroom_a > 0.0
    none = np.zeros_like(is_open)
    asks = book.problem.source_node[: len(book.asks)]
    bids = book.problem.load_node
    return np.stack(
        [
            flooded(graph, bids, upstream=is_open, downstream=none),
            flooded(graph, asks, upstream=none, downstream=is_open),
        ]
    )
