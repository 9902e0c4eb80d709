"""A standby beside a circuit: made, filled, switched to by the sink alone, adopted, and made anew."""

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Phase
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.messages import CircuitStatus, Stage
from digitalgrid.gridfile import loads_grid
from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there
from tests.support.three_ways import (
    THREE_WAYS,
    path,
    protected,
    roles_at,
    settle,
    standby_path,
    three_ways,
)


def test_a_circuit_is_protected_once_its_standby_is_full_on_another_path() -> None:
    network = three_ways()
    circuit = protected(network)
    assert path(circuit) == ("r1", "r2", "r5")
    assert standby_path(circuit) == ("r1", "r3", "r5")
    assert roles_at(network, "r5") == {1: False, 2: True}
    assert circuit.state is CircuitState.ACTIVE


def test_a_standby_keeps_off_risk_groups_where_that_is_asked_for() -> None:
    circuit = protected(three_ways(), protect=Against.RISK)
    assert standby_path(circuit) == ("r1", "r4", "r5")


def test_a_sink_that_switches_is_followed_and_then_protected_again() -> None:
    network = three_ways()
    circuit = protected(network)
    network.cut("r1-r2")
    settle(network)
    assert circuit.state is CircuitState.ACTIVE
    assert path(circuit) == ("r1", "r3", "r5")
    assert circuit.guard.word is Protection.PROTECTED
    assert standby_path(circuit) == ("r1", "r4", "r5")
    assert roles_at(network, "r5") == {2: False, 3: True}
    assert roles_at(network, "r2") == {}
    states = [entry.decided for entry in network.store.audit if entry.action == "circuit"]
    assert not any("rerouting" in each for each in states)


@pytest.mark.parametrize("first", ["news of the line", "the sink's word"])
def test_it_is_adopted_whichever_news_come_first(first: str) -> None:
    network = three_ways()
    circuit = protected(network)
    network.cut("r2-r5")
    order = ["r2", "r5"] if first == "news of the line" else ["r5", "r2"]
    sessions = network.sessions
    # The sink's router is an end of the line: its word and its advertisement come in this order.
    queue = sessions["r5"].to_controller
    if first == "the sink's word":
        queue.rotate(1)
    for router_id in order:
        while sessions[router_id].to_controller:
            network.deliver_to_controller(router_id)
            network.check()
    settle(network)
    assert path(circuit) == ("r1", "r3", "r5")
    assert circuit.guard.word is Protection.PROTECTED
    assert circuit.last_generation == 3


def test_what_is_drained_is_withdrawn_once_its_path_is_known_to_be_down() -> None:
    """The sink's word may come long before news of the line: nobody waits for what cannot be drained."""
    network = three_ways()
    circuit = protected(network)
    network.cut("r1-r2")
    sessions = network.sessions
    while sessions["r5"].to_controller:
        network.deliver_to_controller("r5")
    assert circuit.generations[1].phase is Phase.DRAINING
    settle(network, 500 * NS_PER_MS)
    assert circuit.guard.word is Protection.PROTECTED
    assert standby_path(circuit) == ("r1", "r4", "r5")


def test_a_sink_that_says_nothing_has_its_standby_adopted_after_a_second() -> None:
    network = three_ways()
    circuit = protected(network)
    network.loses = lambda router_id, message: (
        router_id == "r5" and isinstance(message, CircuitStatus)
    )
    network.cut("r1-r2")
    network.deliver_all()
    assert circuit.state is CircuitState.DEGRADED
    assert circuit.guard.word is Protection.SWITCHED
    network.advance(900 * NS_PER_MS)
    assert path(circuit) == ("r1", "r2", "r5")
    network.advance(200 * NS_PER_MS)
    assert path(circuit) == ("r1", "r3", "r5")
    network.loses = lambda router_id, message: False
    network.disconnect("r5")
    network.connect("r5")
    settle(network)
    assert circuit.state is CircuitState.ACTIVE
    assert circuit.guard.word is Protection.PROTECTED


