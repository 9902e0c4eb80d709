"""Pairs of disjoint paths of least cost: one carries power, the other stands by for when it fails.

The cost of a path is ``sum of ln((1 + R (2 I + P/U) / U) / eta)`` over its arcs (resistance R, current reserved I,
voltage U, efficiency eta of the router before the line), that is the logarithm of what its source injects for each
watt that enters the sink's router, linearised at the power P that was asked for. The true loss of a line grows with
what upstream routers must send, so no additive cost is exact; this one is wherever lines lose in proportion, it
counts that losses of arcs in series multiply, and it is never negative. Whoever admits a pair works out both paths
exactly (``given_path.along``). Arcs that cannot carry P are left out; each path must fit by itself, as only one of
both carries power at a time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from controller.routing.alternatives.pair_search import LeastPairs, PricedPair, PricedPath, Question
from controller.routing.alternatives.risk_groups import RiskGroups, RiskSearch
from controller.routing.graph import PowerGraph
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.landmarks import Landmarks


class Disjointness(Enum):
    """What no two paths of a pair may have in common; links are counted in both directions together.

    LINK: links. ROUTER: links and the routers between source and sink. RISK_GROUP: links and the groups of links
    that a single event would take down.
    """

    LINK = "link"
    ROUTER = "router"
    RISK_GROUP = "risk_group"


@dataclass(frozen=True, slots=True)
class DisjointPair:
    """Arcs of both paths, source first, their costs, and all that they have in common, also what they may.

    The first path is not the costlier. Routers are those between the ends.
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    first_cost: float
    second_cost: float
    shared_links: tuple[int, ...] = ()
    shared_routers: tuple[int, ...] = ()
    shared_groups: tuple[int, ...] = ()

    @property
    def cost(self) -> float:
        return self.first_cost + self.second_cost


@dataclass(frozen=True, slots=True)
class PairAnswer:
    """The best pair, or None; ``proven`` is false where a better one, or one at all, may have been missed."""

    pair: DisjointPair | None
    proven: bool


class PairSearch:
    """Searches on one graph, one at a time. Loads and headroom may change between them, all else is as it was."""

    def __init__(
        self,
        graph: PowerGraph,
        guide: Landmarks | AdditiveHierarchy | None = None,
        risk_groups: RiskGroups | None = None,
    ) -> None:
        """Groups must be of this graph, and a guide hold for its loads. Guides pay from some hundred routers on."""
        self._graph = graph
        self._pairs = LeastPairs(graph, guide)
        self._risks = RiskSearch(self._pairs, risk_groups or RiskGroups.none(graph))

    def best(
        self,
        sink: int,
        power_w: float,
        sources: Sequence[int],
        disjointness: Disjointness = Disjointness.LINK,
        *,
        maximally: bool = False,
        from_two_sources: bool = False,
        avoid_nodes: Collection[int] = (),
        avoid_arcs: Collection[int] = (),
        most_first_paths: int = 500,
    ) -> PairAnswer:
        """Find the pair of paths to ``sink`` that costs least at ``power_w``.

        Both begin at the same of the routers ``sources``, or where ``from_two_sources`` each at any of them. With
        ``maximally`` the pair shares as few elements as it can, and only then is of least cost; elements are those
        named by the disjointness, each counted once, and the same path twice is a pair. A source at the sink's
        router makes two paths without arcs.

        To find a pair that shares no risk group is NP-hard: ``most_first_paths`` limits for each source how many
        first paths are tried, and the answer says whether that was enough. Other answers are always proven. Raises
        ValueError where the power is not a finite positive number, or a router or an arc is not there.
        """
        asked = list(dict.fromkeys(sources))
        starts = [asked] if from_two_sources else [[source] for source in asked]
        best, proven = None, True
        for start in starts:
            question = Question.of(self._graph, sink, power_w, start, avoid_nodes, avoid_arcs)
            pair, known = self._pair(question, disjointness, maximally, most_first_paths)
            proven = proven and known
            if pair and (best is None or (pair.shared, pair.cost) < (best.shared, best.cost)):
                best = pair
        return PairAnswer(None if best is None else self._described(best), proven)

    def _pair(
        self,
        question: Question,
        disjointness: Disjointness,
        maximally: bool,
        most_first_paths: int,
    ) -> tuple[PricedPair | None, bool]:
        if question.sink in question.avoid_nodes:
            return None, True
        if question.sink in question.sources:
            nothing = PricedPath((), 0.0)
            return PricedPair(nothing, nothing, 0), True
        if disjointness is Disjointness.RISK_GROUP:
            return self._risks.best(question, maximally, most_first_paths)
        split = disjointness is Disjointness.ROUTER
        return self._pairs.pair(question, split_routers=split, may_share=maximally), True

    def _described(self, pair: PricedPair) -> DisjointPair:
        # Links count in every kind, so where nothing is shared they need not be compared.
        links = self._risks.shared_links(pair) if pair.shared else frozenset()
        one, other = (self._graph.head[list(path.arcs[:-1])] for path in (pair.first, pair.second))
        return DisjointPair(
            pair.first.arcs,
            pair.second.arcs,
            pair.first.cost,
            pair.second.cost,
            tuple(sorted(links)),
            tuple(sorted(set(one.tolist()).intersection(other.tolist()))),
            tuple(sorted(self._risks.shared_groups(pair))),
        )
