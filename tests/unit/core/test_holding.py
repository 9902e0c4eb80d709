"""Holds: capacity that is reserved for a client, which nobody is told of until it is activated."""

from typing import Any

import pytest
from msgspec.structs import replace

from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.hold import MAX_TTL_MS, HoldWord
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import Stage
from controller.core.network.admin import AdminState, DrainOrder
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S, format_unix_ns
from tests.support.active import active, path
from tests.support.grids import diamond, narrow
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import there

TTL_MS = 30_000


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def held(network: SimulatedNetwork, power_w: float = 2e6, **more: Any) -> Circuit:
    name = f"hold {len(network.core.questions.circuits)}"
    sink = more.pop("sink", "town")
    request = PowerRequest(name, sink, power_w, ("solar",), hold_ms=TTL_MS, **more)
    (circuit,) = network.request(request)
    network.deliver_all()
    return circuit


def word(circuit: Circuit) -> HoldWord:
    return there(circuit.hold).word


def told(network: SimulatedNetwork, circuit: Circuit) -> int:
    """How many stages any router was sent of it."""
    return sum(
        hop.key.circuit_id == circuit.circuit_id
        for _, message in network.sent
        if isinstance(message, Stage)
        for hop in message.hops
    )


def wait(network: SimulatedNetwork, duration_ns: int) -> None:
    network.advance(duration_ns)
    network.deliver_all()
    network.check()


def restart(network: SimulatedNetwork) -> None:
    network.kill_controller(0)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()


def again(network: SimulatedNetwork, circuit: Circuit) -> Circuit:
    """The same circuit, as a daemon that was started again knows it."""
    return network.core.questions.circuit(circuit.circuit_id)


def test_a_hold_reserves_its_path_and_tells_no_router(network: SimulatedNetwork) -> None:
    circuit = held(network)
    assert (circuit.state, word(circuit)) == (CircuitState.RESERVED, HoldWord.HELD)
    assert path(circuit) == ("r1", "r2", "r4")
    assert network.core.questions.reserved_at_load_w("town") == 2e6
    wait(network, 10 * NS_PER_S)
    assert (told(network, circuit), circuit.state) == (0, CircuitState.RESERVED)


def test_what_is_held_is_nobody_elses_and_the_refusal_says_so(network: SimulatedNetwork) -> None:
    held(network, 5e6)
    more = PowerRequest("more", "town", 5e6, ("solar",))
    with pytest.raises(Refusal) as refused:
        network.request(more)
    assert refused.value.reason is Reason.INSUFFICIENT_CAPACITY
    assert "5 MW at least of what is promised there is held" in str(refused.value)
    assert refused.value.metadata["held_w"] == repr(5e6)
    (in_a_batch,) = network.event(lambda core, now_ns: core.request_batch([more], now_ns))
    assert str(in_a_batch) == str(refused.value)


def test_at_a_boundary_what_runs_and_what_is_held_both_count(network: SimulatedNetwork) -> None:
    active(network, 3e6, "works")
    with pytest.raises(Refusal) as alone:
        network.request(PowerRequest("next", "works", 3e6, hold_ms=TTL_MS))
    assert "held" not in str(alone.value), "what runs is what binds"
    held(network, 2e6, sink="works")
    with pytest.raises(Refusal) as both:
        network.request(PowerRequest("later", "works", 1e6, hold_ms=TTL_MS))
    assert (both.value.reason, both.value.metadata["held_w"]) == (
        Reason.LOAD_LIMIT_EXCEEDED,
        repr(2e6),
    )


