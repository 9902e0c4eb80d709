"""Flood fill: the routers that are reached from some over arcs that are open."""

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled
from controller.routing.graph import Ints, PowerGraph

Bools = npt.NDArray[np.bool_]


def flooded(graph: PowerGraph, nodes: Ints, *, upstream: Bools, downstream: Bools) -> Bools:
    """Whether each router is reached from ``nodes``, against arcs of ``upstream`` and along arcs of ``downstream``."""
    reached = np.zeros(graph.node_count, dtype=np.bool_)
    _flood(
        graph.start, graph.tail, graph.leaving_start, graph.leaving, graph.head,
        upstream, downstream, nodes, reached,
    )  # fmt: skip
    return reached


@compiled
def _flood(
    start: Ints,
    tail: Ints,
    leaving_start: Ints,
    leaving: Ints,
    head: Ints,
    upstream: Bools,
    downstream: Bools,
    nodes: Ints,
    reached: Bools,
) -> None:
    waiting = np.empty(len(reached), dtype=np.int32)
    count = 0
    for node in nodes:
        if not reached[node]:
            reached[node] = True
            waiting[count] = node
            count += 1
    while count > 0:
        count -= 1
        node = waiting[count]
        for arc in range(start[node], start[node + 1]):
            if upstream[arc] and not reached[tail[arc]]:
                reached[tail[arc]] = True
                waiting[count] = tail[arc]
                count += 1
        for place in range(leaving_start[node], leaving_start[node + 1]):
            arc = leaving[place]
            if downstream[arc] and not reached[head[arc]]:
                reached[head[arc]] = True
                waiting[count] = head[arc]
                count += 1
