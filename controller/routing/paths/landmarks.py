"""Landmarks: distances to a few routers, from which every search takes bounds (ALT; Goldberg and Harrelson 2005).

The weight of an arc is the logarithm of the least growth of a label along it, ``-ln(eta) + ln(1 + R p / U²)``, with
nothing reserved. So bounds stay true while load is added or links go down, and are made true again by
:meth:`Landmarks.repair` where the figures of an arc change.
"""

from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np

from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.shortest_path_tree import (
    Ways,
    downstream,
    grow_tree,
    repair_tree,
    upstream,
)

# Landmarks that are made; of them a search reads those that help it most.
DEFAULT_COUNT = 16
# What bounds are made for where lines have no limits.
_WITHOUT_LIMITS_W = 1e6


class Landmarks:
    """Bounds for searches on one graph. All arcs count, also those that are out of service for now."""

    def __init__(
        self,
        graph: PowerGraph,
        count: int = DEFAULT_COUNT,
        reference_power_w: float | None = None,
    ) -> None:
        """Bounds are best for powers between 0 and the reference, by default what the median arc can carry.

        Raises ValueError where there is not at least one landmark or the reference is not above 0 W.
        """
        if count < 1:
            raise ValueError(f"there must be at least one landmark, not {count}")
        reference_w = usual_power_w(graph) if reference_power_w is None else reference_power_w
        if not 0.0 < reference_w < inf:
            raise ValueError(f"the reference power must be above 0 W, not {reference_w} W")
        self._graph = graph
        self.reference_w = reference_w
        self._ways = (downstream(graph), upstream(graph))
        arcs = np.arange(graph.arc_count)
        self._weight = np.stack([_weight(graph, arcs, power_w) for power_w in self._powers_w])
        self.nodes = _far_apart(self._ways[0], self._weight[0], graph.node_count, count)
        columns = 2 * len(self.nodes)
        self.tables = np.empty((columns, graph.node_count, 2))
        self._parent = np.empty((2, columns, graph.node_count), dtype=np.int32)
        for ways, weight, root, distance, parent in self._trees():
            grow_tree(ways, weight, root, distance, parent)

    @property
    def _powers_w(self) -> tuple[float, float]:
        return (0.0, self.reference_w)

    def repair(self, arc: int, *, absent: bool = False) -> None:
        """Read the figures of an arc from the graph again, or count it as absent until it is repaired once more.

        An arc that counts as absent must be repaired before it comes into service.
        """
        for weight, power_w in zip(self._weight, self._powers_w, strict=True):
            weight[arc] = inf if absent else _weight(self._graph, arc, power_w)
        for ways, weight, _, distance, parent in self._trees():
            repair_tree(ways, weight, arc, distance, parent)

    def _trees(self) -> Iterator[tuple[Ways, Floats, int, Floats, Ints]]:
        """Each tree's ways, weights and root, its row of the tables and of the parents."""
        count = len(self.nodes)
        for at_power, weight in enumerate(self._weight):
            for column in range(2 * count):
                ways, root = self._ways[column // count], int(self.nodes[column % count])
                distance, parent = self.tables[column, :, at_power], self._parent[at_power, column]
                yield ways, weight, root, distance, parent


def _weight(graph: PowerGraph, arc: Any, power_w: float) -> Any:
    """The logarithm of the least growth along an arc, or along each of several."""
    line = graph.resistance_ohm[arc] * power_w / graph.voltage_v[arc] ** 2
    return np.log1p(line) - np.log(graph.efficiency[graph.tail[arc]])


def usual_power_w(graph: PowerGraph) -> float:
    carried_w = graph.voltage_v * graph.ampacity_a
    usable = carried_w[np.isfinite(carried_w) & (carried_w > 0.0)]
    return float(np.median(usable)) if len(usable) else _WITHOUT_LIMITS_W


def _far_apart(ways: Ways, weight: Floats, node_count: int, count: int) -> Ints:
    """Routers of the largest island, each the farthest from those before it."""
    # Loaded when it is needed: a controller that starts has no time for it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(ways.near)), (ways.near, ways.far)), shape=(node_count,) * 2)
    _, island = connected_components(links, directed=False)
    inside = np.flatnonzero(island == np.argmax(np.bincount(island)))
    distance, parent = np.empty(node_count), np.empty(node_count, dtype=np.int32)

    def from_node(node: int) -> Floats:
        grow_tree(ways, weight, node, distance, parent)
        return np.where(distance < inf, distance, 0.0)[inside]

    # The first router is only where to look from.
    farthest = int(np.argmax(from_node(int(inside[0]))))
    nearest = np.full(len(inside), inf)
    chosen: list[int] = []
    for _ in range(min(count, len(inside))):
        chosen.append(int(inside[farthest]))
        nearest = np.minimum(nearest, from_node(chosen[-1]))
        nearest[farthest] = -1.0
        farthest = int(np.argmax(nearest))
    return np.array(chosen, dtype=np.int32)
