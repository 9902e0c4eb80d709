"""Why a request is refused: the load's limit, a constraint, the bottleneck links, or the missing power."""

from collections.abc import Mapping

from controller.core.admission.refusals import explain_no_route, load_limit_exceeded
from controller.core.admission.route_finder import RouteFinder
from controller.core.circuits import resources as resource
from controller.core.circuits.circuit import Circuit, Constraints
from controller.core.circuits.request import MIN_POWER_W, PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.routing.paths.cspf import RELATIVE_TOLERANCE
from controller.routing.paths.widest_path import widest_w

_NO_CONSTRAINTS = Constraints()
# Steps of the bisection for the largest circuit within constraints: 10 tell it to a thousandth of what is asked for.
_HALVINGS = 10


class Explainer:
    """Finds what binds, by further searches on the same arrays: only once there is no route."""

    def __init__(self, finder: RouteFinder) -> None:
        self._finder = finder

    def explain(
        self, request: PowerRequest, circuit_id: int = 0, together_w: float = 0.0
    ) -> Refusal:
        """Why there is no route: the limit that binds, the bottleneck links, or the missing power."""
        refusal = self.over_load_limit(request, circuit_id)
        if refusal is not None:
            return refusal
        self._finder.arrays.sync()
        available = self._finder.available_w(request.source_ids, circuit_id)
        most = self._finder.most_by_node(available)
        router = self._finder.view.routers[self._finder.view.loads[request.sink_id][0]]
        free_w = self._finder.arrays.free_through_w(router.router_id, circuit_id)
        return explain_no_route(
            request,
            arrays=self._finder.arrays,
            sink=self._finder.arrays.node(router.router_id),
            sink_converts_w=free_w * router.efficiency * (1.0 + RELATIVE_TOLERANCE),
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
        if request.constraints == _NO_CONSTRAINTS or not self._finder.sink_takes(
            sink_id, power_w, circuit_id
        ):
            return None
        path = self._finder.path(sink_id, power_w, _NO_CONSTRAINTS, most, circuit_id=circuit_id)
        return (
            self._finder.route_of(path, self._finder.source_at(path, available), sink_id, power_w)
            if path
            else None
        )

    def explain_change(self, circuit: Circuit, power_w: float) -> Refusal:
        """Why a circuit cannot have another power."""
        return self.explain(_as_request(circuit, power_w), circuit.circuit_id)

    def check_load_limit(self, circuit: Circuit, power_w: float) -> None:
        """Refuse a power that the circuit's load cannot take beside its others, as far as it is known."""
        if circuit.sink_id in self._finder.view.loads:
            refusal = self.over_load_limit(_as_request(circuit, power_w), circuit.circuit_id)
            if refusal is not None:
                raise refusal

    def over_load_limit(self, request: PowerRequest, circuit_id: int = 0) -> Refusal | None:
        """The refusal of what a load cannot take beside its other circuits; None where it can."""
        limit_w = self._finder.view.loads[request.sink_id][1].max_power_w
        key = resource.load(request.sink_id)
        others_w = self._finder.taken_by_others(key, circuit_id)
        if others_w + request.power_w <= limit_w * (1 + RELATIVE_TOLERANCE):
            return None
        return load_limit_exceeded(request.sink_id, request.power_w, others_w, limit_w)

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
            path = self._finder.path(request.sink_id, power_w, limits, most, circuit_id=circuit_id)
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
            self._finder.arrays.graph,
            self._finder.arrays.node(self._finder.view.loads[request.sink_id][0]),
            most,
            avoid_nodes=self._finder.avoided_nodes(request.constraints),
            avoid_arcs=self._finder.arrays.arcs(avoid),
        )
        router = self._finder.view.routers[self._finder.view.loads[request.sink_id][0]]
        widest = min(
            widest, self._finder.arrays.free_through_w(router.router_id) * router.efficiency
        )
        # What is worked out downstream must fit when it is worked out upstream.
        return widest * (1.0 - RELATIVE_TOLERANCE)


def _as_request(circuit: Circuit, power_w: float) -> PowerRequest:
    return PowerRequest(
        circuit.request_id, circuit.sink_id, power_w, circuit.source_ids, circuit.constraints
    )
