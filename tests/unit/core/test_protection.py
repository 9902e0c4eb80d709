"""A standby beside a circuit: made, filled, switched to by the sink alone, adopted, and made anew."""

from pathlib import Path

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Phase, Role
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import CircuitStatus, Promote, Stage, TransactionResult
from controller.core.network.admin import DrainOrder
from controller.core.programming.promotion import Promotions
from controller.core.programming.transactions import Transactions
from digitalgrid.gridfile import load_grid, loads_grid
from digitalgrid.model import CircuitGeneration, FlowState, Operation, ResultCode
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support import settling
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

ELAN9 = Path(__file__).parents[3] / "topologies" / "elan9.grid.yaml"
# Three ways from the plant to town, one of which shares a duct with another; and a house at the end of a stub.
THREE_WAYS = """
name: three-ways
defaults: {voltage_v: 20000, efficiency: 0.99, ampacity_a: 300, resistance_ohm: 0.2}
routers: [{id: r1}, {id: r2}, {id: r3}, {id: r4}, {id: r5}, {id: r6}]
links:
  - {id: r1-r2, a: r1, b: r2}
  - {id: r2-r5, a: r2, b: r5, risk_groups: [duct]}
  - {id: r1-r3, a: r1, b: r3, resistance_ohm: 0.3}
  - {id: r3-r5, a: r3, b: r5, resistance_ohm: 0.3, risk_groups: [duct]}
  - {id: r1-r4, a: r1, b: r4, resistance_ohm: 0.9}
  - {id: r4-r5, a: r4, b: r5, resistance_ohm: 0.9}
  - {id: r5-r6, a: r5, b: r6}
sources:
  - {id: plant, router: r1, max_power_w: 6e6}
loads:
  - {id: town, router: r5, power_w: 6e6}
  - {id: house, router: r6, power_w: 1e6}
"""


def settle(network: SimulatedNetwork, duration_ns: int = 2 * NS_PER_S) -> None:
    settling.settle(network, duration_ns)


def three_ways() -> SimulatedNetwork:
    return SimulatedNetwork.running(loads_grid(THREE_WAYS, "three-ways"))


def protected(
    network: SimulatedNetwork,
    power_w: float = 1e6,
    protect: Against = Against.LINK,
    request_id: str = "request",
) -> Circuit:
    (circuit,) = network.request(PowerRequest(request_id, "town", power_w, protect=protect))
    network.deliver_all()
    network.advance(100 * NS_PER_MS)
    network.deliver_all()
    assert circuit.guard.word is Protection.PROTECTED, circuit.guard
    return circuit


def path(circuit: Circuit) -> tuple[str, ...]:
    return newest(circuit).route.router_ids


def standby_path(circuit: Circuit) -> tuple[str, ...]:
    return there(circuit.standby()).route.router_ids


def roles_at(network: SimulatedNetwork, router_id: str) -> dict[int, bool]:
    """Of the generations that a router holds, whether each stands by."""
    return {hop.generation: hop.standby for hop in network.grid.routers[router_id].table.hops}


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


# Refusals


def test_a_bridge_is_named() -> None:
    network = three_ways()
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "house", 1e5, protect=Against.LINK))
    assert refused.value.reason is Reason.PROTECTION_IMPOSSIBLE
    assert refused.value.metadata["bridges"] == "r5-r6"
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("b", "house", 1e5, protect=Against.ROUTER))
    assert refused.value.metadata["bridges"] == "r5-r6,r5"
    assert network.core.questions.reserved() == {}


def test_a_risk_group_on_every_way_is_named() -> None:
    text = THREE_WAYS.replace(
        "{id: r4-r5, a: r4, b: r5,", "{id: r4-r5, a: r4, b: r5, risk_groups: [duct],"
    )
    network = SimulatedNetwork.running(loads_grid(text, "one-duct"))
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "town", 1e5, protect=Against.RISK))
    assert refused.value.reason is Reason.PROTECTION_IMPOSSIBLE
    assert refused.value.metadata["bridges"] == "duct"
    assert "avoids risk group duct, which" in str(refused.value)
    assert "the loss of a risk group is impossible" in str(refused.value)


