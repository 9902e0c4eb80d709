"""The widest path: the most that one path can deliver, by Dijkstra's algorithm for the largest bottleneck.

What arrives over an arc grows with what is sent, and is never more. So the most that can enter a router is that of its
best predecessor, and labels set from the sources downstream, largest first, are final. Limits of hops and losses are
not looked at.
"""

from collections.abc import Collection, Mapping
from math import sqrt

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.heap import heap_push, heap_remove_first, with_room

# Entries that there is room for at first; it grows.
_FIRST_HEAP = 256
# What sources of endless power give, in watts: more than any line carries, and finite.
_MAX_W = 1e15


def widest_w(
    graph: PowerGraph,
    sink: int,
    available_w: Mapping[int, float],
    *,
    avoid_nodes: Collection[int] = (),
    avoid_arcs: Collection[int] = (),
) -> float:
    """The most that one path from any of the sources can deliver at ``sink``, beside what is reserved."""
    closed = np.zeros(graph.arc_count, dtype=np.bool_)
    closed[list(avoid_arcs)] = True
    entering_w = np.zeros(graph.node_count)
    for node, power_w in available_w.items():
        if node not in avoid_nodes:
            entering_w[node] = min(power_w, _MAX_W)
    for node in avoid_nodes:
        closed[graph.start[node] : graph.start[node + 1]] = True
    _widen(
        graph.leaving_start, graph.leaving, graph.head, graph.efficiency,
        graph.resistance_ohm, graph.voltage_v, graph.load_a, graph.headroom_a,
        closed, sink, entering_w,
    )  # fmt: skip
    return float(entering_w[sink] * graph.efficiency[sink])


@compiled
def _widen(
    leaving_start: Ints,
    leaving: Ints,
    head: Ints,
    efficiency: Floats,
    resistance_ohm: Floats,
    voltage_v: Floats,
    load_a: Floats,
    headroom_a: Floats,
    closed: npt.NDArray[np.bool_],
    sink: int,
    entering_w: Floats,
) -> None:
    """Raise ``entering_w`` from what sources give to the most that can enter each router on the way to the sink."""
    keys = np.empty(_FIRST_HEAP, dtype=np.float64)
    items = np.empty(_FIRST_HEAP, dtype=np.int32)
    size = 0
    for node in range(len(entering_w)):
        if entering_w[node] > 0.0:
            keys, items = with_room(keys, items, size + 1)
            heap_push(keys, items, size, -entering_w[node], node)
            size += 1
    while size > 0:
        most_w, node = -keys[0], items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if node == sink:
            break
        if most_w < entering_w[node]:
            continue
        sent_w = most_w * efficiency[node]
        for place in range(leaving_start[node], leaving_start[node + 1]):
            arc = leaving[place]
            if closed[arc] or not headroom_a[arc] > 0.0:
                continue
            # As digitalgrid.physics.received_w has it.
            linear = voltage_v[arc] + 2.0 * resistance_ohm[arc] * load_a[arc]
            root = sqrt(linear * linear + 4.0 * resistance_ohm[arc] * sent_w)
            added_a = min(2.0 * sent_w / (linear + root), headroom_a[arc])
            arriving_w = added_a * voltage_v[arc]
            if arriving_w > entering_w[head[arc]]:
                entering_w[head[arc]] = arriving_w
                keys, items = with_room(keys, items, size + 1)
                heap_push(keys, items, size, -arriving_w, head[arc])
                size += 1
