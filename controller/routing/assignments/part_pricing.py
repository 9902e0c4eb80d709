"""The cheapest path from any source to one sink under prices: the next one that a split request could use."""

from typing import NamedTuple

import numpy as np

from controller.routing.assignments.priced_trees import Leaving, grow_tree, leaving_of
from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph


class PricedPath(NamedTuple):
    """``price`` is for each watt delivered at the sink."""

    price: float
    source: int
    arcs: Ints


class Pricing:
    """Prices paths to one sink, again and again; arcs that are closed stay so."""

    def __init__(
        self,
        graph: PowerGraph,
        sink: int,
        source_node: Ints,
        closed: Ints,
        most_hops: int | None,
    ) -> None:
        self._graph, self._sink, self._source_node = graph, sink, source_node
        self._leaving = leaving_of(graph)
        shut = np.zeros(graph.arc_count)
        shut[closed] = np.inf
        self._shut = shut[self._leaving.arc]
        few = most_hops is not None and most_hops < graph.node_count - 1
        self._most_hops = most_hops if few else None
        self._wanted = np.zeros(graph.node_count, dtype=np.int32)
        self._wanted[sink] = 1
        self._parent = np.empty(graph.node_count, dtype=np.int32)
        self._keys, self._items = np.empty(256), np.empty(256, dtype=np.int32)

    def cheapest(self, gain: Floats, toll: Floats, source_price: Floats) -> PricedPath | None:
        """Gains and tolls by arc; a watt from source s costs ``1 + source_price[s]``, infinite where it is closed."""
        label = np.full(self._graph.node_count, np.inf)
        np.minimum.at(label, self._source_node, 1.0 + source_price)
        first = label.copy()
        place = self._leaving.arc
        gains, tolls = gain[place], toll[place] + self._shut
        if self._most_hops is None:
            self._keys, self._items = grow_tree(
                self._leaving,
                gains,
                tolls,
                label,
                self._parent,
                self._wanted,
                1,
                self._keys,
                self._items,
            )
            arcs = _path_of(self._parent, self._graph.tail, self._sink)
            price = label[self._sink]
        else:
            price, arcs = _in_few_hops(
                self._leaving, self._graph.tail, gains, tolls, first, self._sink, self._most_hops
            )
        if not price < np.inf:
            return None
        begin = int(self._graph.tail[arcs[0]]) if len(arcs) else self._sink
        here = np.flatnonzero(self._source_node == begin)
        source = int(here[np.argmin(source_price[here])])
        return PricedPath(float(price / self._graph.efficiency[self._sink]), source, arcs)


@compiled
def _path_of(parent: Ints, tail: Ints, sink: int) -> Ints:
    length, node = 0, sink
    while parent[node] >= 0:
        node = tail[parent[node]]
        length += 1
    arcs = np.empty(length, dtype=np.int32)
    node = sink
    for place in range(length - 1, -1, -1):
        arcs[place] = parent[node]
        node = tail[parent[node]]
    return arcs


@compiled
def _in_few_hops(
    leaving: Leaving,
    tail: Ints,
    gain: Floats,
    toll: Floats,
    first: Floats,
    sink: int,
    most_hops: int,
) -> tuple[float, Ints]:
    """Bellman and Ford's recursion over the number of hops: exact, and without cycles as no arc makes power cheaper."""
    nodes = len(first)
    label = first
    parents = np.full((most_hops + 1, nodes), -1, dtype=np.int32)
    for hop in range(1, most_hops + 1):
        after = label.copy()
        for node in range(nodes):
            if label[node] == np.inf:
                continue
            for at in range(leaving.start[node], leaving.start[node + 1]):
                through = label[node] * gain[at] + toll[at]
                head = leaving.head[at]
                if through < after[head]:
                    after[head] = through
                    parents[hop, head] = leaving.arc[at]
        label = after
    arcs = np.empty(most_hops, dtype=np.int32)
    place, node = most_hops, sink
    for hop in range(most_hops, 0, -1):
        if parents[hop, node] >= 0:
            place -= 1
            arcs[place] = parents[hop, node]
            node = tail[arcs[place]]
    return label[sink], arcs[place:]