def test_a_sink_whose_word_comes_after_the_adoption_is_not_asked_for_more() -> None:
    """What it had said of its power before was of a standby, and did not count."""
    network = three_ways()
    circuit = protected(network)
    network.loses = lambda router_id, message: isinstance(message, CircuitStatus)
    network.cut("r1-r2")
    network.deliver_all()
    network.advance(1100 * NS_PER_MS)
    assert path(circuit) == ("r1", "r3", "r5")
    network.loses = lambda router_id, message: (
        isinstance(message, CircuitStatus) and message.state is not FlowState.SWITCHED
    )
    network.disconnect("r5")
    network.connect("r5")
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    network.loses = lambda router_id, message: False
    settle(network, 15 * NS_PER_S)
    assert path(circuit) == ("r1", "r3", "r5") and circuit.guard.word is Protection.PROTECTED
    states = [entry.decided for entry in network.store.audit if entry.action == "circuit"]
    assert not any("waiting" in each or "rerouting" in each for each in states)


def test_a_line_that_is_up_again_before_anybody_left_it_changes_nothing() -> None:
    network = three_ways()
    circuit = protected(network)
    network.loses = lambda router_id, message: (
        router_id == "r5" and isinstance(message, CircuitStatus)
    )
    network.cut("r1-r2")
    network.deliver_all()
    assert circuit.guard.word is Protection.SWITCHED
    # The sink never noticed.
    network.grid.routers["r5"].selected.clear()
    network.mend("r1-r2")
    network.grid.routers["r5"].selected.clear()
    network.loses = lambda router_id, message: False
    settle(network)
    assert (circuit.state, circuit.guard.word) == (CircuitState.ACTIVE, Protection.PROTECTED)
    assert path(circuit) == ("r1", "r2", "r5")
    assert circuit.last_generation == 2


def test_power_that_was_missed_on_healthy_lines_is_no_reason_to_move_back() -> None:
    network = three_ways()
    circuit = protected(network)
    standby = there(circuit.standby()).key
    network.grid.routers["r5"].selected[circuit.circuit_id] = standby
    network.tell("r5", CircuitStatus(standby, FlowState.SWITCHED))
    settle(network)
    assert path(circuit) == ("r1", "r3", "r5")
    assert standby_path(circuit) == ("r1", "r2", "r5")
    assert circuit.guard.word is Protection.PROTECTED


def test_two_swaps_never_lead_back_to_a_dead_path() -> None:
    network = three_ways()
    circuit = protected(network)
    network.cut("r1-r2")
    settle(network)
    network.cut("r1-r3")
    settle(network)
    assert path(circuit) == ("r1", "r4", "r5")
    assert circuit.state is CircuitState.ACTIVE
    assert circuit.guard.word is Protection.LOST
    assert circuit.standby() is None
    network.mend("r1-r2")
    settle(network, 4 * NS_PER_S)
    assert circuit.guard.word is Protection.PROTECTED
    assert path(circuit) == ("r1", "r4", "r5"), "nobody is moved back"


def watched(network: SimulatedNetwork, circuit: Circuit) -> list[tuple[Protection, int]]:
    """After each event: the word, and how many standbys are on every hop at the sink."""
    seen: list[tuple[Protection, int]] = []
    check = network.check

    def note() -> None:
        check()
        seen.append((circuit.guard.word, sum(roles_at(network, "r5").values())))

    network.check = note  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("dedicated", [False, True])
def test_a_standby_without_room_to_fill_is_replaced_once_there_is_some(*, dedicated: bool) -> None:
    network = three_ways()
    (other,) = network.request(PowerRequest("other", "town", 4.85e6))
    settle(network)
    request = PowerRequest("a", "town", 0.943e6, protect=Against.LINK, dedicated=dedicated)
    (circuit,) = network.request(request)
    settle(network)
    assert (circuit.guard.word, circuit.guard.reason) == (
        *(Protection.PENDING, "its standby has no room to fill its buffers"),
    )
    way = standby_path(circuit)
    seen = watched(network, circuit)
    network.release(other.circuit_id)
    settle(network, 4 * NS_PER_S)
    assert circuit.guard.word is Protection.PROTECTED
    assert standby_path(circuit) == way
    assert roles_at(network, "r5") == {1: False, 3: True}
    assert all(there_are for _, there_are in seen), "one stood by at any time"
    why = [each.why for each in network.store.audit if each.decided.startswith("standby")]
    assert why == ["there is room by now to fill the buffers of another"]


