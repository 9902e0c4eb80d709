"""A grid view as the arrays that kernels read: which index stands for which router and link, and what is reserved."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from sys import maxsize

import numpy as np

from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import link_direction, through
from controller.core.network.link import LinkView
from controller.core.network.view import (
    GridView,
    ViewChange,
    change_of,
    figures_of,
    limited_converters,
)
from controller.routing.compiled import Engine, engine_in_use
from controller.routing.graph import Floats, PowerGraph, graph_of_links
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.guided_search import LEAD_FROM, GuidedSearch
from controller.routing.paths.landmarks import Landmarks
from controller.routing.paths.locality import near_numbers


class GridArrays:
    """All links whose two routers are known, up or not; those that admit nothing are out of service.

    Loads follow the reservations when :meth:`sync` is called. A view is taken over when the arrays are next used,
    however many came before it. With the same routers and lines that is done in place: lines go out of and into
    service, and where their figures changed, bounds are made true again.
    """

    view: GridView
    _links: dict[str, LinkView]

    def __init__(
        self, view: GridView, reservations: Reservations, claims: Reservations | None = None
    ) -> None:
        self._reservations = reservations
        # Room that nobody has yet and somebody will.
        self._claims = claims or Reservations()
        self.view = self._built = view
        self._closed_of: GridView | None = None
        self._closed: list[LinkView] = []
        self._build()

    def adopt(self, view: GridView) -> None:
        """Stand for this view from now on."""
        self.view = view

    def _catch_up(self) -> None:
        """Make the arrays stand for the view."""
        if self._built_by is not engine_in_use():
            self._built = self.view
            self._build()
        if self._built is self.view:
            return
        before, self._built = self._built, self.view
        change = change_of(before, self.view)
        if self._other_skeleton(before, change):
            self._build()
            return
        routers = change.routers
        touched = [
            link_id
            for link_id, link in self._links.items()
            if link_id in change.links or link.a in routers or link.b in routers
        ]
        refigured = []
        for link_id in touched:
            known, link = self._links[link_id], self.view.links[link_id]
            self._links[link_id] = link
            if _figures(known) != _figures(link):
                refigured += [self._arc[link_id, end] for end in (link.a, link.b)]
        for arc in refigured:
            self._graph.set_figures(arc, *_figures(self._links[self._link_id(arc)]))
        for link_id in touched:
            self._refresh(link_id)
        if refigured:
            self._guided.figures_changed(refigured)
        # Loads that have not been taken over yet are none of the view's business.
        self._guided.loads_changed(2 * len(touched))

    def _other_skeleton(self, before: GridView, change: ViewChange) -> bool:
        """Whether what indices are given to has changed, or what is fixed about it."""
        after = self.view
        return any(
            figures_of(before.routers.get(each)) != figures_of(after.routers.get(each))
            for each in change.routers
        ) or any(_ends(before, each) != _ends(after, each) for each in change.links)

    def sync(self) -> None:
        """Take over what was reserved and released since this was last called."""
        self._catch_up()
        changed = self._reservations.take_changed_links() | self._claims.take_changed_links()
        for router_id in self._take_changed_routers():
            # What leaves it by any line has other room now.
            changed |= self._links_at[router_id]
            self._graph.through_w[self._node[router_id]] = self._through_w(router_id)
        for link_id in changed:
            self._refresh(link_id)
        self._guided.loads_changed(2 * len(changed))

    @property
    def graph(self) -> PowerGraph:
        self._catch_up()
        return self._graph

    @property
    def pool_a(self) -> Floats:
        """The part of the graph's loads that shared standbys have together, by arc."""
        self._catch_up()
        return self._pool_a

    @property
    def router_ids(self) -> Sequence[str]:
        self._catch_up()
        return self._router_ids

    @property
    def link_ids(self) -> Sequence[str]:
        self._catch_up()
        return self._link_ids

    @property
    def search(self) -> PathSearch:
        """For single paths; right until the next :meth:`sync` or :meth:`adopt`."""
        self._catch_up()
        return self._guided.search

    def closed_links(self) -> Sequence[LinkView]:
        """Those that new circuits may not cross, looked for once in each view."""
        if self._closed_of is not self.view:
            self._closed_of = self.view
            links = self.view.links.values()
            self._closed = [link for link in links if not self.view.admits(link)]
        return self._closed

    @property
    def pair_guide(self) -> Landmarks | AdditiveHierarchy | None:
        """For searches of pairs, right as :attr:`search` is; None where the network is small."""
        self._catch_up()
        return self._guided.pair_guide

    # Ids and indices

    def node(self, router_id: str) -> int:
        self._catch_up()
        return self._node[router_id]

    @property
    def without_packets(self) -> set[int]:
        """Routers that carry no power packets."""
        self._catch_up()
        return self._without_packets

    @property
    def limits_converters(self) -> bool:
        """Whether what passes any router is limited."""
        self._catch_up()
        return bool(self._limits)

    def nodes(self, router_ids: Iterable[str]) -> set[int]:
        """Of those that are known."""
        self._catch_up()
        return self._nodes_of(router_ids)

    def _nodes_of(self, router_ids: Iterable[str]) -> set[int]:
        return {self._node[each] for each in router_ids if each in self._node}

    def arc(self, link_id: str, from_router_id: str) -> int | None:
        self._catch_up()
        return self._arc.get((link_id, from_router_id))

    def arcs(self, link_ids: Iterable[str]) -> set[int]:
        """Both directions of the links that are known."""
        self._catch_up()
        return {
            self._arc[link_id, end]
            for link_id in link_ids
            if link_id in self._links
            for end in (self._links[link_id].a, self._links[link_id].b)
        }

    def arcs_at(self, nodes: Iterable[int]) -> set[int]:
        """All that lead to or from these routers."""
        graph, at = self.graph, list(nodes)
        return set(np.flatnonzero(np.isin(graph.tail, at) | np.isin(graph.head, at)).tolist())

    def hops(self) -> list[tuple[str, str]]:
        """(link, router that sends) of every arc."""
        self._catch_up()
        return list(self._arc)

    def link_id(self, arc: int) -> str:
        self._catch_up()
        return self._link_id(arc)

    def _link_id(self, arc: int) -> str:
        return self._link_ids[int(self._graph.link[arc])]

    # Building

    def _build(self) -> None:
        view = self.view
        self._links = {link.link_id: link for link in _joined(view)}
        self._link_ids = list(self._links)
        self._router_ids = self._in_order(list(view.routers))
        self._node = {router_id: node for node, router_id in enumerate(self._router_ids)}
        self._graph = self._new_graph()
        self._pool_a = np.zeros(self._graph.arc_count)
        self._arc = {
            (self._link_id(arc), self._router_ids[tail]): arc
            for arc, tail in enumerate(self._graph.tail.tolist())
        }
        self._limits = limited_converters(view)
        for ledger in (self._reservations, self._claims):
            ledger.limit(frozenset(self._limits))
        self._without_packets = self._nodes_of(
            router_id for router_id, router in view.routers.items() if not router.profile.packets
        )
        self._links_at = {each: set[str]() for each in self._limits}
        for link_id, link in self._links.items():
            for end in {link.a, link.b} & self._limits.keys():
                self._links_at[end].add(link_id)
        self._refresh_all()
        self._built_by = engine_in_use()
        # Interpreted, guides take far longer to make than they save.
        lead_from = LEAD_FROM if self._built_by is Engine.COMPILED else maxsize
        self._guided = GuidedSearch(self._graph, lead_from)

    def _in_order(self, router_ids: list[str]) -> list[str]:
        """Neighbours get near numbers, so that what a search touches lies together in memory."""
        number = {router_id: node for node, router_id in enumerate(router_ids)}
        ends = [[number[each] for each in (link.a, link.b)] for link in self._links.values()]
        a, b = zip(*ends, strict=True) if ends else ((), ())
        return [router_ids[old] for old in near_numbers(len(router_ids), a, b)]

    def _new_graph(self) -> PowerGraph:
        links = self._links.values()
        return graph_of_links(
            [self.view.routers[router_id].efficiency for router_id in self._router_ids],
            [self._node[link.a] for link in links],
            [self._node[link.b] for link in links],
            [link.resistance_ohm for link in links],
            [link.voltage_v for link in links],
            [link.ampacity_a for link in links],
        )

    def _refresh_all(self) -> None:
        self._reservations.take_changed_links()
        self._claims.take_changed_links()
        self._take_changed_routers()
        self._graph.through_w = {
            self._node[router_id]: self._through_w(router_id) for router_id in self._limits
        }
        for link_id in self._links:
            self._refresh(link_id)

    def _refresh(self, link_id: str) -> None:
        link = self._links.get(link_id)
        if link is None:
            return
        for end in (link.a, link.b):
            arc = self._arc[link_id, end]
            way = link_direction(link_id, end)
            self._graph.set_load(arc, self._reservations.total(way) + self._claims.total(way))
            self._pool_a[arc] = self._reservations.pool(way)
        for end in (link.a, link.b):
            if not self.view.admits(link):
                self._graph.take_out_of_service(self._arc[link_id, end])
            elif end in self._limits:
                self._graph.limit_headroom(self._arc[link_id, end])

    def _through_w(self, router_id: str) -> float:
        """What may still enter a limited router's converter."""
        key = through(router_id)
        return self._limits[router_id] - self._reservations.total(key) - self._claims.total(key)

    def _own_through_w(self, router_id: str, circuit_id: int) -> float:
        key = through(router_id)
        own_w = self._reservations.open_to(key, circuit_id)
        return own_w + self._claims.of_circuit(key, circuit_id)

    def _take_changed_routers(self) -> set[str]:
        changed = self._reservations.take_changed_routers() | self._claims.take_changed_routers()
        return changed & self._limits.keys()

    def free_through_w(self, router_id: str, circuit_id: int = 0) -> float:
        """What may enter a router's converter for a circuit, beside all others."""
        self._catch_up()
        if router_id not in self._limits:
            return inf
        return self._through_w(router_id) + self._own_through_w(router_id, circuit_id)

    @contextmanager
    def using_again(self, circuit_id: int, credit_a: Mapping[int, float]) -> Iterator[None]:
        """Within, what a circuit holds of routers' through-power is room for itself.

        ``credit_a`` is what it holds of arcs, and is on top of their headroom anyway.
        """
        self._catch_up()
        graph = self._graph
        before: dict[int, float] = {}
        for router_id in self._limits if circuit_id else ():
            own_w = self._own_through_w(router_id, circuit_id)
            for link_id in self._links_at[router_id] if own_w else ():
                arc = self._arc[link_id, router_id]
                before[arc] = float(graph.headroom_a[arc])
                graph.limit_headroom(arc, own_w, credit_a.get(arc, 0.0))
        try:
            yield
        finally:
            for arc, headroom_a in before.items():
                graph.headroom_a[arc] = headroom_a


def _joined(view: GridView) -> Iterator[LinkView]:
    return (link for link in view.links.values() if _is_joined(view, link))


def _is_joined(view: GridView, link: LinkView) -> bool:
    """Whether it is between two routers that have both told of themselves."""
    return link.a != link.b and link.a in view.routers and link.b in view.routers


def _ends(view: GridView, link_id: str) -> tuple[str, str] | None:
    """Between which two known routers a link is, if it is."""
    link = view.links.get(link_id)
    return (link.a, link.b) if link is not None and _is_joined(view, link) else None


def _figures(link: LinkView) -> tuple[float, float, float]:
    return link.resistance_ohm, link.voltage_v, link.ampacity_a