def drain(network: SimulatedNetwork, order: DrainOrder) -> None:
    network.event(lambda core, now_ns: core.drain(order, now_ns))
    settle(network)


def test_where_only_what_is_drained_would_give_a_second_way_that_is_said() -> None:
    network = three_ways()
    for link_id in ("r3-r5", "r4-r5"):
        drain(network, DrainOrder(link_id))
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "town", 1e5, protect=Against.LINK))
    assert str(refused.value).endswith("there, with r3-r5, r4-r5 out of service")


def test_without_room_for_a_standby_the_cut_is_named() -> None:
    network = three_ways()
    text = THREE_WAYS.replace("ampacity_a: 300", "ampacity_a: 100")
    network = SimulatedNetwork.running(loads_grid(text, "thin"))
    for number in range(2):
        network.request(PowerRequest(f"other-{number}", "town", 1.5e6))
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "town", 1.5e6, protect=Against.LINK))
    assert refused.value.reason is Reason.PROTECTION_NO_ROOM
    assert "r1-r2" in refused.value.metadata["bottleneck_links"]


def test_a_first_path_that_has_a_partner_is_taken_where_the_best_has_none() -> None:
    # The trap: the best path uses the crossing line, and leaves no other.
    text = """
name: trap
defaults: {voltage_v: 20000, efficiency: 1.0, ampacity_a: 300}
routers: [{id: s}, {id: a}, {id: b}, {id: t}]
links:
  - {id: s-a, a: s, b: a, resistance_ohm: 0.1}
  - {id: a-b, a: a, b: b, resistance_ohm: 0.1}
  - {id: b-t, a: b, b: t, resistance_ohm: 0.1}
  - {id: a-t, a: a, b: t, resistance_ohm: 5.0}
  - {id: s-b, a: s, b: b, resistance_ohm: 5.0}
sources: [{id: plant, router: s, max_power_w: 6e6}]
loads: [{id: town, router: t, power_w: 6e6}]
"""
    network = SimulatedNetwork.running(loads_grid(text, "trap"))
    circuit = protected(network)
    assert {path(circuit), standby_path(circuit)} == {("s", "a", "t"), ("s", "b", "t")}


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


# Restarts


@pytest.mark.parametrize("written", [0, 1, 9])
def test_a_switch_without_a_controller_is_adopted_by_the_next(written: int) -> None:
    network = three_ways()
    circuit = protected(network)
    network.kill_controller(written)
    network.cut("r1-r2")
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    settle(network, 4 * NS_PER_S)
    circuit = network.core.questions.circuits[circuit.circuit_id]
    assert path(circuit) == ("r1", "r3", "r5")
    assert (circuit.state, circuit.guard.word) == (CircuitState.ACTIVE, Protection.PROTECTED)
    assert roles_at(network, "r5") == {2: False, 3: True}


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_a_controller_that_dies_between_switch_and_promotion_is_made_up_for(written: int) -> None:
    network = three_ways()
    circuit = protected(network)
    network.cut("r1-r2")
    while network.sessions["r5"].to_controller:
        network.deliver_to_controller("r5")
    network.kill_controller(written)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    settle(network, 14 * NS_PER_S)
    circuit = network.core.questions.circuits[circuit.circuit_id]
    assert path(circuit) == ("r1", "r3", "r5")
    assert (circuit.state, circuit.guard.word) == (CircuitState.ACTIVE, Protection.PROTECTED)
    assert not any(roles_at(network, "r3")[2] for _ in (1,))


def test_a_router_that_did_not_hear_of_a_promotion_is_told_when_it_is_read_back() -> None:
    network = three_ways()
    circuit = protected(network)
    network.loses = lambda router_id, message: router_id == "r3" and isinstance(message, Promote)
    network.cut("r1-r2")
    settle(network)
    assert roles_at(network, "r3") == {2: True}
    network.loses = lambda router_id, message: False
    settle(network, 12 * NS_PER_S)
    assert roles_at(network, "r3") == {2: False}
    assert circuit.state is CircuitState.ACTIVE


