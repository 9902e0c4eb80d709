"""K shortest paths for power, none with a loop, in the order of what their sources inject: exact, losses included.

Yen's algorithm (J. Y. Yen, "Finding the k shortest loopless paths in a network", Management Science 17, 1971) from
the sink upstream, cut into sets that never overlap (E. L. Lawler, "A procedure for computing the k best
solutions...", Management Science 18, 1972). A set waits under a lower bound, and is searched only when no other
promises more, so most never are.
"""

from collections.abc import Collection, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count as running_numbers
from itertools import islice
from math import inf
from typing import cast

import numpy as np

from controller.routing.alternatives.deviations import (
    NOT_FROM_HERE,
    RankingAsk,
    best_of_set,
    grow_tree,
    promises,
    ranking_room_for,
)
from controller.routing.alternatives.growth import leaving_of
from controller.routing.alternatives.pair_search import Question
from controller.routing.graph import Ints, PowerGraph
from controller.routing.paths.cspf import Path
from controller.routing.paths.given_path import along
from controller.routing.paths.path_power import RELATIVE_TOLERANCE
from controller.routing.paths.search_arrays import arcs_of

# Of all paths, looked at for some with few hops.
_MAX_RANKED = 4096
_NONE = np.zeros(0, dtype=np.int32)


class PathRanking:
    """Rankings on one graph, one at a time. Loads and headroom may change between them, all else is as it was."""

    def __init__(self, graph: PowerGraph) -> None:
        self._graph = graph
        self._arcs = arcs_of(graph)
        self._leaving = leaving_of(graph)
        self._room = ranking_room_for(graph)

    def best(
        self,
        sink: int,
        power_w: float,
        available_w: Mapping[int, float],
        count: int,
        *,
        max_injected_w: float = inf,
        max_hops: int | None = None,
        avoid_nodes: Collection[int] = (),
        avoid_arcs: Collection[int] = (),
    ) -> list[Path]:
        """The ``count`` paths that deliver ``power_w`` at ``sink`` with the least injected power, or all there are.

        Under ``max_hops`` they are those among the first 4,096 by rank that are short enough.
        ``available_w`` gives, for each router with candidate sources, the most that one of them can inject. Paths
        that differ only in which of two parallel links they use are two. Raises ValueError where the power is not a
        finite positive number, the count not positive, or a router or an arc not there.
        """
        if count < 1:
            raise ValueError(f"at least one path must be asked for, not {count}")
        sink_w = Question.of(
            self._graph, sink, power_w, available_w, avoid_nodes, avoid_arcs
        ).sink_w
        limit_w = max_injected_w * (1.0 + RELATIVE_TOLERANCE)
        ask = RankingAsk(0, sink, sink_w, limit_w, False, inf)
        ranked = self.ranked(ask, available_w, avoid_nodes, avoid_arcs)
        found = (
            arcs
            for arcs, _ in islice(ranked, None if max_hops is None else _MAX_RANKED)
            if max_hops is None or len(arcs) <= max_hops
        )
        # What was found fits, so none of them is None.
        return [
            cast(Path, along(self._graph, arcs[::-1].tolist(), sink, power_w))
            for arcs in islice(found, count)
        ]

    def ranked(
        self,
        ask: RankingAsk,
        available_w: Mapping[int, float],
        avoid_nodes: Collection[int],
        avoid_arcs: Collection[int],
        factor: Mapping[int, float] | None = None,
    ) -> Iterator[tuple[Ints, float]]:
        """All paths by rank, as arcs, sink first, and their last label; found as they are asked for.

        ``factor`` multiplies the growth of some arcs. Until the iterator is closed, nothing else may be ranked.
        """
        if ask.sink in avoid_nodes or not available_w or ask.sink_w > ask.limit_w:
            return
        factor = factor or {}
        arcs = list(factor)
        self._room.factor[arcs] = list(factor.values())
        try:
            yield from self._ranked(ask, available_w, avoid_nodes, avoid_arcs)
        finally:
            self._room.factor[arcs] = 1.0

    def _ranked(
        self,
        ask: RankingAsk,
        available_w: Mapping[int, float],
        avoid_nodes: Collection[int],
        avoid_arcs: Collection[int],
    ) -> Iterator[tuple[Ints, float]]:
        room = self._room
        room.numbers[0] += 1
        ask = ask._replace(query=int(room.numbers[0]))
        sources = np.fromiter(available_w, np.int32, len(available_w))
        most_w = np.fromiter(available_w.values(), np.float64, len(available_w))
        avoided = (np.fromiter(each, np.int32, len(each)) for each in (avoid_nodes, avoid_arcs))
        most = grow_tree(self._arcs, self._leaving, room, ask, sources, most_w, *avoided)
        if most == inf:
            return
        ask = ask._replace(most=most)
        number = running_numbers()
        # A set: its bound, a number that tells equal ones apart, a path that it begins like, where it leaves that,
        # how it must not go on, and whether the path is its best already.
        waiting = [(0.0, next(number), _NONE, 0, _NONE, False)]
        while waiting:
            label_w, _, path, at, excluded, is_best = heappop(waiting)
            if not is_best:
                length, label_w = best_of_set(self._arcs, room, ask, path, at, excluded)
                if length >= 0:
                    best = room.path[:length].copy()
                    heappush(waiting, (label_w, next(number), best, at, excluded, True))
                continue
            yield path, label_w
            bounds_w = promises(self._arcs, room, ask, path, at, excluded)
            ways = np.append(path, np.int32(NOT_FROM_HERE))
            for beyond in np.flatnonzero(bounds_w <= ask.limit_w):
                bound_w, leaves = float(bounds_w[beyond]), at + int(beyond)
                own = ways[leaves : leaves + 1]
                without = np.append(excluded, own) if leaves == at else own
                if bound_w < inf:
                    heappush(waiting, (bound_w, next(number), path, leaves, without, False))


def k_best(
    graph: PowerGraph,
    sink: int,
    power_w: float,
    available_w: Mapping[int, float],
    count: int,
    *,
    max_injected_w: float = inf,
    avoid_nodes: Collection[int] = (),
    avoid_arcs: Collection[int] = (),
) -> list[Path]:
    """One ranking on a graph that is not searched again: see :meth:`PathRanking.best`."""
    return PathRanking(graph).best(
        sink,
        power_w,
        available_w,
        count,
        max_injected_w=max_injected_w,
        avoid_nodes=avoid_nodes,
        avoid_arcs=avoid_arcs,
    )
