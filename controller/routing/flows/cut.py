"""Maximum flow to the sinks and the minimum cut that binds it: why a request was refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from controller.routing.flows.max_flow import maximum_flow
from controller.routing.flows.node_splitting import SplitGraph, split_nodes
from controller.routing.graph import Floats, PowerGraph

# Sources of endless power are as good as ones that no network can use up, and sums of them stay finite.
_MAX_W = 1e15


@dataclass(frozen=True, slots=True)
class Cut:
    """``deliverable_w`` bounds from above what can reach the sinks; ``arcs`` and ``source_nodes`` bind it.

    ``near_nodes`` are on the sources' side of it. Sinks among them get all that they want. ``converters`` are routers
    of which the limited through-power is part of the cut.
    """

    deliverable_w: float
    arcs: tuple[int, ...]
    source_nodes: tuple[int, ...]
    near_nodes: frozenset[int]
    converters: tuple[int, ...] = ()


def minimum_cut(graph: PowerGraph, sink: int, available_w: Mapping[int, float]) -> Cut:
    """The cut nearest to one sink that takes whatever arrives; see :func:`minimum_cut_to_sinks`."""
    return minimum_cut_to_sinks(graph, {sink: inf}, available_w)


def minimum_cut_to_sinks(
    graph: PowerGraph, wanted_w: Mapping[int, float], available_w: Mapping[int, float]
) -> Cut:
    """The cut nearest to several sinks, which want ``wanted_w`` to be delivered, from what sources can inject.

    By maximum flow with converter losses at the sinks only, so what it says can be delivered is a true upper bound.
    Where nothing binds, no arc and no source is named, and all nodes are near.
    """
    split = split_nodes(graph)
    if split is not None:
        by_outlet = {int(split.outlet[sink]): power_w for sink, power_w in wanted_w.items()}
        return _joined(split, _cut_to_sinks(split.graph, by_outlet, available_w))
    return _cut_to_sinks(graph, wanted_w, available_w)


def _joined(split: SplitGraph, cut: Cut) -> Cut:
    """A cut of a split graph, as one of the graph before."""
    crossing = set(cut.arcs)
    return Cut(
        cut.deliverable_w,
        split.arcs_before(cut.arcs),
        cut.source_nodes,
        frozenset(np.flatnonzero(np.isin(split.outlet, list(cut.near_nodes))).tolist()),
        tuple(
            router
            for router, arc in zip(split.routers.tolist(), split.between.tolist(), strict=True)
            if arc in crossing
        ),
    )


def _cut_to_sinks(
    graph: PowerGraph, wanted_w: Mapping[int, float], available_w: Mapping[int, float]
) -> Cut:
    capacity_w = np.clip(graph.headroom_a * graph.voltage_v, 0.0, _MAX_W)
    offered_w = _by_node(graph, available_w)
    entering_w = _by_node(graph, wanted_w) / graph.efficiency
    # More than can arrive, and finite.
    most_w = 2.0 * float(offered_w.sum()) + 1.0
    _, beyond = maximum_flow(
        graph.start,
        graph.tail,
        graph.leaving_start,
        graph.leaving,
        graph.head,
        capacity_w,
        offered_w,
        np.minimum(entering_w, most_w),
    )
    crossing = ~beyond[graph.tail] & beyond[graph.head]
    passing_w = float(capacity_w[crossing].sum() + offered_w[beyond].sum())
    near_w = sum(power_w for sink, power_w in wanted_w.items() if not beyond[sink])
    far_w = sum(power_w for sink, power_w in wanted_w.items() if beyond[sink])
    best = max((float(graph.efficiency[sink]) for sink in wanted_w if beyond[sink]), default=1.0)
    return Cut(
        near_w + min(passing_w * best, far_w),
        tuple(np.flatnonzero(crossing).tolist()),
        tuple(node for node in available_w if beyond[node]),
        frozenset(np.flatnonzero(~beyond).tolist()),
    )


def compile_kernels() -> None:
    """Compile, or load, what a first question would wait for."""
    graph = PowerGraph([1.0, 1.0], [0], [1], [0], [0.0], [1.0], [1.0])
    minimum_cut(graph, 1, {0: 1.0})


def _by_node(graph: PowerGraph, power_w: Mapping[int, float]) -> Floats:
    values = np.zeros(graph.node_count)
    for node, power in power_w.items():
        values[node] = min(max(power, 0.0), _MAX_W)
    return values
