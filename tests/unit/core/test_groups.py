"""Programming in groups: many circuits in one Stage and one Commit a router, and nobody stands in another's way."""

from collections.abc import Callable

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.messages import (
    CircuitStatus,
    Commit,
    Stage,
    ToRouter,
    TransactionResult,
    Withdraw,
)
from controller.core.programming.staging import MAX_GROUP
from controller.core.programming.window import MAX_IN_FLIGHT
from controller.core.settings import CoreSettings
from digitalgrid.model import FlowState, HopSnapshot, Operation, ResultCode
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import FromRouter, SimulatedNetwork

TIMEOUTS = CoreSettings().timeouts
SMALL_W = 10.0


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def batch(network: SimulatedNetwork, count: int) -> list[Circuit]:
    requests = [PowerRequest(f"small-{number}", "town", SMALL_W) for number in range(count)]
    decisions = network.event(lambda core, now_ns: core.request_batch(requests, now_ns))
    circuits = []
    for each in decisions:
        assert isinstance(each, list)
        circuits += each
    return circuits


def sent(network: SimulatedNetwork, *kinds: type) -> list[ToRouter]:
    return [message for _, message in network.sent if isinstance(message, kinds)]


def routers_of(circuits: list[Circuit]) -> set[str]:
    return {
        router_id
        for circuit in circuits
        for generation in circuit.generations.values()
        for router_id in generation.route.router_ids
    }


def refuse(
    network: SimulatedNetwork, router_id: str, of: Callable[[HopSnapshot], bool]
) -> Callable[[str, ToRouter | FromRouter], bool]:
    """The router refuses each stage with such a hop, whole, as routers do."""

    def lost(at: str, message: ToRouter | FromRouter) -> bool:
        if at != router_id or not isinstance(message, Stage) or not any(map(of, message.hops)):
            return False
        result = TransactionResult(
            message.txn_id, Operation.STAGE, ResultCode.INVALID_HOP, "no such thing here"
        )
        network.sessions[router_id].to_controller.append(result)
        return True

    return lost


def test_a_batch_is_one_stage_and_one_commit_for_each_router(network: SimulatedNetwork) -> None:
    circuits = batch(network, 30)
    network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}
    routers = routers_of(circuits)
    assert len(sent(network, Stage)) == len(sent(network, Commit)) == len(routers)
    network.check_rest()


def test_a_group_is_committed_only_when_the_last_decision_is_durable(
    network: SimulatedNetwork,
) -> None:
    first = batch(network, 3)
    for router_id in routers_of(first):
        network.deliver_to_router(router_id)
        network.deliver_to_controller(router_id)
    assert {each.state for each in first} == {CircuitState.STAGING}
    assert not sent(network, Commit)
    network.make_durable(9)
    assert {each.state for each in first} == {CircuitState.COMMITTING}


def test_a_hop_that_is_refused_fails_no_other_of_its_group(network: SimulatedNetwork) -> None:
    circuits = batch(network, 20)
    bad = circuits[7]
    network.loses = refuse(network, "r4", lambda hop: hop.circuit_id == bad.circuit_id)
    network.deliver_all()
    assert bad.state is CircuitState.FAILED
    assert "no such thing here" in bad.reason
    others = [each for each in circuits if each is not bad]
    assert {(each.state, each.last_generation) for each in others} == {(CircuitState.ACTIVE, 1)}
    network.check_rest()


def test_a_router_that_is_silent_concerns_only_those_that_run_over_it(
    network: SimulatedNetwork,
) -> None:
    """Of a group it is given up what waits for that router; the others are staged again as they were."""
    requests = [
        PowerRequest("here", "town", SMALL_W, ("gas",)),
        PowerRequest("there", "works", SMALL_W, ("solar",)),
    ]
    network.event(lambda core, now_ns: core.request_batch(requests, now_ns))
    here, there = network.core.questions.circuits.values()
    assert "r4" in routers_of([here]) - routers_of([there])
    network.loses = lambda router_id, message: router_id == "r4" and isinstance(message, Stage)
    network.deliver_all()
    network.advance(TIMEOUTS.stage_ms * NS_PER_MS)
    network.deliver_all()
    assert (there.state, there.last_generation) == (CircuitState.ACTIVE, 1)
    assert here.state is not CircuitState.ACTIVE and here.attempts