# What clients do


def test_another_power_is_had_on_both_paths() -> None:
    network = three_ways()
    circuit = protected(network)
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 2e6, now_ns))
    settle(network)
    assert circuit.state is CircuitState.ACTIVE
    assert {newest(circuit).route.power_w, there(circuit.standby()).route.power_w} == {2e6}
    assert circuit.guard.word is Protection.PROTECTED


def test_a_release_takes_the_standby_along() -> None:
    network = three_ways()
    circuit = protected(network)
    network.release(circuit.circuit_id)
    settle(network, 12 * NS_PER_S)
    assert circuit.state is CircuitState.WITHDRAWN
    assert circuit.guard.word is Protection.NONE
    assert network.grid.held() == set()
    assert network.core.questions.reserved() == {}


def test_what_would_be_reserved_is_shown_with_its_standby_and_given_back() -> None:
    network = three_ways()
    wanted = PowerRequest("a", "town", 1e6, protect=Against.LINK)
    (served,) = network.event(lambda core, now_ns: core.rehearse(wanted, now_ns)).served
    assert there(served.standby).route.router_ids == ("r1", "r3", "r5")
    assert network.core.questions.reserved() == {}


def test_every_part_of_a_split_has_its_own_standby() -> None:
    network = SimulatedNetwork.running(diamond())
    wanted = PowerRequest("a", "town", 1e6, allow_split=True, protect=Against.LINK)
    circuits = network.request(wanted)
    settle(network)
    assert {each.guard.word for each in circuits} == {Protection.PROTECTED}


def test_standbys_are_staged_with_their_role_and_trickle() -> None:
    network = three_ways()
    protected(network)
    staged = [
        hop
        for _, message in network.sent
        if isinstance(message, Stage)
        for hop in message.hops
        if hop.generation == 2
    ]
    assert len(staged) == 3
    assert all(hop.standby and hop.trickle_w > 0 for hop in staged)
    assert there(network.core.questions.circuits[1].standby()).role is Role.STANDBY


def test_a_promotion_in_several_changes_that_become_durable_at_once_is_told_once() -> None:
    generation = there(protected(three_ways()).standby())
    told: list[tuple[str, Promote]] = []
    promotions = Promotions(Transactions(1), lambda *each: told.append(each))
    promotions.begin(generation)
    assert promotions.made_durable([generation.key, generation.key]) == [generation.key]
    assert len(told) == len(generation.route.router_ids)
    assert promotions.made_durable([generation.key]) == []


def test_many_promotions_are_one_message_a_router_and_one_that_lacks_any_hears_of_each() -> None:
    network = three_ways()
    circuits = [protected(network, 1e5, request_id=f"request {number}") for number in range(5)]
    standbys = [there(circuit.standby()) for circuit in circuits]
    told: list[tuple[str, Promote]] = []
    promotions = Promotions(Transactions(1), lambda *each: told.append(each))
    for standby in standbys:
        promotions.begin(standby)
    promotions.made_durable([each.key for each in standbys])
    assert len(told) == len(standbys[0].route.router_ids)
    router_id, first = told[0]
    assert router_id == standbys[0].route.sink_router_id
    refused = TransactionResult(first.txn_id, Operation.PROMOTE, ResultCode.INVALID_HOP)
    told.clear()
    promotions.on_result(router_id, refused)
    promotions.on_result(router_id, refused)
    again = [message.circuits for _, message in told]
    assert again == [(each.key,) for each in standbys]


def test_a_source_that_gives_less_is_no_reason_to_make_standbys_anew() -> None:
    network = three_ways()
    circuit = protected(network, 5e6)
    network.dim("plant", 3e6)
    settle(network, 4 * NS_PER_S)
    assert circuit.last_generation == 2
    assert circuit.guard.word is Protection.PROTECTED


