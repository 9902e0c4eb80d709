"""Routers that restart, come back as new devices, or never; controllers that do: power runs on, or comes back."""

import pytest

from controller.core.access import Action
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.errors import Refusal
from controller.core.messages import Abort, Commit, Drain, Stage, ToRouter, Withdraw
from controller.core.settings import CoreSettings
from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.calls import call
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

MUTATIONS = (Stage, Commit, Abort, Drain, Withdraw)
KEY = CircuitGeneration(1, 1)


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def active(network: SimulatedNetwork, sink_id: str = "town") -> Circuit:
    (circuit,) = network.request(PowerRequest(f"to-{sink_id}", sink_id, 1e6, ("solar",)))
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    network.sent.clear()
    return circuit


def told_to_change(network: SimulatedNetwork) -> list[tuple[str, ToRouter]]:
    return [each for each in network.sent if isinstance(each[1], MUTATIONS)]


def forget(network: SimulatedNetwork, router_id: str) -> int:
    network.forgotten.add(router_id)
    network.once_forgotten.add(router_id)
    return network.event(lambda core, now_ns: _forget(core, router_id, now_ns))


def _forget(core: Controller, router_id: str, now_ns: int) -> int:
    by = call(Action.FORGET_ROUTER, router_id)
    return core.answer(by, 0, lambda core, now_ns: core.forget_router(router_id, now_ns), now_ns)


def refusal_of(network: SimulatedNetwork, router_id: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        network.event(lambda core, now_ns: _forget(core, router_id, now_ns))
    return refused.value


def test_a_warm_restart_changes_nothing_at_any_router(network: SimulatedNetwork) -> None:
    circuit = active(network)
    for router_id in ("r2", "r1", "r4"):
        network.disconnect(router_id)
        network.deliver_all()
        network.connect(router_id)
        network.deliver_all()
    network.advance(15 * NS_PER_S)
    network.deliver_all()
    assert told_to_change(network) == []
    assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)


@pytest.mark.parametrize("router_id", ["r1", "r2", "r4"])
def test_after_a_cold_restart_the_router_is_programmed_again(
    network: SimulatedNetwork, router_id: str
) -> None:
    circuit = active(network)
    network.kill_router(router_id)
    network.deliver_all()
    network.advance(NS_PER_S)
    network.restart_router(router_id)
    network.connect(router_id)
    network.heal(5 * NS_PER_S)
    network.check_rest()
    assert circuit.state is CircuitState.ACTIVE


@pytest.mark.parametrize("noticed", [True, False])
def test_a_router_whose_state_was_wiped_is_taken_for_new(
    network: SimulatedNetwork, noticed: bool
) -> None:
    circuit = active(network)
    for _ in range(3):
        network.restart_router("r4")
        network.connect("r4")
    network.heal(5 * NS_PER_S)
    assert network.core.questions.view.routers["r4"].boot_id == 4
    if noticed:
        network.kill_router("r4")
        network.deliver_all()
    else:
        network.disconnect("r4")
    network.grid.routers["r4"].wipe()
    network.connect("r4")
    network.heal(5 * NS_PER_S)
    network.check_rest()
    assert network.core.questions.view.routers["r4"].boot_id == 1
    assert circuit.state is CircuitState.ACTIVE
    network.cut("r2-r4")
    network.cut("r3-r4")
    network.deliver_all()
    assert circuit.state is CircuitState.WAITING, "what the new device advertises counts"


def test_a_controller_that_starts_again_adopts_what_runs(network: SimulatedNetwork) -> None:
    active(network)
    held = network.grid.held()
    network.kill_controller(written=99)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    network.advance(15 * NS_PER_S)
    network.deliver_all()
    assert told_to_change(network) == []
    assert network.grid.held() == held
    network.check_rest()


