"""Admission: find a route on the grid view, check it against what is reserved, and reserve it."""

from collections.abc import Callable

from controller.core.admission.explaining import Explainer
from controller.core.admission.judging import judge, way_over
from controller.core.admission.route_finder import RouteFinder
from controller.core.admission.search_tally import Search, SearchTally
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.routing.assignments.split import SplitPlan, split
from controller.routing.flows.cut import minimum_cut
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason

# Share of one circuit's loss that a split must save: more circuits wear more converters.
_WORTH_SPLITTING = 0.01


class Admission(RouteFinder):
    """Finds routes, and reserves them; what it refuses it explains."""

    def __init__(self, reservations: Reservations, searches: SearchTally | None = None) -> None:
        super().__init__(reservations, searches)
        self._explainer = Explainer(self)

    def admit(
        self, request: PowerRequest, new_key: Callable[[], CircuitGeneration]
    ) -> list[tuple[CircuitGeneration, Route]]:
        """Reserve the request, whole or in parts; Refusal, with nothing reserved, where it cannot be served."""
        refusal = self._explainer.over_load_limit(request)
        if refusal is not None:
            raise refusal
        route = self._explicit(request) or self._proposed(request) or self.route_for(request)
        if request.allow_split and self._sink_is_usable(request):
            if route is None and self._cut_w(request) < request.power_w:
                # No solver finds what no cut lets through.
                raise self.explain(request)
            with self.searches.timed(Search.SPLIT):
                plan = self._split(request)
            whole = plan.missing_w == 0.0
            if whole and (route is None or _is_worth_more_circuits(route, plan)):
                return self._reserve_parts(request, plan, new_key)
            if route is None:
                raise self.explain(request, together_w=request.power_w - plan.missing_w)
        if route is None:
            raise self.explain(request)
        key = new_key()
        self.reservations.reserve(key, route)
        return [(key, route)]

    def _explicit(self, request: PowerRequest) -> Route | None:
        """The route over the way that the client names; Refusal where it does not hold. None where none is named."""
        if request.explicit_route is None:
            return None
        way = way_over(self.view, request.sink_id, request.explicit_route)
        judged = way if isinstance(way, str) else judge(self, request, way)
        if isinstance(judged, Route):
            return judged
        raise Refusal(
            Reason.EXPLICIT_ROUTE_UNFIT,
            f"the way over {' '.join(request.explicit_route) or 'no line'} is none for it: {judged}",
            field="explicit_route",
        )

    def _proposed(self, request: PowerRequest) -> Route | None:
        """The way that a routing algorithm has proposed, where it holds."""
        if request.proposed is None or not request.takes_one_path:
            return None
        judged = judge(self, request, request.proposed)
        return judged if isinstance(judged, Route) else None

    def _sink_is_usable(self, request: PowerRequest) -> bool:
        return self.view.routers[self.view.loads[request.sink_id][0]].serves

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
            avoid_nodes=self.avoided_nodes(constraints),
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
                    self.reservations.release(key)
                raise self.explain(request, together_w=sum(each.power_w for _, each in admitted))
            key = new_key()
            self.reservations.reserve(key, route)
            admitted.append((key, route))
        return admitted

    def explain(
        self, request: PowerRequest, circuit_id: int = 0, together_w: float = 0.0
    ) -> Refusal:
        """Why there is no route: the limit that binds, the bottleneck links, or the missing power."""
        return self._explainer.explain(request, circuit_id, together_w)

    def explain_change(self, circuit: Circuit, power_w: float) -> Refusal:
        """Why a circuit cannot have another power."""
        return self._explainer.explain_change(circuit, power_w)

    def check_load_limit(self, circuit: Circuit, power_w: float) -> None:
        """Refuse a power that the circuit's load cannot take beside its others, as far as it is known."""
        self._explainer.check_load_limit(circuit, power_w)


def _is_worth_more_circuits(alone: Route, plan: SplitPlan) -> bool:
    saved_w = alone.injected_w - plan.injected_w
    return saved_w > _WORTH_SPLITTING * (alone.injected_w - alone.power_w)
