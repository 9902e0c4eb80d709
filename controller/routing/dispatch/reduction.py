"""The part of a problem that can carry power from a source to a load, in scaled units and in elimination order."""

from dataclasses import dataclass
from functools import cached_property
from math import log2

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled
from controller.routing.dispatch.flood import flooded
from controller.routing.dispatch.ldl import Pattern, analyse, elimination_order
from controller.routing.dispatch.newton import Network
from controller.routing.dispatch.problem import DispatchProblem
from controller.routing.graph import Floats, Ints, row_starts
from controller.routing.paths.heap import heap_push, heap_remove_first, with_room

# The most that is generated for a unit delivered.
_DEAREST_DELIVERY = 1e4
# Of what is asked in all.
_MAX_OFFERED = 1e8


@dataclass(frozen=True)
class Reduction:
    """``arcs``, ``sources``, ``loads`` and ``nodes`` are those that are left, by their numbers in the problem.

    ``network`` has them in this order (``nodes`` in elimination order; cells: sources, then loads) with all costs 0;
    a unit of power is ``unit_w``.
    """

    arcs: Ints
    sources: Ints
    loads: Ints
    nodes: Ints
    network: Network
    pattern: Pattern
    unit_w: float

    @cached_property
    def is_lossless(self) -> bool:
        network = self.network
        lossy_arcs = np.any(network.square > 0.0) or np.any(network.linear > 1.0)
        return not lossy_arcs and bool(np.all(network.efficiency == 1.0))

    @cached_property
    def delivery(self) -> Floats:
        """What must be generated for a unit that a load gets, by load, over its best path when lines are empty."""
        network, sources = self.network, len(self.sources)
        nodes = len(network.efficiency)
        given = network.cell_node[:sources]
        # By router, what must be generated for a unit that its converter puts out.
        least = np.full(nodes, np.inf)
        least[given] = 1.0 / network.efficiency[given]
        leaving = np.argsort(network.tail, kind="stable").astype(np.int32)
        needed = network.linear / network.efficiency[network.head]
        _spread(row_starts(network.tail, nodes), leaving, network.head, needed, least)
        delivered: Floats = least[network.cell_node[sources:]]
        return delivered

    @property
    def dearest_delivery(self) -> float:
        return float(self.delivery.max())


@compiled
def _spread(start: Ints, leaving: Ints, head: Ints, needed: Floats, least: Floats) -> None:
    """From the routers that have some on, over the best paths (Dijkstra's)."""
    keys, items = np.empty(len(least)), np.empty(len(least), dtype=np.int32)
    size = 0
    for node in range(len(least)):
        if least[node] < np.inf:
            heap_push(keys, items, size, least[node], node)
            size += 1
    while size > 0:
        key, node = keys[0], items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if key > least[node]:
            continue
        for place in range(start[node], start[node + 1]):
            arc = leaving[place]
            there = key * needed[arc]
            if there < least[head[arc]]:
                least[head[arc]] = there
                keys, items = with_room(keys, items, size)
                heap_push(keys, items, size, there, head[arc])
                size += 1


def reduce(problem: DispatchProblem) -> Reduction | None:
    """Drop what no power can use; None where no power can reach any load.

    Loads that would get less than a ten-thousandth of what is generated for them count as out of reach.
    """
    loads = _where(problem.load_power_w > 0.0)
    reduction = _reduce_to(problem, loads)
    if reduction is None or reduction.dearest_delivery <= _DEAREST_DELIVERY:
        return reduction
    return _reduce_to(problem, reduction.loads[reduction.delivery <= _DEAREST_DELIVERY])


def _reduce_to(problem: DispatchProblem, loads: Ints) -> Reduction | None:
    graph = problem.graph
    open_arc = (graph.headroom_a > 0.0) & (graph.tail != graph.head)
    sources = _where(problem.source_max_w > 0.0)
    none = np.zeros_like(open_arc)
    useful = flooded(graph, problem.source_node[sources], upstream=none, downstream=open_arc)
    useful &= flooded(graph, problem.load_node[loads], upstream=open_arc, downstream=none)
    sources = sources[useful[problem.source_node[sources]]]
    loads = loads[useful[problem.load_node[loads]]]
    if not (len(sources) and len(loads)):
        return None
    arcs = _where(open_arc & useful[graph.tail] & useful[graph.head])
    return _scaled(problem, arcs, sources, loads, _where(useful))


def _where(condition: npt.NDArray[np.bool_]) -> Ints:
    return np.flatnonzero(condition).astype(np.int32)


def _scaled(
    problem: DispatchProblem, arcs: Ints, sources: Ints, loads: Ints, nodes: Ints
) -> Reduction:
    graph = problem.graph
    compact = np.zeros(graph.node_count, dtype=np.int32)
    compact[nodes] = np.arange(len(nodes), dtype=np.int32)
    _, leaders, link = np.unique(graph.link[arcs], return_index=True, return_inverse=True)
    first = leaders.astype(np.int32)
    second = np.full(len(first), -1, dtype=np.int32)
    is_first = np.zeros(len(arcs), dtype=np.bool_)
    is_first[first] = True
    others = _where(~is_first)
    second[link[others]] = others
    # One entry of the matrix for each link, whatever its direction.
    one, other = compact[graph.tail[arcs]][first], compact[graph.head[arcs]][first]
    order = elimination_order(len(nodes), one, other)
    pattern, place = analyse(len(nodes), order[one], order[other])
    compact[nodes] = order
    ordered_nodes = np.empty_like(nodes)
    ordered_nodes[order] = nodes

    # No source can need to give more than that, and endless limits would hide what is small.
    most_w = _MAX_OFFERED * float(problem.load_power_w[loads].sum())
    source_max_w = np.minimum(problem.source_max_w[sources], most_w)
    offered_w = float(source_max_w.sum())
    # A power of two, so that scaling changes no digit.
    unit_w = 2.0 ** round(log2(min(float(problem.load_power_w[loads].max()), offered_w)))
    voltage_v, resistance_ohm = graph.voltage_v[arcs], graph.resistance_ohm[arcs]
    capacity_w = np.minimum(graph.headroom_a[arcs] * voltage_v, offered_w)[first]
    limits_w = [source_max_w, problem.load_power_w[loads]]
    source_nodes = problem.source_node[sources]
    network = Network(
        efficiency=graph.efficiency[ordered_nodes],
        tail=compact[graph.tail[arcs]],
        head=compact[graph.head[arcs]],
        linear=1.0 + 2.0 * resistance_ohm * graph.load_a[arcs] / voltage_v,
        square=resistance_ohm / voltage_v**2 * unit_w,
        arc_cost=np.zeros(len(arcs)),
        link_of_arc=link.astype(np.int32),
        first=first,
        second=second,
        capacity=capacity_w / unit_w,
        place=place,
        cell_node=compact[np.concatenate([source_nodes, problem.load_node[loads]])],
        cell_gain=np.concatenate([graph.efficiency[source_nodes], np.full(len(loads), -1.0)]),
        cell_limit=np.concatenate(limits_w) / unit_w,
        cell_cost=np.zeros(len(sources) + len(loads)),
    )
    return Reduction(arcs, sources, loads, ordered_nodes, network, pattern, unit_w)
