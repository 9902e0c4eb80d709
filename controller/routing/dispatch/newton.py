"""Newton's direction for lossy flow, all but the routers' prices eliminated by hand.

A step then solves one sparse system as large as there are routers, with the network's own pattern.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_numeric
from controller.routing.dispatch.ldl import Factor, Pattern, solve
from controller.routing.graph import Floats, Ints


class Network(NamedTuple):
    """What is solved, in scaled units. A cell is a source (gain: efficiency) or a load (gain: -1) with a limit."""

    efficiency: Floats
    tail: Ints
    head: Ints
    linear: Floats
    square: Floats
    arc_cost: Floats
    link_of_arc: Ints
    first: Ints
    second: Ints
    capacity: Floats
    place: Ints
    cell_node: Ints
    cell_gain: Floats
    cell_limit: Floats
    cell_cost: Floats


class Point(NamedTuple):
    """Primal values and, named after them, the multipliers of their bounds; all are above 0.

    Arcs: ``flow``, ``flow_dual``. Links: ``spare``, ``spare_dual``. Cells: ``power``, ``power_dual``, ``rest`` (what
    lacks to the limit), ``rest_dual``. Routers: ``waste`` (thrown away), ``price``.
    """

    flow: Floats
    flow_dual: Floats
    spare: Floats
    spare_dual: Floats
    power: Floats
    power_dual: Floats
    rest: Floats
    rest_dual: Floats
    waste: Floats
    price: Floats


# Added to each diagonal entry that may vanish. Steps get a little shorter, their goal stays (the proximal point
# method), and lossless lines do not swamp what else is known of a router.
_DAMPING = 1e-9


class Residuals(NamedTuple):
    arc: Floats
    cell: Floats
    node: Floats


class Targets(NamedTuple):
    """What each product of a value and its multiplier is to become, named after the value."""

    flow: Floats
    spare: Floats
    power: Floats
    rest: Floats
    waste: Floats


def empty_targets(network: Network) -> Targets:
    arcs, links, cells = len(network.tail), len(network.first), len(network.cell_node)
    sizes = (arcs, links, cells, cells, len(network.efficiency))
    return Targets(*(np.zeros(size) for size in sizes))


def empty_point(network: Network) -> Point:
    arcs, links, cells = len(network.tail), len(network.first), len(network.cell_node)
    nodes = len(network.efficiency)
    sizes = (arcs, arcs, links, links, cells, cells, cells, cells, nodes, nodes)
    return Point(*(np.zeros(size) for size in sizes))


@compiled_numeric
def residuals(network: Network, point: Point, out: Residuals) -> tuple[float, float]:
    """Fills in what stationarity and balance still lack; returns the largest of each."""
    out.node[:] = -point.waste
    dual = 0.0
    for k in range(len(network.tail)):
        tail, head, flow = network.tail[k], network.head[k], point.flow[k]
        out.node[head] += network.efficiency[head] * flow
        out.node[tail] -= (network.linear[k] + network.square[k] * flow) * flow
        marginal = network.linear[k] + 2.0 * network.square[k] * flow
        pays = marginal * point.price[tail] - network.efficiency[head] * point.price[head]
        bounds = point.spare_dual[network.link_of_arc[k]] - point.flow_dual[k]
        out.arc[k] = network.arc_cost[k] + pays + bounds
        dual = max(dual, abs(out.arc[k]))
    for c in range(len(network.cell_node)):
        node = network.cell_node[c]
        out.node[node] += network.cell_gain[c] * point.power[c]
        bounds = point.rest_dual[c] - point.power_dual[c]
        out.cell[c] = network.cell_cost[c] - network.cell_gain[c] * point.price[node] + bounds
        dual = max(dual, abs(out.cell[c]))
    primal = 0.0
    for v in range(len(out.node)):
        primal = max(primal, abs(out.node[v]))
    return primal, dual


@compiled_numeric
def _blocks(network: Network, point: Point, k: int) -> tuple[float, float]:
    """Diagonal of an arc's reduced Hessian, and what its link adds to each entry of the pair's 2 x 2 block."""
    link = network.link_of_arc[k]
    curvature = 2.0 * network.square[k] * point.price[network.tail[k]]
    own = curvature + point.flow_dual[k] / point.flow[k] + _DAMPING
    return own, point.spare_dual[link] / point.spare[link]


@compiled_numeric
def _cell_block(point: Point, c: int) -> float:
    power, rest = point.power_dual[c] / point.power[c], point.rest_dual[c] / point.rest[c]
    return float(power + rest + _DAMPING)


@compiled_numeric
def _marginal(network: Network, point: Point, k: int) -> float:
    return float(network.linear[k] + 2.0 * network.square[k] * point.flow[k])


@compiled_numeric
def assemble(network: Network, point: Point, diagonal: Floats, upper: Floats) -> None:
    for v in range(len(diagonal)):
        diagonal[v] = point.waste[v] / point.price[v]
    upper[:] = 0.0
    for e in range(len(network.first)):
        k, twin = network.first[e], network.second[e]
        own, shared = _blocks(network, point, k)
        tail, head = network.tail[k], network.head[k]
        gain, pays = network.efficiency[head], _marginal(network, point, k)
        if twin < 0:
            inverse = 1.0 / (own + shared)
            diagonal[head] += gain * gain * inverse
            diagonal[tail] += pays * pays * inverse
            upper[network.place[e]] -= gain * pays * inverse
            continue
        other, _ = _blocks(network, point, twin)
        # The inverse of [[own + shared, shared], [shared, other + shared]], without cancellation.
        determinant = own * other + shared * (own + other)
        inverse = (other + shared) / determinant
        other_inverse = (own + shared) / determinant
        cross = -shared / determinant
        back_gain, back_pays = network.efficiency[tail], _marginal(network, point, twin)
        # Columns: head receives from k and pays for the twin; tail pays for k and receives from the twin.
        diagonal[head] += (
            gain * gain * inverse
            + back_pays * back_pays * other_inverse
            - 2.0 * gain * back_pays * cross
        )
        diagonal[tail] += (
            pays * pays * inverse
            + back_gain * back_gain * other_inverse
            - 2.0 * pays * back_gain * cross
        )
        upper[network.place[e]] += (
            (gain * back_gain + pays * back_pays) * cross
            - gain * pays * inverse
            - back_gain * back_pays * other_inverse
        )
    for c in range(len(network.cell_node)):
        own = _cell_block(point, c)
        diagonal[network.cell_node[c]] += network.cell_gain[c] ** 2 / own


@compiled_numeric
def _multiply(
    network: Network, pattern: Pattern, diagonal: Floats, upper: Floats, price: Floats, out: Floats
) -> None:
    for v in range(len(diagonal)):
        out[v] = diagonal[v] * price[v]
    for j in range(len(diagonal)):
        for p in range(pattern.start[j], pattern.start[j + 1]):
            i = pattern.row[p]
            out[i] += upper[p] * price[j]
            out[j] += upper[p] * price[i]


@compiled_numeric
def direction(
    network: Network,
    pattern: Pattern,
    factor: Factor,
    diagonal: Floats,
    upper: Floats,
    point: Point,
    lacking: Residuals,
    targets: Targets,
    out: Point,
) -> None:
    """Newton's direction towards products of ``targets`` that takes away what is ``lacking``."""
    nodes, links, cells = len(diagonal), len(network.first), len(network.cell_node)
    right, checked, work = np.zeros(nodes), np.zeros(nodes), np.zeros(nodes)
    # What an arc's or cell's own equation has on its right side, before prices move.
    arc_right, cell_right = out.flow, out.power
    for k in range(len(network.tail)):
        link = network.link_of_arc[k]
        arc_right[k] = (
            -lacking.arc[k]
            + targets.flow[k] / point.flow[k]
            - point.flow_dual[k]
            - targets.spare[link] / point.spare[link]
            + point.spare_dual[link]
        )
    for c in range(cells):
        cell_right[c] = (
            -lacking.cell[c]
            + targets.power[c] / point.power[c]
            - point.power_dual[c]
            - targets.rest[c] / point.rest[c]
            + point.rest_dual[c]
        )
    for v in range(nodes):
        right[v] = targets.waste[v] / point.price[v] - point.waste[v] - lacking.node[v]
    for e in range(links):
        _spread(network, point, e, arc_right, right, -1.0)
    for c in range(cells):
        own = _cell_block(point, c)
        right[network.cell_node[c]] -= network.cell_gain[c] * cell_right[c] / own
    price = out.price
    price[:] = right
    solve(pattern, factor, price)
    # One step of refinement: the matrix is badly conditioned near the solution.
    _multiply(network, pattern, diagonal, upper, price, checked)
    for v in range(nodes):
        work[v] = right[v] - checked[v]
    solve(pattern, factor, work)
    for v in range(nodes):
        price[v] += work[v]
    _back(network, point, targets, out)


