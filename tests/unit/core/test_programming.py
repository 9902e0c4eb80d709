"""Two-phase programming: what is sent when, and what happens when an answer is late, lost, repeated or no."""

from collections.abc import Callable

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Phase
from controller.core.circuits.request import PowerRequest
from controller.core.messages import (
    Abort,
    CircuitStatus,
    CircuitTable,
    Commit,
    Drain,
    ReadTable,
    Stage,
    TransactionResult,
    Withdraw,
)
from controller.core.settings import CoreSettings
from digitalgrid.model import CircuitGeneration, FlowState, Operation, ResultCode
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest

TIMEOUTS = CoreSettings().timeouts
ROUTE = ("r1", "r2", "r4")


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def ask(network: SimulatedNetwork, power_w: float = 2e6) -> Circuit:
    """A circuit from r1 by r2 to r4, requested and not delivered yet."""
    (circuit,) = network.request(PowerRequest(f"{power_w}", "town", power_w, ("solar",)))
    return circuit


def active(network: SimulatedNetwork, power_w: float = 2e6) -> Circuit:
    circuit = ask(network, power_w)
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    return circuit


def waiting_messages(network: SimulatedNetwork) -> dict[str, list[type]]:
    return {
        router_id: [type(message) for message in session.to_router]
        for router_id, session in network.sessions.items()
        if session.to_router
    }


def sent(network: SimulatedNetwork, kind: type) -> list[str]:
    """To whom messages of a kind went, in order."""
    return [router_id for router_id, message in network.sent if isinstance(message, kind)]


def answer(network: SimulatedNetwork, *router_ids: str) -> None:
    """These routers do what they were told, and their answers arrive."""
    for router_id in router_ids:
        session = network.sessions[router_id]
        while session.to_router:
            network.deliver_to_router(router_id)
        while session.to_controller:
            network.deliver_to_controller(router_id)


def lose(*kinds: type, at: str = "") -> Callable[[str, object], bool]:
    return lambda router_id, message: isinstance(message, kinds) and at in ("", router_id)


def refuse_stage(network: SimulatedNetwork, router_id: str, code: ResultCode) -> None:
    """The router's answer to its oldest order is a refusal, and nothing is done."""
    stage = network.sessions[router_id].to_router.popleft()
    assert not isinstance(stage, ReadTable)
    result = TransactionResult(stage.txn_id, Operation.STAGE, code, "no")
    network.tell(router_id, result)


def held_generations(network: SimulatedNetwork) -> dict[str, list[int]]:
    held: dict[str, list[int]] = {}
    for router_id, key in sorted(network.grid.held()):
        held.setdefault(router_id, []).append(key.generation)
    return held