def test_a_standby_for_which_there_is_still_no_room_to_fill_is_left_where_it_is() -> None:
    network = three_ways()
    network.request(PowerRequest("other", "town", 4.85e6))
    (little,) = network.request(PowerRequest("little", "town", 100.0))
    settle(network)
    (circuit,) = network.request(PowerRequest("a", "town", 0.943e6, protect=Against.LINK))
    settle(network)
    network.release(little.circuit_id)
    settle(network, 8 * NS_PER_S)
    assert circuit.guard.word is Protection.PENDING
    assert roles_at(network, "r5")[2] and circuit.last_generation == 2


def test_routers_that_did_not_take_a_standby_are_asked_again_where_no_way_avoids_them() -> None:
    network = three_ways()
    network.loses = lambda router_id, message: (
        router_id in ("r3", "r4")
        and isinstance(message, Stage)
        and any(hop.standby for hop in message.hops)
    )
    (circuit,) = network.request(PowerRequest("a", "town", 1e6, protect=Against.LINK))
    settle(network, 8 * NS_PER_S)
    assert (circuit.state, circuit.guard.word) == (CircuitState.ACTIVE, Protection.LOST)
    assert circuit.guard.reason == ("no way for its standby avoids r3, r4, which did not take it")
    network.loses = lambda router_id, message: False
    settle(network, 12 * NS_PER_S)
    assert circuit.guard.word is Protection.PROTECTED


def test_a_circuit_without_lines_is_protected_after_a_change_as_before() -> None:
    """Where no other source can serve its load: nothing on its way can fail."""
    network = SimulatedNetwork.running(
        loads_grid(THREE_WAYS.replace("plant, router: r1", "plant, router: r5"), "at the load")
    )
    circuit = protected(network)
    assert path(circuit) == ("r5",)
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 2e6, now_ns))
    settle(network)
    assert circuit.guard.word is Protection.PROTECTED
    assert there(circuit.standby()).route.power_w == 2e6


def test_both_paths_down_is_a_reroute_like_any_other() -> None:
    network = three_ways()
    circuit = protected(network)
    network.grid.cut.add("r1-r3")
    network.cut("r1-r2")
    network.advertise("r3")
    settle(network)
    assert path(circuit) == ("r1", "r4", "r5")
    assert circuit.state is CircuitState.ACTIVE


def test_a_standby_whose_path_is_cut_is_replaced_and_the_circuit_stays() -> None:
    network = three_ways()
    circuit = protected(network)
    network.cut("r3-r5")
    network.deliver_all()
    assert circuit.guard.word is not Protection.PROTECTED or standby_path(circuit) == (
        *("r1", "r4", "r5"),
    )
    settle(network)
    assert (path(circuit), standby_path(circuit)) == (("r1", "r2", "r5"), ("r1", "r4", "r5"))
    assert circuit.guard.word is Protection.PROTECTED


# Old routers


def test_over_a_router_that_takes_no_standby_a_circuit_is_served_without() -> None:
    network = SimulatedNetwork(loads_grid(THREE_WAYS, "three-ways"))
    network.grid.routers["r5"].stands_by = False
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    (circuit,) = network.request(PowerRequest("a", "town", 1e6, protect=Against.LINK))
    settle(network)
    assert (circuit.state, circuit.guard.word) == (CircuitState.ACTIVE, Protection.LOST)
    assert "r5" in circuit.guard.reason
    network.grid.routers["r5"].stands_by = True
    network.restart_router("r5")
    network.connect("r5")
    settle(network, 6 * NS_PER_S)
    assert circuit.guard.word is Protection.PROTECTED


# Strangers


def test_only_the_sinks_router_can_say_that_it_has_switched() -> None:
    network = three_ways()
    circuit = protected(network)
    standby = there(circuit.standby()).key
    for key in (standby, CircuitGeneration(circuit.circuit_id, 9), CircuitGeneration(99, 1)):
        network.tell("r3", CircuitStatus(key, FlowState.SWITCHED))
    network.tell("r5", CircuitStatus(CircuitGeneration(99, 1), FlowState.SWITCHED))
    assert newest(circuit).key.generation == 1
    assert circuit.guard.word is Protection.PROTECTED
