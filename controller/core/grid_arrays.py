"""A grid view as the arrays that kernels read: which index stands for which router and link, and what is reserved."""

from collections.abc import Iterable, Iterator

from controller.core.grid_view import GridView
from controller.core.ledger import Ledger, link_direction
from controller.core.lsdb import LinkView
from controller.routing.cspf import PathSearch
from controller.routing.graph import PowerGraph, graph_of_links


class GridArrays:
    """All links whose two routers are known, up or not; those that admit nothing are out of service.

    Loads follow the ledger when :meth:`sync` is called. A view with the same routers and lines as before only
    puts lines out of and into service: no array is built again.
    """

    def __init__(self, view: GridView, ledger: Ledger) -> None:
        self._ledger = ledger
        self._build(view)

    def adopt(self, view: GridView) -> bool:
        """Stand for this view from now on; whether arrays had to be built again."""
        if self._structure_of(view) == self._structure:
            self.view = view
            self._refresh_all()
            return False
        self._build(view)
        return True

    def sync(self) -> None:
        """Take over what was reserved and released since this was last called."""
        for link_id in self._ledger.take_changed_links():
            self._refresh(link_id)

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

    def link_id(self, arc: int) -> str:
        return self.link_ids[int(self.graph.link[arc])]

    # Building

    def _build(self, view: GridView) -> None:
        self.view = view
        self._structure: tuple[object, ...] = self._structure_of(view)
        self._links = {link.link_id: link for link in _joined(view)}
        self.router_ids = list(view.routers)
        self.link_ids = list(self._links)
        self._node = {router_id: node for node, router_id in enumerate(self.router_ids)}
        self.graph = self._new_graph()
        self.search = PathSearch(self.graph)
        self._arc = {
            (self.link_id(arc), self.router_ids[tail]): arc
            for arc, tail in enumerate(self.graph.tail.tolist())
        }
        self._refresh_all()

    def _new_graph(self) -> PowerGraph:
        links = self._links.values()
        return graph_of_links(
            [router.efficiency for router in self.view.routers.values()],
            [self._node[link.a] for link in links],
            [self._node[link.b] for link in links],
            [link.resistance_ohm for link in links],
            [link.voltage_v for link in links],
            [link.ampacity_a for link in links],
        )

    @staticmethod
    def _structure_of(view: GridView) -> tuple[object, ...]:
        """What the fixed arrays are made of."""
        return (
            {router.router_id: router.efficiency for router in view.routers.values()},
            {
                link.link_id: (
                    *(link.a, link.b),
                    *(link.resistance_ohm, link.voltage_v, link.ampacity_a),
                )
                for link in _joined(view)
            },
        )

    def _refresh_all(self) -> None:
        self._ledger.take_changed_links()
        self._links = {link.link_id: link for link in _joined(self.view)}
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