def test_every_hop_is_staged_at_once_and_none_committed_before_all_have_answered(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    network.make_durable(9)
    assert waiting_messages(network) == {router_id: [Stage] for router_id in ROUTE}
    answer(network, "r1", "r2")
    assert waiting_messages(network) == {"r4": [Stage]}
    answer(network, "r4")
    assert waiting_messages(network) == {router_id: [Commit] for router_id in ROUTE}
    assert circuit.state is CircuitState.COMMITTING


def test_nothing_is_committed_before_the_decision_is_durable(network: SimulatedNetwork) -> None:
    circuit = ask(network)
    answer(network, *ROUTE)
    assert circuit.state is CircuitState.STAGING
    assert waiting_messages(network) == {}
    network.make_durable(9)
    assert waiting_messages(network) == {router_id: [Commit] for router_id in ROUTE}


def test_commits_go_from_the_sink_towards_the_source(network: SimulatedNetwork) -> None:
    active(network)
    assert sent(network, Stage) == ["r1", "r2", "r4"]
    assert sent(network, Commit) == ["r4", "r2", "r1"]


def test_only_measured_power_makes_it_active(network: SimulatedNetwork) -> None:
    circuit = ask(network)
    network.loses = lose(CircuitStatus)
    network.deliver_all()
    assert circuit.state is CircuitState.COMMITTING
    assert newest(circuit).phase is Phase.COMMITTED
    network.loses = lose()
    network.tell("r4", CircuitStatus(newest(circuit).key, FlowState.ACTUATED))
    assert circuit.state is CircuitState.ACTIVE
    times = circuit.timings
    assert 0 < times.stored_after_ns <= times.staged_after_ns <= times.committed_after_ns
    assert times.committed_after_ns <= times.actuated_after_ns


def test_only_the_sinks_router_may_speak_for_the_power(network: SimulatedNetwork) -> None:
    circuit = ask(network)
    network.loses = lose(CircuitStatus)
    network.deliver_all()
    for router_id in ("r1", "r2", "r3"):
        network.tell(router_id, CircuitStatus(newest(circuit).key, FlowState.ACTUATED))
    assert circuit.state is CircuitState.COMMITTING
    network.tell("r4", CircuitStatus(CircuitGeneration(9, 9), FlowState.ACTUATED))


def test_power_that_arrives_before_an_acknowledgement_proves_the_commit(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    network.loses = lambda router_id, message: (
        isinstance(message, TransactionResult) and message.operation is Operation.COMMIT
    )
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    network.advance(10 * NS_PER_S)
    assert circuit.last_generation == 1


def test_a_stage_that_is_not_answered_in_time_is_aborted_and_routed_around(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    network.loses = lose(Stage, at="r2")
    network.deliver_all()
    network.advance(TIMEOUTS.stage_ms * NS_PER_MS)
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    assert held_generations(network) == {"r1": [2], "r3": [2], "r4": [2]}
    assert network.core.questions.routers_holding(CircuitGeneration(1, 1)) == ()


def test_a_router_that_refuses_is_routed_around(network: SimulatedNetwork) -> None:
    circuit = ask(network)
    refuse_stage(network, "r2", ResultCode.LINK_DOWN)
    assert circuit.state is CircuitState.REROUTING
    assert "router r2 refused stage" in circuit.reason
    network.deliver_all()
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")


def test_a_hop_that_makes_no_sense_to_a_router_ends_a_new_circuit(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    refuse_stage(network, "r2", ResultCode.INVALID_HOP)
    assert circuit.state is CircuitState.FAILED
    network.deliver_all()
    assert network.grid.held() == set()
    assert list(network.core.questions.generations()) == []
    network.advance(20 * NS_PER_S)
    assert circuit.state is CircuitState.FAILED


def test_a_decision_that_is_durable_after_the_lease_is_staged_anew_and_not_committed(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    answer(network, *ROUTE)
    deadline_ns = newest(circuit).deadline_ns
    network.now_ns += TIMEOUTS.safe_lease_ns + NS_PER_MS
    assert network.now_ns > deadline_ns
    network.make_durable(1)
    assert waiting_messages(network) == {router_id: [Abort, Stage] for router_id in ROUTE}
    assert sent(network, Commit) == []
    network.deliver_all()
    assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)


def test_a_store_that_is_late_moves_no_circuit(network: SimulatedNetwork) -> None:
    circuit = ask(network)
    for _ in range(20):
        answer(network, *ROUTE)
        network.advance(TIMEOUTS.stage_ms * NS_PER_MS)
    network.deliver_all()
    assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)


def test_a_commit_after_the_lease_is_refused_and_asked_for_again_on_the_same_way(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    network.make_durable(9)
    answer(network, *ROUTE)
    network.now_ns += TIMEOUTS.lease_ms * NS_PER_MS
    network.deliver_all()
    network.advance(5 * NS_PER_S)
    network.deliver_all()
    # The router was late, and is no reason to go another way.
    assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)
    network.check()


def test_a_lost_commit_is_withdrawn_everywhere_and_made_again(network: SimulatedNetwork) -> None:
    circuit = ask(network)
    network.loses = lose(Commit, at="r2")
    network.deliver_all()
    assert held_generations(network) == {"r1": [1], "r4": [1]}
    network.loses = lose()
    network.advance(TIMEOUTS.commit_ms * NS_PER_MS)
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert all(1 not in numbers for numbers in held_generations(network).values())


def test_what_was_committed_stays_reserved_until_its_router_has_let_go(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network)
    key = newest(circuit).key
    network.loses = lose(Withdraw, at="r2")
    network.release(1)
    network.deliver_all()
    assert circuit.state is CircuitState.WITHDRAWING
    assert network.core.questions.routers_holding(key) == ("r2",)
    network.disconnect("r2")
    network.advance(60 * NS_PER_S)
    assert network.core.questions.routers_holding(key) == ("r2",), "silence frees nothing"
    network.loses = lose()
    network.connect("r2")
    network.deliver_all()
    assert circuit.state is CircuitState.WITHDRAWN
    assert network.core.questions.routers_holding(key) == ()


def test_a_withdrawal_is_repeated_until_it_is_answered(network: SimulatedNetwork) -> None:
    circuit = active(network)
    network.loses = lose(Withdraw)
    network.release(1)
    network.deliver_all()
    for _ in range(3):
        network.advance((TIMEOUTS.withdraw_ms + 1) * NS_PER_MS)
        assert waiting_messages(network) == {router_id: [Withdraw] for router_id in ROUTE}
        network.deliver_all()
    network.loses = lose()
    network.advance(TIMEOUTS.withdraw_ms * NS_PER_MS)
    network.deliver_all()
    assert circuit.state is CircuitState.WITHDRAWN


def test_a_release_drains_first_and_withdraws_from_source_to_sink(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network)
    network.release(1)
    assert waiting_messages(network) == {"r4": [Drain]}
    network.deliver_all()
    assert sent(network, Withdraw) == ["r1", "r2", "r4"]
    assert circuit.state is CircuitState.WITHDRAWN


def test_a_drain_that_never_ends_is_cut_short(network: SimulatedNetwork) -> None:
    circuit = active(network)
    network.loses = lose(CircuitStatus)
    network.release(1)
    network.deliver_all()
    assert circuit.state is CircuitState.WITHDRAWING
    network.advance(TIMEOUTS.drain_ms * NS_PER_MS)
    network.deliver_all()
    assert circuit.state is CircuitState.WITHDRAWN
    assert network.grid.held() == set()


def test_a_release_while_staging_aborts(network: SimulatedNetwork) -> None:
    circuit = ask(network)
    network.release(1)
    assert waiting_messages(network) == {router_id: [Stage, Abort] for router_id in ROUTE}
    assert circuit.state is CircuitState.WITHDRAWN
    network.deliver_all()
    assert network.grid.held() == set()
    assert not any(router.table.staged_txn_ids for router in network.grid.routers.values())


def test_repeated_answers_change_nothing(network: SimulatedNetwork) -> None:
    circuit = active(network)
    before = (circuit.state, circuit.last_generation, held_generations(network))
    for router_id, result in network.delivered_results * 2:
        network.tell(router_id, result)
    network.deliver_all()
    assert (circuit.state, circuit.last_generation, held_generations(network)) == before


def test_an_answer_to_a_transaction_that_nobody_knows_is_dropped(network: SimulatedNetwork) -> None:
    circuit = active(network)
    before = (circuit.state, circuit.last_generation, held_generations(network))
    for code in ResultCode:
        for operation in Operation:
            network.tell("r1", TransactionResult(77, operation, code))
    network.tell("r1", CircuitTable(77, 1, ()))
    assert waiting_messages(network) == {}
    network.deliver_all()
    assert (circuit.state, circuit.last_generation, held_generations(network)) == before


def test_a_session_that_breaks_and_begins_anew_moves_nothing(network: SimulatedNetwork) -> None:
    circuit = ask(network)
    network.disconnect("r2")
    network.deliver_all()
    network.advance(TIMEOUTS.stage_ms * NS_PER_MS // 2)
    network.connect("r2")
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)
    network.check()


def test_a_session_that_is_not_back_in_time_gives_up_what_it_was_to_stage(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    network.disconnect("r2")
    network.deliver_all()
    assert circuit.state is CircuitState.STAGING
    # The controller is in time itself.
    for _ in range(TIMEOUTS.stage_ms // 100 + 1):
        network.advance(100 * NS_PER_MS)
    network.deliver_all()
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    assert circuit.state is CircuitState.ACTIVE


def test_a_session_that_breaks_where_anybody_is_late_is_waited_for_longer(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    network.core._network.lateness.note_heard("r4", network.now_ns, late_ns=NS_PER_S)
    network.disconnect("r2")
    network.deliver_all()
    network.advance(20 * NS_PER_S)
    network.connect("r2")
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)


def test_what_was_to_be_staged_at_a_router_that_no_neighbour_hears_goes_another_way(
    network: SimulatedNetwork,
) -> None:
    circuit = ask(network)
    network.disconnect("r2")
    for link_id in ("r1-r2", "r2-r4"):
        network.cut(link_id)
    network.deliver_all()
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    assert circuit.state is CircuitState.ACTIVE


def test_strangers_that_come_and_go_leave_nothing_behind(network: SimulatedNetwork) -> None:
    for number in range(10):
        network.core.on_connected(f"x{number}", network.now_ns)
        network.core.on_sync_done(f"x{number}", network.now_ns)
        network.core.on_disconnected(f"x{number}", network.now_ns)
    network.disconnect("r2")
    lateness = network.core._network.lateness
    assert [*lateness._gone_ns] == ["r2"]
    network.core._network.remove("r2")
    assert not lateness._gone_ns


def test_a_change_of_power_is_made_beside_the_old_one_and_the_sink_switches_last(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network)
    network.event(lambda core, now_ns: core.change(1, 3e6, now_ns))
    network.make_durable(9)
    answer(network, *ROUTE)
    assert waiting_messages(network) == {"r1": [Commit], "r2": [Commit]}
    answer(network, "r1", "r2")
    assert held_generations(network) == {"r1": [1, 2], "r2": [1, 2], "r4": [1]}
    assert waiting_messages(network) == {"r4": [Commit]}
    answer(network, "r4")
    assert circuit.state is CircuitState.ACTIVE
    network.deliver_all()
    assert held_generations(network) == {router_id: [2] for router_id in ROUTE}


def test_power_never_goes_while_it_is_changed(network: SimulatedNetwork) -> None:
    circuit = active(network)
    sink = network.grid.routers["r4"]
    network.event(lambda core, now_ns: core.change(1, 3e6, now_ns))
    network.make_durable(9)
    while any(session.to_router or session.to_controller for session in network.sessions.values()):
        for router_id, session in network.sessions.items():
            if session.to_router:
                network.deliver_to_router(router_id)
            elif session.to_controller:
                network.deliver_to_controller(router_id)
            keys = [hop.key for hop in sink.table.hops if hop.key not in sink.draining]
            assert any(network.grid.path_is_complete(key, sink) for key in keys)
            network.check()
    assert circuit.power_w == 3e6


def test_a_change_that_cannot_be_staged_leaves_what_was(network: SimulatedNetwork) -> None:
    circuit = active(network)
    network.event(lambda core, now_ns: core.change(1, 3e6, now_ns))
    network.loses = lose(Stage)
    network.deliver_all()
    for _ in range(20):
        network.advance(TIMEOUTS.stage_ms * NS_PER_MS)
        network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert "a move was given up" in circuit.reason
    assert circuit.power_w == 2e6
    assert held_generations(network) == {router_id: [1] for router_id in ROUTE}


def test_starving_degrades_and_power_makes_it_active_again(network: SimulatedNetwork) -> None:
    circuit = active(network)
    key = newest(circuit).key
    network.tell("r4", CircuitStatus(key, FlowState.STARVED))
    assert circuit.state is CircuitState.DEGRADED
    network.tell("r4", CircuitStatus(key, FlowState.ARRIVED, interruption_ns=7 * NS_PER_MS))
    network.tell("r4", CircuitStatus(key, FlowState.ACTUATED))
    assert circuit.state is CircuitState.ACTIVE
    assert (circuit.interruptions, circuit.last_interruption_ns) == (1, 7 * NS_PER_MS)


def test_a_drain_that_nobody_asked_for_cannot_be_refused(network: SimulatedNetwork) -> None:
    """A router that speaks of a drain while the circuit is being made takes nothing away from it."""
    (circuit,) = network.request(PowerRequest("r", "town", 2e6, ("solar",)))
    txn_id = newest(circuit).txn_id
    refused = TransactionResult(txn_id, Operation.DRAIN, ResultCode.STALE_ELECTION_ID)
    network.tell("r1", refused)
    network.deliver_all()
    assert (circuit.state, newest(circuit).phase) == (CircuitState.ACTIVE, Phase.CARRYING)


def test_stages_that_nobody_will_commit_are_aborted_when_a_table_is_read() -> None:
    network = SimulatedNetwork.running(diamond())
    network.request(PowerRequest("request", "town", 1e6))
    staged_now = {message.txn_id for _, message in network.sent if isinstance(message, Stage)}
    network.deliver_all()
    network.event(lambda core, now_ns: core.on_connected("r2", now_ns))
    network.event(lambda core, now_ns: core.on_sync_done("r2", now_ns))
    read = next(
        message
        for router_id, message in reversed(network.sent)
        if router_id == "r2" and isinstance(message, ReadTable)
    )
    unknown = frozenset({7, 8}) | frozenset(range(1000, 2000))
    network.tell(
        "r2",
        CircuitTable(
            read.read_id, 1, tuple(network.grid.routers["r2"].table.hops), unknown | staged_now
        ),
    )
    aborted = [
        m.txn_id for router_id, m in network.sent if isinstance(m, Abort) and router_id == "r2"
    ]
    assert aborted == sorted(unknown)[:64]
