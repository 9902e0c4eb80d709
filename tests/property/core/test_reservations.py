"""Reservations against a model that adds everything up anew: exact totals, also of what shared standbys need.

Nothing is left when all is released. Under every single failure what standbys take fits into the pool, and is no more
than dedicated ones would hold.
"""

from fractions import Fraction
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.core.circuits.failures import Failure, FailureKind
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import Resource, ResourceKind, held_by_hop
from controller.core.circuits.route import Route, RouteLink
from digitalgrid.model import CircuitGeneration
from tests.support.there import there

ROUTERS = ("a", "b", "c", "d", "e")
CIRCUITS = st.integers(1, 4)
# Sizes that floats cannot add without rounding.
POWERS_W = st.floats(1.0, 1e12) | st.sampled_from([0.1 * 30, 1.0, 1e12, 1e7 / 3])
PATHS = st.permutations(ROUTERS).flatmap(
    lambda order: st.integers(1, len(order)).map(lambda length: tuple(order[:length]))
)
FAILURES = [Failure(FailureKind.ROUTER, each) for each in ROUTERS]
# None: a generation that holds firmly what it holds.
COVERS = st.none() | st.frozensets(st.sampled_from(FAILURES))


def route(router_ids: tuple[str, ...], power_w: float) -> Route:
    links = tuple(
        RouteLink("-".join(sorted((a, b))), a, b, power_w, power_w, power_w / 700.0, 0.0, 700.0)
        for a, b in pairwise(router_ids)
    )
    count = len(router_ids)
    return Route(
        "pv", "town", router_ids, links, (power_w * 1.01,) * count, power_w, (1.0,) * count
    )


