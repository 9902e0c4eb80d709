"""What answers one route request beside us: the peers' quickest calls, on arrays of their own.

All search upstream from the sink, on reversed arcs, and stop where they can. A vertex behind all routers with sources
makes one search of "any source". The cost of an arc is the loss per watt at the power of the request, beside what is
reserved: it is linear in that power, so each arc has a fixed part, which admissions change, and one for each watt. An
arc that cannot carry the power costs without limit.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import igraph
import networkx as nx
import numpy as np
import rustworkx as rx
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from controller.routing.graph import Floats, Ints, PowerGraph


class Peer(ABC):
    """Vertices are the routers, and ``anywhere``, to which all routers with sources lead upstream at no cost.

    Arc k of the graph, reversed, is edge k; behind these are those that lead to ``anywhere``. Arrays of edges:
    ``fixed`` costs, costs ``per_w``, and the most power that there is ``room_w`` for.
    """

    def __init__(self, graph: PowerGraph, source_nodes: Ints) -> None:
        self.graph = graph.snapshot()
        self.anywhere = graph.node_count
        self._converter = 1.0 / graph.efficiency[graph.tail] - 1.0
        self.edges = list(zip(graph.head.tolist(), graph.tail.tolist(), strict=True))
        self.edges += [(node, self.anywhere) for node in source_nodes.tolist()]
        arcs = np.arange(graph.arc_count, dtype=np.int32)
        free = np.zeros(len(source_nodes))
        self.per_w = np.concatenate([graph.resistance_ohm / graph.voltage_v**2, free])
        self.fixed = np.concatenate([self._fixed_of(arcs), free])
        self.room_w = np.concatenate([self._room_w_of(arcs), free + np.inf])

    def _fixed_of(self, arcs: Ints) -> Floats:
        graph = self.graph
        beside = 2.0 * graph.resistance_ohm[arcs] * graph.load_a[arcs] / graph.voltage_v[arcs]
        fixed: Floats = self._converter[arcs] + beside
        return fixed

    def _room_w_of(self, arcs: Ints) -> Floats:
        room_w: Floats = self.graph.headroom_a[arcs] * self.graph.voltage_v[arcs]
        return room_w

    def admit(self, arcs: Ints, added_a: Floats) -> None:
        """Reserve what one request got: loads, the headroom of both directions, and what costs follow."""
        graph = self.graph
        twins = graph.twin[arcs]
        graph.load_a[arcs] += added_a
        graph.headroom_a[arcs] -= added_a
        graph.headroom_a[twins] = graph.headroom_a[arcs]
        both = np.concatenate([arcs, twins])
        self.fixed[both] = self._fixed_of(both)
        self.room_w[both] = self._room_w_of(both)
        self.take_over(both)

    def costs(self, power_w: float) -> Floats:
        """Of all edges at once, for peers that want them so."""
        return np.where(self.room_w >= power_w, self.fixed + self.per_w * power_w, np.inf)

    def take_over(self, arcs: Ints) -> None:  # noqa: B027 - not every peer has a copy
        """Tell the peer's own structure of changed edges, if it has one."""

    @abstractmethod
    def nodes(self, sink: int, source: int, power_w: float) -> Sequence[int]:
        """The vertices of the best path from the sink to a router, or to anywhere; empty where there is none."""


class Networkx(Peer):
    """The bidirectional search, the quickest by far; an edge's costs are its attributes."""

    def __init__(self, graph: PowerGraph, source_nodes: Ints) -> None:
        super().__init__(graph, source_nodes)
        self._network = nx.DiGraph()
        self._network.add_nodes_from(range(self.anywhere + 1))
        self._network.add_edges_from(self.edges)
        self._data = [self._network.edges[edge] for edge in self.edges]
        self.take_over(np.arange(len(self.edges), dtype=np.int32))

    def take_over(self, arcs: Ints) -> None:
        for arc in arcs.tolist():
            terms = (float(self.fixed[arc]), float(self.per_w[arc]), float(self.room_w[arc]))
            self._data[arc]["terms"] = terms

    def nodes(self, sink: int, source: int, power_w: float) -> Sequence[int]:
        def cost(_: int, __: int, data: Mapping[str, tuple[float, float, float]]) -> float | None:
            fixed, per_w, room_w = data["terms"]
            return fixed + per_w * power_w if power_w <= room_w else None

        try:
            found: Sequence[int] = nx.bidirectional_dijkstra(self._network, sink, source, cost)[1]
        except nx.NetworkXNoPath:
            return []
        return found


