"""What routing algorithms are asked, as arrays and numbers, and what becomes of their answers."""

from collections.abc import Sequence

from controller.core.admission.admission import Admission
from controller.core.admission.alternatives import without
from controller.core.admission.judging import judge
from controller.core.admission.route_finder import injection_limit_w
from controller.core.circuits.proposed import ProposedWay, RouteQuestion
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from digitalgrid.plugins.routing import Candidate, NetworkView, RouteRequest


class Proposals:
    """Asks on the present grid view and reservations; what is proposed is judged on those of its own moment."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def question(self, requests: Sequence[PowerRequest], circuit_id: int = 0) -> RouteQuestion:
        """As if what ``circuit_id`` holds were free; all arrays are copies."""
        arrays = self._admission.arrays
        arrays.sync()
        own_a = self._admission.credit_a(circuit_id)
        with arrays.using_again(circuit_id, own_a):
            graph = without(arrays.graph, own_a)
            view = NetworkView(
                tuple(arrays.router_ids),
                graph.efficiency.copy(),
                graph.tail.copy(),
                graph.head.copy(),
                graph.link.copy(),
                tuple(arrays.link_ids),
                graph.resistance_ohm.copy(),
                graph.voltage_v.copy(),
                graph.load_a.copy(),
                graph.headroom_a.copy(),
            )
        asked = tuple(self._request(each, circuit_id) for each in requests)
        return RouteQuestion(view, asked, tuple(arrays.hops()))

    def _request(self, request: PowerRequest, circuit_id: int) -> RouteRequest:
        admission, grid, limits = self._admission, self._admission.view, request.constraints
        return RouteRequest(
            admission.arrays.node(grid.loads[request.sink_id][0]),
            request.power_w,
            tuple(
                Candidate(
                    source_id,
                    admission.arrays.node(grid.sources[source_id][0]),
                    available_w,
                    grid.sources[source_id][1].cost_per_mwh,
                )
                for source_id, available_w in admission.available_w(
                    request.source_ids, circuit_id
                ).items()
            ),
            injection_limit_w(request.power_w, limits),
            limits.max_hops,
            frozenset(admission.avoided_nodes(limits)),
            frozenset(admission.arrays.arcs(limits.avoid_ids)),
        )

    def judge(self, request: PowerRequest, way: ProposedWay, circuit_id: int = 0) -> Route | str:
        """The route over a proposed way, or why it is none."""
        return judge(self._admission, request, way, circuit_id)
