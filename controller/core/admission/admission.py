"""Admission: find a route on the grid view, check it against what is reserved, and reserve it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf

from controller.core.admission.arrays import GridArrays
from controller.core.admission.refusals import explain_no_route, load_limit_exceeded
from controller.core.circuits import reservations as resource
from controller.core.circuits.circuit import Circuit, Constraints
from controller.core.circuits.request import MIN_POWER_W, PowerRequest
from controller.core.circuits.reservations import Reservations, link_direction
from controller.core.circuits.route import Route, RouteLink
from controller.core.errors import Refusal
from controller.core.network.view import GridView
from controller.routing.assignments.split import SplitPlan, split
from controller.routing.flows.cut import minimum_cut
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, Path
from controller.routing.paths.given_path import along
from controller.routing.paths.widest_path import widest_w
from digitalgrid.model import CircuitGeneration
from digitalgrid.physics import current_a

_NO_CONSTRAINTS = Constraints()
# Steps of the bisection for the largest circuit within constraints: 10 tell it to a thousandth of what is asked for.
_HALVINGS = 10
# Share of one circuit's loss that a split must save: more circuits wear more converters.
_WORTH_SPLITTING = 0.01
# Share of a limit by which a sum of many reservations may exceed it, by rounding alone.
LEDGER_TOLERANCE = 1e-6


class Admission:
    """Routes on the present grid view over one set of reservations."""

    def __init__(self, reservations: Reservations) -> None:
        self._reservations = reservations
        self.arrays = GridArrays(GridView(version=0), reservations)

    @property
    def view(self) -> GridView:
        return self.arrays.view

    def adopt(self, view: GridView) -> None:
        """Route on this view from now on."""
        self.arrays.adopt(view)

    def route(
        self,
        sink_id: str,
        power_w: float,
        source_ids: Collection[str],
        constraints: Constraints,
        *,
        circuit_id: int = 0,
        excluded_ids: Collection[str] = (),
    ) -> Route | None:
        """The route with the least injection, beside what ``circuit_id`` itself holds; None where there is none."""
        if not self.sink_takes(sink_id, power_w, circuit_id):
            return None
        self.arrays.sync()
        available = self.available_w(source_ids, circuit_id)
        path = self._path(
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

    def _path(
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
        avoid = {*constraints.avoid_ids, *excluded_ids}
        return self.arrays.search.best(
            self.arrays.node(self.view.loads[sink_id][0]),
            power_w,
            most,
            max_injected_w=injection_limit_w(power_w, constraints),
            max_hops=constraints.max_hops,
            avoid_nodes=self.arrays.nodes(avoid),
            avoid_arcs=self.arrays.arcs(avoid),
            credit_a=self._credit_a(circuit_id),
        )

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
        path = along(
            self.arrays.graph,
            known,
            self.arrays.node(self.view.loads[sink_id][0]),
            power_w,
            available[source_id],
            credit_a=self._credit_a(circuit_id),
        )
        return self.route_of(path, source_id, sink_id, power_w) if path else None

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
        """Whether a load is connected, and takes this power beside what it has."""
        router_id, load = self.view.loads[sink_id]
        if not self.view.routers[router_id].usable:
            return False
        key = resource.load(sink_id)
        own_w = self._reservations.of_circuit(key, circuit_id)
        others_w = self._reservations.total(key) - own_w
        return others_w + max(own_w, power_w) <= load.max_power_w * (1 + RELATIVE_TOLERANCE)

    def available_w(self, source_ids: Collection[str], circuit_id: int = 0) -> dict[str, float]:
        """What each candidate source that is connected could inject for this circuit; no ids mean any source."""
        # Hundreds of sources for one request: what is the same for all of them is looked up once.
        view, reservations = self.view, self._reservations
        available = {}
        for source_id in source_ids or view.sources:
            found = view.sources.get(source_id)
            if found is None or not view.routers[found[0]].usable:
                continue
            key = resource.source(source_id)
            reserved_w = reservations.total(key) - reservations.of_circuit(key, circuit_id)
            available[source_id] = found[1].max_power_w - reserved_w
        return available

    def most_by_node(self, available: Mapping[str, float]) -> dict[int, float]:
        """The most that one of the sources at each router could inject."""
        sources, node_of = self.view.sources, self.arrays.node
        most: dict[int, float] = {}
        for source_id, power_w in available.items():
            node = node_of(sources[source_id][0])
            most[node] = max(most.get(node, -inf), power_w)
        return most

    def _credit_a(self, circuit_id: int) -> dict[int, float]:
        """What the circuit holds already, by arc."""
        credit_a = {}
        for held in self._reservations.held_by_circuit(circuit_id):
            arc = self.arrays.arc(held.id, held.from_router_id)
            if arc is not None:
                credit_a[arc] = self._reservations.of_circuit(held, circuit_id)
        return credit_a

    def route_of(self, path: Path, source_id: str, sink_id: str, power_w: float) -> Route:
        """A path of the arrays as a route between ids."""
        graph = self.arrays.graph
        router_ids = tuple(self.arrays.router_ids[node] for node in path.nodes)
        links = []
        for position, arc in enumerate(path.arcs):
            arriving_w = path.entering_w[position + 1]
            voltage_v = float(graph.voltage_v[arc])
            links.append(
                RouteLink(
                    self.arrays.link_id(arc),
                    router_ids[position],
                    router_ids[position + 1],
                    sent_w=path.entering_w[position]
                    * float(graph.efficiency[path.nodes[position]]),
                    received_w=arriving_w,
                    current_a=current_a(arriving_w, voltage_v),
                    resistance_ohm=float(graph.resistance_ohm[arc]),
                    voltage_v=voltage_v,
                )
            )
        return Route(
            source_id,
            sink_id,
            router_ids,
            tuple(links),
            path.entering_w,
            power_w,
            tuple(graph.efficiency[list(path.nodes)].tolist()),
        )

    def source_at(self, path: Path, available: Mapping[str, float]) -> str:
        """The cheapest candidate at the path's first router that can inject this much."""
        router_id = self.arrays.router_ids[path.nodes[0]]
        return min(
            (self.view.sources[source_id][1].cost_per_mwh, source_id)
            for source_id, free_w in available.items()
            if self.view.sources[source_id][0] == router_id
            and free_w * (1 + RELATIVE_TOLERANCE) >= path.injected_w
        )[1]

    def admit(
        self, request: PowerRequest, new_key: Callable[[], CircuitGeneration]
    ) -> list[tuple[CircuitGeneration, Route]]:
        """Reserve the request, whole or in parts; Refusal, with nothing reserved, where it cannot be served."""
        refusal = self._over_load_limit(request)
        if refusal is not None:
            raise refusal
        route = self.route_for(request)
        if request.allow_split and self._sink_is_usable(request):
            if route is None and self._cut_w(request) < request.power_w:
                # No solver finds what no cut lets through.
                raise self.explain(request)
            plan = self._split(request)
            whole = plan.missing_w == 0.0
            if whole and (route is None or _is_worth_more_circuits(route, plan)):
                return self._reserve_parts(request, plan, new_key)
            if route is None:
                raise self.explain(request, together_w=request.power_w - plan.missing_w)
        if route is None:
            raise self.explain(request)
        key = new_key()
        self._reservations.reserve(key, route)
        return [(key, route)]

    def _sink_is_usable(self, request: PowerRequest) -> bool:
        return self.view.routers[self.view.loads[request.sink_id][0]].usable

    def _cut_w(self, request: PowerRequest) -> float:
        """What can arrive at the most, over however many paths."""
        self.arrays.sync()
        sink = self.arrays.node(self.view.loads[request.sink_id][0])
        available = self.most_by_node(self.available_w(request.source_ids))
        return minimum_cut(self.arrays.graph, sink, available).deliverable_w

    def _split(self, request: PowerRequest) -> SplitPlan:
        """The parts that inject least together."""
        self.arrays.sync()
        available = self.available_w(request.source_ids)
        constraints = request.constraints
        return split(
            self.arrays.graph,
            self.arrays.node(self.view.loads[request.sink_id][0]),
            request.power_w,
            [self.arrays.node(self.view.sources[each][0]) for each in available],
            list(available.values()),
            max_loss_fraction=constraints.max_loss_fraction,
            max_hops=constraints.max_hops,
            avoid_nodes=self.arrays.nodes(constraints.avoid_ids),
            avoid_arcs=self.arrays.arcs(constraints.avoid_ids),
        )

    def _reserve_parts(
        self, request: PowerRequest, plan: SplitPlan, new_key: Callable[[], CircuitGeneration]
    ) -> list[tuple[CircuitGeneration, Route]]:
        """One after another, as they were planned: each pays for the loss that it adds to those before it."""
        sources = list(self.available_w(request.source_ids))
        hops = self.arrays.hops()
        admitted: list[tuple[CircuitGeneration, Route]] = []
        for part in plan.parts:
            route = self.route_along(
                request.sink_id,
                part.power_w,
                sources[part.source],
                [hops[arc] for arc in part.arcs],
            )
            if route is None:
                for key, _ in admitted:
                    self._reservations.release(key)
                raise self.explain(request, together_w=sum(each.power_w for _, each in admitted))
            key = new_key()
            self._reservations.reserve(key, route)
            admitted.append((key, route))
        return admitted

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

    def _largest_w(
        self, request: PowerRequest, at_most_w: float, most: Mapping[int, float], circuit_id: int
    ) -> float:
        """The most that a single circuit carries, 0 where nothing does; less what leaves a part too small to ask for.

        The widest path says it at once. Where that does not meet the constraints, or the circuit may use what it holds,
        by bisection: what fits at one power fits at every lower one. ``most`` is what sources could inject, by node.
        """
        high_w = at_most_w - MIN_POWER_W
        if not circuit_id:
            high_w = min(high_w, self._widest_w(request, most))

        def fits(power_w: float) -> bool:
            limits = request.constraints
            path = self._path(request.sink_id, power_w, limits, most, circuit_id=circuit_id)
            return path is not None

        if high_w < MIN_POWER_W or not fits(MIN_POWER_W):
            return 0.0
        if fits(high_w):
            return high_w
        low_w = MIN_POWER_W
        for _ in range(_HALVINGS):
            middle_w = (low_w + high_w) / 2
            if fits(middle_w):
                low_w = middle_w
            else:
                high_w = middle_w
        return low_w

    def _widest_w(self, request: PowerRequest, most: Mapping[int, float]) -> float:
        avoid = request.constraints.avoid_ids
        widest = widest_w(
            self.arrays.graph,
            self.arrays.node(self.view.loads[request.sink_id][0]),
            most,
            avoid_nodes=self.arrays.nodes(avoid),
            avoid_arcs=self.arrays.arcs(avoid),
        )
        # What is worked out downstream must fit when it is worked out upstream.
        return widest * (1.0 - RELATIVE_TOLERANCE)

    def explain(
        self, request: PowerRequest, circuit_id: int = 0, together_w: float = 0.0
    ) -> Refusal:
        """Why there is no route: the limit that binds, the bottleneck links, or the missing power."""
        refusal = self._over_load_limit(request, circuit_id)
        if refusal is not None:
            return refusal
        self.arrays.sync()
        available = self.available_w(request.source_ids, circuit_id)
        most = self.most_by_node(available)
        return explain_no_route(
            request,
            arrays=self.arrays,
            sink=self.arrays.node(self.view.loads[request.sink_id][0]),
            available_w=most,
            largest_w=lambda at_most_w: self._largest_w(request, at_most_w, most, circuit_id),
            together_w=together_w,
            unconstrained=self._unconstrained(request, available, most, circuit_id),
        )

    def _unconstrained(
        self,
        request: PowerRequest,
        available: Mapping[str, float],
        most: Mapping[int, float],
        circuit_id: int,
    ) -> Route | None:
        """The best route that there would be without the constraints that a request has."""
        sink_id, power_w = request.sink_id, request.power_w
        if request.constraints == _NO_CONSTRAINTS or not self.sink_takes(
            sink_id, power_w, circuit_id
        ):
            return None
        path = self._path(sink_id, power_w, _NO_CONSTRAINTS, most, circuit_id=circuit_id)
        return (
            self.route_of(path, self.source_at(path, available), sink_id, power_w) if path else None
        )

    def explain_change(self, circuit: Circuit, power_w: float) -> Refusal:
        """Why a circuit cannot have another power."""
        return self.explain(_as_request(circuit, power_w), circuit.circuit_id)

    def check_load_limit(self, circuit: Circuit, power_w: float) -> None:
        """Refuse a power that the circuit's load cannot take beside its others, as far as it is known."""
        if circuit.sink_id in self.view.loads:
            refusal = self._over_load_limit(_as_request(circuit, power_w), circuit.circuit_id)
            if refusal is not None:
                raise refusal

    def _over_load_limit(self, request: PowerRequest, circuit_id: int = 0) -> Refusal | None:
        limit_w = self.view.loads[request.sink_id][1].max_power_w
        key = resource.load(request.sink_id)
        others_w = self._reservations.total(key) - self._reservations.of_circuit(key, circuit_id)
        if others_w + request.power_w <= limit_w * (1 + RELATIVE_TOLERANCE):
            return None
        return load_limit_exceeded(request.sink_id, request.power_w, others_w, limit_w)

    def overloaded(self, route: Route) -> bool:
        """Whether more is reserved on anything that a route uses than that may carry, since it was derated."""
        view, total = self.view, self._reservations.total
        for hop in route.links:
            link = view.links.get(hop.link_id)
            if link is not None:
                ends = (link.a, link.b)
                reserved_a = sum(total(link_direction(hop.link_id, end)) for end in ends)
                if reserved_a > link.ampacity_a * (1 + LEDGER_TOLERANCE):
                    return True
        limits_w = []
        if route.source_id in view.sources:
            key = resource.source(route.source_id)
            limits_w.append((key, view.sources[route.source_id][1].max_power_w))
        if route.sink_id in view.loads:
            key = resource.load(route.sink_id)
            limits_w.append((key, view.loads[route.sink_id][1].max_power_w))
        return any(total(key) > limit_w * (1 + LEDGER_TOLERANCE) for key, limit_w in limits_w)


def _as_request(circuit: Circuit, power_w: float) -> PowerRequest:
    return PowerRequest(
        circuit.request_id, circuit.sink_id, power_w, circuit.source_ids, circuit.constraints
    )


def _is_worth_more_circuits(alone: Route, plan: SplitPlan) -> bool:
    saved_w = alone.injected_w - plan.injected_w
    return saved_w > _WORTH_SPLITTING * (alone.injected_w - alone.power_w)


def injection_limit_w(power_w: float, constraints: Constraints) -> float:
    """The most that a source may inject for a circuit, by the loss that its client allows."""
    if constraints.max_loss_fraction is None:
        return inf
    return power_w / (1.0 - constraints.max_loss_fraction)
