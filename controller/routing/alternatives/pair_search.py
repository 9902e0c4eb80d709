"""The compiled searches of pairs and paths at one power, called from Python: arrays in, tuples out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from controller.routing.alternatives.growth import leaving_of, log_growth
from controller.routing.alternatives.pair_bounds import pair_bounds_of
from controller.routing.alternatives.pair_room import PairAsk, pair_room_for
from controller.routing.alternatives.suurballe import least_pair, least_path, scarcity
from controller.routing.graph import Ints, PowerGraph
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.landmarks import Landmarks
from controller.routing.paths.search_arrays import arcs_of

_NONE = np.zeros(0, dtype=np.int32)
# Twice the number of a query must fit into 32 bits.
_MAX_QUERIES = 2**30


@dataclass(frozen=True, slots=True)
class Question:
    """Where from and where to; ``sink_w`` is what must enter the sink's router. Avoided are routers and arcs."""

    sink: int
    sink_w: float
    sources: Ints
    avoid_nodes: Ints
    avoid_arcs: Ints

    @staticmethod
    def of(
        graph: PowerGraph,
        sink: int,
        power_w: float,
        sources: Collection[int],
        avoid_nodes: Collection[int],
        avoid_arcs: Collection[int],
    ) -> "Question":
        """Raises ValueError where the power is not a finite positive number, or a router or an arc is not there."""
        if not 0.0 < power_w < inf:
            raise ValueError(f"paths are searched for a power above 0 W, not for {power_w} W")
        for name, numbers, count in (
            ("router", (sink, *sources, *avoid_nodes), graph.node_count),
            ("arc", avoid_arcs, graph.arc_count),
        ):
            if numbers and not (min(numbers) >= 0 and max(numbers) < count):
                raise ValueError(f"{name} numbers go from 0 to {count - 1}, not to {numbers}")
        arrays = (np.array(list(each), np.int32) for each in (sources, avoid_nodes, avoid_arcs))
        return Question(sink, power_w / float(graph.efficiency[sink]), *arrays)

    def without(self, arcs: Ints) -> "Question":
        """The same, with more arcs to avoid."""
        avoid_arcs = np.concatenate([self.avoid_arcs, arcs])
        return Question(self.sink, self.sink_w, self.sources, self.avoid_nodes, avoid_arcs)


@dataclass(frozen=True, slots=True)
class PricedPath:
    """Arcs, source first, and the sum of the logarithms of their growth at the power of the question."""

    arcs: tuple[int, ...]
    cost: float


@dataclass(frozen=True, slots=True)
class PricedPair:
    """The first is not the costlier; ``shared`` counts what both use of what was to be used once."""

    first: PricedPath
    second: PricedPath
    shared: int

    @property
    def cost(self) -> float:
        return self.first.cost + self.second.cost


class LeastPairs:
    """Searches on one graph, one at a time. Loads and headroom may change between them, all else is as it was."""

    def __init__(
        self, graph: PowerGraph, guide: Landmarks | AdditiveHierarchy | None = None
    ) -> None:
        self.graph = graph
        self._arcs = arcs_of(graph)
        self._leaving = leaving_of(graph)
        self._room = pair_room_for(graph)
        self._bounds = pair_bounds_of(guide)
        self._last_ask = PairAsk(0, 0, 0.0, 0.0, False, False)

    def pair(
        self,
        question: Question,
        *,
        split_routers: bool = False,
        may_share: bool = False,
        free_arcs: Ints = _NONE,
    ) -> PricedPair | None:
        """The pair with the fewest shared elements (none unless it may), then of least cost; None where there is none.

        Elements are links, and with ``split_routers`` also the routers between source and sink. Sharing one of
        ``free_arcs`` does not count.
        """
        ask = self._ask(question, split_routers, may_share)
        shared, length, other_length, cost, other_cost = least_pair(
            self._arcs,
            self._leaving,
            self._room,
            self._bounds,
            ask,
            question.sources,
            question.avoid_nodes,
            question.avoid_arcs,
            free_arcs,
        )
        if shared < 0:
            return None
        one = PricedPath(tuple(self._room.one[:length].tolist()), cost)
        other = PricedPath(tuple(self._room.other[:other_length].tolist()), other_cost)
        return (
            PricedPair(one, other, shared) if cost <= other_cost else PricedPair(other, one, shared)
        )

    def path(self, question: Question) -> PricedPath | None:
        """The path of least cost alone."""
        hops, cost = least_path(
            self._arcs,
            self._leaving,
            self._room,
            self._bounds,
            self._ask(question, False, False),
            question.sources,
            question.avoid_nodes,
            question.avoid_arcs,
        )
        return None if hops < 0 else PricedPath(tuple(self._room.first_arcs[:hops].tolist()), cost)

    def priced(self, arcs: Ints, question: Question) -> PricedPath:
        """A path that is given, at the power of the question."""
        cost = log_growth(self._arcs, np.ascontiguousarray(arcs), len(arcs), question.sink_w)
        return PricedPath(tuple(arcs.tolist()), cost)

    def scarcity_of(self, pair: PricedPair) -> Mapping[int, float]:
        """Of the pair that was searched last, links only: the factor by which each of its arcs is scarce, 1 or more."""
        arcs = np.unique(np.array(pair.first.arcs + pair.second.arcs, np.int32))
        factors = scarcity(self._arcs, self._room, self._last_ask, arcs)
        return dict(zip(arcs.tolist(), factors.tolist(), strict=True))

    def _ask(self, question: Question, split_routers: bool, may_share: bool) -> PairAsk:
        query = self._last_ask.query + 1
        if query == _MAX_QUERIES:
            self._room, query = pair_room_for(self.graph), 1
        self._last_ask = PairAsk(
            query,
            question.sink,
            question.sink_w,
            min(question.sink_w / self._bounds.by_landmarks.reference_w, 1.0),
            split_routers,
            may_share,
        )
        return self._last_ask
