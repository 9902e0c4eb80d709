"""Drains of what protected circuits run on: standbys go first, and nobody stays unprotected."""

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Role
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.messages import CircuitStatus, Commit
from controller.core.network.admin import AdminState, Hindrance
from digitalgrid.model import FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.draining import blocks, drain, run, state, undrain
from tests.support.grids import diamond, ladder
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def test_standbys_leave_first_and_nobody_loses_power_or_stays_unprotected() -> None:
    network = SimulatedNetwork.running(ladder())
    circuits = []
    for number in range(12):
        sink = ("one", "two")[number % 2]
        circuits += network.request(PowerRequest(f"{number}", sink, 0.1e6, protect=Against.LINK))
    run(network)
    assert {each.guard.word for each in circuits} == {Protection.PROTECTED}
    for link in network.grid.grid.links:
        if not {link.a, link.b}.isdisjoint(("a0", "a3", "c0", "c3")):
            # A corner has two lines: one of them is no protection.
            continue
        standing = [c for c in circuits if _uses(there(c.standby()).route, link.id)]
        working = [c for c in circuits if _uses(newest(c).route, link.id)]
        drain(network, link.id)
        if standing and working:
            # No working path moves before the standbys are on their way.
            assert not any(each.state is CircuitState.REROUTING for each in working)
        run(network, 8 * NS_PER_S)
        assert state(network, link.id) is AdminState.DRAINED, network.core.questions.drain_blocks(
            link.id
        )
        assert {each.state for each in circuits} == {CircuitState.ACTIVE}
        assert {each.interruptions for each in circuits} == {0}
        assert {each.guard.word for each in circuits} == {Protection.PROTECTED}
        undrain(network, link.id)


def _words_meanwhile(network: SimulatedNetwork, circuit: Circuit) -> set[Protection]:
    """All words of a circuit's protection from now on, after each event."""
    words = {circuit.guard.word}
    check = network.check

    def note() -> None:
        check()
        words.add(circuit.guard.word)

    network.check = note  # type: ignore[method-assign]
    return words


def test_a_standby_is_kept_until_another_stands_in_its_place() -> None:
    network = SimulatedNetwork.running(ladder())
    (circuit,) = network.request(PowerRequest("a", "one", 0.1e6, protect=Against.LINK))
    run(network)
    words = _words_meanwhile(network, circuit)
    link_id = there(circuit.standby()).route.links[1].link_id
    drain(network, link_id)
    run(network)
    assert state(network, link_id) is AdminState.DRAINED
    assert words == {Protection.PROTECTED}
    assert not _uses(there(circuit.standby()).route, link_id)


def test_who_has_no_standby_for_a_drain_has_one_again_after_it() -> None:
    """A drain changes the view of the network, and not the version of what routers advertise."""
    network = SimulatedNetwork.running(diamond())
    (circuit,) = network.request(PowerRequest("a", "town", 0.1e6, ("solar",), protect=Against.LINK))
    run(network)
    assert circuit.guard.word is Protection.PROTECTED
    link_id = there(circuit.standby()).route.links[0].link_id
    drain(network, link_id)
    run(network)
    assert state(network, link_id) is AdminState.DRAINED
    assert circuit.guard.word is Protection.LOST
    undrain(network, link_id)
    run(network)
    assert circuit.guard.word is Protection.PROTECTED


def test_one_that_never_fills_takes_the_place_of_a_standby_after_a_while() -> None:
    network = SimulatedNetwork.running(ladder())
    (circuit,) = network.request(PowerRequest("a", "one", 0.1e6, protect=Against.LINK))
    run(network)
    link_id = there(circuit.standby()).route.links[1].link_id
    network.loses = lambda router_id, message: (
        isinstance(message, CircuitStatus) and message.state is FlowState.CHARGED
    )
    drain(network, link_id)
    run(network)
    assert state(network, link_id) is AdminState.DRAINING
    assert blocks(network, link_id) == {circuit.circuit_id: Hindrance.UNDER_WAY}
    assert circuit.guard.word is Protection.PROTECTED
    run(network, 12 * NS_PER_S)
    assert state(network, link_id) is AdminState.DRAINED
    assert circuit.guard.word is Protection.PENDING


def test_a_standby_is_selected_that_another_is_about_to_replace() -> None:
    network = SimulatedNetwork.running(ladder())
    (circuit,) = network.request(PowerRequest("a", "one", 0.1e6, protect=Against.LINK))
    run(network)
    before = there(circuit.standby())
    network.loses = lambda router_id, message: isinstance(message, Commit)
    drain(network, before.route.links[1].link_id)
    run(network, 300 * NS_PER_MS)
    assert len(circuit.standbys()) == 2 and circuit.standby() is before
    network.loses = lambda router_id, message: False
    network.cut(newest(circuit).route.links[0].link_id)
    run(network, NS_PER_MS)
    assert before.role is Role.WORKING and circuit.interruptions == 0
    run(network, 10 * NS_PER_S)
    # What carries by now leaves the line like any other.
    assert newest(circuit) is not before and circuit.guard.word is Protection.PROTECTED
    assert (circuit.state, circuit.interruptions) == (CircuitState.ACTIVE, 0)


def _uses(route: Route, link_id: str) -> bool:
    return link_id in [each.link_id for each in route.links]