def test_a_line_that_was_cut_while_no_controller_was_there_is_gone_round(
    network: SimulatedNetwork,
) -> None:
    active(network)
    network.kill_controller(written=99)
    network.cut("r2-r4")
    network.advance(60 * NS_PER_S)
    assert network.grid.held() == {(key, KEY) for key in ("r1", "r2", "r4")}
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    network.check_rest()
    circuit = network.core.questions.circuits[1]
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")


def test_what_holds_on_for_a_dead_router_is_freed_once_it_is_forgotten(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network)
    network.kill_router("r2")
    network.deliver_all()
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    network.advance(60 * NS_PER_S)
    network.deliver_all()
    assert network.core.questions.routers_holding(KEY) == ("r2",)
    assert forget(network, "r2") == 1
    network.deliver_all()
    assert network.core.questions.routers_holding(KEY) == ()
    assert set(circuit.generations) == {2}
    assert "r2" not in network.core.questions.view.routers
    entries = {each.action: each.decided for each in network.store.audit}
    assert entries["forget-router"] == "forgotten: 1 hops freed"


def test_a_circuit_that_was_released_ends_once_its_router_is_forgotten(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, "pump")
    network.kill_router("r1")
    network.release(circuit.circuit_id)
    network.deliver_all()
    network.advance(60 * NS_PER_S)
    assert circuit.state is CircuitState.WITHDRAWING
    forget(network, "r1")
    network.deliver_all()
    assert circuit.state is CircuitState.WITHDRAWN
    assert not circuit.generations


def test_a_circuit_of_the_dead_router_itself_waits_and_comes_back_with_it(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, "pump")
    network.kill_router("r1")
    network.deliver_all()
    forget(network, "r1")
    network.deliver_all()
    assert circuit.state is CircuitState.WAITING
    network.heal()
    network.check_rest()
    assert circuit.state is CircuitState.ACTIVE


def test_forgetting_is_durable(network: SimulatedNetwork) -> None:
    active(network)
    network.kill_router("r2")
    network.deliver_all()
    forget(network, "r2")
    network.deliver_all()
    network.kill_controller(written=0)
    network.start_controller()
    assert network.core.questions.routers_holding(KEY) == ()


@pytest.mark.parametrize("written", [0, 1])
def test_forgetting_is_durable_with_its_consequences_or_not_at_all(
    network: SimulatedNetwork, written: int
) -> None:
    active(network)
    network.kill_router("r2")
    network.deliver_all()
    forget(network, "r2")
    audited = len(network.store.audit)
    network.kill_controller(written=written)
    network.start_controller()
    assert network.core.questions.routers_holding(KEY) == (() if written else ("r2",))
    assert len(network.store.audit) == audited + written


def test_what_a_forgotten_router_still_runs_is_taken_off_it_when_it_is_back(
    network: SimulatedNetwork,
) -> None:
    """It was only cut off, from its neighbours and from everybody who could tell it."""
    circuit = active(network)
    network.disconnect("r2")
    for link_id in ("r1-r2", "r2-r4"):
        network.cut(link_id)
    network.deliver_all()
    network.advance(60 * NS_PER_S)
    network.deliver_all()
    forget(network, "r2")
    network.deliver_all()
    assert network.grid.held() >= {("r2", KEY)}
    network.connect("r2")
    network.deliver_all()
    network.forgotten.clear()
    network.heal()
    network.check_rest()
    assert ("r2", KEY) not in network.grid.held()
    assert circuit.state is CircuitState.ACTIVE


def test_a_forgotten_router_is_cleared_also_while_another_holds_on_to_the_circuit(
    network: SimulatedNetwork,
) -> None:
    active(network)
    for router_id in ("r2", "r1"):
        network.disconnect(router_id)
    for link_id in ("r1-r2", "r2-r4", "r1-r3"):
        network.cut(link_id)
    network.deliver_all()
    forget(network, "r2")
    network.deliver_all()
    assert network.core.questions.routers_holding(KEY) == ("r1",)
    network.connect("r2")
    network.deliver_all()
    assert ("r2", KEY) not in network.grid.held()
    assert network.core.questions.routers_holding(KEY) == ("r1",)