def test_a_release_takes_one_out_of_its_group_and_leaves_the_others(
    network: SimulatedNetwork,
) -> None:
    circuits = batch(network, 5)
    network.release(circuits[2].circuit_id)
    network.deliver_all()
    states = [each.state for each in circuits]
    assert states.count(CircuitState.ACTIVE) == 4
    assert circuits[2].state is CircuitState.WITHDRAWN
    assert {each.last_generation for each in circuits} == {1}
    network.check_rest()


def test_a_commit_that_is_refused_is_made_good_at_that_router_alone(
    network: SimulatedNetwork,
) -> None:
    """As where it started anew between the two phases: it knows nothing of the transaction."""
    circuits = batch(network, 5)
    forgetful = next(iter(circuits[0].generations.values())).route.router_ids[0]
    staged: list[Stage] = []

    def forgets(router_id: str, message: ToRouter | FromRouter) -> bool:
        if router_id != forgetful or not isinstance(message, Stage) or staged:
            return False
        staged.append(message)
        result = TransactionResult(message.txn_id, Operation.STAGE, ResultCode.OK)
        network.sessions[router_id].to_controller.append(result)
        return True

    network.loses = forgets
    network.deliver_all()
    assert len(staged) == 1 and len(staged[0].hops) > 1
    assert {(each.state, each.last_generation) for each in circuits} == {(CircuitState.ACTIVE, 1)}
    network.check_rest()


def test_so_many_are_under_way_and_no_group_is_larger_than_that(network: SimulatedNetwork) -> None:
    circuits = batch(network, MAX_IN_FLIGHT + 50)
    assert sum(each.state is CircuitState.STAGING for each in circuits) == MAX_IN_FLIGHT
    sizes = [len(each.hops) for each in sent(network, Stage) if isinstance(each, Stage)]
    assert max(sizes) <= MAX_GROUP
    network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}


def test_what_a_router_has_lost_is_repaired_with_one_stage(network: SimulatedNetwork) -> None:
    circuits = batch(network, 20)
    network.deliver_all()
    source = next(iter(circuits[0].generations.values())).route.router_ids[0]
    network.disconnect(source)
    network.grid.routers[source].start()
    before = len(network.sent)
    network.connect(source)
    network.deliver_all()
    repairs = [
        message
        for router_id, message in network.sent[before:]
        if router_id == source and isinstance(message, Stage)
    ]
    assert [len(each.hops) for each in repairs] == [len(circuits)]
    network.advance(NS_PER_S)
    network.deliver_all()
    network.check_rest()


def test_what_is_withdrawn_in_one_turn_is_one_order_for_each_router(
    network: SimulatedNetwork,
) -> None:
    """A router makes each order of this kind durable before it answers."""
    circuits = batch(network, 10)
    network.deliver_all()
    routers = routers_of(circuits)
    before = len(network.sent)

    def all_drained(core: Controller, now_ns: int) -> None:
        for circuit in circuits:
            core.release(circuit.circuit_id, now_ns)
            (generation,) = circuit.generations.values()
            status = CircuitStatus(generation.key, FlowState.DRAINED)
            core.on_status(generation.route.sink_router_id, status, now_ns)

    network.event(all_drained)
    withdrawals = [m for _, m in network.sent[before:] if isinstance(m, Withdraw)]
    assert [len(each.circuits) for each in withdrawals] == [len(circuits)] * len(routers)
    network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.WITHDRAWN}
    network.check_rest()
