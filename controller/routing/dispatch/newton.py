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


class Blocks(NamedTuple):
    """What all directions from a point have in common, so that it is divided only once.

    Arcs: ``per_flow`` is 1 / flow, ``marginal`` what the last received watt takes, ``own`` the diagonal of the reduced
    Hessian. Links: ``shared`` is what they add to each entry of the block of their arcs, ``per_pair`` 1 / its
    determinant. ``per_cell``: 1 / a cell's entry of the reduced Hessian.
    """

    per_flow: Floats
    marginal: Floats
    own: Floats
    per_spare: Floats
    shared: Floats
    per_pair: Floats
    per_power: Floats
    per_rest: Floats
    per_cell: Floats


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


def empty_blocks(network: Network) -> Blocks:
    arcs, links, cells = len(network.tail), len(network.first), len(network.cell_node)
    sizes = (arcs, arcs, arcs, links, links, links, cells, cells, cells)
    return Blocks(*(np.zeros(size) for size in sizes))


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
def assemble(
    network: Network, point: Point, blocks: Blocks, diagonal: Floats, upper: Floats
) -> None:
    """Fills in what all directions from the point have in common, and the matrix of the prices."""
    for v in range(len(diagonal)):
        diagonal[v] = point.waste[v] / point.price[v]
    upper[:] = 0.0
    for k in range(len(network.tail)):
        curvature = 2.0 * network.square[k]
        blocks.per_flow[k] = 1.0 / point.flow[k]
        blocks.marginal[k] = network.linear[k] + curvature * point.flow[k]
        curvature *= point.price[network.tail[k]]
        blocks.own[k] = curvature + point.flow_dual[k] * blocks.per_flow[k] + _DAMPING
    for e in range(len(network.first)):
        _assemble_link(network, point, blocks, e, diagonal, upper)
    for c in range(len(network.cell_node)):
        blocks.per_power[c] = 1.0 / point.power[c]
        blocks.per_rest[c] = 1.0 / point.rest[c]
        bounds = point.power_dual[c] * blocks.per_power[c] + point.rest_dual[c] * blocks.per_rest[c]
        blocks.per_cell[c] = 1.0 / (bounds + _DAMPING)
    for c in range(len(network.cell_node)):
        gain = network.cell_gain[c]
        diagonal[network.cell_node[c]] += gain * gain * blocks.per_cell[c]


@compiled_numeric
def _assemble_link(
    network: Network, point: Point, blocks: Blocks, e: int, diagonal: Floats, upper: Floats
) -> None:
    k, twin = network.first[e], network.second[e]
    blocks.per_spare[e] = 1.0 / point.spare[e]
    shared = point.spare_dual[e] * blocks.per_spare[e]
    blocks.shared[e] = shared
    own, pays = blocks.own[k], blocks.marginal[k]
    tail, head = network.tail[k], network.head[k]
    gain = network.efficiency[head]
    if twin < 0:
        inverse = 1.0 / (own + shared)
        blocks.per_pair[e] = inverse
        diagonal[head] += gain * gain * inverse
        diagonal[tail] += pays * pays * inverse
        upper[network.place[e]] -= gain * pays * inverse
        return
    other = blocks.own[twin]
    # The inverse of [[own + shared, shared], [shared, other + shared]], without cancellation.
    per_pair = 1.0 / (own * other + shared * (own + other))
    blocks.per_pair[e] = per_pair
    inverse = (other + shared) * per_pair
    other_inverse = (own + shared) * per_pair
    cross = -shared * per_pair
    back_gain, back_pays = network.efficiency[tail], blocks.marginal[twin]
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
    blocks: Blocks,
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
    _pull(out.spare, targets.spare, blocks.per_spare, point.spare_dual)
    _pull(arc_right, targets.flow, blocks.per_flow, point.flow_dual)
    _pull(cell_right, targets.power, blocks.per_power, point.power_dual)
    _pull(out.rest, targets.rest, blocks.per_rest, point.rest_dual)
    for k in range(len(network.tail)):
        arc_right[k] -= lacking.arc[k] + out.spare[network.link_of_arc[k]]
    for c in range(cells):
        cell_right[c] -= lacking.cell[c] + out.rest[c]
    for v in range(nodes):
        right[v] = targets.waste[v] / point.price[v] - point.waste[v] - lacking.node[v]
    for e in range(links):
        _spread(network, blocks, e, arc_right, right)
    for c in range(cells):
        right[network.cell_node[c]] -= network.cell_gain[c] * cell_right[c] * blocks.per_cell[c]
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
    _back(network, blocks, point, targets, out)


