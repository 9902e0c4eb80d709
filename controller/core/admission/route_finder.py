"""Routes for circuits on the present grid view, beside what is reserved; nothing is reserved here."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from math import inf
from typing import NamedTuple

import numpy as np

from controller.core.admission.arrays import GridArrays
from controller.core.admission.search_tally import Search, SearchTally
from controller.core.circuits import resources as resource
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import Resource, link_direction
from controller.core.circuits.route import Route, RouteLink
from controller.core.network.view import GridView
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, Path
from controller.routing.paths.given_path import along
from digitalgrid.physics import current_a

# Share of a limit by which a sum of many reservations may exceed it, by rounding alone.
LEDGER_TOLERANCE = 1e-6
# Share of a circuit's injection that another way for it may lose more at a source that has no more to give.
_DETOUR_LOSS = 0.25


class Found(NamedTuple):
    """A path of the arrays, and what it is for."""

    path: Path
    source_id: str
    sink_id: str
    power_w: float


class RouteFinder:
    """Routes on the present grid view over one set of reservations."""

    def __init__(self, reservations: Reservations, searches: SearchTally | None = None) -> None:
        self.reservations = reservations
        self.searches = searches or SearchTally()
        # Room that is being made for circuits that wait for it; nobody else may have it.
        self.claims = Reservations()
        self.arrays = GridArrays(GridView(version=0), reservations, self.claims)

    @property
    def view(self) -> GridView:
        return self.arrays.view

    def adopt(self, view: GridView) -> None:
        """Route on this view from now on."""
        self.arrays.adopt(view)

    @contextmanager
    def on(self, view: GridView) -> Iterator[None]:
        """Route on another view within, such as one with less or more in service."""
        before = self.view
        self.adopt(view)
        try:
            yield
        finally:
            self.adopt(before)

    def route(
        self,
        sink_id: str,
        power_w: float,
        source_ids: Collection[str],
        constraints: Constraints,
        *,
        circuit_id: int = 0,
        excluded_ids: Collection[str] = (),
        carries: Route | None = None,
    ) -> Route | None:
        """The route with the least injection, beside what ``circuit_id`` itself holds; None where there is none.

        ``carries`` is the route that it has power over now, and need not give way.
        """
        if not self.sink_takes(sink_id, power_w, circuit_id):
            return None
        self.arrays.sync()
        available = self.available_w(source_ids, circuit_id)
        if carries is not None and power_w <= carries.power_w:
            self._keep_place(available, carries)
        path = self.path(
            sink_id,
            power_w,
            constraints,
            self.most_by_node(available),
            circuit_id=circuit_id,
            excluded_ids=excluded_ids,
        )
        if path is None:
            return None
        source_id = self.source_at(path, available)
        return self.route_of(path, source_id, sink_id, power_w)

    def path(
        self,
        sink_id: str,
        power_w: float,
        constraints: Constraints,
        most: Mapping[int, float],
        *,
        circuit_id: int = 0,
        excluded_ids: Collection[str] = (),
    ) -> Path | None:
        """The best path from where sources could inject ``most``, by node."""
        credit_a = self.credit_a(circuit_id)
        begun_ns = self.searches.stopwatch_ns()
        with self.arrays.using_again(circuit_id, credit_a):
            path = self.arrays.search.best(
                self.arrays.node(self.view.loads[sink_id][0]),
                power_w,
                most,
                max_injected_w=injection_limit_w(power_w, constraints),
                max_hops=constraints.max_hops,
                avoid_nodes=self.avoided_nodes(constraints, excluded_ids),
                avoid_arcs=self.arrays.arcs({*constraints.avoid_ids, *excluded_ids}),
                credit_a=credit_a,
            )
        self.searches.note(Search.ROUTE, begun_ns, self.arrays.search.settled)
        return path if path is not None and self.converts(path, circuit_id) else None

    def converts(self, path: Path, circuit_id: int) -> bool:
        """Whether all its routers can convert what enters them; the search knows but nearly what a circuit gives up."""
        limited = self.arrays.graph.through_w
        return not limited or all(
            entering_w
            <= self.arrays.free_through_w(self.arrays.router_ids[node], circuit_id)
            * (1 + RELATIVE_TOLERANCE)
            for node, entering_w in zip(path.nodes, path.entering_w, strict=True)
            if node in limited
        )

    def avoided_nodes(
        self, constraints: Constraints, excluded_ids: Collection[str] = ()
    ) -> set[int]:
        """Routers that a circuit keeps off: those that are named, and those that do not carry what it asks for."""
        avoided = self.arrays.nodes({*constraints.avoid_ids, *excluded_ids})
        return avoided | self.arrays.without_packets if constraints.packets else avoided

    def route_along(
        self,
        sink_id: str,
        power_w: float,
        source_id: str,
        hops: Sequence[tuple[str, str]],
        *,
        circuit_id: int = 0,
    ) -> Route | None:
        """The route over given hops, (link, router that sends), source first; None where it does not fit now."""
        if not self.sink_takes(sink_id, power_w, circuit_id):
            return None
        self.arrays.sync()
        available = self.available_w((source_id,), circuit_id)
        arcs = [self.arrays.arc(*hop) for hop in hops]
        known = [arc for arc in arcs if arc is not None]
        if not available or len(known) < len(arcs) or not self._leads(source_id, known, sink_id):
            return None
        credit_a = self.credit_a(circuit_id)
        with self.arrays.using_again(circuit_id, credit_a):
            path = along(
                self.arrays.graph,
                known,
                self.arrays.node(self.view.loads[sink_id][0]),
                power_w,
                available[source_id],
                credit_a=credit_a,
            )
        if path is None or not self.converts(path, circuit_id):
            return None
        return self.route_of(path, source_id, sink_id, power_w)

    def _leads(self, source_id: str, arcs: Sequence[int], sink_id: str) -> bool:
        """Whether arcs lead from the router where a source is now to the one where a load is now."""
        graph = self.arrays.graph
        at = self.arrays.node(self.view.sources[source_id][0])
        for arc in arcs:
            if int(graph.tail[arc]) != at:
                return False
            at = int(graph.head[arc])
        return at == self.arrays.node(self.view.loads[sink_id][0])

    def sink_takes(self, sink_id: str, power_w: float, circuit_id: int = 0) -> bool:
        """Whether a load is connected, and it and its router's converter take this power beside what they have."""
        if not self.load_takes(sink_id, power_w, circuit_id):
            return False
        router_id, _ = self.view.loads[sink_id]
        free_w = self.arrays.free_through_w(router_id, circuit_id)
        needed_w = power_w / self.view.routers[router_id].efficiency
        return needed_w <= free_w * (1 + RELATIVE_TOLERANCE)

    def load_takes(self, sink_id: str, power_w: float, circuit_id: int = 0) -> bool:
        """Whether a load is connected, and takes this power beside what it has."""
        router_id, load = self.view.loads[sink_id]
        if not self.view.routers[router_id].serves:
            return False
        key = resource.load(sink_id)
        own_w = self.reservations.of_circuit(key, circuit_id)
        others_w = self.taken_by_others(key, circuit_id)
        return others_w + max(own_w, power_w) <= load.max_power_w * (1 + RELATIVE_TOLERANCE)

    def available_w(self, source_ids: Collection[str], circuit_id: int = 0) -> dict[str, float]:
        """What each candidate source that is connected could inject for this circuit; no ids mean any source."""
        # Hundreds of sources for one request: what is the same for all of them is looked up once.
        view = self.view
        available = {}
        for source_id in source_ids or view.sources:
            found = view.sources.get(source_id)
            if found is None or not view.routers[found[0]].serves:
                continue
            taken_w = self.taken_by_others(resource.source(source_id), circuit_id)
            available[source_id] = found[1].max_power_w - taken_w
        return available

    def taken_by_others(self, key: Resource, circuit_id: int) -> float:
        """What of a resource is reserved or claimed, but for what the circuit itself has."""
        taken = self.reservations.total(key) + self.claims.total(key)
        if circuit_id:
            taken -= self.reservations.open_to(key, circuit_id)
            taken -= self.claims.open_to(key, circuit_id)
        return taken

    def _keep_place(self, available: dict[str, float], carries: Route) -> None:
        """A circuit that asks for no more than it has keeps its place at a source that gives less than is reserved:
        the source's router shares what there is, and what is the circuit's share does not depend on its way.
        """
        free_w = available.get(carries.source_id)
        if free_w is not None and self.is_short(carries.source_id):
            available[carries.source_id] = max(free_w, carries.injected_w * (1.0 + _DETOUR_LOSS))

    def most_by_node(self, available: Mapping[str, float]) -> dict[int, float]:
        """The most that one of the sources at each router could inject."""
        sources, node_of = self.view.sources, self.arrays.node
        most: dict[int, float] = {}
        for source_id, power_w in available.items():
            node = node_of(sources[source_id][0])
            most[node] = max(most.get(node, -inf), power_w)
        return most

    def credit_a(self, circuit_id: int) -> dict[int, float]:
        """What the circuit holds already, by arc."""
        credit_a: dict[int, float] = {}
        for ledger in (self.reservations, self.claims):
            for held in ledger.held_by_circuit(circuit_id):
                arc = self.arrays.arc(held.id, held.from_router_id)
                if arc is not None:
                    own_a = ledger.open_to(held, circuit_id)
                    credit_a[arc] = credit_a.get(arc, 0.0) + own_a
        return credit_a

    def route_of(self, path: Path, source_id: str, sink_id: str, power_w: float) -> Route:
        """A path of the arrays as a route between ids."""
        return self.routes_of([Found(path, source_id, sink_id, power_w)])[0]

    def routes_of(self, found: Sequence[Found]) -> list[Route]:
        """The same of several, whose figures are taken from the arrays at once."""
        graph, router_ids, link_ids = (
            self.arrays.graph,
            self.arrays.router_ids,
            self.arrays.link_ids,
        )
        nodes = [node for each in found for node in each.path.nodes]
        arcs = np.array([arc for each in found for arc in each.path.arcs], dtype=np.intp)
        efficiencies = iter(graph.efficiency[nodes].tolist())
        figures = iter(
            zip(
                graph.link[arcs].tolist(),
                graph.resistance_ohm[arcs].tolist(),
                graph.voltage_v[arcs].tolist(),
                strict=True,
            )
        )
        routes = []
        for path, source_id, sink_id, power_w in found:
            ids = tuple([router_ids[node] for node in path.nodes])
            efficiency = tuple(islice(efficiencies, len(ids)))
            links = tuple(
                [
                    RouteLink(
                        link_ids[link],
                        ids[position],
                        ids[position + 1],
                        path.entering_w[position] * efficiency[position],
                        path.entering_w[position + 1],
                        current_a(path.entering_w[position + 1], voltage_v),
                        resistance_ohm,
                        voltage_v,
                    )
                    for position, (link, resistance_ohm, voltage_v) in enumerate(
                        islice(figures, len(path.arcs))
                    )
                ]
            )
            routes.append(
                Route(source_id, sink_id, ids, links, path.entering_w, power_w, efficiency)
            )
        return routes

    def source_at(self, path: Path, available: Mapping[str, float]) -> str:
        """The cheapest candidate at the path's first router that can inject this much."""
        router_id = self.arrays.router_ids[path.nodes[0]]
        return min(
            (self.view.sources[source_id][1].cost_per_mwh, source_id)
            for source_id, free_w in available.items()
            if self.view.sources[source_id][0] == router_id
            and free_w * (1 + RELATIVE_TOLERANCE) >= path.injected_w
        )[1]

    def route_for(
        self, request: PowerRequest, power_w: float | None = None, circuit_id: int = 0
    ) -> Route | None:
        """The route for a request, or for another power than it asks for."""
        return self.route(
            request.sink_id,
            request.power_w if power_w is None else power_w,
            request.source_ids,
            request.constraints,
            circuit_id=circuit_id,
        )

    def has_room(self, route: Route, circuit_id: int) -> bool:
        """Whether a route that was worked out before still fits beside what is taken, with the losses that it has."""
        view, slack = self.view, 1 + LEDGER_TOLERANCE
        for hop in route.links:
            link = view.links.get(hop.link_id)
            if link is None or not view.admits(link):
                return False
            ends = (link.a, link.b)
            others_a = sum(
                self.taken_by_others(link_direction(hop.link_id, end), circuit_id) for end in ends
            )
            if others_a + hop.current_a > link.ampacity_a * slack:
                return False
        for router_id, entering_w in zip(route.router_ids, route.entering_w, strict=True):
            if entering_w > self.arrays.free_through_w(router_id, circuit_id) * slack:
                return False
        available = self.available_w((route.source_id,), circuit_id)
        enough = available.get(route.source_id, -inf) * slack >= route.injected_w
        return enough and self.sink_takes(route.sink_id, route.power_w, circuit_id)

    def is_short(self, source_id: str) -> bool:
        """Whether more is reserved of a source than it gives by now; then its router shares what there is."""
        found = self.view.sources.get(source_id)
        if found is None:
            return False
        reserved_w = self.reservations.total(resource.source(source_id))
        return reserved_w > found[1].max_power_w * (1 + LEDGER_TOLERANCE)

    def overloaded(self, route: Route) -> bool:
        """Whether more is reserved for what carries, on a line or load of a route, than that may carry, since it was
        derated; standbys give way first.
        """
        held = self.reservations
        return any(
            sum(map(held.working, resources)) > limit * (1 + LEDGER_TOLERANCE)
            for resources, limit in self._beyond(route)
        )

    def crowded(self, route: Route) -> bool:
        """Whether more is reserved, standbys included, on a line or load of a route than that may carry.

        What a source lacks is shared by its router, and is no reason to look for another path from it.
        """
        return any(True for _ in self._beyond(route))

    def _beyond(self, route: Route) -> Iterator[tuple[list[Resource], float]]:
        """What of a route's lines, converters and load more is reserved on than it may carry, with that limit."""
        view, total = self.view, self.reservations.total
        used: list[tuple[list[Resource], float]] = []
        for hop in route.links:
            if (link := view.links.get(hop.link_id)) is not None:
                both = [link_direction(hop.link_id, end) for end in (link.a, link.b)]
                used.append((both, link.ampacity_a))
        if route.sink_id in view.loads:
            used.append(([resource.load(route.sink_id)], view.loads[route.sink_id][1].max_power_w))
        for router_id in route.router_ids:
            router = view.routers.get(router_id)
            if router is not None and (most_w := router.profile.max_through_w) is not None:
                used.append(([resource.through(router_id)], most_w))
        for resources, limit in used:
            if sum(map(total, resources)) > limit * (1 + LEDGER_TOLERANCE):
                yield resources, limit


def injection_limit_w(power_w: float, constraints: Constraints) -> float:
    """The most that a source may inject for a circuit, by the loss that its client allows."""
    if constraints.max_loss_fraction is None:
        return inf
    return power_w / (1.0 - constraints.max_loss_fraction)