def test_of_what_runs_in_the_way_of_a_hold_it_is_said_what_ends_by_itself_and_when(
    network: SimulatedNetwork,
) -> None:
    """As the circuit of the interval before does, beside that of the next one."""
    ends_ns = network.now_ns + 60 * NS_PER_S
    first = active(network, 3e6, "works", until_unix_ns=ends_ns)
    with pytest.raises(Refusal) as by_load:
        network.request(PowerRequest("next", "works", 3e6, ("solar",), hold_ms=TTL_MS))
    assert by_load.value.reason is Reason.LOAD_LIMIT_EXCEEDED
    assert (
        f"3 MW at least of what is promised there goes to 1 circuit that ends at {format_unix_ns(ends_ns)}"
        in str(by_load.value)
    )
    figures = {"ending_w": repr(3e6), "ends_unix_ns": str(ends_ns)}
    assert figures.items() <= by_load.value.metadata.items()
    held(network, 2e6, sink="works")
    active(network, 1e6, "pump", until_unix_ns=ends_ns + NS_PER_S)
    with pytest.raises(Refusal) as by_source:
        network.request(PowerRequest("more", "town", 5e6, ("solar",), hold_ms=TTL_MS))
    assert by_source.value.reason is Reason.INSUFFICIENT_CAPACITY
    assert "1 circuit that carries nothing yet" in str(by_source.value)
    assert (
        "4 MW at least of what is promised there goes to 2 circuits that end, the first at"
        f" {format_unix_ns(ends_ns)}"
    ) in str(by_source.value)
    figures = {"ending_w": repr(4e6), "ends_unix_ns": str(ends_ns)}
    assert figures.items() <= by_source.value.metadata.items()
    # Routers have yet to let go of one.
    network.release(first.circuit_id)
    with pytest.raises(Refusal) as by_other:
        network.request(PowerRequest("most", "town", 8e6, ("solar",), hold_ms=TTL_MS))
    figures = {"ending_w": repr(1e6), "ends_unix_ns": str(ends_ns + NS_PER_S)}
    assert figures.items() <= by_other.value.metadata.items()


def test_an_activated_hold_carries_over_the_path_that_it_reserved(
    network: SimulatedNetwork,
) -> None:
    circuit = held(network)
    reserved = path(circuit)
    wait(network, NS_PER_S)
    assert network.activate(circuit.circuit_id) is circuit
    network.deliver_all()
    assert (circuit.state, path(circuit)) == (CircuitState.ACTIVE, reserved)
    assert (word(circuit), circuit.last_generation) == (HoldWord.ACTIVATED, 1)
    assert circuit.timings.actuated_after_ns < NS_PER_S, "the hold is no part of the set-up"
    wait(network, 2 * TTL_MS * NS_PER_MS)
    assert circuit.state is CircuitState.ACTIVE


def test_a_second_activation_changes_nothing(network: SimulatedNetwork) -> None:
    circuit = held(network)
    network.activate(circuit.circuit_id)
    network.deliver_all()
    ticket = network.last_ticket
    network.activate(circuit.circuit_id)
    assert (circuit.state, network.last_ticket) == (CircuitState.ACTIVE, ticket)


def test_a_circuit_that_was_no_hold_is_activated_already(network: SimulatedNetwork) -> None:
    circuit = active(network)
    assert network.activate(circuit.circuit_id).state is CircuitState.ACTIVE


def test_routers_hear_of_an_activation_once_it_is_durable(network: SimulatedNetwork) -> None:
    circuit = held(network)
    network.activate(circuit.circuit_id)
    for router_id in network.grid.routers:
        while network.sessions[router_id].to_router:
            network.deliver_to_router(router_id)
        while network.sessions[router_id].to_controller:
            network.deliver_to_controller(router_id)
    assert circuit.state is CircuitState.STAGING, "staged everywhere, and committed nowhere"
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE


