"""Overload is no fault: late routers get less at a time and longer for it, and nothing goes another way for that."""

from collections.abc import Sequence

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import CircuitStatus, Commit, Stage
from controller.core.network.lateness import LATE_NS, MAX_PATIENCE_NS, Lateness
from controller.core.programming import window
from controller.core.promises import mover, provisioning
from controller.core.settings import CoreSettings
from digitalgrid.model import CircuitGeneration, FlowState, Operation
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.garbage import left_by
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork

TIMEOUTS = CoreSettings().timeouts
SMALL_W = 10.0
STAGE = Operation.STAGE


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def batch(network: SimulatedNetwork, count: int, sink_id: str = "town") -> list[Circuit]:
    begun = len(network.core.questions.circuits)
    requests = [
        PowerRequest(f"small-{number}", sink_id, SMALL_W, ("solar",))
        for number in range(begun, begun + count)
    ]
    decisions = network.event(lambda core, now_ns: core.request_batch(requests, now_ns))
    return [each for decision in decisions if isinstance(decision, list) for each in decision]


def deliver(network: SimulatedNetwork, *router_ids: str) -> None:
    """All that is under way to these routers, and what they answer."""
    for router_id in router_ids:
        session = network.sessions[router_id]
        while session.to_router:
            network.deliver_to_router(router_id)
        while session.to_controller:
            network.deliver_to_controller(router_id)


def say_something(network: SimulatedNetwork, router_id: str, late_ns: int = 0) -> None:
    """The router is at work: it tells of a circuit that nobody knows any more."""
    gone = CircuitGeneration(9_999, 1)
    network.tell(router_id, CircuitStatus(gone, FlowState.ACTUATED, late_ns=late_ns))


def staged_at(network: SimulatedNetwork, router_id: str, since: int = 0) -> list[int]:
    """Sizes of the stages that a router was sent."""
    return [
        len(message.hops)
        for at, message in network.sent[since:]
        if at == router_id and isinstance(message, Stage)
    ]


def generations(circuits: Sequence[Circuit]) -> set[int]:
    return {each.last_generation for each in circuits}


def test_a_router_that_answers_late_moves_no_circuit(network: SimulatedNetwork) -> None:
    """It takes three seconds for each answer, and is heard of meanwhile: far beyond every timeout of a quick router."""
    circuits = batch(network, 40)
    for _ in range(30):
        for _ in range(6):
            network.make_durable(100)
            deliver(network, "r1", "r3", "r4")
            say_something(network, "r2")
            network.advance(500 * NS_PER_MS)
        deliver(network, "r2")
    network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}
    assert generations(circuits) == {1}
    network.check_rest()


def test_a_router_that_is_silent_is_still_routed_around(network: SimulatedNetwork) -> None:
    (circuit,) = batch(network, 1)
    network.loses = lambda router_id, message: router_id == "r2" and isinstance(message, Stage)
    network.deliver_all()
    network.advance(TIMEOUTS.stage_ms * NS_PER_MS)
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert circuit.last_generation == 2


def test_of_several_that_have_not_answered_the_silent_one_is_blamed_and_kept_off(
    network: SimulatedNetwork,
) -> None:
    """The first by name is only late, and stays in use."""
    (circuit,) = batch(network, 1)
    network.make_durable(1)
    deliver(network, "r1", "r2", "r3", "r4")
    assert any(isinstance(message, Commit) for _, message in network.sent)
    network.advance((TIMEOUTS.commit_ms - 100) * NS_PER_MS)
    for router_id in ("r1", "r4"):
        say_something(network, router_id)
    network.advance(200 * NS_PER_MS)
    assert circuit.reason == "committing took too long at r2"
    assert circuit.excluded_ids == {"r2"}


