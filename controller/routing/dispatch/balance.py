"""Rounding of a solution to a plan: acyclic flows that balance at every router to rounding."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled_numeric
from controller.routing.dispatch.newton import Network, Point
from controller.routing.graph import Floats, Ints, row_starts

# Of a router's supply; what is less needs no line.
_ROUNDING = 1e-9


class Balanced(NamedTuple):
    """Scaled power of arcs and of cells; ``moved``: the most by which a router's supply had to be corrected."""

    flow: Floats
    power: Floats
    moved: float


def significant(network: Network, point: Point) -> tuple[Floats, Floats]:
    """Power of arcs and of cells where the solution says rather that there is some than that it would be dear."""
    at_head, at_cell = point.price[network.head], point.price[network.cell_node]
    flow = np.where(point.flow * at_head > point.flow_dual, point.flow, 0.0)
    used = (point.power * at_cell > point.power_dual) | (point.power > point.rest)
    return flow, np.where(used, point.power, 0.0)


def balance(
    network: Network, price: Floats, flow: Floats, power: Floats, served: Floats
) -> Balanced:
    """Generation follows from the flows, and flows from what is ``served`` (by load): walked from sinks to sources.

    ``flow`` of arcs and ``power`` of cells say how a router's supply is shared. Opposite flows and cycles, which only
    lossless lines can have, are cancelled. All is scaled.
    """
    power, nodes = power.copy(), len(network.efficiency)
    flow, start, into, order = _acyclic(network, flow)
    sources = len(power) - len(served)
    power[sources:] = served
    cell_start, cells = _rows(network.cell_node, nodes)
    fed = _keep_fed(network, start, into, cell_start, cells, order, flow, power)
    # What nothing feeds sends nothing: it comes first, the dearest before those that may yet feed it.
    unfed = np.flatnonzero(~fed).astype(np.int32)
    unfed = unfed[np.argsort(-price[unfed], kind="stable")]
    order = np.concatenate([unfed, order[fed[order]]])
    moved = _sweep(network, price, start, into, cell_start, cells, order, flow, power)
    return Balanced(flow, power, moved)


def without_cycles(network: Network, flow: Floats) -> Floats:
    """Flows without opposite ones and without cycles, which bring nothing to anybody."""
    return _acyclic(network, flow)[0]


def _acyclic(network: Network, flow: Floats) -> tuple[Floats, Ints, Ints, Ints]:
    """Also the arcs into each router (``start``, ``into``), and the routers in order, sinks first."""
    flow, nodes = flow.copy(), len(network.efficiency)
    _cancel_opposite(network, flow)
    start, into = _rows(network.head, nodes)
    order = np.empty(nodes, dtype=np.int32)
    _cancel_cycles(network.tail, network.head, start, into, flow, order)
    return flow, start, into, order


def _cancel_opposite(network: Network, flow: Floats) -> None:
    """Of two directions only the difference is kept."""
    both = network.second >= 0
    one, other = network.first[both], network.second[both]
    less = np.minimum(flow[one], flow[other])
    flow[one] -= less
    flow[other] -= less


def _rows(row_of: Ints, rows: int) -> tuple[Ints, Ints]:
    return row_starts(row_of, rows), np.argsort(row_of, kind="stable").astype(np.int32)


@compiled_numeric
def _cancel_cycles(
    tail: Ints, head: Ints, start: Ints, into: Ints, flow: Floats, order: Ints
) -> None:
    """Leave flows that nowhere come back to where they were, and all routers in ``order``, sinks first."""
    while not sinks_first(tail, head, start, into, flow, order):
        _cancel_cycle(tail, start, into, flow, order)


@compiled_numeric
def sinks_first(tail: Ints, head: Ints, start: Ints, into: Ints, flow: Floats, order: Ints) -> bool:
    """Fills ``order`` so that power flows from later to earlier routers; -1 for those on or above a cycle."""
    leaving = np.zeros(len(order), dtype=np.int32)
    for k in range(len(flow)):
        if flow[k] > 0.0:
            leaving[tail[k]] += 1
    order[:] = -1
    filled = 0
    for v in range(len(order)):
        if leaving[v] == 0:
            order[filled] = v
            filled += 1
    done = 0
    while done < filled:
        v = order[done]
        done += 1
        for p in range(start[v], start[v + 1]):
            k = into[p]
            if flow[k] > 0.0:
                leaving[tail[k]] -= 1
                if leaving[tail[k]] == 0:
                    order[filled] = tail[k]
                    filled += 1
    return filled == len(order)


