"""Protection over restarts, changes by clients, and sources that give less."""

from pathlib import Path

import pytest

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.generation import Role
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.messages import Promote, Stage, TransactionResult
from controller.core.programming.promotion import Promotions
from controller.core.programming.transactions import Transactions
from digitalgrid.gridfile import load_grid
from digitalgrid.model import Operation, ResultCode
from digitalgrid.units import NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there
from tests.support.three_ways import (
    path,
    protected,
    roles_at,
    settle,
    three_ways,
)

ELAN9 = Path(__file__).parents[3] / "topologies" / "elan9.grid.yaml"


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
    question = there(network.event(lambda core, now_ns: core.ask_reoptimise(now_ns)))
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