def test_a_late_router_is_told_little_at_a_time_and_holds_up_nobody_else(
    network: SimulatedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = ("r1", "r3", "r4")
    first = batch(network, 1)
    deliver(network, *prompt)
    network.advance(LATE_NS + NS_PER_MS)
    before = len(network.sent)
    monkeypatch.setattr(window, "MAX_IN_FLIGHT_LATE", 16)
    over_it = batch(network, 40)
    beside_it = batch(network, 5, "pump")
    assert staged_at(network, "r2", before) == []
    for _ in range(3):
        network.make_durable(100)
        deliver(network, *prompt)
    assert {each.state for each in beside_it} == {CircuitState.ACTIVE}
    for _ in range(20):
        say_something(network, "r2", late_ns=NS_PER_S)
        network.deliver_all()
        network.advance(NS_PER_S)
    assert max(staged_at(network, "r2", before)) <= 16
    assert {each.state for each in (*first, *over_it)} == {CircuitState.ACTIVE}


def test_a_late_router_is_shown_with_what_it_has_not_answered(network: SimulatedNetwork) -> None:
    assert network.core.questions.lateness("r2", network.now_ns).late_ms == 0
    batch(network, 1)
    network.advance(LATE_NS + 150 * NS_PER_MS)
    late = network.core.questions.lateness("r2", network.now_ns)
    assert (late.late_ms, late.unanswered) == (300, 1)
    network.deliver_all()
    network.advance(6 * NS_PER_S)
    assert network.core.questions.lateness("r2", network.now_ns).late_ms == 0


def test_what_a_router_says_of_its_own_timers_counts(
    network: SimulatedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "MAX_IN_FLIGHT_LATE", 16)
    say_something(network, "r2", late_ns=NS_PER_S)
    assert network.core.questions.lateness("r2", network.now_ns).late_ms == 1000
    before = len(network.sent)
    batch(network, 40)
    assert staged_at(network, "r2", before) == [16]


def test_a_withdrawal_is_not_asked_for_again_while_a_late_router_is_at_it(
    network: SimulatedNetwork,
) -> None:
    (circuit,) = batch(network, 1)
    network.deliver_all()
    network.release(circuit.circuit_id)
    deliver(network, "r4", "r1")
    before = len(network.sent)
    for _ in range(8):
        say_something(network, "r2")
        say_something(network, "r4")
        network.advance(500 * NS_PER_MS)
    assert [message for _, message in network.sent[before:]] == []
    network.deliver_all()
    assert circuit.state is CircuitState.WITHDRAWN


def test_so_many_may_wait_to_be_programmed_and_more_are_told_to_come_back(
    network: SimulatedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "MAX_IN_FLIGHT", 8)
    monkeypatch.setattr(provisioning, "MAX_QUEUED", 20)
    first = PowerRequest("first", "town", SMALL_W)
    promised = network.request(first)
    for _ in range(8 + 20 - 1):
        batch(network, 1)
    (refused,) = network.event(
        lambda core, now_ns: core.request_batch([PowerRequest("more", "town", SMALL_W)], now_ns)
    )
    assert isinstance(refused, Refusal) and refused.reason is Reason.OVERLOADED
    assert network.request(first) == promised, "a retry is answered"
    network.deliver_all()
    assert batch(network, 1)


def test_mass_rerouting_brakes_while_many_wait_to_be_programmed(
    network: SimulatedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch(network, 64)
    network.deliver_all()
    monkeypatch.setattr(window, "MAX_IN_FLIGHT", 8)
    monkeypatch.setattr(mover, "MAX_QUEUED_MOVES", 8)
    network.cut("r1-r2")
    for router_id in ("r1", "r2"):
        while network.sessions[router_id].to_controller:
            network.deliver_to_controller(router_id)
    network.advance(50 * NS_PER_MS)
    moved = sum(each.last_generation > 1 for each in network.core.questions.circuits.values())
    assert 8 <= moved < 64
    for _ in range(20):
        network.deliver_all()
        network.advance(100 * NS_PER_MS)
    states = {each.state for each in network.core.questions.circuits.values()}
    assert states == {CircuitState.ACTIVE}
    network.check()


def test_the_time_for_answers_follows_how_long_they_take() -> None:
    lateness = Lateness(lambda _: False)
    for number in range(50):
        lateness.note_asked("r", (number, STAGE), number * NS_PER_S)
        lateness.note_answer("r", (number, STAGE), number * NS_PER_S + 2 * NS_PER_MS)
    now_ns = 50 * NS_PER_S
    assert lateness.patience_ns(["r", "stranger"], now_ns) == 0
    for number in range(50, 80):
        lateness.note_asked("r", (number, STAGE), number * NS_PER_S)
        lateness.note_answer("r", (number, STAGE), number * NS_PER_S + NS_PER_S)
    patience_ns = lateness.patience_ns(["r"], 80 * NS_PER_S)
    assert 2 * NS_PER_S < patience_ns <= MAX_PATIENCE_NS
    assert lateness.patience_ns(["r"], 100 * NS_PER_S) == 0, "it is forgiven"


def test_the_first_answer_of_a_session_counts_in_full() -> None:
    """RFC 6298: there is nothing yet that it could be smoothed with."""
    lateness = Lateness(lambda _: True)
    lateness.note_asked("r", (1, STAGE), NS_PER_S)
    lateness.note_answer("r", (1, STAGE), NS_PER_S + 2 * LATE_NS)
    now_ns = NS_PER_S + 2 * LATE_NS
    assert lateness.is_late("r", now_ns) and lateness.is_crowded(now_ns)
    assert lateness.patience_ns(["r"], now_ns) > 4 * 2 * LATE_NS


def test_routers_that_are_slow_from_their_first_answer_on_move_no_circuit(
    network: SimulatedNetwork,
) -> None:
    """As when a hundred of them begin on two cores: stages are answered in time, and commits two seconds late."""
    circuits = batch(network, 10)
    network.make_durable(100)
    network.advance(600 * NS_PER_MS)
    deliver(network, "r1", "r2", "r3", "r4")
    assert any(isinstance(message, Commit) for _, message in network.sent)
    for _ in range(5):
        network.advance(500 * NS_PER_MS)
    network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}
    assert generations(circuits) == {1}
    network.check_rest()


def test_an_answer_to_what_was_asked_later_shows_that_the_earlier_one_was_lost() -> None:
    lateness = Lateness(lambda _: False)
    lateness.note_asked("r", (1, STAGE), 0)
    lateness.note_asked("r", (2, STAGE), NS_PER_S)
    lateness.note_heard("r", NS_PER_S)
    assert lateness.is_behind("r", (1, STAGE), NS_PER_S, NS_PER_S + 1)
    lateness.note_answer("r", (2, STAGE), NS_PER_S + 1)
    assert not lateness.is_behind("r", (1, STAGE), NS_PER_S, NS_PER_S + 1)
    assert lateness.unanswered("r") == 0


def test_nobody_is_waited_for_without_end() -> None:
    lateness = Lateness(lambda _: False)
    lateness.note_asked("r", (1, STAGE), 0)
    for second in range(60):
        lateness.note_heard("r", second * NS_PER_S, late_ns=3_600 * NS_PER_S)
    now_ns = 60 * NS_PER_S
    assert not lateness.is_behind("r", (1, STAGE), NS_PER_S, now_ns)
    assert lateness.patience_ns(["r"], now_ns) == MAX_PATIENCE_NS


def test_commits_wait_for_a_late_router_too(network: SimulatedNetwork) -> None:
    circuits = batch(network, 10)
    network.make_durable(100)
    deliver(network, "r1", "r2", "r3", "r4")
    assert any(isinstance(message, Commit) for _, message in network.sent)
    for _ in range(10):
        deliver(network, "r1", "r3", "r4")
        say_something(network, "r2")
        network.advance(500 * NS_PER_MS)
    network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}
    assert generations(circuits) == {1}


