"""Reservations: what every circuit generation holds on links, sources and loads.

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
from contextlib import ExitStack, contextmanager
from math import fsum

from controller.core.circuits.account import QUANTA, Account, quanta_of
from controller.core.circuits.failures import Failure
from controller.core.circuits.resources import (
    NOWHERE,
    Resource,
    ResourceKind,
    held_by_hop,
    held_by_route,
    link_direction,
    load,
    through,
    trickles,
)
from controller.core.circuits.route import Route
from controller.core.circuits.standby_room import StandbyRoom
from digitalgrid.model import CircuitGeneration


class Reservations:
    """The sum of what circuits hold; a change costs the same however many circuits there are."""

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
        self._changed_links: set[str] = set()
        # Routers of which is reckoned what passes them, and those where that has changed.
        self._limited = NOWHERE
        self._changed_routers: set[str] = set()
        # Of each shared standby the failures under which it would carry power, and what all of them then need.
        self._covers: dict[CircuitGeneration, frozenset[Failure]] = {}
        self._room: StandbyRoom[Resource] = StandbyRoom()
        # Directions of lines of which shared standbys need more or less than before.
        self._changed_pools: set[Resource] = set()
        # Generations that stand by, shared or not.
        self._standbys: set[CircuitGeneration] = set()
        # Generations that are not demanded yet.
        self._idle: set[CircuitGeneration] = set()
        # Counts what was reserved and freed, what was freed alone, and standbys that carry by now.
        self.changes = 0
        self.freed = 0
        self.promotions = 0

    def reserve(
        self,
        key: CircuitGeneration,
        route: Route,
        covers: frozenset[Failure] | None = None,
        *,
        standby: bool = False,
        idle: bool = False,
    ) -> None:
        """Hold all hops of a generation. Admission has checked that it fits.

        One that is ``idle``, as every ``standby`` is, fills its buffers by its trickle until it is demanded. A shared
        standby is told by the failures that it ``covers``: it shares its room with those that cover others.
        """
        self.changes += 1
        others = self._generations.get(key.circuit_id, ())
        self._generations[key.circuit_id] = (*others, key.generation)
        self._routes[key] = route
        if covers is not None:
            self._covers[key] = covers
        if standby:
            self._standbys.add(key)
        if idle or standby:
            self._idle.add(key)
        trickle = dict(trickles(route, self._limited)) if idle or standby else {}
        sharing = self._is_sharing(key.circuit_id)
        for resource, amount in held_by_route(route, self._limited):
            account = self._accounts.get(resource) or self._open(resource)
            if sharing:
                with self._sharing(resource, key.circuit_id):
                    account.held[key] = amount
                    if resource in trickle:
                        account.trickle(key, trickle[resource])
                continue
            before = account.firm(key.circuit_id, others) if others else 0
            account.held[key] = amount
            if resource in trickle:
                account.trickle(key, trickle[resource])
            after = account.firm(key.circuit_id, (*others, key.generation)) if others else 0
            account.quanta += (after or quanta_of(amount)) - before
        self._changed_links.update([link.link_id for link in route.links])
        self._changed_routers.update(self._limited.intersection(route.router_ids))
        # Each other router on the route sends to a line.
        self._resources_at[route.sink_router_id].add(load(route.sink_id))

    def demanded(self, key: CircuitGeneration) -> None:
        """A generation carries its circuit by now: it stands by no more, shares nothing, nor fills by a trickle."""
        self.cover(key, None)
        self.promotions += key in self._standbys
        self._standbys.discard(key)
        self._idle.discard(key)
        route = self._routes.get(key)
        for resource, _ in trickles(route, self._limited) if route else ():
            account = self._accounts.get(resource)
            if account is not None and key in account.trickles:
                self._note_freed()
                with self._sharing(resource, key.circuit_id):
                    account.stop_trickle(key)
                self._note_changed(resource)

    def limit(self, router_ids: frozenset[str]) -> None:
        """Reckon what passes these routers from now on, and no others: all that circuits hold there by now."""
        for router_id in self._limited - router_ids:
            self._accounts.pop(through(router_id), None)
        added = router_ids - self._limited
        self._limited = router_ids
        for key, route in self._routes.items() if added else ():
            freed = self._freed.get(key, ())
            for index, router_id in enumerate(route.router_ids):
                if router_id in added and router_id not in freed:
                    resource = through(router_id)
                    account = self._accounts.get(resource) or self._open(resource)
                    with self._sharing(resource, key.circuit_id):
                        account.held[key] = route.entering_w[index]
                        if key in self._idle and route.trickle_w:
                            account.trickle(key, route.trickle_w[index])

    def _note_freed(self) -> None:
        self.changes += 1
        self.freed += 1

    def _note_changed(self, resource: Resource) -> None:
        if resource.kind is ResourceKind.LINK_DIRECTION:
            self._changed_links.add(resource.id)
        elif resource.kind is ResourceKind.THROUGH:
            self._changed_routers.add(resource.id)

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

    @contextmanager
    def without(self, key: CircuitGeneration) -> Iterator[None]:
        """As if a generation that no router has let go of yet held nothing, within. Nothing has changed after it."""
        route, covers = self._routes[key], self._covers.get(key)
        counted = self.changes, self.freed
        standby, idle = key in self._standbys, key in self._idle
        if key in self._freed:
            raise ValueError(f"{key} is on its way out: some of its routers hold nothing")
        self.release(key)
        try:
            yield
        finally:
            self.reserve(key, route, covers, standby=standby, idle=idle)
            self.changes, self.freed = counted

    def cover(self, key: CircuitGeneration, failures: frozenset[Failure] | None) -> None:
        """What a standby covers is something else from now on; None for one that is held firmly, as when promoted."""
        route = self._routes.get(key)
        if route is None or self._covers.get(key) == failures:
            return
        self._note_freed()
        with ExitStack() as all_of_them:
            for resource in self._held_by(key):
                all_of_them.enter_context(self._sharing(resource, key.circuit_id))
                self._note_changed(resource)
            if failures is None:
                del self._covers[key]
            else:
                self._covers[key] = failures

    def keep_pool(self, resource: Resource, quanta: int) -> None:
        """Standbys may take so much of it, even if fewer need less, until their router knows of the smaller pool."""
        account = self._accounts.get(resource)
        if account is None:
            if not quanta:
                return
            account = self._open(resource)
        before, account.floor = account.pool, quanta
        if account.pool != before:
            self.changes += 1
            self.freed += account.pool < before
            self._note_changed(resource)
        self._close_if_empty(resource)

    def needed_pool(self, resource: Resource) -> int:
        """The pool as its standbys need it by now, in quanta."""
        return self._room.pool(resource)

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

    def take_changed_pools(self) -> set[Resource]:
        """Directions of lines whose standbys need another pool since this was last asked."""
        changed, self._changed_pools = self._changed_pools, set()
        return changed

    def covers(self, key: CircuitGeneration) -> frozenset[Failure] | None:
        """The failures that a shared standby covers; None for what is held firmly."""
        return self._covers.get(key)

    def routers_holding(self, key: CircuitGeneration) -> tuple[str, ...]:
        route = self._routes.get(key)
        freed = self._freed.get(key, ())
        return tuple(each for each in route.router_ids if each not in freed) if route else ()

    def route_of(self, key: CircuitGeneration) -> Route | None:
        """What a generation holds, or part of it still."""
        return self._routes.get(key)

    def generations(self) -> Iterator[CircuitGeneration]:
        return iter(self._routes)

    def total(self, resource: Resource) -> float:
        """Reserved now, in ampere or watt: what is held firmly, and the pool of shared standbys."""
        account = self._accounts.get(resource)
        return (account.quanta + account.pool) / QUANTA if account else 0.0

    def pool(self, resource: Resource) -> float:
        """The part of the total that shared standbys have together."""
        account = self._accounts.get(resource)
        return account.pool / QUANTA if account else 0.0

    def firm(self, resource: Resource) -> float:
        """The part of the total that is held whatever fails."""
        account = self._accounts.get(resource)
        return account.quanta / QUANTA if account else 0.0

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

    def take_changed_links(self) -> set[str]:
        """Links whose load changed since this was last asked."""
        changed, self._changed_links = self._changed_links, set()
        return changed

    def take_changed_routers(self) -> set[str]:
        """Limited routers of which what passes them changed since this was last asked."""
        changed, self._changed_routers = self._changed_routers, set()
        return changed

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

    def _held_by(self, key: CircuitGeneration) -> Iterator[Resource]:
        route, freed = self._routes[key], self._freed.get(key, ())
        for index, router_id in enumerate(route.router_ids):
            if router_id not in freed:
                for resource, _ in held_by_hop(route, index, self._limited):
                    yield resource

    def resources(self) -> Iterator[Resource]:
        return iter(self._accounts)

    def recomputed(self, resource: Resource) -> float:
        """The total as the sum of its circuits, for those who check the books."""
        return self._accounts[resource].recomputed(self._covers) / QUANTA

    # Changes

    def _held_of(self, resource: Resource) -> Iterable[CircuitGeneration]:
        account = self._accounts.get(resource)
        return account.held if account else ()

    def _open(self, resource: Resource) -> Account:
        """Somebody holds a part of it from now on."""
        clamped = resource.kind is ResourceKind.LINK_DIRECTION
        account = self._accounts[resource] = Account(clamped=clamped)
        if resource.kind is ResourceKind.LINK_DIRECTION:
            self._used_from.setdefault(resource.id, set()).add(resource.from_router_id)
            self._resources_at[resource.from_router_id].add(resource)
        return account

    def _free_hop(self, key: CircuitGeneration, route: Route, router_id: str) -> None:
        self._note_freed()
        index = route.router_ids.index(router_id)
        for resource, _ in held_by_hop(route, index, self._limited):
            account = self._accounts[resource]
            numbers = self._generations[key.circuit_id]
            if self._is_sharing(key.circuit_id):
                with self._sharing(resource, key.circuit_id):
                    del account.held[key]
                    account.stop_trickle(key)
            else:
                before = account.firm(key.circuit_id, numbers)
                del account.held[key]
                account.stop_trickle(key)
                account.quanta += account.firm(key.circuit_id, numbers) - before
            self._note_changed(resource)
            self._close_if_empty(resource)

    def _is_sharing(self, circuit_id: int) -> bool:
        """Whether any generation of a circuit is a shared standby."""
        return bool(self._covers) and any(
            CircuitGeneration(circuit_id, each) in self._covers
            for each in self._generations.get(circuit_id, ())
        )

    @contextmanager
    def _sharing(self, resource: Resource, circuit_id: int) -> Iterator[None]:
        """Accounts for what changes within: what a circuit holds of a resource, or what its standbys cover."""
        account, numbers = self._accounts[resource], self._generations[circuit_id]
        before = account.share(circuit_id, numbers, self._covers)
        yield
        after = account.share(circuit_id, numbers, self._covers)
        account.quanta += after.firm - before.firm
        for covers in before.besides.keys() | after.besides.keys():
            was, becomes = before.besides.get(covers, 0), after.besides.get(covers, 0)
            if was != becomes:
                self._room.remove(resource, covers, was)
                self._room.add(resource, covers, becomes)
        needed = self._room.pool(resource)
        if needed != account.needed and account.clamped:
            self._changed_pools.add(resource)
        account.needed = needed

    def _close_if_empty(self, resource: Resource) -> None:
        """Where nobody holds any part of it any more."""
        account = self._accounts[resource]
        if account.held or account.floor:
            return
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
        self._covers.pop(key, None)
        self._standbys.discard(key)
        self._idle.discard(key)
        others = tuple(each for each in self._generations[key.circuit_id] if each != key.generation)
        if others:
            self._generations[key.circuit_id] = others
        else:
            del self._generations[key.circuit_id]
