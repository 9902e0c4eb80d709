"""Constrained shortest path first for power: the path on which a source injects the least.

The search walks backward from the sink. A node's label is the power that must enter that router so that the sink
gets what was asked. Every arc's function is increasing and at least the identity, and a smaller label dominates,
so label-setting (Dijkstra) is exact, capacity and loss limits included. Under a limit of hops a label is a pair
(power, hops), and only one that is smaller in neither is dropped.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from controller.routing.graph import PowerGraph
from digitalgrid.physics import sent_w

# Float rounding must not refuse a circuit exactly as large as what is free.
RELATIVE_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Path:
    """Routers from source to sink, the arcs between them, and the power that enters each router (W)."""

    nodes: tuple[int, ...]
    arcs: tuple[int, ...]
    entering_w: tuple[float, ...]

    @property
    def injected_w(self) -> float:
        return self.entering_w[0]


@dataclass(frozen=True, slots=True)
class _Label:
    entering_w: float
    node: int
    arc: int
    towards_sink: int


def cspf(
    graph: PowerGraph,
    sink: int,
    power_w: float,
    available_w: Mapping[int, float],
    *,
    max_injected_w: float = inf,
    max_hops: int | None = None,
    avoid_nodes: Collection[int] = (),
    avoid_arcs: Collection[int] = (),
    credit_a: Mapping[int, float] | None = None,
) -> Path | None:
    """Find the path that delivers ``power_w`` at ``sink`` with the least injected power.

    ``available_w`` gives, for each router with candidate sources, the most that one of them can inject.
    ``credit_a`` is current that the circuit itself holds already on an arc, and may use again (make-before-break).
    Returns None where no path meets all constraints.
    """
    if sink in avoid_nodes:
        return None
    credit_a = credit_a or {}
    limit_w = max_injected_w * (1.0 + RELATIVE_TOLERANCE)
    fewest_hops: list[float] = [inf] * graph.node_count
    labels = [_Label(power_w / float(graph.efficiency[sink]), sink, -1, -1)]
    heap = [(labels[0].entering_w, 0, 0)]
    while heap:
        entering_w, hops, index = heappop(heap)
        node = labels[index].node
        if entering_w > limit_w:
            return None
        if fewest_hops[node] <= hops:
            continue
        fewest_hops[node] = hops
        if available_w.get(node, -1.0) * (1.0 + RELATIVE_TOLERANCE) >= entering_w:
            return _unwind(labels, index)
        if hops == max_hops:
            continue
        next_hops = hops if max_hops is None else hops + 1
        for arc in range(graph.start[node], graph.start[node + 1]):
            tail = int(graph.tail[arc])
            if fewest_hops[tail] <= next_hops or arc in avoid_arcs or tail in avoid_nodes:
                continue
            needed_w = float(_through(graph, arc, entering_w, credit_a.get(arc, 0.0)))
            if needed_w < inf and needed_w <= limit_w:
                labels.append(_Label(needed_w, tail, arc, index))
                heappush(heap, (needed_w, next_hops, len(labels) - 1))
    return None


def _through(graph: PowerGraph, arc: int, arriving_w: float, credit_a: float) -> float:
    """Power that must enter the arc's tail so that ``arriving_w`` enters its head; infinite if it does not fit.

    Of the circuit's own older generation only what exceeds the newcomer is charged before it: routers clamp the
    sum of both to the larger, so as the newcomer grows the older one has gone.
    """
    voltage_v = graph.voltage_v[arc]
    free_a = graph.headroom_a[arc] + credit_a
    added_a = arriving_w / voltage_v
    if added_a > free_a * (1.0 + RELATIVE_TOLERANCE):
        return inf
    before_a = graph.load_a[arc] - min(credit_a, added_a)
    sent = sent_w(arriving_w, graph.resistance_ohm[arc], voltage_v, before_a)
    return sent / graph.efficiency[graph.tail[arc]]


def _unwind(labels: list[_Label], index: int) -> Path:
    nodes, arcs, entering_w = [], [], []
    while index >= 0:
        label = labels[index]
        nodes.append(label.node)
        entering_w.append(label.entering_w)
        if label.arc >= 0:
            arcs.append(label.arc)
        index = label.towards_sink
    return Path(tuple(nodes), tuple(arcs), tuple(entering_w))