class Rustworkx(Peer):
    """Dijkstra's algorithm up to the target; edges carry the terms of their costs."""

    def __init__(self, graph: PowerGraph, source_nodes: Ints) -> None:
        super().__init__(graph, source_nodes)
        self._network = rx.PyDiGraph(multigraph=False)
        self._network.add_nodes_from(range(self.anywhere + 1))
        self._network.add_edges_from([(a, b, None) for a, b in self.edges])
        self.take_over(np.arange(len(self.edges), dtype=np.int32))

    def take_over(self, arcs: Ints) -> None:
        for arc in arcs.tolist():
            terms = (float(self.fixed[arc]), float(self.per_w[arc]), float(self.room_w[arc]))
            self._network.update_edge_by_index(arc, terms)

    def nodes(self, sink: int, source: int, power_w: float) -> Sequence[int]:
        def cost(terms: tuple[float, float, float]) -> float:
            fixed, per_w, room_w = terms
            return fixed + per_w * power_w if power_w <= room_w else np.inf

        paths = rx.digraph_dijkstra_shortest_paths(self._network, sink, source, weight_fn=cost)
        found: Sequence[int] = paths[source] if source in paths else []  # noqa: SIM401 - no dict
        return found


class Igraph(Peer):
    """Dijkstra's algorithm up to the target; it wants all costs in a list."""

    def __init__(self, graph: PowerGraph, source_nodes: Ints) -> None:
        super().__init__(graph, source_nodes)
        self._network = igraph.Graph(n=self.anywhere + 1, edges=self.edges, directed=True)

    def nodes(self, sink: int, source: int, power_w: float) -> Sequence[int]:
        weights = self.costs(power_w).tolist()
        found: Sequence[int] = self._network.get_shortest_path(sink, source, weights=weights)
        return found


class Scipy(Peer):
    """Dijkstra's algorithm over a matrix, whose entries are worked out for each request.

    It cannot stop at a target, but at a distance: where any source will do, which is near, distances are doubled
    until there is one. For a named source, which may be anywhere, that would take longer.
    """

    def __init__(self, graph: PowerGraph, source_nodes: Ints) -> None:
        super().__init__(graph, source_nodes)
        near, far = np.array(self.edges, dtype=np.int32).T
        count = self.anywhere + 1
        self._order = np.lexsort((far, near))
        start = np.searchsorted(near[self._order], np.arange(count + 1)).astype(np.int32)
        costs = self.costs(0.0)[self._order]
        self._matrix = csr_array((costs, far[self._order], start), shape=(count, count))
        self._first_limit = 4.0 * float(np.median(self.fixed[: graph.arc_count]))

    def nodes(self, sink: int, source: int, power_w: float) -> Sequence[int]:
        self._matrix.data = self.costs(power_w)[self._order]
        limit = self._first_limit if source == self.anywhere else np.inf
        while True:
            distance, before = dijkstra(
                self._matrix, indices=sink, limit=limit, return_predecessors=True
            )
            if distance[source] < np.inf or limit == np.inf:
                return list(_back(before, source))[::-1] if distance[source] < np.inf else []
            limit = 2.0 * limit if limit < 1.0 else np.inf


def _back(before: Ints, node: int) -> Iterable[int]:
    while node >= 0:
        yield node
        node = int(before[node])


PEERS: dict[str, type[Peer]] = {
    "networkx": Networkx,
    "rustworkx": Rustworkx,
    "igraph": Igraph,
    "scipy": Scipy,
}
