"""Lifetimes: circuits that end by themselves at the time until which they were asked for."""

from typing import Any

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.promises.lifetimes import _AT_ONCE
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork

LIFE_NS = 30 * NS_PER_S


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def limited(network: SimulatedNetwork, until_ns: int, **more: Any) -> Circuit:
    request = PowerRequest("limited", "town", 2e6, ("solar",), until_unix_ns=until_ns, **more)
    (circuit,) = network.request(request)
    network.deliver_all()
    return circuit


def wait(network: SimulatedNetwork, duration_ns: int) -> None:
    network.advance(duration_ns)
    network.deliver_all()
    network.check()


def test_it_carries_until_then_and_nobody_has_to_release_it(network: SimulatedNetwork) -> None:
    circuit = limited(network, network.now_ns + LIFE_NS)
    wait(network, LIFE_NS - NS_PER_S)
    assert circuit.state is CircuitState.ACTIVE
    wait(network, 2 * NS_PER_S)
    wait(network, 5 * NS_PER_S)
    assert (circuit.state, circuit.reason) == (CircuitState.WITHDRAWN, "its time is over")
    assert network.core.questions.reserved_at_load_w("town") == 0


def test_its_standby_and_a_hold_that_nobody_activated_end_with_it(
    network: SimulatedNetwork,
) -> None:
    until_ns = network.now_ns + LIFE_NS
    guarded = limited(network, until_ns, protect=Against.LINK)
    request = PowerRequest("held", "works", 1e6, hold_ms=86_400_000, until_unix_ns=until_ns)
    (held,) = network.request(request)
    wait(network, LIFE_NS + NS_PER_S)
    wait(network, 5 * NS_PER_S)
    assert {guarded.state, held.state} == {CircuitState.WITHDRAWN}
    assert not list(network.core.questions.standing)


@pytest.mark.parametrize("away_ns", [0, 2 * LIFE_NS], ids=["in time", "too late"])
def test_a_daemon_that_is_started_again_ends_it(network: SimulatedNetwork, away_ns: int) -> None:
    made = limited(network, network.now_ns + LIFE_NS)
    network.kill_controller(0)
    network.advance(away_ns)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    network.advance(NS_PER_MS)
    circuit = network.core.questions.circuit(made.circuit_id)
    assert circuit is not made and circuit.until_unix_ns == made.until_unix_ns
    assert circuit.admin_up is (away_ns == 0)
    wait(network, LIFE_NS + NS_PER_S)
    wait(network, 5 * NS_PER_S)
    assert circuit.state is CircuitState.WITHDRAWN


def test_another_power_does_not_move_the_end(network: SimulatedNetwork) -> None:
    circuit = limited(network, network.now_ns + LIFE_NS)
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 3e6, now_ns))
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE and circuit.power_w == 3e6
    wait(network, LIFE_NS + NS_PER_S)
    assert not circuit.admin_up


def set_clock(network: SimulatedNetwork, ahead_ns: int) -> None:
    """The machine's clock is set so much ahead, and the daemon hears of it with what a router says."""
    network.event(lambda core, now_ns: core.begin(now_ns + ahead_ns, now_ns))


def test_ends_and_requests_follow_a_clock_that_is_set_anew(network: SimulatedNetwork) -> None:
    """As where a machine begins with a wrong time and then hears the right one."""
    circuit = limited(network, network.now_ns + LIFE_NS)
    set_clock(network, -LIFE_NS)
    wait(network, LIFE_NS + NS_PER_S)
    assert circuit.admin_up, "by the calendar it has not been yet"
    (later,) = network.request(
        PowerRequest("later", "works", 1e3, until_unix_ns=circuit.until_unix_ns)
    )
    set_clock(network, 2 * LIFE_NS)
    wait(network, NS_PER_MS)
    assert not circuit.admin_up and not later.admin_up
    with pytest.raises(Refusal, match="by the controller's clock"):
        network.request(PowerRequest("late", "works", 1e3, until_unix_ns=circuit.until_unix_ns))


@pytest.mark.parametrize("late_ns", [0, 1, 2**62])
def test_an_end_that_is_over_is_refused_and_a_retry_of_what_has_ended_is_not(
    network: SimulatedNetwork, late_ns: int
) -> None:
    now_ns = network.now_ns
    with pytest.raises(Refusal) as refused:
        limited(network, now_ns - late_ns)
    assert (refused.value.reason, refused.value.field) == (Reason.END_PASSED, "until_unix_ns")
    # The simulation's clock ticks with each event.
    assert 0 <= int(refused.value.metadata["now_unix_ns"]) - now_ns < NS_PER_S
    circuit = limited(network, now_ns + LIFE_NS)
    wait(network, 2 * LIFE_NS)
    assert limited(network, now_ns + LIFE_NS) is circuit, "it was promised, and has ended"


def test_what_is_released_before_is_not_waited_for(network: SimulatedNetwork) -> None:
    circuit = limited(network, network.now_ns + LIFE_NS)
    network.release(circuit.circuit_id)
    wait(network, 5 * NS_PER_S)
    wait(network, LIFE_NS)
    assert circuit.reason == "released"


def test_many_that_end_at_once_leave_others_their_turn(network: SimulatedNetwork) -> None:
    asked: dict[str, Any] = {"hold_ms": 86_400_000, "until_unix_ns": network.now_ns + LIFE_NS}
    requests = [PowerRequest(f"r{number}", "town", 1e3, **asked) for number in range(3 * _AT_ONCE)]
    network.event(lambda core, now_ns: core.request_batch(requests, now_ns))
    network.deliver_all()
    network.now_ns += LIFE_NS
    network.event(lambda core, now_ns: core.on_timer(now_ns))
    assert network.core.questions.reserved_at_load_w("town") == 2 * _AT_ONCE * 1e3
    network.advance(NS_PER_MS)
    assert network.core.questions.reserved_at_load_w("town") == 0
