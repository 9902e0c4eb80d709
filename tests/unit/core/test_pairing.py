"""Circuits that nothing protects beside their path move to one of two paths, if there are two: once after a fault."""

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from digitalgrid.gridfile import loads_grid
from digitalgrid.units import NS_PER_S
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

# Two paths, and a crossing line with which the only one is left that has no partner: s-a-b-t (the trap).
TRAP = """
name: trap
defaults: {voltage_v: 20000, efficiency: 1.0, ampacity_a: 300, resistance_ohm: 0.1}
routers: [{id: s}, {id: a}, {id: b}, {id: t}]
links:
  - {id: s-a, a: s, b: a}
  - {id: a-b, a: a, b: b}
  - {id: b-t, a: b, b: t}
  - {id: a-t, a: a, b: t, resistance_ohm: 0.9}
  - {id: s-b, a: s, b: b, resistance_ohm: 0.9}
sources: [{id: plant, router: s, max_power_w: 6e6}]
loads: [{id: town, router: t, power_w: 6e6}]
"""
BESIDE = ("s-b", "a-t")


def trap(text: str = TRAP) -> SimulatedNetwork:
    return SimulatedNetwork.running(loads_grid(text, "trap"))


def request(network: SimulatedNetwork, name: str = "a", *, dedicated: bool = False) -> Circuit:
    wanted = PowerRequest(name, "town", 0.1e6, protect=Against.LINK, dedicated=dedicated)
    (circuit,) = network.request(wanted)
    settle(network, NS_PER_S)
    assert circuit.guard.word is Protection.PROTECTED
    return circuit


def drive_into_the_trap(network: SimulatedNetwork) -> None:
    """Both paths fail, which leaves the crossing one, and come back."""
    for link_id in BESIDE:
        network.cut(link_id)
    settle(network, 2 * NS_PER_S)
    for link_id in BESIDE:
        network.mend(link_id)


def paths(circuit: Circuit) -> set[tuple[str, ...]]:
    return {newest(circuit).route.router_ids, there(circuit.standby()).route.router_ids}


def moves(network: SimulatedNetwork) -> list[str]:
    return [each.why for each in network.store.audit if each.decided.startswith("moves over")]


@pytest.mark.parametrize("dedicated", [False, True])
def test_a_circuit_leaves_the_only_path_that_has_no_partner(*, dedicated: bool) -> None:
    network = trap()
    circuit = request(network, dedicated=dedicated)
    drive_into_the_trap(network)
    network.deliver_all()
    assert newest(circuit).route.router_ids == ("s", "a", "b", "t")
    interruptions = circuit.interruptions
    settle(network, 5 * NS_PER_S)
    assert (circuit.state, circuit.guard.word) == (CircuitState.ACTIVE, Protection.PROTECTED)
    assert paths(circuit) == {("s", "a", "t"), ("s", "b", "t")}
    assert circuit.interruptions == interruptions, "made before it is broken"
    (why,) = moves(network)
    assert "no second one carries" in why
    told = [each for each in network.store.audit if each.action == "circuit"]
    assert any("second path" in each.why for each in told), "the circuit says so as well"


def test_many_circuits_are_protected_again_within_ten_seconds() -> None:
    network = trap()
    circuits = [request(network, str(number)) for number in range(10)]
    drive_into_the_trap(network)
    settle(network, 10 * NS_PER_S)
    assert {each.guard.word for each in circuits} == {Protection.PROTECTED}
    assert len(moves(network)) == len(circuits)


def test_who_is_driven_there_again_and_again_is_moved_ever_more_seldom() -> None:
    network = trap()
    circuit = request(network)
    began_ns = network.now_ns
    for _ in range(7):
        drive_into_the_trap(network)
        settle(network, 3 * NS_PER_S)
    assert network.now_ns - began_ns == pytest.approx(35 * NS_PER_S, rel=0.1)
    assert len(moves(network)) == 3
    settle(network, 25 * NS_PER_S)
    assert circuit.guard.word is Protection.PROTECTED, "what was put off is done in the end"


def test_where_there_are_no_two_paths_nobody_moves() -> None:
    network = trap()
    circuit = request(network)
    network.cut("s-b")
    settle(network, 20 * NS_PER_S)
    assert circuit.guard.word is Protection.LOST
    assert moves(network) == []


def test_where_there_are_two_paths_and_no_room_on_both_nobody_moves_until_there_is() -> None:
    network = trap()
    circuit = request(network)
    for link_id in BESIDE:
        network.cut(link_id)
    settle(network, 2 * NS_PER_S)
    network.mend("a-t")
    network.derate("s-b", 4.0)
    network.mend("s-b")
    settle(network, 20 * NS_PER_S)
    assert circuit.guard.word is Protection.LOST and moves(network) == []
    network.derate("s-b", 300.0)
    settle(network, 10 * NS_PER_S)
    assert circuit.guard.word is Protection.PROTECTED and len(moves(network)) == 1
