"""Resources: what can be reserved of links, sources, loads and converters, and which of it the hops of a route hold.

What passes a converter is held only at routers that are ``limited``.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from controller.core.circuits.route import Route
from digitalgrid.physics import current_a


class ResourceKind(StrEnum):
    LINK_DIRECTION = "link"
    SOURCE = "source"
    LOAD = "load"
    THROUGH = "through"


class Resource(NamedTuple):
    """What can be reserved. ``from_router_id`` gives a link's direction; empty for all else.

    Links are counted in ampere at the receiving end; sources, loads and what passes a router's converter in watt.
    """

    kind: ResourceKind
    id: str
    from_router_id: str = ""


# One object a resource: routers advertise few, and circuits name them again and again. Enough for a network of 30,000
# lines; what strangers make up pushes out what was not used for longest.
_MAX_CACHED = 1 << 16
# Where no router is limited.
NOWHERE: frozenset[str] = frozenset()


@lru_cache(_MAX_CACHED)
def link_direction(link_id: str, from_router_id: str) -> Resource:
    return Resource(ResourceKind.LINK_DIRECTION, link_id, from_router_id)


@lru_cache(_MAX_CACHED)
def source(source_id: str) -> Resource:
    return Resource(ResourceKind.SOURCE, source_id)


@lru_cache(_MAX_CACHED)
def load(load_id: str) -> Resource:
    return Resource(ResourceKind.LOAD, load_id)


@lru_cache(_MAX_CACHED)
def through(router_id: str) -> Resource:
    """What enters a router's converter; held only where it is limited."""
    return Resource(ResourceKind.THROUGH, router_id)


def held_by_hop(
    route: Route, index: int, limited: frozenset[str] = NOWHERE
) -> Iterator[tuple[Resource, float]]:
    """What the router at ``index`` holds for a route: what it sends, and what it draws or delivers."""
    if index == 0:
        yield source(route.source_id), route.injected_w
    if index < len(route.links):
        link = route.links[index]
        yield link_direction(link.link_id, link.from_router_id), link.current_a
    else:
        yield load(route.sink_id), route.power_w
    if route.router_ids[index] in limited:
        yield through(route.router_ids[index]), route.entering_w[index]


def held_by_route(route: Route, limited: frozenset[str] = NOWHERE) -> list[tuple[Resource, float]]:
    """What all its routers hold together."""
    parts = [(link_direction(e.link_id, e.from_router_id), e.current_a) for e in route.links]
    parts.append((source(route.source_id), route.injected_w))
    parts.append((load(route.sink_id), route.power_w))
    if limited:
        passed = zip(route.router_ids, route.entering_w, strict=True)
        parts += [(through(each), entering_w) for each, entering_w in passed if each in limited]
    return parts


def trickles(route: Route, limited: frozenset[str] = NOWHERE) -> Iterator[tuple[Resource, float]]:
    """What of each resource a generation takes while it only fills its buffers, all its routers together."""
    if route.trickle_w:
        yield source(route.source_id), route.trickle_w[0]
        for link, entering_w in zip(route.links, route.trickle_w[1:], strict=True):
            yield (
                link_direction(link.link_id, link.from_router_id),
                current_a(entering_w, link.voltage_v),
            )
    if route.trickle_w and limited:
        for router_id, trickle_w in zip(route.router_ids, route.trickle_w, strict=True):
            if router_id in limited:
                yield through(router_id), trickle_w
