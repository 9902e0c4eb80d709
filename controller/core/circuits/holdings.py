"""Holdings: what every circuit generation holds on links, sources and loads, as all others look at it.

A circuit that is being moved, or has a standby, holds several generations. Where they use the same direction of a link
(or the same source or load), the largest counts, because the router clamps their sum to it; and where one that is not
demanded yet fills its buffers, its trickle beside the largest of the others. A hop is held until its router is known to
have let go of it.

A shared standby holds nothing for itself. What it would take beyond what its circuit holds already counts in the pool
of the resource: the largest sum that any single failure asks for (``standby_room``). Of two standbys of one circuit,
while one replaces the other, the larger counts.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from math import fsum

from controller.core.circuits.account import QUANTA, Account
from controller.core.circuits.failures import Failure
from controller.core.circuits.resources import (
    NOWHERE,
    Resource,
    ResourceKind,
    held_by_hop,
    link_direction,
)
from controller.core.circuits.route import Route
from controller.core.circuits.standby_room import StandbyRoom
from digitalgrid.model import CircuitGeneration

# Asked of everything that is held, and slow to come by: it is a member of an enumeration.
_LINK_DIRECTION = ResourceKind.LINK_DIRECTION


class Holdings:
    """Read side of the reservations; only :class:`~controller.core.circuits.reservations.Reservations` changes it."""

    def __init__(self) -> None:
        self._accounts: dict[Resource, Account] = {}
        # The generations that hold anything, by their circuits too.
        self._routes: dict[CircuitGeneration, Route] = {}
        self._generations: dict[int, tuple[int, ...]] = {}
        # Routers that have let go of a generation which others still hold.
        self._freed: dict[CircuitGeneration, set[str]] = {}
        # From where a link is used, if it is; and what each router has to give, or had.
        self._used_from: dict[str, set[str]] = {}
        self._resources_at: defaultdict[str, set[Resource]] = defaultdict(set)
        # Routers of which is reckoned what passes them.
        self._limited = NOWHERE
        # Of each shared standby the failures under which it would carry power, and what all of them then need.
        self._covers: dict[CircuitGeneration, frozenset[Failure]] = {}
        self._room: StandbyRoom[Resource] = StandbyRoom()
        # Generations that stand by, shared or not.
        self._standbys: set[CircuitGeneration] = set()
        # Circuits that carry nothing until their clients activate them.
        self._on_hold: set[int] = set()

    # Sums

    def total(self, resource: Resource) -> float:
        """Reserved now, in ampere or watt: what is held firmly, and the pool of shared standbys."""
        account = self._accounts.get(resource)
        return (account.quanta + account.pool) / QUANTA if account else 0.0

    def on_links(self) -> Iterator[tuple[str, float]]:
        """The total (A) of each direction of each link that is held, by its id."""
        for resource, account in self._accounts.items():
            if resource.kind is _LINK_DIRECTION:
                yield resource.id, (account.quanta + account.pool) / QUANTA

    def pool(self, resource: Resource) -> float:
        """The part of the total that shared standbys have together."""
        account = self._accounts.get(resource)
        return account.pool / QUANTA if account else 0.0

    def standing_by(self, resource: Resource) -> float:
        """The part of the total that is there for standbys and holds alone: it carries nothing but trickles."""
        account = self._accounts.get(resource)
        return (account.pool + account.standing) / QUANTA if account else 0.0

    def _standing_of(self, account: Account, circuit_id: int) -> int:
        """What a circuit holds firmly there for its dedicated standbys alone, or while it is on hold, in quanta."""
        if not (self._standbys or self._on_hold):
            return 0
        numbers = self._generations.get(circuit_id, ())
        if circuit_id in self._on_hold:
            return account.firm(circuit_id, numbers, self._covers)
        standbys = [
            each for each in numbers if CircuitGeneration(circuit_id, each) in self._standbys
        ]
        keys = (CircuitGeneration(circuit_id, each) for each in standbys)
        if not any(key in account.held and key not in self._covers for key in keys):
            return 0
        working = [each for each in numbers if each not in standbys]
        together = account.firm(circuit_id, numbers, self._covers)
        return together - account.firm(circuit_id, working, self._covers)

    def firm(self, resource: Resource) -> float:
        """The part of the total that is held whatever fails."""
        account = self._accounts.get(resource)
        return account.quanta / QUANTA if account else 0.0

    def of_circuit(self, resource: Resource, circuit_id: int) -> float:
        """The part of the total that one circuit holds firmly."""
        # A circuit that is only asked for holds nothing, and is asked about for each source there is.
        generations = self._generations.get(circuit_id)
        account = self._accounts.get(resource) if generations else None
        if account is None or not generations:
            return 0.0
        if self._is_sharing(circuit_id):
            return account.firm(circuit_id, generations, self._covers) / QUANTA
        if account.trickles:
            return account.firm(circuit_id, generations) / QUANTA
        return account.largest(circuit_id, generations)

    def open_to(self, resource: Resource, circuit_id: int) -> float:
        """Of what a circuit holds, what its next generation may use: all but what goes on filling buffers beside it."""
        held = self.of_circuit(resource, circuit_id)
        account = self._accounts.get(resource) if held else None
        if account is None or not account.trickles:
            return held
        keys = (CircuitGeneration(circuit_id, each) for each in self._generations[circuit_id])
        filling = (account.trickles.get(key, 0.0) for key in keys if key not in self._covers)
        return max(0.0, held - max(filling, default=0.0))

    def largest_of(self, resource: Resource, circuit_id: int) -> float:
        """What the largest generation of a circuit holds of a resource, those left out that share their room."""
        account = self._accounts.get(resource)
        if account is None:
            return 0.0
        keys = (
            CircuitGeneration(circuit_id, each) for each in self._generations.get(circuit_id, ())
        )
        firm = (account.held.get(key, 0.0) for key in keys if key not in self._covers)
        return max(firm, default=0.0)

    def working(self, resource: Resource) -> float:
        """What is reserved for all that carry or are to carry, standbys left out."""
        return fsum(self.working_by_circuit(resource).values())

    def working_by_circuit(self, resource: Resource) -> dict[int, float]:
        """The same, of each circuit that holds any."""
        largest: dict[int, float] = {}
        for key in self._held_of(resource):
            if key not in self._standbys:
                amount = self._accounts[resource].held[key]
                largest[key.circuit_id] = max(largest.get(key.circuit_id, 0.0), amount)
        return largest

    def recomputed(self, resource: Resource) -> float:
        """The total as the sum of its circuits, for those who check the books."""
        return self._accounts[resource].recomputed(self._covers) / QUANTA

    # Shared standbys, and their pools

    def covers(self, key: CircuitGeneration) -> frozenset[Failure] | None:
        """The failures that a shared standby covers; None for what is held firmly."""
        return self._covers.get(key)

    def needed_pool(self, resource: Resource) -> int:
        """The pool as its standbys need it by now, in quanta."""
        return self._room.pool(resource)

    def needed_under_any(
        self, failures: Collection[Failure], but: CircuitGeneration | None = None
    ) -> dict[Resource, float]:
        """The most that one of these failures lets standbys take besides, of each resource of which they take any; of
        all but one of them, where that is to go.
        """
        needed = self._room.needed_under_any(failures)
        if but is not None and self._covers.get(but):
            for resource in self._held_by(but):
                own = self._own(resource, but)
                needed[resource] = max(
                    (self._room.needed(resource, each) - own.get(each, 0) for each in failures),
                    default=0,
                )
        return {resource: quanta / QUANTA for resource, quanta in needed.items()}

    def needed(
        self, resource: Resource, failure: Failure, but: CircuitGeneration | None = None
    ) -> float:
        """What standbys take besides under a failure; all but one of them, where that is to go."""
        quanta = self._room.needed(resource, failure)
        if but is not None and self._covers.get(but):
            quanta -= self._own(resource, but).get(failure, 0)
        return quanta / QUANTA

    def _own(self, resource: Resource, key: CircuitGeneration) -> dict[Failure, int]:
        """How much less of a resource its circuit's standbys would take under each failure without a shared one."""
        account, numbers = self._accounts.get(resource), self._generations[key.circuit_id]
        if account is None or key not in account.held:
            return {}
        others = tuple(each for each in numbers if each != key.generation)
        with_it = account.share(key.circuit_id, numbers, self._covers)
        without = account.share(key.circuit_id, others, self._covers)
        return {each: with_it.under(each) - without.under(each) for each in self._covers[key]}

    def pools_from(self, router_id: str) -> list[Resource]:
        """Directions of lines by which a router sends, and where shared standbys need a pool."""
        ways = self._resources_at.get(router_id, ())
        return [way for way in ways if way.from_router_id == router_id and self._room.pool(way)]

    def voltage_v(self, way: Resource) -> float:
        """At which those who hold a direction of a line were admitted; 0 where nobody does."""
        for key in self._held_of(way):
            for link in self._routes[key].links:
                if link.link_id == way.id and link.from_router_id == way.from_router_id:
                    return link.voltage_v
        return 0.0

    def sharing(self, way: Resource) -> list[int]:
        """Ids of the circuits whose standbys share the pool of a direction of a line."""
        return sorted(key.circuit_id for key in self._held_of(way) if key in self._covers)

    # Who holds what

    def routers_holding(self, key: CircuitGeneration) -> tuple[str, ...]:
        route = self._routes.get(key)
        freed = self._freed.get(key, ())
        return tuple(each for each in route.router_ids if each not in freed) if route else ()

    def route_of(self, key: CircuitGeneration) -> Route | None:
        """What a generation holds, or part of it still."""
        return self._routes.get(key)

    def generations(self) -> Iterator[CircuitGeneration]:
        return iter(self._routes)

    def resources(self) -> Iterator[Resource]:
        return iter(self._accounts)

    def held_by_circuit(self, circuit_id: int) -> set[Resource]:
        """Everything that a circuit holds any part of."""
        return {
            resource
            for number in self._generations.get(circuit_id, ())
            for resource in self._held_by(CircuitGeneration(circuit_id, number))
        }

    def held_by(self, key: CircuitGeneration) -> Iterator[Resource]:
        """Everything that a generation holds still."""
        return self._held_by(key) if key in self._routes else iter(())

    def held_of(self, resource: Resource) -> Mapping[CircuitGeneration, float]:
        """What each generation holds of it (A or W)."""
        account = self._accounts.get(resource)
        return account.held if account else {}

    def trickle_of(self, resource: Resource, key: CircuitGeneration) -> float:
        """What a generation takes of it while it only fills its buffers (A or W)."""
        account = self._accounts.get(resource)
        return account.trickles.get(key, 0.0) if account else 0.0

    def circuits_on_link(self, link_id: str, *ends: str) -> list[int]:
        """Ids of the circuits that hold the link in either direction."""
        return sorted(
            {key.circuit_id for end in ends for key in self._held_of(link_direction(link_id, end))}
        )

    def generations_over(self, link_ids: Iterable[str]) -> Iterator[CircuitGeneration]:
        """Those that hold any of these links, found as far as they are asked for."""
        for link_id in link_ids:
            for end in self._used_from.get(link_id, ()):
                yield from self._held_of(link_direction(link_id, end))

    def circuits_over(self, link_ids: Iterable[str]) -> set[int]:
        """Ids of the circuits that hold any of these links, whoever its ends are by now."""
        return {
            key.circuit_id
            for link_id in link_ids
            for end in self._used_from.get(link_id, ())
            for key in self._held_of(link_direction(link_id, end))
        }

    def held_on(self, link_id: str) -> set[CircuitGeneration]:
        """The generations of which a router at either end of the link holds the hop there."""
        held = {
            key
            for end in self._used_from.get(link_id, ())
            for key in self._held_of(link_direction(link_id, end))
        }
        # Who sends has let go, and who receives has not.
        held |= {
            key
            for key, freed in self._freed.items()
            for link in self._routes[key].links
            if link.link_id == link_id and link.to_router_id not in freed
        }
        return held

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

    def _held_by(self, key: CircuitGeneration) -> Iterator[Resource]:
        route, freed = self._routes[key], self._freed.get(key, ())
        for index, router_id in enumerate(route.router_ids):
            if router_id not in freed:
                for resource, _ in held_by_hop(route, index, self._limited):
                    yield resource

    def _held_of(self, resource: Resource) -> Iterable[CircuitGeneration]:
        account = self._accounts.get(resource)
        return account.held if account else ()

    def _is_sharing(self, circuit_id: int) -> bool:
        """Whether any generation of a circuit is a shared standby."""
        return bool(self._covers) and any(
            CircuitGeneration(circuit_id, each) in self._covers
            for each in self._generations.get(circuit_id, ())
        )
