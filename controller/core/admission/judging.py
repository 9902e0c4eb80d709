"""Judging of a proposed path: what anybody proposes is worked out, and held against what is reserved, as our own is."""

from collections.abc import Sequence

from controller.core.admission.route_finder import RouteFinder, injection_limit_w
from controller.core.circuits.proposed import ProposedWay
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.network.view import GridView
from controller.routing.graph import PowerGraph
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, Path
from controller.routing.paths.given_path import along
from digitalgrid.units import format_power


def judge(
    finder: RouteFinder, request: PowerRequest, way: ProposedWay, circuit_id: int = 0
) -> Route | str:
    """The route over a proposed way, or why it is none. What ``circuit_id`` holds is free to it."""
    arrays, view = finder.arrays, finder.view
    arrays.sync()
    if not finder.sink_takes(request.sink_id, request.power_w, circuit_id):
        return (
            f"load {request.sink_id!r}, or its router, takes no {format_power(request.power_w)} now"
        )
    found = [arrays.arc(*hop) for hop in way.hops]
    arcs = [arc for arc in found if arc is not None]
    if len(arcs) < len(found) or way.begins_at not in view.routers:
        return "it leads over what is not there any more"
    sink = arrays.node(view.loads[request.sink_id][0])
    wrong = _shape(arrays.graph, arrays.node(way.begins_at), arcs, sink) or _breach(
        finder, request, arcs, sink
    )
    if wrong:
        return wrong
    credit_a = finder.credit_a(circuit_id)
    with arrays.using_again(circuit_id, credit_a):
        path = along(arrays.graph, arcs, sink, request.power_w, credit_a=credit_a)
        if path is None:
            full = next(
                arc
                for at, arc in reversed([*enumerate(arcs)])
                if not along(arrays.graph, arcs[at:], sink, request.power_w, credit_a=credit_a)
            )
            return f"line {arrays.link_id(full)!r} has no room for it"
    return _served(finder, request, path, circuit_id)


def way_over(view: GridView, sink_id: str, link_ids: Sequence[str]) -> ProposedWay | str:
    """The way over links, source first, that ends at a load; or why they are none."""
    at, hops = view.loads[sink_id][0], []
    for link_id in reversed(link_ids):
        link = view.links.get(link_id)
        if link is None:
            return f"no link {link_id!r} is known"
        if at not in (link.a, link.b):
            return f"link {link_id!r} does not end at router {at!r}, from which the way goes on"
        at = link.b if at == link.a else link.a
        hops.append((link_id, at))
    return ProposedWay(at, tuple(reversed(hops)))


def _shape(graph: PowerGraph, begin: int, arcs: Sequence[int], sink: int) -> str:
    """What keeps arcs from being a simple path; empty where they are one."""
    at, seen = begin, {begin}
    for arc in arcs:
        if int(graph.tail[arc]) != at:
            return "its lines do not join"
        at = int(graph.head[arc])
        if at in seen:
            return "it passes a router twice"
        seen.add(at)
    return "" if at == sink else "it does not end at the router of the load"


def _breach(finder: RouteFinder, request: PowerRequest, arcs: Sequence[int], sink: int) -> str:
    """Which constraint of the request a path breaks, but for its loss; empty where it breaks none."""
    limits, arrays = request.constraints, finder.arrays
    if limits.max_hops is not None and len(arcs) > limits.max_hops:
        return f"it crosses {len(arcs)} lines, and {limits.max_hops} were allowed"
    nodes = {sink, *arrays.graph.tail[list(arcs)].tolist()}
    avoided = sorted(arrays.router_ids[each] for each in nodes & finder.avoided_nodes(limits))
    avoided += sorted({arrays.link_id(arc) for arc in arrays.arcs(limits.avoid_ids) & set(arcs)})
    return f"it leads over {', '.join(avoided)}, which it must not" if avoided else ""


def _served(finder: RouteFinder, request: PowerRequest, path: Path, circuit_id: int) -> Route | str:
    """From the cheapest source at its first router that has enough."""
    if not finder.converts(path, circuit_id):
        return "a router on it cannot convert that much"
    if path.injected_w > injection_limit_w(request.power_w, request.constraints) * (
        1.0 + RELATIVE_TOLERANCE
    ):
        return f"it loses more than was allowed: {format_power(path.injected_w)} would be injected"
    available = finder.available_w(request.source_ids, circuit_id)
    most_w = finder.most_by_node(available).get(path.nodes[0], 0.0)
    if most_w * (1.0 + RELATIVE_TOLERANCE) < path.injected_w:
        begin = finder.arrays.router_ids[path.nodes[0]]
        return f"no source at router {begin!r} has {format_power(path.injected_w)} for it"
    return finder.route_of(
        path, finder.source_at(path, available), request.sink_id, request.power_w
    )
