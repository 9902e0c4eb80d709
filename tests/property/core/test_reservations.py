"""Reservations against a model that adds everything up anew: exact totals, and nothing left when all is released."""

from fractions import Fraction
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.core.circuits.reservations import Reservations, Resource, ResourceKind, held_by_hop
from controller.core.circuits.route import Route, RouteLink
from digitalgrid.model import CircuitGeneration

ROUTERS = ("a", "b", "c", "d", "e")
CIRCUITS = st.integers(1, 4)
# Sizes that floats cannot add without rounding.
POWERS_W = st.floats(1.0, 1e12) | st.sampled_from([0.1 * 30, 1.0, 1e12, 1e7 / 3])
PATHS = st.permutations(ROUTERS).flatmap(
    lambda order: st.integers(1, len(order)).map(lambda length: tuple(order[:length]))
)


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
        self.changed: set[str] = set()
        self.made = 0

    def keys(self) -> list[CircuitGeneration]:
        return sorted({key for key, _ in self.hops})

    @rule(circuit_id=CIRCUITS, path=PATHS, power_w=POWERS_W)
    def reserve(self, circuit_id: int, path: tuple[str, ...], power_w: float) -> None:
        self.made += 1
        key, held = CircuitGeneration(circuit_id, self.made), route(path, power_w)
        self.reservations.reserve(key, held)
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

    @rule()
    def take_changed(self) -> None:
        assert self.reservations.take_changed_links() == self.changed
        self.changed = set()

    def _note(self, held: list[tuple[Resource, float]]) -> None:
        self.changed |= {each.id for each, _ in held if each.kind is ResourceKind.LINK_DIRECTION}

    def parts(self) -> dict[Resource, dict[int, float]]:
        """Of each resource and circuit, what the largest generation holds."""
        parts: dict[Resource, dict[int, float]] = {}
        for (key, _), held in self.hops.items():
            for resource, amount in held:
                of = parts.setdefault(resource, {})
                of[key.circuit_id] = max(of.get(key.circuit_id, 0.0), amount)
        return parts

    @invariant()
    def totals_are_the_exact_sums(self) -> None:
        parts = self.parts()
        assert set(self.reservations.resources()) == parts.keys()
        for resource, of in parts.items():
            exact = float(sum(map(Fraction, of.values())))
            assert self.reservations.total(resource) == exact
            assert self.reservations.recomputed(resource) == exact
            for circuit_id in range(1, 5):
                assert self.reservations.of_circuit(resource, circuit_id) == of.get(circuit_id, 0.0)

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
        for resource, of in self.parts().items():
            if resource.kind is ResourceKind.LINK_DIRECTION:
                links.setdefault(resource.id, set()).update(of)
        for link_id, circuit_ids in links.items():
            assert self.reservations.circuits_over([link_id]) == circuit_ids
            ends = link_id.split("-")
            assert self.reservations.circuits_on_link(link_id, *ends) == sorted(circuit_ids)
        for circuit_id in range(1, 5):
            held = {resource for resource, of in self.parts().items() if circuit_id in of}
            assert self.reservations.held_by_circuit(circuit_id) == held
        for resource, of in self.parts().items():
            assert self.reservations.circuits_with([resource]) == of.keys()

    def teardown(self) -> None:
        known = set(self.reservations.resources())
        for key in self.keys():
            self.reservations.release(key)
        assert all(self.reservations.total(each) == 0.0 for each in known)
        assert list(self.reservations.resources()) == []
        assert self.reservations.circuits_over({each.id for each in known}) == set()
        assert self.reservations.held_at(ROUTERS) == set()


TestBooks = Books.TestCase