def test_only_what_is_gone_can_be_forgotten(network: SimulatedNetwork) -> None:
    circuit = active(network)
    assert refusal_of(network, "r2").reason == "ROUTER_CONNECTED"
    network.disconnect("r2")
    refusal = refusal_of(network, "r2")
    assert refusal.reason is Reason.ROUTER_ALIVE
    assert "'r1' hears it over link 'r1-r2'" in str(refusal)
    refusal = refusal_of(network, "r9")
    assert refusal.reason is Reason.UNKNOWN_ROUTER
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert [each.decided for each in network.store.audit if each.action == "forget-router"] == [
        "refused"
    ] * 3


def test_nobody_is_forgotten_while_routers_are_still_coming() -> None:
    network = SimulatedNetwork(diamond(), CoreSettings(starting_ns=3 * NS_PER_S))
    assert refusal_of(network, "r1").reason == "ROUTERS_RETURNING"
    network.advance(4 * NS_PER_S)
    assert refusal_of(network, "r1").reason == "UNKNOWN_ROUTER"


def test_reads_that_are_asked_for_and_those_that_are_not_leave_each_other_alone(
    network: SimulatedNetwork,
) -> None:
    active(network)
    network.grid.routers["r2"].start()
    network.event(lambda core, now_ns: core.reconcile(["r2"], now_ns, dry_run=True))
    # It is read back because it says that it is in step.
    network.event(lambda core, now_ns: core.on_sync_done("r2", now_ns))
    network.event(lambda core, now_ns: core.reconcile(["r2"], now_ns, dry_run=True))
    while network.sessions["r2"].to_router:
        network.deliver_to_router("r2")
    tables = list(network.sessions["r2"].to_controller)
    found = [there(network.tell_table("r2", each)) for each in tables]
    assert [[each.key for each in one.missing] for one in found] == [[KEY], [KEY], []]
    # By then its repair is on its way.
    assert [one.under_way for one in found] == [[], [], [KEY]]
    # Only the one that was not a dry run led to a repair.
    assert [type(message) for _, message in told_to_change(network)] == [Stage, Commit]


def test_a_table_that_was_read_in_an_earlier_term_is_no_answer(network: SimulatedNetwork) -> None:
    active(network)
    network.advance(11 * NS_PER_S)
    earlier = {read.read_id for read in network.reads_under_way("r2")}
    network.kill_controller(written=99)
    network.start_controller()
    network.connect("r2")
    network.event(lambda core, now_ns: core.on_sync_done("r2", now_ns))
    assert not {read.read_id for read in network.reads_under_way("r2")} & earlier


def test_the_same_arrival_told_twice_is_one_interruption(network: SimulatedNetwork) -> None:
    circuit = active(network)
    for arrived_at_ns in (5 * NS_PER_MS, 5 * NS_PER_MS, 9 * NS_PER_MS):
        circuit.note_arrival(arrived_at_ns, 7 * NS_PER_MS)
    assert circuit.interruptions == 2


@pytest.mark.parametrize("drained", [False, True], ids=["before", "after"])
def test_a_circuit_whose_release_was_lost_delivers_again_though_its_sink_was_told(
    network: SimulatedNetwork, drained: bool
) -> None:
    """The leader dies before the release is durable; its sink hears of it before or after the next one begins."""
    circuit = active(network)
    network.release(circuit.circuit_id)
    if drained:
        network.deliver_to_router("r4")
    orders = [*network.sessions["r4"].to_router]
    network.kill_controller(written=0)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.sessions["r4"].to_router.extend(orders)
    network.heal(5 * NS_PER_S)
    (restored,) = network.core.questions.circuits.values()
    assert restored.admin_up and restored.state is CircuitState.ACTIVE
    network.check_rest()
    key = newest(restored).key
    assert network.grid.routers["r4"].told[key] is FlowState.ACTUATED