def test_a_hold_that_nobody_activates_is_free_when_its_time_is_over(
    network: SimulatedNetwork,
) -> None:
    circuit = held(network, 5e6)
    wait(network, TTL_MS * NS_PER_MS - NS_PER_S)
    assert circuit.state is CircuitState.RESERVED
    wait(network, 2 * NS_PER_S)
    assert (circuit.state, word(circuit)) == (CircuitState.WITHDRAWN, HoldWord.EXPIRED)
    assert circuit.reason == "its hold has expired"
    assert told(network, circuit) == 0
    assert active(network, 5e6).state is CircuitState.ACTIVE
    with pytest.raises(Refusal) as refused:
        network.activate(circuit.circuit_id)
    assert refused.value.reason is Reason.HOLD_EXPIRED


def test_a_retry_gets_the_same_hold_and_no_more_time(network: SimulatedNetwork) -> None:
    request = PowerRequest("one", "town", 2e6, hold_ms=TTL_MS)
    (first,) = network.request(request)
    until_ns = there(first.hold).until_unix_ns
    wait(network, 10 * NS_PER_S)
    (second,) = network.request(request)
    assert second is first and there(second.hold).until_unix_ns == until_ns


def test_a_released_hold_is_free_at_once(network: SimulatedNetwork) -> None:
    circuit = held(network, 5e6)
    network.release(circuit.circuit_id)
    assert circuit.state is CircuitState.WITHDRAWN
    with pytest.raises(Refusal) as refused:
        network.activate(circuit.circuit_id)
    assert refused.value.reason is Reason.CIRCUIT_ENDED


def test_another_power_is_refused_for_what_is_held(network: SimulatedNetwork) -> None:
    circuit = held(network)
    with pytest.raises(Refusal) as refused:
        network.event(lambda core, now_ns: core.change(circuit.circuit_id, 3e6, now_ns))
    assert refused.value.reason is Reason.CIRCUIT_HELD


@pytest.mark.parametrize("ttl_ms", [0, -1, MAX_TTL_MS + 1, 2**63 - 1])
def test_a_hold_of_no_time_or_for_ever_is_refused(network: SimulatedNetwork, ttl_ms: int) -> None:
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("odd", "town", 1e6, hold_ms=ttl_ms))
    assert (refused.value.reason, refused.value.field) == (
        Reason.HOLD_OUT_OF_RANGE,
        "hold.ttl_ms",
    )
    assert network.core.questions.reserved_at_load_w("town") == 0


# Restarts


def test_a_hold_outlives_the_daemon_and_its_time_goes_on(network: SimulatedNetwork) -> None:
    circuit = held(network)
    network.advance(20 * NS_PER_S)
    restart(network)
    circuit = again(network, circuit)
    assert (circuit.state, word(circuit)) == (CircuitState.RESERVED, HoldWord.HELD)
    assert network.core.questions.reserved_at_load_w("town") == 2e6
    assert told(network, circuit) == 0
    wait(network, 11 * NS_PER_S)
    assert (circuit.state, word(circuit)) == (CircuitState.WITHDRAWN, HoldWord.EXPIRED)


def test_a_hold_whose_time_was_over_while_nobody_looked_is_free(network: SimulatedNetwork) -> None:
    circuit = held(network)
    network.kill_controller(0)
    network.now_ns += 2 * TTL_MS * NS_PER_MS
    network.start_controller()
    wait(network, NS_PER_MS)
    assert word(again(network, circuit)) is HoldWord.EXPIRED


def test_a_hold_is_activated_by_another_daemon_than_made_it(network: SimulatedNetwork) -> None:
    circuit = held(network)
    restart(network)
    network.activate(circuit.circuit_id)
    network.deliver_all()
    assert again(network, circuit).state is CircuitState.ACTIVE
    assert path(again(network, circuit)) == ("r1", "r2", "r4")


def test_an_activation_that_was_not_durable_is_asked_for_again(network: SimulatedNetwork) -> None:
    circuit = held(network)
    network.activate(circuit.circuit_id)
    restart(network)
    assert word(again(network, circuit)) is HoldWord.HELD
    network.activate(circuit.circuit_id)
    settle(network)
    assert again(network, circuit).state is CircuitState.ACTIVE


