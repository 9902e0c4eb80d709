"""What is reserved for generations that fill their buffers beside those that carry, against a model that adds it up."""

from fractions import Fraction
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.core.circuits.failures import Failure, FailureKind
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import Resource, held_by_hop, trickles
from controller.core.circuits.route import Route, RouteLink
from digitalgrid.model import CircuitGeneration

ROUTERS = ("a", "b", "c", "d")
FAILURES = frozenset({Failure(FailureKind.ROUTER, "a")})
INDEX = st.integers(0, 20)


def route(router_ids: tuple[str, ...], power_w: float, fraction: float) -> Route:
    links = tuple(
        RouteLink("-".join(sorted((a, b))), a, b, power_w, power_w, power_w / 700.0, 0.0, 700.0)
        for a, b in pairwise(router_ids)
    )
    count = len(router_ids)
    entering_w = (power_w * 1.01,) * count
    trickle_w = tuple(each * fraction for each in entering_w) if fraction else ()
    efficiency = (1.0,) * count
    return Route("pv", "town", router_ids, links, entering_w, power_w, efficiency, trickle_w)


def exact(amount: float) -> Fraction:
    """As reservations count, in whole parts of 2^-64."""
    return Fraction(int(amount * 2**64), 2**64)


class Trickles(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.reservations = Reservations()
        self.held: dict[tuple[CircuitGeneration, str], dict[Resource, float]] = {}
        self.trickles: dict[CircuitGeneration, dict[Resource, float]] = {}
        self.shared: set[CircuitGeneration] = set()
        self.made = 0

    def keys(self) -> list[CircuitGeneration]:
        return sorted({key for key, _ in self.held})

    @rule(
        circuit_id=st.integers(1, 3),
        path=st.permutations(ROUTERS).flatmap(
            lambda order: st.integers(1, len(order)).map(lambda length: tuple(order[:length]))
        ),
        power_w=st.floats(1.0, 1e9),
        fraction=st.sampled_from([0.0, 0.1, 0.01]),
        role=st.sampled_from(["working", "next", "standby", "shared standby"]),
    )
    def reserve(
        self, circuit_id: int, path: tuple[str, ...], power_w: float, fraction: float, role: str
    ) -> None:
        self.made += 1
        key, of = CircuitGeneration(circuit_id, self.made), route(path, power_w, fraction)
        covers = FAILURES if role == "shared standby" else None
        self.reservations.reserve(key, of, covers, standby="standby" in role, idle=role == "next")
        for index, router_id in enumerate(path):
            self.held[key, router_id] = dict(held_by_hop(of, index))
        if role != "working":
            self.trickles[key] = dict(trickles(of))
        if covers:
            self.shared.add(key)

    @rule(index=INDEX)
    def demand(self, index: int) -> None:
        for key in self.keys()[index : index + 1]:
            self.reservations.demanded(key)
            self.trickles.pop(key, None)
            self.shared.discard(key)

    @rule(index=INDEX, router_id=st.sampled_from(ROUTERS))
    def release_hop(self, index: int, router_id: str) -> None:
        for key in self.keys()[index : index + 1]:
            self.reservations.release_hop(key, router_id)
            self.held.pop((key, router_id), None)

    @rule(index=INDEX)
    def release(self, index: int) -> None:
        for key in self.keys()[index : index + 1]:
            self.reservations.release(key)
            for router_id in ROUTERS:
                self.held.pop((key, router_id), None)

    def firm(self) -> dict[Resource, dict[int, Fraction]]:
        """Of each resource and circuit: the largest generation, or the largest of the others and the trickle of one."""
        by_circuit: dict[tuple[Resource, int], dict[CircuitGeneration, Fraction]] = {}
        for (key, _), held in self.held.items():
            for resource, amount in held.items():
                by_circuit.setdefault((resource, key.circuit_id), {})[key] = exact(amount)
        firm: dict[Resource, dict[int, Fraction]] = {}
        for (resource, circuit_id), of in by_circuit.items():
            claims = [Fraction(0), *(of[key] for key in of if key not in self.shared)]
            for key in of:
                if key in self.shared:
                    continue
                trickle = exact(self.trickles.get(key, {}).get(resource, 0.0))
                others = [of[each] for each in of if each not in self.shared and each != key]
                claims.append(max(others, default=Fraction(0)) + trickle)
            firm.setdefault(resource, {})[circuit_id] = max(claims)
        return firm

    @invariant()
    def circuits_hold_the_largest_and_trickles_beside_it(self) -> None:
        for resource, of in self.firm().items():
            total = float(sum(of.values()))
            assert self.reservations.firm(resource) == total
            assert self.reservations.recomputed(resource) == self.reservations.total(resource)
            for circuit_id, amount in of.items():
                assert self.reservations.of_circuit(resource, circuit_id) == float(amount)
                assert self.reservations.open_to(resource, circuit_id) <= float(amount)

    @invariant()
    def a_shared_standby_fills_from_the_pool(self) -> None:
        for key in self.shared:
            for resource, trickle in self.trickles.get(key, {}).items():
                if any(resource in held for (each, _), held in self.held.items() if each == key):
                    assert self.reservations.pool(resource) >= float(exact(trickle))

    @invariant()
    def standbys_count_for_nothing_among_those_that_carry(self) -> None:
        for resource in self.reservations.resources():
            assert self.reservations.working(resource) <= self.reservations.firm(resource) * (
                1 + 1e-9
            )

    def teardown(self) -> None:
        for key in self.keys():
            self.reservations.release(key)
        assert list(self.reservations.resources()) == []


TestTrickles = Trickles.TestCase
