"""Reservations: what every circuit generation holds on links, sources and loads.

A circuit that is being moved holds two generations. Where both use the same direction of a link (or the same
source or load), the larger of the two counts, because the router clamps their sum to it. A hop is held until its
router is known to have let go of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import lru_cache
from math import fsum
from typing import NamedTuple

from controller.core.circuits.route import Route
from digitalgrid.model import CircuitGeneration


class ResourceKind(StrEnum):
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


# One object a resource: routers advertise few, and circuits name them again and again. Enough for a network of 30,000
# lines; what strangers make up pushes out what was not used for longest.
_MAX_CACHED = 1 << 16


@lru_cache(_MAX_CACHED)
def link_direction(link_id: str, from_router_id: str) -> Resource:
    return Resource(ResourceKind.LINK_DIRECTION, link_id, from_router_id)


@lru_cache(_MAX_CACHED)
def source(source_id: str) -> Resource:
    return Resource(ResourceKind.SOURCE, source_id)


@lru_cache(_MAX_CACHED)
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


def _parts(route: Route) -> list[tuple[Resource, float]]:
    """What all its routers hold together."""
    parts = [(link_direction(e.link_id, e.from_router_id), e.current_a) for e in route.links]
    parts.append((source(route.source_id), route.injected_w))
    parts.append((load(route.sink_id), route.power_w))
    return parts


# Totals are whole numbers of this part of an ampere or watt. A float of a quarter of a milliampere or more is one
# exactly, so that sums are exact in any order, and what is taken away again leaves nothing behind.
_QUANTA = 1 << 64


def _quanta(amount: float) -> int:
    return int(amount * _QUANTA)


class _Account:
    """What of one resource each generation holds, and all circuits together."""

    __slots__ = ("held", "quanta")

    def __init__(self) -> None:
        self.held: dict[CircuitGeneration, float] = {}
        self.quanta = 0

    def largest(self, circuit_id: int, numbers: Iterable[int]) -> float:
        """What the largest of some generations of a circuit holds."""
        held = self.held
        amounts = [held.get(CircuitGeneration(circuit_id, each), 0.0) for each in numbers]
        return max(amounts, default=0.0)


class Reservations:
    """The sum of what circuits hold; a change costs the same however many circuits there are."""

    def __init__(self) -> None:
        self._accounts: dict[Resource, _Account] = {}
        # The generations that hold anything, by their circuits too.
        self._routes: dict[CircuitGeneration, Route] = {}
        self._generations: dict[int, tuple[int, ...]] = {}
        # Routers that have let go of a generation which others still hold.
        self._freed: dict[CircuitGeneration, set[str]] = {}
        # From where a link is used, if it is; and what each router has to give, or had.
        self._used_from: dict[str, set[str]] = {}
        self._resources_at: defaultdict[str, set[Resource]] = defaultdict(set)
        self._changed_links: set[str] = set()
        # Counts what was reserved and freed.
        self.changes = 0

    def reserve(self, key: CircuitGeneration, route: Route) -> None:
        """Hold all hops of a generation. Admission has checked that it fits."""
        self.changes += 1
        others = self._generations.get(key.circuit_id, ())
        self._generations[key.circuit_id] = (*others, key.generation)
        self._routes[key] = route
        for resource, amount in _parts(route):
            account = self._accounts.get(resource) or self._open(resource)
            added = int(amount * _QUANTA)
            if others:
                added = max(0, added - _quanta(account.largest(key.circuit_id, others)))
            account.held[key] = amount
            account.quanta += added
        self._changed_links.update([link.link_id for link in route.links])
        # Each other router on the route sends to a line.
        self._resources_at[route.sink_router_id].add(load(route.sink_id))

    def release_hop(self, key: CircuitGeneration, router_id: str) -> None:
        """Free what one router holds; done once, and harmless when repeated."""
        route = self._routes.get(key)
        freed = self._freed.get(key, set())
        if route is None or router_id in freed or router_id not in route.router_ids:
            return
        self._free_hop(key, route, router_id)
        if len(freed) + 1 == len(route.router_ids):
            self._forget(key)
        else:
            self._freed.setdefault(key, freed).add(router_id)

    def release(self, key: CircuitGeneration) -> None:
        route = self._routes.get(key)
        if route is None:
            return
        freed = self._freed.get(key, ())
        for router_id in route.router_ids:
            if router_id not in freed:
                self._free_hop(key, route, router_id)
        self._forget(key)

    def routers_holding(self, key: CircuitGeneration) -> tuple[str, ...]:
        route = self._routes.get(key)
        freed = self._freed.get(key, ())
        return tuple(each for each in route.router_ids if each not in freed) if route else ()

    def generations(self) -> Iterator[CircuitGeneration]:
        return iter(self._routes)

    def total(self, resource: Resource) -> float:
        """Reserved now, in ampere or watt."""
        account = self._accounts.get(resource)
        return account.quanta / _QUANTA if account else 0.0

    def of_circuit(self, resource: Resource, circuit_id: int) -> float:
        """The part of the total that one circuit holds."""
        # A circuit that is only asked for holds nothing, and is asked about for each source there is.
        generations = self._generations.get(circuit_id)
        account = self._accounts.get(resource) if generations else None
        return account.largest(circuit_id, generations) if account and generations else 0.0

    def circuits_on_link(self, link_id: str, *ends: str) -> list[int]:
        """Ids of the circuits that hold the link in either direction."""
        return sorted(
            {key.circuit_id for end in ends for key in self._held_of(link_direction(link_id, end))}
        )

    def circuits_over(self, link_ids: Iterable[str]) -> set[int]:
        """Ids of the circuits that hold any of these links, whoever its ends are by now."""
        return {
            key.circuit_id
            for link_id in link_ids
            for end in self._used_from.get(link_id, ())
            for key in self._held_of(link_direction(link_id, end))
        }

    def held_at(self, router_ids: Iterable[str]) -> set[CircuitGeneration]:
        """The generations of which any of these routers holds a hop."""
        return {
            key
            for router_id in router_ids
            for resource in self._resources_at.get(router_id, ())
            for key in self._held_of(resource)
            # A load may have been at another router before.
            if resource.from_router_id or self._routes[key].sink_router_id == router_id
        }

    def circuits_with(self, resources: Iterable[Resource]) -> set[int]:
        """Ids of the circuits that hold any of these."""
        return {key.circuit_id for each in resources for key in self._held_of(each)}

    def take_changed_links(self) -> set[str]:
        """Links whose load changed since this was last asked."""
        changed, self._changed_links = self._changed_links, set()
        return changed

    def held_by_circuit(self, circuit_id: int) -> set[Resource]:
        """Everything that a circuit holds any part of."""
        return {
            resource
            for number in self._generations.get(circuit_id, ())
            for resource in self._held_by(CircuitGeneration(circuit_id, number))
        }

    def _held_by(self, key: CircuitGeneration) -> Iterator[Resource]:
        route, freed = self._routes[key], self._freed.get(key, ())
        for index, router_id in enumerate(route.router_ids):
            if router_id not in freed:
                for resource, _ in held_by_hop(route, index):
                    yield resource

    def resources(self) -> Iterator[Resource]:
        return iter(self._accounts)

    def recomputed(self, resource: Resource) -> float:
        """The total as the sum of its circuits, for those who check the books."""
        largest: dict[int, float] = {}
        for key, amount in self._accounts[resource].held.items():
            largest[key.circuit_id] = max(largest.get(key.circuit_id, 0.0), amount)
        return fsum(largest.values())

    # Changes

    def _held_of(self, resource: Resource) -> Iterable[CircuitGeneration]:
        account = self._accounts.get(resource)
        return account.held if account else ()

    def _open(self, resource: Resource) -> _Account:
        """Somebody holds a part of it from now on."""
        account = self._accounts[resource] = _Account()
        if resource.kind is ResourceKind.LINK_DIRECTION:
            self._used_from.setdefault(resource.id, set()).add(resource.from_router_id)
            self._resources_at[resource.from_router_id].add(resource)
        return account

    def _free_hop(self, key: CircuitGeneration, route: Route, router_id: str) -> None:
        self.changes += 1
        for resource, _ in held_by_hop(route, route.router_ids.index(router_id)):
            account = self._accounts[resource]
            freed = _quanta(account.held.pop(key))
            numbers = self._generations[key.circuit_id]
            if len(numbers) > 1:
                freed = max(0, freed - _quanta(account.largest(key.circuit_id, numbers)))
            account.quanta -= freed
            if resource.kind is ResourceKind.LINK_DIRECTION:
                self._changed_links.add(resource.id)
            if not account.held:
                self._close(resource)

    def _close(self, resource: Resource) -> None:
        """Nobody holds any part of it any more."""
        del self._accounts[resource]
        if resource.kind is ResourceKind.LINK_DIRECTION:
            ends = self._used_from[resource.id]
            ends.discard(resource.from_router_id)
            if not ends:
                del self._used_from[resource.id]

    def _forget(self, key: CircuitGeneration) -> None:
        """All its routers have let go of it."""
        del self._routes[key]
        self._freed.pop(key, None)
        others = tuple(each for each in self._generations[key.circuit_id] if each != key.generation)
        if others:
            self._generations[key.circuit_id] = others
        else:
            del self._generations[key.circuit_id]
