"""Which standbys give way where there is no room for all, and which stay because their sinks may have selected them."""

from types import SimpleNamespace

import pytest

from controller.core.admission.standby_fit import _Claim, _Claims, _let_go
from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.failures import Failure, FailureKind
from controller.core.circuits.generation import Generation, Phase, Role
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from digitalgrid.gridfile import loads_grid
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS
from tests.support import settling
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there
from tests.support.three_ways import three_ways

MW = 1e6


def settle(network: SimulatedNetwork) -> None:
    settling.settle(network, 200 * NS_PER_MS)


# Three routers in a ring and one spare line for all; each circuit goes two thirds of the way round.
TRIANGLE = """
name: triangle
defaults: {voltage_v: 20000, efficiency: 0.99, ampacity_a: 300, resistance_ohm: 0.2}
routers: [{id: a}, {id: b}, {id: c}, {id: x}, {id: y}]
links:
  - {id: a-b, a: a, b: b}
  - {id: b-c, a: b, b: c}
  - {id: c-a, a: c, b: a}
  - {id: a-x, a: a, b: x}
  - {id: b-x, a: b, b: x}
  - {id: c-x, a: c, b: x}
  - {id: x-y, a: x, b: y, resistance_ohm: 2}
  - {id: y-a, a: y, b: a}
  - {id: y-b, a: y, b: b}
  - {id: y-c, a: y, b: c}
sources:
  - {id: plant-a, router: a, max_power_w: 6e6}
  - {id: plant-b, router: b, max_power_w: 6e6}
  - {id: plant-c, router: c, max_power_w: 6e6}
loads:
  - {id: load-a, router: a, power_w: 6e6}
  - {id: load-b, router: b, power_w: 6e6}
  - {id: load-c, router: c, power_w: 6e6}
"""
ROUND_THE_RING = (
    ("load-c", "plant-a", ("c-a", "c-x", "y-a", "y-b")),
    ("load-a", "plant-b", ("a-b", "a-x", "y-b", "y-c")),
    ("load-b", "plant-c", ("b-c", "b-x", "y-a", "y-c")),
)


def round_the_ring() -> tuple[SimulatedNetwork, list[Circuit], list[Generation]]:
    """Circuits and their standbys; without a-b the first and the third need theirs."""
    network = SimulatedNetwork.running(loads_grid(TRIANGLE, "triangle"))
    circuits = []
    for sink_id, source_id, avoid_ids in ROUND_THE_RING:
        constraints = Constraints(avoid_ids=avoid_ids)
        circuits += network.request(
            PowerRequest(
                sink_id, sink_id, MW, (source_id,), constraints=constraints, protect=Against.LINK
            )
        )
        settle(network)
    return network, circuits, [there(each.standby()) for each in circuits]


def test_whom_the_same_fault_has_hit_keeps_the_standby_that_it_runs_on() -> None:
    """The first to be adopted leaves the others too little for their other failures, not for this one."""
    network, circuits, standbys = round_the_ring()
    network.cut("a-b")
    settle(network)
    for number in (0, 2):
        assert newest(circuits[number]) is standbys[number]
        assert circuits[number].state is CircuitState.ACTIVE
    assert there(circuits[1].standby()) is not standbys[1], "it was not hit"
    assert circuits[1].guard.word is Protection.PROTECTED


def test_nobody_gives_way_to_a_standby_that_no_sink_can_select() -> None:
    network, circuits, standbys = round_the_ring()
    standbys[2].phase = Phase.STAGING
    network.cut("a-b")
    network.deliver_all()
    assert newest(circuits[0]) is standbys[0]
    assert standbys[2] not in circuits[2].standbys()
    assert circuits[1].standbys() == [standbys[1]]


def test_a_fault_that_is_not_known_of_yet_is_none_that_the_promoted_standby_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has the same source is not hit for that: what stops both of a circuit's paths had nobody switch."""
    network = three_ways()
    circuits = []
    for name, avoid_ids in (("hit", ("r4",)), ("hit too", ("r4",)), ("other", ("r2",))):
        constraints = Constraints(avoid_ids=avoid_ids)
        circuits += network.request(
            PowerRequest(name, "town", 1e5, protect=Against.LINK, constraints=constraints)
        )
        settle(network)
    first, *others = circuits
    assert newest(others[1]).route.router_ids[0] == newest(first).route.router_ids[0]
    fitness = network.core._parts.protector._fitness
    found: list[bool] = []

    def misfits(route: object, in_use: object, **how: object) -> set[CircuitGeneration]:
        assert callable(in_use)
        found.extend(in_use(there(each.standby())) for each in others)
        return set()

    monkeypatch.setattr(fitness._fit, "misfits", misfits)
    assert not list(fitness.crowded_out(there(first.standby()).route, [newest(first).route]))
    assert found == [True, False]


def test_each_standby_is_asked_about_once_on_however_many_hops_it_holds() -> None:
    network, circuits, standbys = round_the_ring()
    asked: list[CircuitGeneration] = []

    def in_use(standby: Generation) -> bool:
        asked.append(standby.key)
        return False

    fit = network.core._parts.protector._fitness._fit
    fit.misfits(standbys[0].route, in_use, at_source=True)
    assert len(asked) > len(circuits)
    assert len(asked) == len(set(asked))


def test_who_goes_does_not_hang_on_what_failures_are_called() -> None:
    """Of two that are as bad one is the worst, whatever the chance of this process."""
    gone = []
    for number in range(20):
        one, other = (Failure(FailureKind.LINK, f"{letter}{number}") for letter in "ab")
        both, left, right = (
            claim(1, {one, other}, priority=5),
            claim(2, {one}, priority=0),
            claim(3, {other}, priority=9),
        )
        goes: set[CircuitGeneration] = set()
        _let_go([_Claims([both, left, right])], 10.0, goes)
        gone.append(goes)
    assert gone == [gone[0]] * len(gone)


def claim(circuit_id: int, covers: set[Failure], priority: int) -> _Claim:
    standby = SimpleNamespace(
        key=CircuitGeneration(circuit_id, 1),
        role=Role.STANDBY,
        covers=frozenset(covers),
        shares=True,
        priority=priority,
        admission_seq=circuit_id,
    )
    return _Claim(standby, 10.0)  # type: ignore[arg-type]