class Books(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.reservations = Reservations()
        # What each router holds for each generation.
        self.hops: dict[tuple[CircuitGeneration, str], list[tuple[Resource, float]]] = {}
        self.covers: dict[CircuitGeneration, frozenset[Failure] | None] = {}
        self.standbys: set[CircuitGeneration] = set()
        self.on_hold: set[int] = set()
        self.changed: set[str] = set()
        self.made = 0

    def keys(self) -> list[CircuitGeneration]:
        return sorted({key for key, _ in self.hops})

    @rule(circuit_id=CIRCUITS, path=PATHS, power_w=POWERS_W, covers=COVERS, standby=st.booleans())
    def reserve(
        self,
        circuit_id: int,
        path: tuple[str, ...],
        power_w: float,
        covers: frozenset[Failure] | None,
        standby: bool,
    ) -> None:
        self.made += 1
        key, held = CircuitGeneration(circuit_id, self.made), route(path, power_w)
        self.reservations.reserve(key, held, covers, standby=standby)
        self.covers[key] = covers
        if standby:
            self.standbys.add(key)
        for index, router_id in enumerate(path):
            self.hops[key, router_id] = list(held_by_hop(held, index))
            self._note(self.hops[key, router_id])

    @rule(index=st.integers(0, 50), router_id=st.sampled_from(ROUTERS))
    def release_hop(self, index: int, router_id: str) -> None:
        for key in self.keys()[index : index + 1]:
            self.reservations.release_hop(key, router_id)
            self._note(self.hops.pop((key, router_id), []))

    @rule(index=st.integers(0, 50))
    def release(self, index: int) -> None:
        for key in self.keys()[index : index + 1]:
            self.reservations.release(key)
            for router_id in ROUTERS:
                self._note(self.hops.pop((key, router_id), []))

    @rule(index=st.integers(0, 50), covers=COVERS)
    def cover_something_else(self, index: int, covers: frozenset[Failure] | None) -> None:
        """Promoted, where nothing is left to cover."""
        for key in self.keys()[index : index + 1]:
            self.reservations.cover(key, covers)
            if self.covers[key] != covers:
                for router_id in ROUTERS:
                    self._note(self.hops.get((key, router_id), []))
            self.covers[key] = covers

    @rule(index=st.integers(0, 50))
    def demand(self, index: int) -> None:
        """It stands by no more, and shares nothing."""
        for key in self.keys()[index : index + 1]:
            self.reservations.demanded(key)
            self.standbys.discard(key)
            if self.covers[key] is not None:
                for router_id in ROUTERS:
                    self._note(self.hops.get((key, router_id), []))
            self.covers[key] = None

    @rule(circuit_id=CIRCUITS, on_hold=st.booleans())
    def put_on_hold(self, circuit_id: int, on_hold: bool) -> None:
        if on_hold:
            self.reservations.hold(circuit_id)
            self.on_hold.add(circuit_id)
        else:
            self.reservations.end_hold(circuit_id)
            self.on_hold.discard(circuit_id)

    @rule(index=st.integers(0, 50))
    def look_without(self, index: int) -> None:
        """As if one held nothing: it leaves no trace, but that lines are to be looked at again."""
        for key in self.keys()[index : index + 1]:
            holding = {router_id for each, router_id in self.hops if each == key}
            if holding != set(there(self.reservations.route_of(key)).router_ids):
                continue
            changes = self.reservations.changes
            with self.reservations.without(key):
                assert self.reservations.routers_holding(key) == ()
            assert self.reservations.changes == changes
            for router_id in ROUTERS:
                self._note(self.hops.get((key, router_id), []))

    @rule()
    def take_changed(self) -> None:
        assert self.reservations.take_changed_links() == self.changed
        self.changed = set()

    def _note(self, held: list[tuple[Resource, float]]) -> None:
        self.changed |= {each.id for each, _ in held if each.kind is ResourceKind.LINK_DIRECTION}

    def parts(self, *, shared: bool = False) -> dict[Resource, dict[int, float]]:
        """Of each resource and circuit, what the largest generation holds; firmly, or with those that share too."""
        parts: dict[Resource, dict[int, float]] = {}
        for (key, _), held in self.hops.items():
            for resource, amount in held:
                of = parts.setdefault(resource, {})
                if shared or self.covers[key] is None:
                    of[key.circuit_id] = max(of.get(key.circuit_id, 0.0), amount)
        return parts

    def standing(self, resource: Resource) -> Fraction:
        """What circuits hold of it firmly, less what they would if none stood by or were on hold."""
        of_all: dict[int, float] = {}
        of_working: dict[int, float] = {}
        for (key, _), held in self.hops.items():
            for each, amount in held:
                if each != resource or self.covers[key] is not None:
                    continue
                of_all[key.circuit_id] = max(of_all.get(key.circuit_id, 0.0), amount)
                if key not in self.standbys and key.circuit_id not in self.on_hold:
                    largest = max(of_working.get(key.circuit_id, 0.0), amount)
                    of_working[key.circuit_id] = largest
        return Fraction(sum(map(Fraction, of_all.values()))) - sum(
            map(Fraction, of_working.values())
        )

    def needed(self) -> dict[Failure, dict[Resource, Fraction]]:
        """What standbys take under each failure: of lines all of it, for routers keep to their pools; elsewhere what is
        beyond what their circuits hold firmly. Of two of one circuit, the larger.
        """
        needed: dict[Failure, dict[Resource, Fraction]] = {each: {} for each in FAILURES}
        for (failure, resource, _), besides in self.of_circuits().items():
            needed[failure][resource] = needed[failure].get(resource, 0) + besides
        return needed

    def of_circuits(
        self, but: CircuitGeneration | None = None
    ) -> dict[tuple[Failure, Resource, int], Fraction]:
        firm = self.parts()
        largest: dict[tuple[Failure, Resource, int], Fraction] = {}
        for (key, _), held in self.hops.items():
            if key == but:
                continue
            for resource, amount in held if self.covers[key] else ():
                of_line = resource.kind is ResourceKind.LINK_DIRECTION
                own = 0.0 if of_line else firm[resource].get(key.circuit_id, 0.0)
                if amount > own:
                    besides = Fraction(amount) - Fraction(own)
                    for each in self.covers[key] or ():
                        name = (each, resource, key.circuit_id)
                        largest[name] = max(largest.get(name, Fraction(0)), besides)
        return largest

    @invariant()
    def totals_are_the_exact_sums(self) -> None:
        parts, needed = self.parts(), self.needed()
        assert set(self.reservations.resources()) == parts.keys()
        for resource, of in parts.items():
            firm = sum(map(Fraction, of.values()))
            pool = max(each.get(resource, Fraction(0)) for each in needed.values())
            assert self.reservations.firm(resource) == float(firm)
            standing = float(pool + self.standing(resource))
            assert self.reservations.standing_by(resource) == standing
            assert self.reservations.pool(resource) == float(pool)
            assert self.reservations.total(resource) == float(firm + pool)
            assert self.reservations.recomputed(resource) == float(firm + pool)
            for circuit_id in range(1, 5):
                assert self.reservations.of_circuit(resource, circuit_id) == of.get(circuit_id, 0.0)

    @invariant()
    def every_failure_has_the_room_that_it_needs(self) -> None:
        needed = self.needed()
        for failure, of in needed.items():
            assert self.reservations.needed_under_any([failure]) == {
                resource: float(amount) for resource, amount in of.items()
            }
            for resource, amount in of.items():
                assert self.reservations.needed(resource, failure) == float(amount)
                assert self.reservations.pool(resource) >= float(amount)
        most: dict[Resource, Fraction] = {}
        for of in needed.values():
            for resource, amount in of.items():
                most[resource] = max(most.get(resource, Fraction(0)), amount)
        known = self.reservations.needed_under_any(FAILURES)
        assert known == {resource: float(amount) for resource, amount in most.items()}

    @invariant()
    def what_is_needed_without_one_that_is_replaced_is_known(self) -> None:
        for key in [each for each in self.keys() if self.covers[each]][:2]:
            without = self.of_circuits(but=key)
            for resource in self.reservations.held_by(key):
                for failure in FAILURES:
                    left = sum(
                        amount
                        for (each, of, _), amount in without.items()
                        if (each, of) == (failure, resource)
                    )
                    assert self.reservations.needed(resource, failure, key) == float(left)
                most = self.reservations.needed_under_any(FAILURES, key).get(resource, 0.0)
                assert most == max(
                    self.reservations.needed(resource, each, key) for each in FAILURES
                )

    @invariant()
    def sharing_takes_no_more_than_dedicated_standbys(self) -> None:
        dedicated: dict[Resource, Fraction] = {}
        for held in self.hops.values():
            for resource, amount in held:
                dedicated[resource] = dedicated.get(resource, 0) + Fraction(amount)
        for resource, together in dedicated.items():
            assert self.reservations.total(resource) <= float(together)

    @invariant()
    def who_holds_what_is_known(self) -> None:
        assert sorted(self.reservations.generations()) == self.keys()
        for key in self.keys():
            holding = {router_id for each, router_id in self.hops if each == key}
            assert set(self.reservations.routers_holding(key)) == holding
        for router_id in ROUTERS:
            keys = {key for key, each in self.hops if each == router_id}
            assert self.reservations.held_at([router_id]) == keys
        links: dict[str, set[int]] = {}
        for resource, of in self.parts(shared=True).items():
            if resource.kind is ResourceKind.LINK_DIRECTION:
                links.setdefault(resource.id, set()).update(of)
        for link_id, circuit_ids in links.items():
            assert self.reservations.circuits_over([link_id]) == circuit_ids
            ends = link_id.split("-")
            assert self.reservations.circuits_on_link(link_id, *ends) == sorted(circuit_ids)
        for circuit_id in range(1, 5):
            held = {each for each, of in self.parts(shared=True).items() if circuit_id in of}
            assert self.reservations.held_by_circuit(circuit_id) == held
        for resource, of in self.parts(shared=True).items():
            assert self.reservations.circuits_with([resource]) == of.keys()

    def teardown(self) -> None:
        known = set(self.reservations.resources())
        for key in self.keys():
            self.reservations.release(key)
        assert all(self.reservations.total(each) == 0.0 for each in known)
        assert list(self.reservations.resources()) == []
        assert self.reservations.circuits_over({each.id for each in known}) == set()
        assert self.reservations.held_at(ROUTERS) == set()
        assert self.reservations.needed_under_any(FAILURES) == {}


TestBooks = Books.TestCase
