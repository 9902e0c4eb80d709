"""What answers one route request beside us: the peers' quickest calls, on arrays of their own.

All search upstream from the sink, on reversed arcs, and stop where they can. A vertex behind all routers with sources
makes one search of "any source". Costs are the losses per watt at one power for all requests, beside what is
reserved; an arc that could not carry it costs without limit. So an admission changes the costs of its own links
only, which is less work for a peer than costs at the power of each request.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import igraph
import networkx as nx
import numpy as np
import rustworkx as rx
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from controller.routing.graph import Floats, Ints, PowerGraph


class Peer(ABC):
    """Vertices are the routers, and ``anywhere``, to which all routers with sources lead upstream at no cost.

    Arc k of the graph, reversed, is edge k; behind these are those that lead to ``anywhere``.
    """

    def __init__(self, graph: PowerGraph, source_nodes: Ints, power_w: float) -> None:
        self.graph = graph.snapshot()
        self.anywhere = graph.node_count
        self._power_w = power_w
        self._converter = 1.0 / graph.efficiency[graph.tail] - 1.0
        self.edges = list(zip(graph.head.tolist(), graph.tail.tolist(), strict=True))
        self.edges += [(node, self.anywhere) for node in source_nodes.tolist()]
        self.costs = np.zeros(len(self.edges))
        self.costs[: graph.arc_count] = self._costs_of(np.arange(graph.arc_count))

    def _costs_of(self, arcs: Ints) -> Floats:
        graph = self.graph
        voltage_v = graph.voltage_v[arcs]
        current_a = self._power_w / voltage_v
        line = graph.resistance_ohm[arcs] / voltage_v * (2.0 * graph.load_a[arcs] + current_a)
        fits = graph.headroom_a[arcs] >= current_a
        return np.where(fits, self._converter[arcs] + line, np.inf)

    def admit(self, arcs: Ints, added_a: Floats) -> None:
        """Reserve what one request got: loads, the headroom of both directions, and what costs follow."""
        graph = self.graph
        twins = graph.twin[arcs]
        graph.load_a[arcs] += added_a
        graph.headroom_a[arcs] -= added_a
        graph.headroom_a[twins] = graph.headroom_a[arcs]
        both = np.concatenate([arcs, twins])
        self.take_over(both, self._costs_of(both))

    @abstractmethod
    def take_over(self, arcs: Ints, costs: Floats) -> None:
        """Give edges other costs."""

    @abstractmethod
    def nodes(self, sink: int, source: int) -> Sequence[int]:
        """The vertices of the best path from the sink to a router, or to anywhere."""


class Networkx(Peer):
    """The bidirectional search, the quickest by far; costs as an attribute, quicker than a function."""

    def __init__(self, graph: PowerGraph, source_nodes: Ints, power_w: float) -> None:
        super().__init__(graph, source_nodes, power_w)
        self._network = nx.DiGraph()
        self._network.add_nodes_from(range(self.anywhere + 1))
        self._network.add_edges_from(self.edges)
        self._data = [self._network.edges[edge] for edge in self.edges]
        self.take_over(np.arange(len(self.edges)), self.costs)

    def take_over(self, arcs: Ints, costs: Floats) -> None:
        for arc, cost in zip(arcs.tolist(), costs.tolist(), strict=True):
            self._data[arc]["weight"] = cost

    def nodes(self, sink: int, source: int) -> Sequence[int]:
        found: Sequence[int] = nx.bidirectional_dijkstra(self._network, sink, source)[1]
        return found


class Rustworkx(Peer):
    """Dijkstra's algorithm up to the target; edges carry their costs as numbers, which is the quickest to read."""

    def __init__(self, graph: PowerGraph, source_nodes: Ints, power_w: float) -> None:
        super().__init__(graph, source_nodes, power_w)
        self._network = rx.PyDiGraph(multigraph=False)
        self._network.add_nodes_from(range(self.anywhere + 1))
        weighted = zip(self.edges, self.costs.tolist(), strict=True)
        self._network.add_edges_from([(a, b, cost) for (a, b), cost in weighted])

    def take_over(self, arcs: Ints, costs: Floats) -> None:
        for arc, cost in zip(arcs.tolist(), costs.tolist(), strict=True):
            self._network.update_edge_by_index(arc, cost)

    def nodes(self, sink: int, source: int) -> Sequence[int]:
        paths = rx.digraph_dijkstra_shortest_paths(self._network, sink, source, weight_fn=float)
        found: Sequence[int] = paths[source]
        return found


class Igraph(Peer):
    """Dijkstra's algorithm up to the target; costs as a list, which is quicker than an attribute."""

    def __init__(self, graph: PowerGraph, source_nodes: Ints, power_w: float) -> None:
        super().__init__(graph, source_nodes, power_w)
        self._network = igraph.Graph(n=self.anywhere + 1, edges=self.edges, directed=True)
        self._weights: list[float] = self.costs.tolist()

    def take_over(self, arcs: Ints, costs: Floats) -> None:
        for arc, cost in zip(arcs.tolist(), costs.tolist(), strict=True):
            self._weights[arc] = cost

    def nodes(self, sink: int, source: int) -> Sequence[int]:
        found: Sequence[int] = self._network.get_shortest_path(sink, source, weights=self._weights)
        return found


class Scipy(Peer):
    """Dijkstra's algorithm over a matrix whose entries change in place.

    It cannot stop at a target, but at a distance: where any source will do, which is near, distances are doubled
    until there is one. For a named source, which may be anywhere, that would take longer.
    """

    def __init__(self, graph: PowerGraph, source_nodes: Ints, power_w: float) -> None:
        super().__init__(graph, source_nodes, power_w)
        near, far = np.array(self.edges, dtype=np.int32).T
        count = self.anywhere + 1
        order = np.lexsort((far, near))
        start = np.searchsorted(near[order], np.arange(count + 1)).astype(np.int32)
        self._place = np.argsort(order)
        self._matrix = csr_array((self.costs[order], far[order], start), shape=(count, count))
        self._first_limit = 4.0 * float(np.median(self.costs[: graph.arc_count]))

    def take_over(self, arcs: Ints, costs: Floats) -> None:
        self._matrix.data[self._place[arcs]] = costs

    def nodes(self, sink: int, source: int) -> Sequence[int]:
        limit = self._first_limit if source == self.anywhere else np.inf
        while True:
            distance, before = dijkstra(
                self._matrix, indices=sink, limit=limit, return_predecessors=True
            )
            if distance[source] < np.inf or limit == np.inf:
                return list(_back(before, source))[::-1]
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
