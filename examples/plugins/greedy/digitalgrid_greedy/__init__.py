"""Greedy routing, after a published study of power routing (github.com/00x0101101/Routing-Strategies-for-Power-Grid).

The idea is the study's, the code is not: each line weighs what it would lose if the demand itself, as it is at the
load, crossed it beside what flows there already; the nearest source by these weights serves. Weights do not know that
power grows with every loss on the way up, so the path is not always the best, and one that seems to fit may not.
"""

from heapq import heappop, heappush
from math import inf

from digitalgrid.physics import added_line_loss_w
from digitalgrid.plugins.routing import INTERFACE_VERSION, NetworkView, RouteRequest


class Greedy:
    """Dijkstra's search from the load upstream, on weights that are fixed before it begins."""

    interface_version = INTERFACE_VERSION

    def propose(self, view: NetworkView, request: RouteRequest) -> list[int] | None:
        if request.sink in request.avoid_routers:
            return None
        entering: list[list[int]] = [[] for _ in range(view.router_count)]
        for arc in range(view.arc_count):
            entering[view.head[arc]].append(arc)
        able = {each.router for each in request.sources if each.available_w >= request.power_w}
        far_w = {request.sink: 0.0}
        # Of each router that was reached: by which arc its power goes on.
        onward: dict[int, int] = {}
        waiting = [(0.0, request.sink)]
        while waiting:
            at_w, router = heappop(waiting)
            if at_w > far_w[router]:
                continue
            if router in able:
                return _path(view, onward, router, request.sink)
            for arc in entering[router]:
                tail = int(view.tail[arc])
                if tail in request.avoid_routers or arc in request.avoid_arcs:
                    continue
                reached_w = at_w + _weight_w(view, arc, request.power_w)
                if reached_w < far_w.get(tail, inf):
                    far_w[tail], onward[tail] = reached_w, arc
                    heappush(waiting, (reached_w, tail))
        return None


def _weight_w(view: NetworkView, arc: int, power_w: float) -> float:
    """What an arc would lose, with the converter that feeds it; inf where it has no room."""
    current_a = power_w / float(view.voltage_v[arc])
    if current_a > view.headroom_a[arc]:
        return inf
    efficiency = float(view.efficiency[view.tail[arc]])
    line_w = added_line_loss_w(float(view.resistance_ohm[arc]), float(view.load_a[arc]), current_a)
    return line_w + power_w * (1.0 / efficiency - 1.0)


def _path(view: NetworkView, onward: dict[int, int], router: int, sink: int) -> list[int]:
    arcs = []
    while router != sink:
        arcs.append(onward[router])
        router = int(view.head[arcs[-1]])
    return arcs