def test_a_crowded_controller_goes_by_what_neighbours_hear(network: SimulatedNetwork) -> None:
    """Routers' answers wait to be read, all lines are up: nothing goes another way. One that is down is no lateness."""
    circuits = batch(network, 40)
    for _ in range(8):
        # Three timeouts of a stage at a time, of which the controller sees the last.
        network.make_durable(100)
        network.now_ns += 3 * NS_PER_S
        network.event(lambda core, now_ns: core.on_timer(now_ns))
    assert CircuitState.ACTIVE not in {each.state for each in circuits}
    for _ in range(5):
        network.deliver_all()
        network.advance(NS_PER_S)
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}
    assert generations(circuits) == {1}
    network.check_rest()


def test_lateness_here_is_no_reason_to_wait_for_a_router_that_no_neighbour_hears() -> None:
    heard = {"r1"}
    lateness = Lateness(heard.__contains__)
    now_ns = 100 * NS_PER_S
    for router_id in ("r1", "r2"):
        lateness.note_asked(router_id, (1, STAGE), now_ns)
    now_ns += 3 * NS_PER_S
    assert not lateness.is_behind("r1", (1, STAGE), NS_PER_S, now_ns)
    lateness.note_here(now_ns - 2 * LATE_NS, now_ns)
    assert lateness.is_behind("r1", (1, STAGE), NS_PER_S, now_ns)
    assert not lateness.is_behind("r2", (1, STAGE), NS_PER_S, now_ns)
    assert not lateness.is_behind("r1", (1, STAGE), NS_PER_S, now_ns + MAX_PATIENCE_NS)


@pytest.mark.parametrize("is_starting", [False, True])
def test_a_batch_that_is_refused_leaves_nothing_for_the_garbage_collector(
    is_starting: bool,
) -> None:
    settings = CoreSettings(starting_ns=3600 * NS_PER_S if is_starting else 0)
    network = SimulatedNetwork.running(diamond(), settings)
    plain = [PowerRequest(f"far-{number}", "nowhere", SMALL_W) for number in range(20)]
    large = [PowerRequest(f"large-{number}", "town", 1e12) for number in range(20)]

    def refused() -> None:
        decisions = network.event(lambda core, now_ns: core.request_batch([*plain, *large], now_ns))
        reasons = {each.reason for each in decisions if isinstance(each, Refusal)}
        assert len(decisions) == 40 and (Reason.ROUTERS_RETURNING in reasons) is is_starting

    assert left_by(refused) < len(plain)