def test_an_activation_that_is_durable_is_carried_out_after_a_restart(
    network: SimulatedNetwork,
) -> None:
    circuit = held(network)
    network.activate(circuit.circuit_id)
    network.kill_controller(1)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    settle(network)
    assert again(network, circuit).state is CircuitState.ACTIVE


def test_reading_routers_tables_finds_nothing_amiss_with_what_is_held(
    network: SimulatedNetwork,
) -> None:
    held(network)
    network.look()
    network.deliver_all()
    assert all(read.found is not None and read.found.none for read in network.tables_read)
    assert not any(there(read.found).under_way for read in network.tables_read)


# Faults


def test_a_hold_whose_path_breaks_reserves_another(network: SimulatedNetwork) -> None:
    circuit = held(network)
    network.cut("r2-r4")
    network.deliver_all()
    assert (circuit.state, path(circuit)) == (CircuitState.RESERVED, ("r1", "r3", "r4"))
    assert told(network, circuit) == 0
    network.activate(circuit.circuit_id)
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE


def test_a_hold_without_a_path_waits_for_one_and_is_held_again(network: SimulatedNetwork) -> None:
    circuit = held(network)
    network.cut("r2-r4")
    network.cut("r3-r4")
    network.deliver_all()
    assert (circuit.state, word(circuit)) == (CircuitState.WAITING, HoldWord.HELD)
    network.mend("r3-r4")
    settle(network)
    assert circuit.state is CircuitState.RESERVED
    assert told(network, circuit) == 0


def test_a_hold_that_waits_may_be_activated_and_is_a_promise_from_then_on(
    network: SimulatedNetwork,
) -> None:
    circuit = held(network)
    network.cut("r2-r4")
    network.cut("r3-r4")
    network.deliver_all()
    network.activate(circuit.circuit_id)
    network.mend("r3-r4")
    settle(network)
    assert circuit.state is CircuitState.ACTIVE


def test_a_drained_link_is_drained_of_what_is_held(network: SimulatedNetwork) -> None:
    circuit = held(network)
    network.event(lambda core, now_ns: core.drain(DrainOrder("r2-r4"), now_ns))
    settle(network)
    assert network.core.questions.drains["r2-r4"].state is AdminState.DRAINED
    assert (circuit.state, path(circuit)) == (CircuitState.RESERVED, ("r1", "r3", "r4"))
    assert told(network, circuit) == 0


# Beside others


def test_a_hold_displaces_nobody() -> None:
    network = SimulatedNetwork.running(narrow())
    carrying = active(network, 5e6)
    urgent = PowerRequest("urgent", "clinic", 2e6, constraints=Constraints(max_hops=1))
    with pytest.raises(Refusal):
        network.request(replace(urgent, hold_ms=TTL_MS))
    settle(network)
    assert carrying.last_generation == 1
    assert network.request(urgent), "for one that is to carry at once others give way"


def test_what_is_held_of_a_source_that_gives_less_takes_nothing_from_who_carries(
    network: SimulatedNetwork,
) -> None:
    carrying = active(network, 3e6)
    waiting = held(network, 3e6)
    network.dim("solar", 4e6)
    settle(network)
    assert (carrying.state, carrying.curtailed) == (CircuitState.ACTIVE, None)
    network.activate(waiting.circuit_id)
    settle(network)
    assert (carrying.curtailed, waiting.curtailed is None) == (None, False)


def test_the_standby_of_a_hold_is_reserved_with_it_and_set_up_after_it(
    network: SimulatedNetwork,
) -> None:
    circuit = held(network, protect=Against.LINK)
    assert [each.route.router_ids for each in circuit.standbys()] == [("r1", "r3", "r4")]
    assert told(network, circuit) == 0
    restart(network)
    circuit = again(network, circuit)
    assert told(network, circuit) == 0 and len(circuit.standbys()) == 1
    network.activate(circuit.circuit_id)
    settle(network)
    assert (circuit.state, circuit.guard.word) == (CircuitState.ACTIVE, Protection.PROTECTED)


