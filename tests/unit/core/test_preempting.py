"""Soft pre-emption: who gives way to whom, how far, and that nobody else takes the room meanwhile."""

import pytest

from controller.core.access import Action
from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.shortfall import ShortCause
from controller.core.errors import Refusal
from controller.core.messages import CircuitStatus, Withdraw
from digitalgrid.gridfile import Grid, loads_grid
from digitalgrid.model import FlowState, MissingEnergy
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_S
from tests.support.calls import call
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

# One line of 5 MW from the plant to town and works; a detour of 2 MW, and a small source beside the works.
FORK = """
name: fork
defaults: {voltage_v: 20000, efficiency: 1, resistance_ohm: 0.001, ampacity_a: 250}
routers: [{id: r1}, {id: r2}, {id: r3}, {id: r4}]
links:
  - {id: main, a: r1, b: r2}
  - {id: detour, a: r1, b: r3, ampacity_a: 100}
  - {id: back, a: r3, b: r2, ampacity_a: 100}
  - {id: side, a: r2, b: r4}
sources: [{id: plant, router: r1, max_power_w: 50e6}]
loads:
  - {id: town, router: r2, power_w: 20e6}
  - {id: works, router: r4, power_w: 20e6}
  - {id: clinic, router: r2, power_w: 20e6, priority: 5}
"""


def fork() -> Grid:
    return loads_grid(FORK, "fork")


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(fork())


def asked(name: str, power_w: float, **kwargs: object) -> PowerRequest:
    return PowerRequest(name, "town", power_w, **kwargs)  # type: ignore[arg-type]


def active(network: SimulatedNetwork, request: PowerRequest) -> Circuit:
    (circuit,) = network.request(request)
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    return circuit


def urgent(network: SimulatedNetwork, power_w: float = 4e6, setup: int = 5) -> Circuit:
    request = PowerRequest("urgent", "clinic", power_w, setup_priority=setup)
    (circuit,) = network.request(request)
    return circuit


def links(circuit: Circuit) -> list[str]:
    return [each.link_id for each in newest(circuit).route.links]


def test_a_victim_that_has_another_way_takes_it_and_loses_nothing(
    network: SimulatedNetwork,
) -> None:
    victim = active(network, asked("victim", 1.5e6))
    active(network, asked("other", 2.9e6, hold_priority=9))
    old = newest(victim)
    assert links(victim) == ["main"]
    circuit = urgent(network, 1.5e6)
    # The detour would do for it too, and nobody has to go.
    assert links(circuit) == ["detour", "back"]
    network.release(circuit.circuit_id)
    settle(network)
    circuit = network.request(PowerRequest("large", "clinic", 2.05e6))[0]
    assert circuit.state is CircuitState.WAITING
    assert circuit.reason == "waits until 1 gave way to it"
    assert victim.state is CircuitState.REROUTING
    assert victim.reason == (
        "displaced by circuit 4, whose setup priority 5 is above its hold priority 0"
    )
    network.deliver_all()
    assert old.key.generation not in victim.generations
    settle(network)
    assert (victim.state, links(victim)) == (CircuitState.ACTIVE, ["detour", "back"])
    assert (circuit.state, links(circuit)) == (CircuitState.ACTIVE, ["main"])


def test_a_victim_without_another_way_is_cut_to_its_floor_and_has_all_back_later(
    network: SimulatedNetwork,
) -> None:
    victim = active(network, asked("victim", 4e6, floor_w=1e6))
    circuit = urgent(network)
    settle(network)
    assert (circuit.state, newest(circuit).route.power_w) == (CircuitState.ACTIVE, 4e6)
    assert (victim.state, newest(victim).route.power_w) == (CircuitState.DEGRADED, 1e6)
    curtailed = there(victim.curtailed)
    assert (curtailed.by, curtailed.asked_w, curtailed.granted_w) == ("circuit 2", 4e6, 1e6)
    assert victim.power_w == 4e6
    # Its sink counts what is missing of all that was asked for.
    hop = there(network.grid.routers["r2"].hop(newest(victim).key))
    assert (hop.power_w, hop.asked_w) == (1e6, 4e6)
    network.release(circuit.circuit_id)
    settle(network, 30 * NS_PER_S)
    assert (victim.state, victim.curtailed) == (CircuitState.ACTIVE, None)
    assert newest(victim).route.power_w == 4e6


def test_a_victim_without_a_floor_waits_until_there_is_room_again(
    network: SimulatedNetwork,
) -> None:
    victim = active(network, asked("victim", 4e6))
    circuit = urgent(network)
    settle(network)
    assert (circuit.state, victim.state) == (CircuitState.ACTIVE, CircuitState.WAITING)
    network.release(circuit.circuit_id)
    settle(network)
    assert victim.state is CircuitState.ACTIVE


def test_what_a_victim_lacks_while_it_waits_is_of_whom_it_gave_way_to(
    network: SimulatedNetwork,
) -> None:
    victim = active(network, asked("victim", 4e6))
    key = newest(victim).key
    circuit = urgent(network)
    settle(network)
    assert victim.state is CircuitState.WAITING
    starved = CircuitStatus(key, FlowState.STARVED, missing=MissingEnergy(10, fault_mj=7))
    network.tell("r2", starved)
    (lacked,) = victim.shortfalls
    assert (lacked.cause, lacked.by, lacked.missing_mj) == (
        *(ShortCause.PREEMPTED, str(circuit.circuit_id), 7),
    )
    network.release(circuit.circuit_id)
    settle(network)
    assert victim.state is CircuitState.ACTIVE
    actuated = CircuitStatus(
        newest(victim).key, FlowState.ACTUATED, missing=MissingEnergy(20, fault_mj=9)
    )
    network.tell("r2", actuated)
    (lacked,) = victim.shortfalls
    assert (lacked.missing_mj, victim.lost) == (9, None)