def test_a_standby_at_a_source_without_power_does_not_hide_that_its_own_is_short() -> None:
    network = SimulatedNetwork.running(diamond())
    circuit = protected(network, 2e6, protect=Against.ROUTER)
    source_id = newest(circuit).route.source_id
    other_id = there(circuit.standby()).route.source_id
    assert other_id != source_id
    network.dim(source_id, 1e6)
    network.deliver_all()
    network.dim(other_id, 0.0)
    settle(network, NS_PER_S)
    assert there(circuit.curtailed).by == f"source {source_id}"
    assert circuit.state is CircuitState.DEGRADED


def test_nobody_is_asked_to_move_onto_what_its_own_standby_needs() -> None:
    network = three_ways()
    protected(network, protect=Against.ROUTER)
    question = there(network.core.ask_reoptimise())
    (choice,) = question.circuits.choices
    arcs = {question.hops[arc] for arc in choice.avoid_arcs}
    assert arcs == {("r1-r3", "r1"), ("r1-r3", "r3"), ("r3-r5", "r3"), ("r3-r5", "r5")}
    nodes = {network.core._parts.admission.arrays.router_ids[each] for each in choice.avoid_nodes}
    assert nodes == {"r3"}
    assert [question.source_ids[each] for each in choice.sources] == ["plant"]


def test_all_are_protected_again_though_the_lost_source_never_lets_go() -> None:
    """Its router holds its hops of what switched away; a standby waits for those routers only that it needs."""
    network = SimulatedNetwork.running(load_grid(ELAN9))
    loads = [each.id for each in network.grid.grid.loads]
    for number in range(14):
        load_id = loads[number % len(loads)]
        network.request(PowerRequest(f"c{number}", load_id, 1e4, protect=Against.ROUTER))
    settle(network)
    circuits = network.core.questions.circuits.values()
    assert {each.guard.word for each in circuits} == {Protection.PROTECTED}
    network.kill_router("r2")
    settle(network, 5 * NS_PER_S)
    assert {each.guard.word for each in circuits} == {Protection.PROTECTED}
    assert {newest(each).route.source_id for each in circuits} == {"source1"}


def test_once_a_source_is_back_standbys_are_made_anew_from_there_while_the_others_stay() -> None:
    network = SimulatedNetwork.running(load_grid(ELAN9))
    for number in range(6):
        network.request(PowerRequest(f"c{number}", "load5", 1e4, protect=Against.ROUTER))
    settle(network)
    circuits = list(network.core.questions.circuits.values())
    network.kill_router("r2")
    settle(network, 5 * NS_PER_S)
    assert {there(each.standby()).route.source_id for each in circuits} == {"source1"}
    near = {there(each.standby()).key for each in circuits}
    network.restart_router("r2")
    network.connect("r2")
    end_ns = network.now_ns + 10 * NS_PER_S
    while network.now_ns < end_ns:
        settle(network, 100 * NS_PER_MS)
        assert {each.guard.word for each in circuits} == {Protection.PROTECTED}
    assert {there(each.standby()).route.source_id for each in circuits} == {"source2"}
    left = {each.key for circuit in circuits for each in circuit.standbys()}
    assert len(left) == len(circuits) and not left & near


def test_who_switches_to_a_source_that_is_short_is_curtailed_by_it() -> None:
    network = SimulatedNetwork.running(diamond())
    request = PowerRequest("r", "town", 2e6, protect=Against.ROUTER, dedicated=True)
    (circuit,) = network.request(request)
    settle(network, NS_PER_S)
    router_id = newest(circuit).route.router_ids[0]
    other_id = there(circuit.standby()).route.source_id
    network.dim(other_id, 1e6)
    settle(network, NS_PER_S)
    assert (circuit.state, circuit.curtailed) == (CircuitState.ACTIVE, None)
    network.kill_router(router_id)
    settle(network)
    assert newest(circuit).route.source_id == other_id
    assert there(circuit.curtailed).by == f"source {other_id}"
    assert circuit.state is CircuitState.DEGRADED