def test_each_part_of_a_split_is_activated_by_itself(network: SimulatedNetwork) -> None:
    parts = network.request(PowerRequest("split", "town", 9e6, allow_split=True, hold_ms=TTL_MS))
    network.deliver_all()
    assert len(parts) > 1
    network.activate(parts[0].circuit_id)
    network.deliver_all()
    assert [each.state for each in parts] == [
        CircuitState.ACTIVE,
        *[CircuitState.RESERVED] * (len(parts) - 1),
    ]


def test_a_hold_that_lost_its_path_displaces_nobody_either() -> None:
    network = SimulatedNetwork.running(narrow())
    more = {"hold_priority": 9, "setup_priority": 9, "explicit_route": ("r1-r2", "r2-r3")}
    waiting = held(network, 2e6, sink="clinic", **more)
    carrying = active(network, 5e6)
    network.cut("r1-r2")
    settle(network, 10 * NS_PER_S)
    assert (waiting.state, word(waiting)) == (CircuitState.WAITING, HoldWord.HELD)
    assert (carrying.state, carrying.last_generation) == (CircuitState.ACTIVE, 1)


def test_holds_leave_nothing_behind_when_they_are_released(network: SimulatedNetwork) -> None:
    for _ in range(20):
        network.release(held(network).circuit_id)
    assert network.core._parts.holder.next_deadline_ns() is None


def test_many_holds_that_end_together_end_some_in_each_event(network: SimulatedNetwork) -> None:
    requests = [PowerRequest(f"r{n}", "town", 1e3, hold_ms=TTL_MS) for n in range(200)]
    network.event(lambda core, now_ns: core.request_batch(requests, now_ns))
    network.deliver_all()
    network.now_ns += 2 * TTL_MS * NS_PER_MS
    network.event(lambda core, now_ns: core.on_timer(now_ns))
    assert 0 < network.core.questions.reserved_at_load_w("town") < 200e3
    network.advance(NS_PER_MS)
    assert network.core.questions.reserved_at_load_w("town") == 0


def test_a_hold_that_was_curtailed_by_a_drain_says_so() -> None:
    network = SimulatedNetwork.running(narrow())
    circuit = held(network, 5e6, floor_w=1e6)
    order = DrainOrder("r1-r3", curtail=True)
    network.event(lambda core, now_ns: core.drain(order, now_ns))
    settle(network)
    assert path(circuit) == ("r1", "r2", "r3")
    assert there(circuit.curtailed).by == "the drain of r1-r3"


def test_what_a_hold_reserves_carries_nothing_until_it_is_activated(
    network: SimulatedNetwork,
) -> None:
    """Beside what carries, and as whoever stands by, and a daemon that is started again, know it."""
    active(network, 1e6, "town")
    circuit = held(network, 2e6)
    assert path(circuit) == ("r1", "r2", "r4")

    def kept() -> tuple[float, float, float]:
        known = network.core.questions
        return (
            known.reserved_on_link_a("r1-r2", "r1") - known.standby_on_link_a("r1-r2", "r1"),
            known.standby_at_source_w("solar"),
            known.held_at_load_w("town"),
        )

    carried_a, source_w, load_w = kept()
    assert load_w == 2e6
    assert source_w == pytest.approx(there(circuit.newest()).route.injected_w)
    restart(network)
    assert kept() == pytest.approx((carried_a, source_w, load_w))
    network.activate(circuit.circuit_id)
    network.deliver_all()
    assert kept()[1:] == (0.0, 0.0)
    assert kept()[0] > carried_a > 0.0
    last = held(network, 1e6)
    assert kept()[2] == 1e6
    network.release(last.circuit_id)
    assert kept()[1:] == (0.0, 0.0)
