"""The most that a network could carry to a sink, and the cut that binds it: why a request was refused."""

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from controller.routing.graph import PowerGraph

_SOURCE, _SINK = "source", "sink"
_MOST_W = 1e15


@dataclass(frozen=True, slots=True)
class Cut:
    """``deliverable_w`` bounds from above what can reach the sink; ``arcs`` and ``source_nodes`` bind it.

    ``near_nodes`` are on the sources' side of it.
    """

    deliverable_w: float
    arcs: tuple[int, ...]
    source_nodes: tuple[int, ...]
    near_nodes: frozenset[int]


def minimum_cut(graph: PowerGraph, sink: int, available_w: Mapping[int, float]) -> Cut:
    """Maximum flow with converter losses at the sink only, so a true upper bound; in whole milliwatts."""
    flow = nx.DiGraph()
    flow.add_nodes_from([_SOURCE, _SINK, *range(graph.node_count)])
    flow.add_edge(sink, _SINK)
    for node, power_w in available_w.items():
        flow.add_edge(_SOURCE, node, capacity=_whole_mw(power_w))
    for arc, (tail, head) in enumerate(zip(graph.tail, graph.head, strict=True)):
        capacity_mw = _whole_mw(graph.headroom_a[arc] * graph.voltage_v[arc])
        if flow.has_edge(tail, head):
            capacity_mw += flow[tail][head]["capacity"]
        flow.add_edge(tail, head, capacity=capacity_mw)
    value_mw, (near, _) = nx.minimum_cut(flow, _SOURCE, _SINK)
    arcs = tuple(
        arc
        for arc, (tail, head) in enumerate(zip(graph.tail, graph.head, strict=True))
        if tail in near and head not in near
    )
    sources = tuple(node for node in available_w if node not in near)
    near_nodes = frozenset(near) - {_SOURCE, _SINK}
    return Cut(value_mw / 1e3 * graph.efficiency[sink], arcs, sources, near_nodes)


def _whole_mw(power_w: float) -> int:
    """Integers, so that the cut is exact; what is overdrawn is 0, and endless is much."""
    return round(min(max(power_w, 0.0), _MOST_W) * 1e3)
