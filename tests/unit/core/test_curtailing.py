"""A source that gives less: who is curtailed is seen at once, keeps what is left, and gets another source if one is."""

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_S
from tests.support.grids import diamond, spare_way
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

SOLAR_W = 9e6


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def active(network: SimulatedNetwork, name: str, hold: int = 0, floor_w: float = 0.0) -> Circuit:
    """Two megawatts from the solar plant, which no other source may serve."""
    (circuit,) = network.request(
        PowerRequest(name, "town", 2e6, ("solar",), hold_priority=hold, floor_w=floor_w)
    )
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    return circuit


def share(circuit: Circuit) -> float:
    curtailed = there(circuit.curtailed)
    assert curtailed.asked_w == circuit.power_w
    return curtailed.granted_w / curtailed.asked_w


def test_floors_and_priorities_say_who_is_curtailed(network: SimulatedNetwork) -> None:
    old, young = active(network, "old"), active(network, "young", floor_w=0.5e6)
    urgent = active(network, "urgent", hold=3)
    held_w = sum(newest(each).route.injected_w for each in (old, young, urgent))
    network.dim("solar", 0.6 * held_w)
    network.deliver_all()
    assert (urgent.state, urgent.curtailed) == (CircuitState.ACTIVE, None)
    assert (old.state, young.state) == (CircuitState.DEGRADED, CircuitState.DEGRADED)
    assert share(young) == pytest.approx(0.25)
    assert share(old) == pytest.approx(0.6 * 3 - 1 - 0.25, rel=0.02)
    assert old.reason.startswith("curtailed by source solar: 1.0")
    assert old.reason.endswith(" of 2 MW")


def test_it_is_seen_before_the_sink_says_so(network: SimulatedNetwork) -> None:
    circuit = active(network, "only")
    network.dim("solar", 1e6)
    network.deliver_to_controller("r1")
    assert circuit.state is CircuitState.DEGRADED
    assert circuit.circuit_id in network.changed


def test_power_comes_back_without_a_move_when_the_cloud_has_passed(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, "only")
    network.dim("solar", 0.0)
    settle(network)
    assert (circuit.state, share(circuit)) == (CircuitState.DEGRADED, 0.0)
    network.dim("solar", SOLAR_W)
    network.deliver_all()
    assert (circuit.state, circuit.curtailed, circuit.reason) == (CircuitState.ACTIVE, None, "")
    assert circuit.last_generation == 1


def test_since_when_is_kept_while_the_cloud_moves_and_over_a_restart(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, "only")
    network.event(lambda core, now_ns: core.begin(1000, now_ns))
    network.dim("solar", 1e6)
    network.deliver_all()
    network.event(lambda core, now_ns: core.begin(2000, now_ns))
    network.dim("solar", 0.5e6)
    network.deliver_all()
    assert there(circuit.curtailed).since_unix_ns == 1000
    network.kill_controller(written=0)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    settle(network)
    again = network.core.questions.circuit(circuit.circuit_id)
    assert there(again.curtailed).since_unix_ns == 1000
    assert again.state is CircuitState.DEGRADED
    network.dim("solar", SOLAR_W)
    settle(network)
    assert (again.state, again.curtailed) == (CircuitState.ACTIVE, None)


def test_another_source_is_found_for_those_who_must_go_and_for_nobody_else(
    network: SimulatedNetwork,
) -> None:
    network.dim("gas", 0.0)
    network.deliver_all()
    circuits = [network.request(PowerRequest(name, "town", 2e6))[0] for name in ("a", "b", "c")]
    network.deliver_all()
    assert {newest(each).route.source_id for each in circuits} == {"solar"}
    network.dim("gas", 4e6)
    held_w = sum(newest(each).route.injected_w for each in circuits)
    network.dim("solar", held_w - 1e6)
    settle(network)
    moved = [each for each in circuits if newest(each).route.source_id == "gas"]
    assert moved == circuits[-1:], "the youngest goes, and what it leaves serves the others"
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}
    assert [each.curtailed for each in circuits] == [None, None, None]


def test_another_source_that_has_a_part_of_it_will_do_where_that_is_clearly_more(
    network: SimulatedNetwork,
) -> None:
    (circuit,) = network.request(PowerRequest("a", "town", 5e6))
    network.deliver_all()
    assert newest(circuit).route.source_id == "solar"
    network.dim("solar", 0.5 * SOLAR_W)
    settle(network)
    # Half of its power is not clearly more than what is left of it.
    assert newest(circuit).route.source_id == "solar" and share(circuit) > 0.6
    network.dim("solar", 0.1 * SOLAR_W)
    settle(network)
    assert (newest(circuit).route.source_id, share(circuit)) == ("gas", 0.5)
    assert circuit.reason == "curtailed by what other sources have left: 2.5 MW of 5 MW"
    assert circuit.state is CircuitState.DEGRADED
    network.dim("solar", SOLAR_W)
    settle(network)
    assert (circuit.state, circuit.curtailed) == (CircuitState.ACTIVE, None)
    assert newest(circuit).route.power_w == 5e6