@compiled_numeric
def _spread(
    network: Network, point: Point, e: int, arc_right: Floats, right: Floats, sign: float
) -> None:
    """Adds ``sign`` times what a link's arcs, moved by their right sides, bring to the routers' balances."""
    k, twin = network.first[e], network.second[e]
    own, shared = _blocks(network, point, k)
    tail, head = network.tail[k], network.head[k]
    if twin < 0:
        moved = arc_right[k] / (own + shared)
        right[head] += sign * network.efficiency[head] * moved
        right[tail] -= sign * _marginal(network, point, k) * moved
        return
    other, _ = _blocks(network, point, twin)
    determinant = own * other + shared * (own + other)
    difference = shared * (arc_right[k] - arc_right[twin])
    moved = (other * arc_right[k] + difference) / determinant
    back = (own * arc_right[twin] - difference) / determinant
    gain, back_gain = network.efficiency[head], network.efficiency[tail]
    right[head] += sign * (gain * moved - _marginal(network, point, twin) * back)
    right[tail] += sign * (back_gain * back - _marginal(network, point, k) * moved)


@compiled_numeric
def _back(network: Network, point: Point, targets: Targets, out: Point) -> None:
    """From the prices' direction to all the others."""
    price = out.price
    for v in range(len(price)):
        weighed = (targets.waste[v] - point.waste[v] * price[v]) / point.price[v]
        out.waste[v] = weighed - point.waste[v]
    for k in range(len(network.tail)):
        tail, head = network.tail[k], network.head[k]
        pays = _marginal(network, point, k)
        out.flow[k] += network.efficiency[head] * price[head] - pays * price[tail]
    for e in range(len(network.first)):
        k, twin = network.first[e], network.second[e]
        own, shared = _blocks(network, point, k)
        if twin < 0:
            out.flow[k] /= own + shared
            moved = out.flow[k]
        else:
            other, _ = _blocks(network, point, twin)
            determinant = own * other + shared * (own + other)
            difference = shared * (out.flow[k] - out.flow[twin])
            here = (other * out.flow[k] + difference) / determinant
            back = (own * out.flow[twin] - difference) / determinant
            out.flow[k], out.flow[twin] = here, back
            moved = here + back
        out.spare[e] = -moved
        weighed = (targets.spare[e] + point.spare_dual[e] * moved) / point.spare[e]
        out.spare_dual[e] = weighed - point.spare_dual[e]
    for k in range(len(network.tail)):
        weighed = (targets.flow[k] - point.flow_dual[k] * out.flow[k]) / point.flow[k]
        out.flow_dual[k] = weighed - point.flow_dual[k]
    for c in range(len(network.cell_node)):
        own = _cell_block(point, c)
        moved = (out.power[c] + network.cell_gain[c] * price[network.cell_node[c]]) / own
        out.power[c] = moved
        out.rest[c] = -moved
        weighed = (targets.power[c] - point.power_dual[c] * moved) / point.power[c]
        out.power_dual[c] = weighed - point.power_dual[c]
        weighed = (targets.rest[c] + point.rest_dual[c] * moved) / point.rest[c]
        out.rest_dual[c] = weighed - point.rest_dual[c]
