"""What the peers of the benchmark of disjoint pairs are asked, each in the way that is quickest for it."""

from collections.abc import Sequence
from math import inf
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from benchmarks.harness import seconds_of
from benchmarks.ortools_peer import OrtoolsFlow
from controller.routing.graph import Floats, PowerGraph

_UNITS_PER_COST = 1e6

Whole = npt.NDArray[np.int64]
# Source and sink.
Question = tuple[int, int]


class Network:
    """A power network as the peers have it: arcs between nodes, each for one path, and their costs.

    Peers answer with the seconds for all questions and the true cost of both paths for each, infinite where there
    are not two. Where routers are split, router v is entered at node v and left at node n + v.
    """

    def __init__(self, graph: PowerGraph, costs: Floats, *, split_routers: bool) -> None:
        fits = np.flatnonzero(costs < inf)
        self._n = graph.node_count
        self._split = split_routers
        tail, head, cost = graph.tail[fits], graph.head[fits], costs[fits]
        if split_routers:
            through = np.arange(self._n)
            tail = np.concatenate([tail + self._n, through])
            head = np.concatenate([head, through + self._n])
            cost = np.concatenate([cost, np.zeros(self._n)])
        by_tail = np.lexsort((head, tail))
        tail, head, cost = tail[by_tail], head[by_tail], cost[by_tail]
        self._tail, self._head, self._cost = tail, head, cost
        self._units: Whole = np.rint(cost * _UNITS_PER_COST).astype(np.int64)
        self._directed = nx.DiGraph()
        self._directed.add_nodes_from(range(self._n * (2 if split_routers else 1)), demand=0)
        for each in zip(*(a.tolist() for a in (tail, head, self._units)), strict=True):
            self._directed.add_edge(each[0], each[1], weight=each[2], capacity=1)
        self._true = {(int(u), int(v)): float(c) for u, v, c in zip(tail, head, cost, strict=True)}
        # Of these, parallel links would need nodes of their own.
        assert len(self._true) == len(self._cost)
        if not split_routers:
            self._weighted = nx.DiGraph()
            self._weighted.add_weighted_edges_from((u, v, c) for (u, v), c in self._true.items())
            self._arc_of = {arc: number for number, arc in enumerate(self._true)}
            self._row_start = np.searchsorted(tail, np.arange(self._n + 1))

    def load(self, ortools: OrtoolsFlow) -> None:
        ortools.load(self._tail, self._head, np.ones_like(self._units), self._units)

    def by_ortools(
        self, ortools: OrtoolsFlow, questions: Sequence[Question]
    ) -> tuple[float, list[float]]:
        solved = [ortools.solve([self._start(source), sink], [2, -2]) for source, sink in questions]
        costs = [float(each.flows @ self._cost) if each.optimal else inf for each in solved]
        return sum(each.seconds for each in solved), costs

    def by_networkx(self, questions: Sequence[Question]) -> tuple[float, list[float]]:
        """By the quicker of its algorithms, which is found out with the first question."""
        ways = (nx.network_simplex, nx.capacity_scaling)
        first = [self._flow(way, questions[0]) for way in ways]
        quicker = 0 if first[0][0] <= first[1][0] else 1
        answers = [first[quicker]]
        answers += [self._flow(ways[quicker], question) for question in questions[1:]]
        return sum(seconds for seconds, _ in answers), [cost for _, cost in answers]

    def _flow(self, way: Any, question: Question) -> tuple[float, float]:
        nodes = self._directed.nodes
        start, sink = self._start(question[0]), question[1]
        nodes[start]["demand"], nodes[sink]["demand"] = -2, 2
        try:
            seconds, (_, flows) = seconds_of(lambda: way(self._directed))
        finally:
            nodes[start]["demand"] = nodes[sink]["demand"] = 0
        return seconds, sum(
            units * self._true[tail, head]
            for tail, onward in flows.items()
            for head, units in onward.items()
            if units
        )

    def by_scipy(self, questions: Sequence[Question]) -> tuple[float, list[float]]:
        return seconds_of(lambda: [self._scipy_searches(*question) for question in questions])

    def _scipy_searches(self, source: int, sink: int) -> float:
        """Suurballe's algorithm. Arcs that are taken back are those of the other direction of their link."""
        tail, head, start, shape = self._tail, self._head, self._row_start, (self._n, self._n)
        first = csr_array((self._cost, head, start), shape=shape)
        distance, before = dijkstra(first, indices=source, return_predecessors=True)
        if distance[sink] == inf:
            return inf
        reached = np.where(distance < inf, distance, 0.0)
        # Rounding must not leave a cost below zero.
        reduced = np.maximum(self._cost + reached[tail] - reached[head], 0.0)
        node = sink
        while node != source:
            upon = int(before[node])
            reduced[self._arc_of[upon, node]] = inf
            reduced[self._arc_of[node, upon]] = 0.0
            node = upon
        second = csr_array((reduced, head, start), shape=shape)
        return float(2.0 * distance[sink] + dijkstra(second, indices=source)[sink])

    def by_networkx_dijkstra(self, questions: Sequence[Question]) -> tuple[float, list[float]]:
        return seconds_of(lambda: [self._networkx_searches(*question) for question in questions])

    def _networkx_searches(self, source: int, sink: int) -> float:
        distance, paths = nx.single_source_dijkstra(self._weighted, source)
        if sink not in distance:
            return inf
        on_path = set(zip(paths[sink][:-1], paths[sink][1:], strict=True))

        def reduced(tail: int, head: int, arc: dict[str, float]) -> float | None:
            if (tail, head) in on_path:
                return None
            if (head, tail) in on_path:
                return 0.0
            return max(float(arc["weight"] + distance[tail] - distance[head]), 0.0)

        try:
            beyond, _ = nx.bidirectional_dijkstra(self._weighted, source, sink, reduced)
        except nx.NetworkXNoPath:
            return inf
        return float(2.0 * distance[sink] + beyond)

    def _start(self, source: int) -> int:
        return source + self._n if self._split else source