@compiled_numeric
def _pull(out: Floats, targets: Floats, per_value: Floats, duals: Floats) -> None:
    """What bounds add to right sides. Loops over so few arrays run several numbers at a time."""
    for i in range(len(out)):
        out[i] = targets[i] * per_value[i] - duals[i]


@compiled_numeric
def _move_duals(
    out: Floats, targets: Floats, per_value: Floats, duals: Floats, moved: Floats
) -> None:
    """How multipliers follow their values, which are ``moved``."""
    for i in range(len(out)):
        out[i] = (targets[i] - duals[i] * moved[i]) * per_value[i] - duals[i]


@compiled_numeric
def _spread(network: Network, blocks: Blocks, e: int, arc_right: Floats, right: Floats) -> None:
    """Takes what a link's arcs, moved by their right sides, bring to the routers' balances from these."""
    k, twin = network.first[e], network.second[e]
    tail, head = network.tail[k], network.head[k]
    if twin < 0:
        moved = arc_right[k] * blocks.per_pair[e]
        right[head] -= network.efficiency[head] * moved
        right[tail] += blocks.marginal[k] * moved
        return
    difference = blocks.shared[e] * (arc_right[k] - arc_right[twin])
    moved = (blocks.own[twin] * arc_right[k] + difference) * blocks.per_pair[e]
    back = (blocks.own[k] * arc_right[twin] - difference) * blocks.per_pair[e]
    gain, back_gain = network.efficiency[head], network.efficiency[tail]
    right[head] -= gain * moved - blocks.marginal[twin] * back
    right[tail] -= back_gain * back - blocks.marginal[k] * moved


@compiled_numeric
def _back(network: Network, blocks: Blocks, point: Point, targets: Targets, out: Point) -> None:
    """From the prices' direction to all the others."""
    price = out.price
    for v in range(len(price)):
        weighed = (targets.waste[v] - point.waste[v] * price[v]) / point.price[v]
        out.waste[v] = weighed - point.waste[v]
    for k in range(len(network.tail)):
        tail, head = network.tail[k], network.head[k]
        out.flow[k] += network.efficiency[head] * price[head] - blocks.marginal[k] * price[tail]
    for e in range(len(network.first)):
        k, twin = network.first[e], network.second[e]
        if twin < 0:
            out.flow[k] *= blocks.per_pair[e]
            moved = out.flow[k]
        else:
            difference = blocks.shared[e] * (out.flow[k] - out.flow[twin])
            here = (blocks.own[twin] * out.flow[k] + difference) * blocks.per_pair[e]
            back = (blocks.own[k] * out.flow[twin] - difference) * blocks.per_pair[e]
            out.flow[k], out.flow[twin] = here, back
            moved = here + back
        out.spare[e] = -moved
    for c in range(len(network.cell_node)):
        pulled = out.power[c] + network.cell_gain[c] * price[network.cell_node[c]]
        out.power[c] = pulled * blocks.per_cell[c]
        out.rest[c] = -out.power[c]
    _move_duals(out.flow_dual, targets.flow, blocks.per_flow, point.flow_dual, out.flow)
    _move_duals(out.spare_dual, targets.spare, blocks.per_spare, point.spare_dual, out.spare)
    _move_duals(out.power_dual, targets.power, blocks.per_power, point.power_dual, out.power)
    _move_duals(out.rest_dual, targets.rest, blocks.per_rest, point.rest_dual, out.rest)