def test_as_few_as_can_be_give_way_then_the_lowest_then_the_youngest(
    network: SimulatedNetwork,
) -> None:
    avoiding = Constraints(avoid_ids=("main",))
    active(network, asked("on the detour", 1.9e6, hold_priority=9, constraints=avoiding))
    firm = active(network, asked("firm", 2e6, hold_priority=2))
    weak = [active(network, asked(f"weak {each}", 1e6, hold_priority=1)) for each in (1, 2)]
    # More than either of the weak leaves: one firm is fewer than two weak.
    assert displaced(network, 2.5e6) == [firm.circuit_id]
    # One is enough: of the weak the youngest.
    assert displaced(network, 1.5e6) == [weak[-1].circuit_id]


def displaced(network: SimulatedNetwork, power_w: float) -> list[int]:
    """Whom a circuit would displace."""
    found = network.core._parts.preempter.find(PowerRequest("urgent", "clinic", power_w))
    return [each.circuit_id for each in there(found).victims]


def test_equals_and_better_are_left_alone(network: SimulatedNetwork) -> None:
    victim = active(network, asked("victim", 4e6, hold_priority=5))
    with pytest.raises(Refusal) as refused:
        urgent(network)
    assert refused.value.reason is Reason.INSUFFICIENT_CAPACITY
    assert victim.state is CircuitState.ACTIVE
    with pytest.raises(Refusal):
        urgent(network, setup=0)


def test_a_rehearsal_says_the_same_and_changes_nothing(network: SimulatedNetwork) -> None:
    victim = active(network, asked("victim", 4e6))
    before = network.core.questions.reserved()
    request = PowerRequest("urgent", "clinic", 4e6)
    found = network.core.rehearse(request, network.now_ns)
    (route,) = found.routes
    assert (found.displaced_ids, found.reason) == ((1,), "would displace 1")
    assert [each.link_id for each in route.links] == ["main"]
    assert network.core.questions.reserved() == before
    assert (victim.state, len(network.core.questions.circuits)) == (CircuitState.ACTIVE, 1)
    (circuit,) = network.request(request)
    settle(network)
    assert newest(circuit).route == route


def test_nobody_takes_what_victims_leave_before_it_is_taken(network: SimulatedNetwork) -> None:
    active(network, asked("victim", 4e6))
    circuit = urgent(network)
    with pytest.raises(Refusal):
        network.request(asked("thief", 4e6))
    network.loses = lambda _, message: isinstance(message, Withdraw)
    settle(network, NS_PER_S)
    assert circuit.state is CircuitState.WAITING
    with pytest.raises(Refusal):
        network.request(asked("thief", 4e6))
    network.loses = lambda _, message: False
    settle(network)
    assert circuit.state is CircuitState.ACTIVE


def test_all_of_it_is_one_transaction_with_the_reason_on_both(network: SimulatedNetwork) -> None:
    victim = active(network, asked("victim", 4e6))
    written = len(network.store.pending)
    request = PowerRequest("urgent", "clinic", 4e6)
    by = call(Action.REQUEST, "urgent")
    (decided,) = network.event(
        lambda core, now_ns: core.answer_requests([(by, request)], 0, now_ns)
    )
    assert not isinstance(decided, Refusal)
    assert len(network.store.pending) == written + 1
    change = network.store.pending[-1][1]
    assert {each.circuit_id for each in change.circuits} == {1, 2}
    told = {each.subject: (each.decided, each.why) for each in change.audit}
    assert told["urgent"][0] == "admitted: circuit 2, which waits until 1 gave way to it"
    assert told["1"] == ("waiting, generation 1", victim.reason)
    assert "displaced by circuit 2" in victim.reason


def test_who_waits_for_room_displaces_too_once_a_fault_has_taken_its_way(
    network: SimulatedNetwork,
) -> None:
    circuit = urgent(network, 1.5e6)
    network.deliver_all()
    others = [active(network, asked(f"other {each}", 1.5e6)) for each in range(3)]
    assert circuit.state is CircuitState.ACTIVE
    network.cut("main")
    settle(network, 10 * NS_PER_S)
    assert circuit.state is CircuitState.ACTIVE
    assert [each.state for each in others].count(CircuitState.WAITING) == 3


def test_a_client_that_gives_up_waiting_gives_the_room_back(network: SimulatedNetwork) -> None:
    victim = active(network, asked("victim", 4e6))
    circuit = urgent(network)
    network.release(circuit.circuit_id)
    settle(network)
    assert (circuit.state, victim.state) == (CircuitState.WITHDRAWN, CircuitState.ACTIVE)


def test_after_a_restart_it_is_served_all_the_same(network: SimulatedNetwork) -> None:
    active(network, asked("victim", 4e6, floor_w=1e6))
    urgent(network)
    network.make_durable(len(network.store.pending))
    network.kill_controller(written=0)
    network.heal()
    circuits = network.core.questions.circuits
    states = {key: each.state for key, each in circuits.items()}
    assert states == {1: CircuitState.DEGRADED, 2: CircuitState.ACTIVE}
    assert newest(circuits[1]).route.power_w == 1e6
