"""Our own search as a routing algorithm like any other, so that it can be compared by the same means."""

from collections.abc import Sequence
from math import inf

from controller.routing.graph import PowerGraph
from controller.routing.paths.cspf import PathSearch
from digitalgrid.plugins.routing import INTERFACE_VERSION, NetworkView, RouteRequest


class LeastLoss:
    """The path with the least injection, losses included: exact."""

    interface_version = INTERFACE_VERSION

    def propose(self, view: NetworkView, request: RouteRequest) -> Sequence[int] | None:
        graph = PowerGraph(
            view.efficiency,
            view.tail,
            view.head,
            view.link,
            view.resistance_ohm,
            view.voltage_v,
            # Its headroom says what it may still carry.
            view.load_a,
        )
        graph.load_a[:], graph.headroom_a[:] = view.load_a, view.headroom_a
        most: dict[int, float] = {}
        for each in request.sources:
            most[each.router] = max(most.get(each.router, -inf), each.available_w)
        path = PathSearch(graph).best(
            request.sink,
            request.power_w,
            most,
            max_injected_w=request.max_injected_w,
            max_hops=request.max_hops,
            avoid_nodes=request.avoid_routers,
            avoid_arcs=request.avoid_arcs,
        )
        return path.arcs if path is not None else None
