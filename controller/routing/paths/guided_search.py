"""The search on one graph while its loads come and go, led by bounds that are kept true and close."""

from collections.abc import Iterable

from controller.routing.graph import Floats, PowerGraph
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.hierarchy import Hierarchy, TooEntangled
from controller.routing.paths.landmarks import Landmarks

# Routers; in smaller networks a search is done before bounds are looked up.
LEAD_FROM = 300
# Of all arcs: when loads of that many were set since, and nothing fell below, bounds for what stands lead better.
_RENEW_AFTER = 0.5


class GuidedSearch:
    """Keeps :attr:`search` and :attr:`pair_guide` right: whoever changes the graph says so before the next search.

    Hierarchies lead best. At first, and after a release, one is made for no loads, which holds for any; while loads
    only grow, it is made anew for those that stand. Where a graph is too entangled for a hierarchy, landmarks lead;
    small graphs need neither.
    """

    def __init__(self, graph: PowerGraph, lead_from: int = LEAD_FROM) -> None:
        self._graph = graph
        self._changed = 0
        self._guide = _guide_of(graph) if graph.node_count >= lead_from else None
        self._pair_guide: AdditiveHierarchy | None = None
        self.search = PathSearch(graph, self._guide)

    @property
    def pair_guide(self) -> Landmarks | AdditiveHierarchy | None:
        """For searches of pairs, which have a hierarchy of their own, made for the same loads when it is asked for."""
        if not isinstance(self._guide, Hierarchy):
            return self._guide
        if self._pair_guide is None:
            self._pair_guide = AdditiveHierarchy(self._guide)
        return self._pair_guide

    def loads_changed(self, count: int) -> None:
        """The loads of so many arcs were set."""
        if not isinstance(self._guide, Hierarchy) or not count:
            return
        self._changed += count
        if not self._guide.true_for(self._graph.load_a):
            self._renew(self._guide, None)
        elif self._changed > _RENEW_AFTER * self._graph.arc_count:
            self._renew(self._guide, self._graph.load_a)

    def figures_changed(self, arcs: Iterable[int]) -> None:
        """Lines are no longer what they were, and their loads were set again."""
        if isinstance(self._guide, Hierarchy):
            self._renew(self._guide, None)
            return
        if self._guide is not None:
            for arc in arcs:
                self._guide.repair(arc)
        self.search = PathSearch(self._graph, self._guide)

    def _renew(self, hierarchy: Hierarchy, standing_a: Floats | None) -> None:
        hierarchy.customise(standing_a)
        self._pair_guide = None
        self._changed = 0
        self.search = PathSearch(self._graph, hierarchy)


def _guide_of(graph: PowerGraph) -> Hierarchy | Landmarks:
    try:
        return Hierarchy(graph)
    except TooEntangled:
        return Landmarks(graph)
