"""Shortest-path trees with additive weights, and their repair after the weight of one arc changed.

The repair is that of Ramalingam and Reps (1996): only what changes is touched. A weight that rises concerns the
subtree below the arc, if the tree uses it at all; one that falls spreads as far as it shortens something.
"""

from math import inf
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.heap import heap_push, heap_remove_first, with_room

# Entries that there is room for at first; it grows.
_FIRST_HEAP = 256


class Ways(NamedTuple):
    """The arcs of a graph in the direction in which a tree grows: arc k goes from ``near[k]`` on to ``far[k]``.

    Those that go on from v are ``on[on_start[v]:on_start[v + 1]]``, those that come to it ``back`` likewise.
    """

    near: Ints
    far: Ints
    on_start: Ints
    on: Ints
    back_start: Ints
    back: Ints


def downstream(graph: PowerGraph) -> Ways:
    """A tree of paths from its root."""
    entering = np.arange(graph.arc_count, dtype=np.int32)
    return Ways(graph.tail, graph.head, graph.leaving_start, graph.leaving, graph.start, entering)


def upstream(graph: PowerGraph) -> Ways:
    """A tree of paths to its root."""
    entering = np.arange(graph.arc_count, dtype=np.int32)
    return Ways(graph.head, graph.tail, graph.start, entering, graph.leaving_start, graph.leaving)


class ShortestPathTree:
    """``distance[v]`` between the root and v, infinite where no path leads, and ``parent[v]``, v's last arc, or -1.

    Weights are at least 0; an infinite one is an arc that is down. ``weight`` is the tree's own copy.
    """

    def __init__(self, ways: Ways, weight: Floats, root: int) -> None:
        """Raises ValueError where a weight is negative or not a number."""
        if not np.all(weight >= 0.0):
            raise ValueError("weights of a shortest-path tree must be at least 0")
        node_count = len(ways.on_start) - 1
        self.ways = ways
        self.root = root
        self.weight = np.array(weight, dtype=np.float64)
        self.distance = np.empty(node_count)
        self.parent = np.empty(node_count, dtype=np.int32)
        grow_tree(ways, self.weight, root, self.distance, self.parent)

    def repair(self, arc: int, new_weight: float) -> int:
        """Give an arc another weight; how many routers had to be looked at. Raises ValueError as the constructor."""
        if not new_weight >= 0.0:
            raise ValueError(f"the weight of arc {arc} must be at least 0, not {new_weight}")
        self.weight[arc] = new_weight
        return repair_tree(self.ways, self.weight, arc, self.distance, self.parent)


@compiled
def grow_tree(ways: Ways, weight: Floats, root: int, distance: Floats, parent: Ints) -> None:
    """Dijkstra's algorithm, into ``distance`` and ``parent``."""
    distance[:] = inf
    parent[:] = -1
    distance[root] = 0.0
    keys = np.empty(_FIRST_HEAP, dtype=np.float64)
    items = np.empty(_FIRST_HEAP, dtype=np.int32)
    heap_push(keys, items, 0, 0.0, root)
    _spread(ways, weight, distance, parent, keys, items, 1)


@compiled
def repair_tree(ways: Ways, weight: Floats, arc: int, distance: Floats, parent: Ints) -> int:
    """Make a tree right again of which one arc has another weight now; how many routers had to be looked at."""
    keys = np.empty(_FIRST_HEAP, dtype=np.float64)
    items = np.empty(_FIRST_HEAP, dtype=np.int32)
    near, far = ways.near[arc], ways.far[arc]
    through = distance[near] + weight[arc]
    if through < distance[far]:
        distance[far] = through
        parent[far] = arc
        heap_push(keys, items, 0, through, far)
        return _spread(ways, weight, distance, parent, keys, items, 1)
    if parent[far] != arc or through == distance[far]:
        return 0
    below = _cut_off(ways, far, distance, parent)
    size = 0
    for node in below:
        for at in range(ways.back_start[node], ways.back_start[node + 1]):
            other = ways.back[at]
            length = distance[ways.near[other]] + weight[other]
            if length < distance[node]:
                distance[node] = length
                parent[node] = other
    for node in below:
        if distance[node] < inf:
            keys, items = with_room(keys, items, size)
            heap_push(keys, items, size, distance[node], node)
            size += 1
    return len(below) + _spread(ways, weight, distance, parent, keys, items, size)


@compiled
def _cut_off(ways: Ways, top: int, distance: Floats, parent: Ints) -> Ints:
    """Take a subtree out of the tree: its routers, which are infinitely far now."""
    below = np.empty(_FIRST_HEAP, dtype=np.int32)
    below[0] = top
    count, done = 1, 0
    distance[top] = inf
    parent[top] = -1
    while done < count:
        node = below[done]
        done += 1
        for at in range(ways.on_start[node], ways.on_start[node + 1]):
            arc = ways.on[at]
            child = ways.far[arc]
            if parent[child] != arc:
                continue
            if count == len(below):
                more = np.empty(2 * count, dtype=np.int32)
                more[:count] = below
                below = more
            below[count] = child
            count += 1
            distance[child] = inf
            parent[child] = -1
    return below[:count]


@compiled
def _spread(
    ways: Ways,
    weight: Floats,
    distance: Floats,
    parent: Ints,
    keys: Floats,
    items: Ints,
    size: int,
) -> int:
    """Carry shorter distances on from the routers in the heap; how many were settled."""
    settled = 0
    while size > 0:
        length, node = keys[0], items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if length > distance[node]:
            continue
        settled += 1
        for at in range(ways.on_start[node], ways.on_start[node + 1]):
            arc = ways.on[at]
            far = ways.far[arc]
            through = length + weight[arc]
            if through < distance[far]:
                distance[far] = through
                parent[far] = arc
                keys, items = with_room(keys, items, size)
                heap_push(keys, items, size, through, far)
                size += 1
    return settled
