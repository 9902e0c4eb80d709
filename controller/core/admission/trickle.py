"""Trickles: by how much a generation that is not demanded fills its buffers, as far as there is room for it."""

from collections.abc import Collection

from msgspec.structs import replace

from controller.core.admission.route_finder import RouteFinder
from controller.core.circuits.failures import Failure
from controller.core.circuits.resources import (
    Resource,
    ResourceKind,
    link_direction,
    through,
    trickles,
)
from controller.core.circuits.route import Route
from digitalgrid.model import CircuitGeneration

# Share of its reservation by which a generation fills: a hop at ticks of 200 ms holds 0.21 s of its power, and has that
# after 2.1 s. Hops fill one after the other, so that longer paths take more, as if they were of so many lines: all of
# it is there within ten seconds.
TRICKLE_FRACTION = 0.1
_LINES_AT_THAT = 3
# More of a source or a line is not held for what is needed now and then, however long the path is.
_MOST_FRACTION = 0.25
# A shared standby fills from a pool that lies idle until a failure, so that more holds back nobody: two seconds less in
# which nothing protects its circuit.
_SHARED_FRACTION = 0.2
# With less it would take minutes, and is left alone.
_LEAST_FRACTION = 0.005
# Sums of floats are not held against it.
_BELOW_ONE = 1.0 - 1e-9


def fraction_over(lines: int) -> float:
    """Share of its reservation by which a generation over so many lines fills, where there is room."""
    return min(_MOST_FRACTION, TRICKLE_FRACTION * max(1.0, lines / _LINES_AT_THAT))


def with_trickle(
    finder: RouteFinder,
    route: Route,
    circuit_id: int,
    covers: Collection[Failure] | None = None,
    instead_of: CircuitGeneration | None = None,
) -> Route:
    """The route with what may trickle into each hop beside what its circuit holds already; none where a router of it
    does not know of trickles, or there is no room. A standby that ``covers`` failures fills from pools, where that one
    goes which it is made ``instead_of``.
    """
    view = finder.view
    if not all(view.routers[each].stands_by for each in route.router_ids):
        return route
    fraction = fraction_over(len(route.links))
    if covers is not None:
        fraction = max(fraction, _SHARED_FRACTION)
    amounts = [*trickles(replace(route, trickle_w=route.entering_w))]
    amounts += [
        (through(router_id), entering_w)
        for router_id, entering_w in zip(route.router_ids, route.entering_w, strict=True)
        if view.routers[router_id].profile.max_through_w is not None
    ]
    for resource, amount in amounts:
        room = _room(finder, resource, circuit_id)
        if covers is not None:
            room += _spare(finder, resource, covers, instead_of)
        fraction = min(fraction, room / amount)
    if fraction < _LEAST_FRACTION:
        return route
    return replace(route, trickle_w=tuple(fraction * each for each in route.entering_w))


def _spare(
    finder: RouteFinder,
    resource: Resource,
    covers: Collection[Failure],
    instead_of: CircuitGeneration | None,
) -> float:
    """What of the pool nobody else needs under the failures that a standby covers."""
    held = finder.reservations
    active = max((held.needed(resource, each, instead_of) for each in covers), default=0.0)
    return held.pool(resource) - active


def _room(finder: RouteFinder, resource: Resource, circuit_id: int) -> float:
    """What is left of a resource beside the largest generation of a circuit (W or A); where it holds none, its next one
    is reserved in full, which is room enough.
    """
    held, view = finder.reservations, finder.view
    largest = held.largest_of(resource, circuit_id)
    if not largest:
        return float("inf")
    reserved = held.total(resource) - held.of_circuit(resource, circuit_id)
    if resource.kind is ResourceKind.SOURCE:
        limit = view.sources[resource.id][1].max_power_w
    elif resource.kind is ResourceKind.THROUGH:
        limit = view.routers[resource.id].profile.max_through_w or 0.0
    else:
        link = view.links[resource.id]
        limit = link.ampacity_a
        reserved += held.total(link_direction(link.link_id, link.far_end(resource.from_router_id)))
    return limit * _BELOW_ONE - reserved - largest