@compiled_numeric
def _cancel_cycle(tail: Ints, start: Ints, into: Ints, flow: Floats, order: Ints) -> None:
    """Take from one cycle among the routers that ``order`` lacks what its least arc carries."""
    nodes = len(order)
    left = np.ones(nodes, dtype=np.bool_)
    for v in order:
        if v >= 0:
            left[v] = False
    # Each router that is left sends to another one that is left: walk along these.
    next_arc = np.full(nodes, -1, dtype=np.int32)
    for v in range(nodes):
        if left[v]:
            for p in range(start[v], start[v + 1]):
                if flow[into[p]] > 0.0:
                    next_arc[tail[into[p]]] = into[p]
    head = np.empty(len(flow), dtype=np.int32)
    for v in range(nodes):
        for p in range(start[v], start[v + 1]):
            head[into[p]] = v
    seen = np.zeros(nodes, dtype=np.bool_)
    v = np.argmax(left)
    while not seen[v]:
        seen[v] = True
        v = head[next_arc[v]]
    least, begin, empty = np.inf, v, -1
    while True:
        k = next_arc[v]
        if flow[k] < least:
            least, empty = flow[k], k
        v = head[k]
        if v == begin:
            break
    while True:
        k = next_arc[v]
        flow[k] = max(0.0, flow[k] - least)
        v = head[k]
        if v == begin:
            break
    flow[empty] = 0.0


@compiled_numeric
def _keep_fed(
    network: Network,
    start: Ints,
    into: Ints,
    cell_start: Ints,
    cells: Ints,
    order: Ints,
    flow: Floats,
    power: Floats,
) -> npt.NDArray[np.bool_]:
    """Empties arcs that come from where no source feeds them; returns which routers are fed."""
    fed = np.zeros(len(order), dtype=np.bool_)
    for v in order[::-1]:
        for p in range(cell_start[v], cell_start[v + 1]):
            if network.cell_gain[cells[p]] > 0.0 and power[cells[p]] > 0.0:
                fed[v] = True
        for p in range(start[v], start[v + 1]):
            if not fed[network.tail[into[p]]]:
                flow[into[p]] = 0.0
            elif flow[into[p]] > 0.0:
                fed[v] = True
    return fed


@compiled_numeric
def _fill(
    network: Network,
    begin: int,
    end: int,
    into: Ints,
    wanted: float,
    arriving: float,
    flow: Floats,
) -> None:
    """Scales a router's arriving power to ``wanted``; what does not fit on one arc goes to those with room."""
    left, room = wanted, 0.0
    for p in range(begin, end):
        k = into[p]
        capacity = network.capacity[network.link_of_arc[k]]
        scaled = flow[k] * (wanted / arriving)
        if flow[k] > 0.0 and scaled < capacity:
            room += capacity - scaled
        left -= min(scaled, capacity)
    share = min(left / room, 1.0) if left > 0.0 and room > 0.0 else 0.0
    # Where there is no room at all, limits are passed, and the caller sees it.
    beyond = left > room
    for p in range(begin, end):
        k = into[p]
        capacity = network.capacity[network.link_of_arc[k]]
        scaled = flow[k] * (wanted / arriving)
        if beyond:
            flow[k] = scaled
        elif flow[k] > 0.0:
            flow[k] = min(scaled, capacity) + share * max(capacity - scaled, 0.0)


@compiled_numeric
def _sweep(
    network: Network,
    price: Floats,
    start: Ints,
    into: Ints,
    cell_start: Ints,
    cells: Ints,
    order: Ints,
    flow: Floats,
    power: Floats,
) -> float:
    """Corrects supplies to needs, all parts alike as far as limits let them; returns the most that was corrected."""
    need = np.zeros(len(order))
    done = np.zeros(len(order), dtype=np.bool_)
    most = 0.0
    for v in order:
        done[v] = True
        supply, arriving = 0.0, 0.0
        for p in range(cell_start[v], cell_start[v + 1]):
            c = cells[p]
            if network.cell_gain[c] < 0.0:
                need[v] += power[c]
            else:
                supply += power[c]
        for p in range(start[v], start[v + 1]):
            arriving += flow[into[p]]
        supply += arriving
        required = need[v] / network.efficiency[v]
        most = max(most, abs(required - supply))
        factor = required / supply if supply > 0.0 else 0.0
        lacking, cheapest, best_arc, source = required, np.inf, -1, -1
        for p in range(cell_start[v], cell_start[v + 1]):
            c = cells[p]
            if network.cell_gain[c] > 0.0:
                power[c] = min(power[c] * factor, network.cell_limit[c])
                lacking -= power[c]
                if source < 0 or power[source] == network.cell_limit[source]:
                    source = c
                if network.cell_cost[c] < cheapest and power[c] < network.cell_limit[c]:
                    cheapest, source = network.cell_cost[c], c
        for p in range(start[v], start[v + 1]):
            k = into[p]
            ask = price[network.tail[k]] * network.linear[k] + network.arc_cost[k]
            if not done[network.tail[k]] and ask < cheapest:
                cheapest, best_arc = ask, k
        if arriving > 0.0:
            _fill(network, start[v], start[v + 1], into, max(lacking, 0.0), arriving, flow)
        if lacking > 0.0 and arriving == 0.0:
            # Too little for the solver to have seen, or for anyone: take it the way that is cheapest.
            if best_arc >= 0 and (source < 0 or lacking > _ROUNDING * required):
                flow[best_arc] = lacking
            elif source >= 0:
                power[source] += lacking
            else:
                return np.inf
        for p in range(start[v], start[v + 1]):
            k = into[p]
            sent = (network.linear[k] + network.square[k] * flow[k]) * flow[k]
            need[network.tail[k]] += sent
    return most
