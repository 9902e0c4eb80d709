"""A grid view as the arrays that kernels read: which index stands for which router and link, and what is reserved."""

from collections.abc import Iterable, Iterator

from controller.core.grid_view import GridView
from controller.core.ledger import Ledger, link_direction
from controller.core.lsdb import LinkView
from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.guided_search import LEAD_FROM, GuidedSearch
from controller.routing.paths.landmarks import Landmarks
from controller.routing.paths.locality import near_numbers


class GridArrays:
    """All links whose two routers are known, up or not; those that admit nothing are out of service.

    Loads follow the ledger when :meth:`sync` is called. A view with the same routers and lines as before is taken
    over in place: lines go out of and into service, and where their figures changed, landmarks are repaired.
    """

    view: GridView
    _links: dict[str, LinkView]

    def __init__(self, view: GridView, ledger: Ledger) -> None:
        self._ledger = ledger
        self._build(view)

    def adopt(self, view: GridView) -> bool:
        """Stand for this view from now on; whether the arrays had to be built again."""
        if _skeleton(view) != _skeleton(self.view):
            self._build(view)
            return True
        self.view = view
        before = self._links
        self._links = {link.link_id: link for link in _joined(view)}
        changed = [
            link
            for link_id, link in self._links.items()
            if _figures(link) != _figures(before[link_id])
        ]
        arcs = [self._arc[link.link_id, end] for link in changed for end in (link.a, link.b)]
        for arc in arcs:
            self.graph.set_figures(arc, *_figures(self._links[self.link_id(arc)]))
        self._refresh_all()
        if arcs:
            self._guided.figures_changed(arcs)
        else:
            # What was released since the last search is in the arrays by now.
            self._guided.loads_changed(1)
        return False

    def sync(self) -> None:
        """Take over what was reserved and released since this was last called."""
        changed = self._ledger.take_changed_links()
        for link_id in changed:
            self._refresh(link_id)
        self._guided.loads_changed(2 * len(changed))

    @property
    def search(self) -> PathSearch:
        """For single paths; right until the next :meth:`sync` or :meth:`adopt`."""
        return self._guided.search

    @property
    def landmarks(self) -> Landmarks | None:
        """For searches of pairs; None where the network is small."""
        return self._guided.landmarks

    # Ids and indices

    def node(self, router_id: str) -> int:
        return self._node[router_id]

    def nodes(self, router_ids: Iterable[str]) -> set[int]:
        """Of those that are known."""
        return {self._node[each] for each in router_ids if each in self._node}

    def arc(self, link_id: str, from_router_id: str) -> int | None:
        return self._arc.get((link_id, from_router_id))

    def arcs(self, link_ids: Iterable[str]) -> set[int]:
        """Both directions of the links that are known."""
        return {
            self._arc[link_id, end]
            for link_id in link_ids
            if link_id in self._links
            for end in (self._links[link_id].a, self._links[link_id].b)
        }

    def hops(self) -> list[tuple[str, str]]:
        """(link, router that sends) of every arc."""
        return list(self._arc)

    def link_id(self, arc: int) -> str:
        return self.link_ids[int(self.graph.link[arc])]

    # Building

    def _build(self, view: GridView) -> None:
        self.view = view
        self._links = {link.link_id: link for link in _joined(view)}
        self.link_ids = list(self._links)
        self.router_ids = self._in_order(list(view.routers))
        self._node = {router_id: node for node, router_id in enumerate(self.router_ids)}
        self.graph = self._new_graph()
        self._arc = {
            (self.link_id(arc), self.router_ids[tail]): arc
            for arc, tail in enumerate(self.graph.tail.tolist())
        }
        self._refresh_all()
        self._guided = GuidedSearch(self.graph, LEAD_FROM)

    def _in_order(self, router_ids: list[str]) -> list[str]:
        """Neighbours get near numbers, so that what a search touches lies together in memory."""
        number = {router_id: node for node, router_id in enumerate(router_ids)}
        ends = [[number[each] for each in (link.a, link.b)] for link in self._links.values()]
        a, b = zip(*ends, strict=True) if ends else ((), ())
        return [router_ids[old] for old in near_numbers(len(router_ids), a, b)]

    def _new_graph(self) -> PowerGraph:
        links = self._links.values()
        return graph_of_links(
            [self.view.routers[router_id].efficiency for router_id in self.router_ids],
            [self._node[link.a] for link in links],
            [self._node[link.b] for link in links],
            [link.resistance_ohm for link in links],
            [link.voltage_v for link in links],
            [link.ampacity_a for link in links],
        )

    def _refresh_all(self) -> None:
        self._ledger.take_changed_links()
        for link_id in self._links:
            self._refresh(link_id)

    def _refresh(self, link_id: str) -> None:
        link = self._links.get(link_id)
        if link is None:
            return
        for end in (link.a, link.b):
            arc = self._arc[link_id, end]
            self.graph.set_load(arc, self._ledger.total(link_direction(link_id, end)))
        if not self.view.admits(link):
            for end in (link.a, link.b):
                self.graph.take_out_of_service(self._arc[link_id, end])


def _joined(view: GridView) -> Iterator[LinkView]:
    """Links between two routers that have both told of themselves."""
    return (
        link
        for link in view.links.values()
        if link.a != link.b and {link.a, link.b} <= view.routers.keys()
    )


def _skeleton(view: GridView) -> tuple[object, ...]:
    """What indices are given to, and what is fixed about it."""
    return (
        {router.router_id: router.efficiency for router in view.routers.values()},
        {link.link_id: (link.a, link.b) for link in _joined(view)},
    )


def _figures(link: LinkView) -> tuple[float, float, float]:
    return link.resistance_ohm, link.voltage_v, link.ampacity_a
