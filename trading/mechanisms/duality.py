"""Proof by prices: how far an allocation on a network can be from the best one, at any prices, whoever found either.

Priced, each order and each line stands by itself, and what they could all gain together is a bound that no allocation
passes (Lagrange's duality). Where prices support an allocation the two are one, and the proof is complete.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.routing.graph import Floats, PowerGraph
from trading.core.orders import Order, Side
from trading.core.units import power_w
from trading.mechanisms.mechanism import NodalPrices
from trading.mechanisms.network import MarketNetwork

# Micro per kWh in a currency per MWh.
_MICRO_PER_KWH = 1_000.0
# Of a limit: what is nearer to it than that is at it; and as near to nothing is nothing.
_AT_LIMIT = 1e-6
# What limits and prices may disagree by: so much per MWh, which is half a step of whole prices, and this share of the
# dearest limit.
_TOLERANCE_PER_MWH = 5e-4
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class NodalFigures:
    """Money is for an hour of it. ``value``: of all that is bought and sold, what the others are shares of.

    ``gap``: how far welfare is below the bound at the most. ``surplus`` is what buyers pay beyond what sellers get, at
    the prices; ``rents`` is what it is for: tolls, full lines, and losses of the last watt beyond the usual one.
    ``unphysical``: the most by which a balance or a limit is missed, as a share of all that flows.
    """

    value: float
    welfare: float
    gap: float
    surplus: float
    rents: float
    complementarity_per_mwh: float
    tolerance_per_mwh: float
    unphysical: float


def figures_of(
    orders: Sequence[Order], network: MarketNetwork, certificate: NodalPrices
) -> NodalFigures:
    """Worked out from the orders, the network and the certificate alone."""
    graph = network.graph
    price = np.array(certificate.price_per_mwh)
    received_w = np.array(certificate.received_w)
    there = [order for order in orders if order.meter_id in network.router_of]
    asks = _Side.of([o for o in there if o.side is Side.SELL], network, certificate)
    bids = _Side.of([o for o in there if o.side is Side.BUY], network, certificate)
    lines = _Lines.of(network, price, received_w)
    # What a seller gains by a watt more, and a buyer.
    asks_gain = graph.efficiency[asks.node] * price[asks.node] - asks.limit
    bids_gain = bids.limit - price[bids.node]
    toll = float(lines.toll @ received_w)
    welfare = float(bids.limit @ bids.power_w - asks.limit @ asks.power_w) - toll
    value = float(np.abs(bids.limit) @ bids.power_w + np.abs(asks.limit) @ asks.power_w)
    bound = float(
        np.maximum(asks_gain, 0.0) @ asks.most_w + np.maximum(bids_gain, 0.0) @ bids.most_w
    )
    bound += lines.most_gain()
    paid = float(price[bids.node] @ bids.power_w)
    earned = float((asks.limit + asks_gain) @ asks.power_w)
    worst = max(asks.disagreement(asks_gain), bids.disagreement(bids_gain), lines.disagreement())
    dearest = max(np.abs(asks.limit).max(initial=0.0), np.abs(bids.limit).max(initial=0.0))
    lowest = float(-np.minimum(price, 0.0).min(initial=0.0))
    return NodalFigures(
        value=value / 1e6,
        welfare=welfare / 1e6,
        # Power that is worth less than nothing could be thrown away, which the bound allows and converters do not.
        gap=0.0 if lowest > 0.0 or value == 0.0 else (bound - welfare) / value,
        surplus=(paid - earned) / 1e6,
        rents=(toll + lines.rents()) / 1e6,
        complementarity_per_mwh=worst,
        tolerance_per_mwh=_TOLERANCE_PER_MWH + _TOLERANCE * float(dearest),
        unphysical=_unphysical(graph, lines, asks, bids),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """Orders of one side: where, their limits per MWh, what they are for and what they have (W)."""

    node: np.ndarray
    limit: Floats
    most_w: Floats
    power_w: Floats

    @classmethod
    def of(
        cls, orders: Sequence[Order], network: MarketNetwork, certificate: NodalPrices
    ) -> "_Side":
        return cls(
            np.array([network.router_of[o.meter_id] for o in orders], dtype=np.int32),
            np.array([o.limit / _MICRO_PER_KWH for o in orders], dtype=np.float64),
            np.array([power_w(o.wh, o.interval.length_ns) for o in orders], dtype=np.float64),
            np.array([certificate.power_w.get(o.seq, 0.0) for o in orders], dtype=np.float64),
        )

    def disagreement(self, gain: Floats) -> float:
        """Who has some must not lose by it, and who could have more must not gain by that."""
        has = self.power_w > _AT_LIMIT * self.most_w
        could = self.power_w < (1.0 - _AT_LIMIT) * self.most_w
        losing = np.where(has, -gain, 0.0).max(initial=0.0)
        missing = np.where(could, gain, 0.0).max(initial=0.0)
        return float(max(losing, missing))


@dataclass(frozen=True, slots=True)
class _Lines:
    """By arc: what it sends per received watt, ``linear + square * x``; ``gain``: of the first received watt."""

    graph: PowerGraph
    received_w: Floats
    toll: Floats
    linear: Floats
    square: Floats
    capacity_w: Floats
    at_tail: Floats
    gain: Floats

    @classmethod
    def of(cls, network: MarketNetwork, price: Floats, received_w: Floats) -> "_Lines":
        graph = network.graph
        tolls = np.array(network.toll_per_mwh or (0.0,) * len(network.link_ids))
        toll = tolls[graph.link] if graph.arc_count else np.zeros(0)
        linear = 1.0 + 2.0 * graph.resistance_ohm * graph.load_a / graph.voltage_v
        at_head = graph.efficiency[graph.head] * price[graph.head]
        at_tail = price[graph.tail]
        return cls(
            graph=graph,
            received_w=received_w,
            toll=toll,
            linear=linear,
            square=graph.resistance_ohm / graph.voltage_v**2,
            capacity_w=np.maximum(graph.headroom_a * graph.voltage_v, 0.0),
            at_tail=at_tail,
            gain=at_head - at_tail * linear - toll,
        )

    @property
    def sent_w(self) -> Floats:
        sent: Floats = (self.linear + self.square * self.received_w) * self.received_w
        return sent

    def most_gain(self) -> float:
        """What all lines could earn by carrying as much as pays, each direction by itself."""
        curve = self.at_tail * self.square
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.where(curve > 0.0, self.gain / (2.0 * curve), np.inf)
        flow = np.where(self.gain > 0.0, np.minimum(best, self.capacity_w), 0.0)
        return float((self.gain * flow - curve * flow**2).sum())

    def marginal(self) -> Floats:
        """What a received watt more is worth, beyond what it costs."""
        gained: Floats = self.gain - 2.0 * self.at_tail * self.square * self.received_w
        return gained

    def rents(self) -> float:
        """What full lines are worth, and what the last watt on a line loses beyond what watts lose on the average."""
        curve = self.at_tail * self.square * self.received_w**2
        return float(self.marginal() @ self.received_w + curve.sum())

    def used(self) -> Floats:
        """Of a line's capacity, by arc: both directions together."""
        graph, x = self.graph, self.received_w
        both = x + np.where(graph.twin >= 0, x[graph.twin], 0.0) if len(x) else x
        part: Floats = np.divide(
            both, self.capacity_w, out=np.zeros_like(both), where=self.capacity_w > 0.0
        )
        return part

    def disagreement(self) -> float:
        """A line that carries must not lose by it, and one that is not full must not gain by more."""
        marginal, used = self.marginal(), self.used()
        carries = self.received_w > _AT_LIMIT * self.capacity_w
        losing = np.where(carries, -marginal, 0.0).max(initial=0.0)
        has_room = (used < 1.0 - _AT_LIMIT) & (self.capacity_w > 0.0)
        missing = np.where(has_room, marginal, 0.0).max(initial=0.0)
        return float(max(losing, missing))


def _unphysical(graph: PowerGraph, lines: _Lines, asks: _Side, bids: _Side) -> float:
    entering = np.bincount(graph.head, lines.received_w, graph.node_count)
    np.add.at(entering, asks.node, asks.power_w)
    leaving = np.bincount(graph.tail, lines.sent_w, graph.node_count)
    np.add.at(leaving, bids.node, bids.power_w)
    lacking = float(np.abs(leaving - graph.efficiency * entering).max(initial=0.0))
    over = max((each.power_w - each.most_w).max(initial=0.0) for each in (asks, bids))
    flows = float(bids.power_w.sum()) or 1.0
    return max(lacking / flows, float(over) / flows, float(lines.used().max(initial=0.0)) - 1.0)
