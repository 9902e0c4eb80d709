"""Reservations: the only writer of what circuit generations hold, which :mod:`holdings` describes and answers for."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from controller.core.circuits.account import Account, quanta_of
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.failures import Failure
from controller.core.circuits.generation import Generation, Role
from controller.core.circuits.holdings import Holdings
from controller.core.circuits.resources import (
    Resource,
    ResourceKind,
    held_by_hop,
    held_by_route,
    load,
    through,
    trickles,
)
from controller.core.circuits.route import Route
from digitalgrid.model import CircuitGeneration


class Reservations(Holdings):
    """The sum of what circuits hold; a change costs the same however many circuits there are."""

    def __init__(self) -> None:
        super().__init__()
        self._changed_links: set[str] = set()
        # Limited routers where what passes them has changed.
        self._changed_routers: set[str] = set()
        # Directions of lines of which shared standbys need more or less than before.
        self._changed_pools: set[Resource] = set()
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
        is_plain = not (others or idle or standby or covers is not None)
        if not is_plain or key.circuit_id in self._on_hold:
            self._hold_beside(key, route, others, trickling=idle or standby)
        else:
            for resource, amount in held_by_route(route, self._limited):
                account = self._accounts.get(resource) or self._open(resource)
                account.held[key] = amount
                account.quanta += quanta_of(amount)
        self._changed_links.update([link.link_id for link in route.links])
        if self._limited:
            self._changed_routers.update(self._limited.intersection(route.router_ids))
        # Each other router on the route sends to a line.
        self._resources_at[route.sink_router_id].add(load(route.sink_id))

    def restore(self, circuit: Circuit, generation: Generation) -> None:
        """Hold a generation as a record has it, less what its routers have let go of."""
        self.reserve(
            generation.key,
            generation.route,
            generation.covers,
            standby=generation.role is Role.STANDBY,
            idle=circuit.fills_first(generation),
        )
        for router_id in generation.freed:
            self.release_hop(generation.key, router_id)

    def _hold_beside(
        self,
        key: CircuitGeneration,
        route: Route,
        others: tuple[int, ...],
        *,
        trickling: bool,
    ) -> None:
        """Hold a generation that is not its circuit's only one, or not demanded yet."""
        trickle = dict(trickles(route, self._limited)) if trickling else {}
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
            stood = self._standing_of(account, key.circuit_id)
            account.held[key] = amount
            if resource in trickle:
                account.trickle(key, trickle[resource])
            after = account.firm(key.circuit_id, (*others, key.generation)) if others else 0
            account.quanta += (after or quanta_of(amount)) - before
            account.standing += self._standing_of(account, key.circuit_id) - stood

    def demanded(self, key: CircuitGeneration) -> None:
        """A generation carries its circuit by now: it stands by no more, shares nothing, nor fills by a trickle."""
        self.cover(key, None)
        if key in self._standbys:
            self.promotions += 1
            with self._restanding(key.circuit_id, self.held_by(key)):
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

    def hold(self, circuit_id: int) -> None:
        """All that this circuit has, and will have, carries nothing until its hold ends."""
        with self._restanding(circuit_id, self.held_by_circuit(circuit_id)):
            self._on_hold.add(circuit_id)

    def end_hold(self, circuit_id: int) -> None:
        if circuit_id in self._on_hold:
            with self._restanding(circuit_id, self.held_by_circuit(circuit_id)):
                self._on_hold.discard(circuit_id)

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

    @contextmanager
    def _restanding(self, circuit_id: int, resources: Iterable[Resource]) -> Iterator[None]:
        """Accounts for what changes within: what of a circuit stands by, or is on hold."""
        accounts = [self._accounts[each] for each in resources]
        stood = [self._standing_of(each, circuit_id) for each in accounts]
        yield
        for account, before in zip(accounts, stood, strict=True):
            account.standing += self._standing_of(account, circuit_id) - before

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

    def take_changed_pools(self) -> set[Resource]:
        """Directions of lines whose standbys need another pool since this was last asked."""
        changed, self._changed_pools = self._changed_pools, set()
        return changed

    def take_changed_links(self) -> set[str]:
        """Links whose load changed since this was last asked."""
        changed, self._changed_links = self._changed_links, set()
        return changed

    def take_changed_routers(self) -> set[str]:
        """Limited routers of which what passes them changed since this was last asked."""
        changed, self._changed_routers = self._changed_routers, set()
        return changed

    # One resource, and one generation

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
                stood = self._standing_of(account, key.circuit_id)
                del account.held[key]
                account.stop_trickle(key)
                account.quanta += account.firm(key.circuit_id, numbers) - before
                account.standing += self._standing_of(account, key.circuit_id) - stood
            self._note_changed(resource)
            self._close_if_empty(resource)

    @contextmanager
    def _sharing(self, resource: Resource, circuit_id: int) -> Iterator[None]:
        """Accounts for what changes within: what a circuit holds of a resource, or what its standbys cover."""
        account, numbers = self._accounts[resource], self._generations[circuit_id]
        before = account.share(circuit_id, numbers, self._covers)
        stood = self._standing_of(account, circuit_id)
        yield
        after = account.share(circuit_id, numbers, self._covers)
        account.quanta += after.firm - before.firm
        account.standing += self._standing_of(account, circuit_id) - stood
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

    def _note_freed(self) -> None:
        self.changes += 1
        self.freed += 1

    def _note_changed(self, resource: Resource) -> None:
        if resource.kind is ResourceKind.LINK_DIRECTION:
            self._changed_links.add(resource.id)
        elif resource.kind is ResourceKind.THROUGH:
            self._changed_routers.add(resource.id)