def test_who_has_a_part_moves_with_that_from_a_fault_and_waits_as_nobody_else() -> None:
    network = SimulatedNetwork.running(diamond())
    (circuit,) = network.request(PowerRequest("a", "town", 5e6))
    network.deliver_all()
    network.dim("solar", 0.0)
    settle(network)
    assert (newest(circuit).route.router_ids, share(circuit)) == (("r3", "r4"), 0.5)
    network.cut("r3-r4")
    settle(network)
    assert (newest(circuit).route.router_ids, share(circuit)) == (("r3", "r1", "r2", "r4"), 0.5)
    network.cut("r2-r4")
    settle(network)
    assert (circuit.state, circuit.curtailed) == (CircuitState.WAITING, None)


def test_a_curtailed_circuit_that_a_fault_moves_keeps_its_place_at_the_source(
    network: SimulatedNetwork,
) -> None:
    young, urgent = active(network, "young"), active(network, "urgent", hold=3)
    network.dim("solar", 2.5e6)
    network.deliver_all()
    network.cut("r1-r2")
    settle(network)
    assert (urgent.state, young.state) == (CircuitState.ACTIVE, CircuitState.DEGRADED)
    assert newest(young).route.source_id == "solar"


def test_a_source_that_is_short_serves_nobody_new(network: SimulatedNetwork) -> None:
    active(network, "only")
    network.dim("solar", 1e6)
    network.deliver_all()
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("more", "town", 1e6, ("solar",)))
    assert refused.value.reason is Reason.INSUFFICIENT_CAPACITY


def test_the_audit_log_tells_of_the_source_once_and_not_of_each_circuit(
    network: SimulatedNetwork,
) -> None:
    active(network, "a")
    active(network, "b")
    network.dim("solar", 1e6)
    network.deliver_all()
    network.dim("solar", SOLAR_W)
    network.deliver_all()
    told = [
        (each.subject, each.decided) for each in network.store.audit if each.action == "curtail"
    ]
    assert told == [
        ("solar", "2 circuits curtailed"),
        ("solar", "nobody is curtailed any more"),
    ]


def test_a_change_of_power_stands_though_the_source_has_nothing_for_it(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, "only")
    network.dim("solar", 0.0)
    network.deliver_all()
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 1e6, now_ns))
    settle(network, 20 * NS_PER_S)
    assert (circuit.state, circuit.power_w) == (CircuitState.DEGRADED, 1e6)
    assert [each.key.generation for each in circuit.generations.values()] == [2]
    network.dim("solar", SOLAR_W)
    network.deliver_all()
    assert (circuit.state, newest(circuit).route.power_w) == (CircuitState.ACTIVE, 1e6)


def test_who_is_released_is_not_curtailed_any_more(network: SimulatedNetwork) -> None:
    circuit = active(network, "only")
    network.dim("solar", 1e6)
    network.deliver_all()
    assert circuit.curtailed is not None
    network.release(circuit.circuit_id)
    # The source's router still shares with what drains.
    network.dim("solar", 0.5e6)
    network.deliver_to_controller("r1")
    assert (circuit.state, circuit.curtailed) == (CircuitState.WITHDRAWING, None)
    network.heal(5 * NS_PER_S)
    assert (circuit.state, circuit.curtailed) == (CircuitState.WITHDRAWN, None)


@pytest.mark.parametrize("dedicated", [False, True])
def test_a_standby_that_nobody_demands_leaves_nobody_short(*, dedicated: bool) -> None:
    network = SimulatedNetwork.running(spare_way())
    request = PowerRequest("a", "town", 0.8e6, protect=Against.ROUTER, dedicated=dedicated)
    (circuit,) = network.request(request)
    settle(network)
    carries, stands_by = newest(circuit).route, there(circuit.standby()).route
    assert carries.source_id != stands_by.source_id
    (other,) = network.request(PowerRequest("b", "town", 0.5e6, (stands_by.source_id,)))
    settle(network)
    network.dim(stands_by.source_id, newest(other).route.injected_w * 1.01)
    settle(network)
    assert (circuit.curtailed, other.curtailed) == (None, None)
    assert circuit.state is other.state is CircuitState.ACTIVE
    # Once its sink selects it, there is too little for both.
    network.cut(carries.links[-1].link_id)
    network.deliver_all()
    assert newest(circuit).route.source_id == stands_by.source_id
    assert there(circuit.curtailed).by == f"source {stands_by.source_id}"
    assert share(other) == 0.0, "the younger"
