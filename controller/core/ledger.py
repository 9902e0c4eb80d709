"""Reservations: what every circuit generation holds on links, sources and loads.

A circuit that is being moved holds two generations. Where both use the same direction of a link (or the same
source or load), the larger of the two counts, because the router clamps their sum to it. A hop is held until its
router is known to have let go of it.
"""

from collections.abc import Iterator
from enum import Enum
from math import fsum
from typing import NamedTuple

from controller.core.route import Route
from digitalgrid.model import CircuitGeneration


class ResourceKind(Enum):
    LINK_DIRECTION = "link"
    SOURCE = "source"
    LOAD = "load"


class Resource(NamedTuple):
    """What can be reserved. ``from_router_id`` gives a link's direction; empty for sources and loads.

    Links are counted in ampere at the receiving end, sources and loads in watt.
    """

    kind: ResourceKind
    id: str
    from_router_id: str = ""


def link_direction(link_id: str, from_router_id: str) -> Resource:
    return Resource(ResourceKind.LINK_DIRECTION, link_id, from_router_id)


def source(source_id: str) -> Resource:
    return Resource(ResourceKind.SOURCE, source_id)


def load(load_id: str) -> Resource:
    return Resource(ResourceKind.LOAD, load_id)


def held_by_hop(route: Route, index: int) -> Iterator[tuple[Resource, float]]:
    """What the router at ``index`` holds for a route: what it sends, and what it draws or delivers."""
    if index == 0:
        yield source(route.source_id), route.injected_w
    if index < len(route.links):
        link = route.links[index]
        yield link_direction(link.link_id, link.from_router_id), link.current_a
    else:
        yield load(route.sink_id), route.power_w


class Ledger:
    """The sum of what circuits hold; every total is recomputed from its parts, so it cannot drift."""

    def __init__(self) -> None:
        self._held: dict[Resource, dict[CircuitGeneration, float]] = {}
        self._total: dict[Resource, float] = {}
        self._hops: dict[CircuitGeneration, dict[str, tuple[tuple[Resource, float], ...]]] = {}
        self._generations: dict[int, set[int]] = {}
        self._changed_links: set[str] = set()

    def reserve(self, key: CircuitGeneration, route: Route) -> None:
        """Hold all hops of a generation. Admission has checked that it fits."""
        hops = {
            router_id: tuple(held_by_hop(route, index))
            for index, router_id in enumerate(route.router_ids)
        }
        self._hops[key] = hops
        self._generations.setdefault(key.circuit_id, set()).add(key.generation)
        for held in hops.values():
            for resource, amount in held:
                self._held.setdefault(resource, {})[key] = amount
                self._recompute(resource)

    def release_hop(self, key: CircuitGeneration, router_id: str) -> None:
        """Free what one router holds; done once, and harmless when repeated."""
        hops = self._hops.get(key, {})
        for resource, _ in hops.pop(router_id, ()):
            del self._held[resource][key]
            self._recompute(resource)
        if not hops and self._hops.pop(key, None) is not None:
            numbers = self._generations[key.circuit_id]
            numbers.discard(key.generation)
            if not numbers:
                del self._generations[key.circuit_id]

    def release(self, key: CircuitGeneration) -> None:
        for router_id in list(self._hops.get(key, ())):
            self.release_hop(key, router_id)

    def routers_holding(self, key: CircuitGeneration) -> tuple[str, ...]:
        return tuple(self._hops.get(key, ()))

    def generations(self) -> Iterator[CircuitGeneration]:
        return iter(self._hops)

    def total(self, resource: Resource) -> float:
        """Reserved now, in ampere or watt."""
        return self._total.get(resource, 0.0)

    def of_circuit(self, resource: Resource, circuit_id: int) -> float:
        """The part of the total that one circuit holds."""
        return max(
            (
                amount
                for key, amount in self._held.get(resource, {}).items()
                if key.circuit_id == circuit_id
            ),
            default=0.0,
        )

    def circuits_on_link(self, link_id: str, *ends: str) -> list[int]:
        """Ids of the circuits that hold the link in either direction."""
        return sorted(
            {
                key.circuit_id
                for end in ends
                for key in self._held.get(link_direction(link_id, end), {})
            }
        )

    def take_changed_links(self) -> set[str]:
        """Links whose load changed since this was last asked."""
        changed, self._changed_links = self._changed_links, set()
        return changed

    def held_by_circuit(self, circuit_id: int) -> set[Resource]:
        """Everything that a circuit holds any part of."""
        return {
            resource
            for number in self._generations.get(circuit_id, ())
            for held in self._hops[CircuitGeneration(circuit_id, number)].values()
            for resource, _ in held
        }

    def resources(self) -> Iterator[Resource]:
        return iter(self._held)

    def recomputed(self, resource: Resource) -> float:
        """The total as the sum of its circuits, for those who check the books."""
        return self._sum(resource)

    def _recompute(self, resource: Resource) -> None:
        if resource.kind is ResourceKind.LINK_DIRECTION:
            self._changed_links.add(resource.id)
        if self._held[resource]:
            self._total[resource] = self._sum(resource)
        else:
            del self._held[resource]
            self._total.pop(resource, None)

    def _sum(self, resource: Resource) -> float:
        largest: dict[int, float] = {}
        for key, amount in self._held[resource].items():
            largest[key.circuit_id] = max(largest.get(key.circuit_id, 0.0), amount)
        return fsum(largest.values())
