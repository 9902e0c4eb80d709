"""Reroutes: who moves, in which order, onto what, and who stays where he is."""

from itertools import pairwise

import pytest

from controller.core.circuits.circuit import CircuitState, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.messages import Stage, TransactionResult
from controller.core.promises.pacing import MAX_AT_ONCE
from digitalgrid.gridfile import loads_grid
from digitalgrid.model import Operation, ResultCode
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.active import active, path
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def test_a_cut_line_moves_what_crosses_it_and_nothing_else(network: SimulatedNetwork) -> None:
    crossing = active(network)
    other = active(network, 1e6, "works")
    network.cut("r2-r4")
    network.deliver_all()
    assert (crossing.state, path(crossing)) == (CircuitState.ACTIVE, ("r1", "r3", "r4"))
    assert (other.last_generation, path(other)) == (1, ("r1", "r2"))
    assert newest(crossing).admission_seq > newest(other).admission_seq
    network.check()


def test_where_a_cut_concerns_very_many_the_first_do_not_wait_for_the_last(
    network: SimulatedNetwork,
) -> None:
    made = [active(network, 5e4) for _ in range(4 * MAX_AT_ONCE)]
    crossing = [each for each in made if path(each) == ("r1", "r2", "r4")]
    assert len(crossing) > 2 * MAX_AT_ONCE
    network.changed.clear()
    network.cut("r2-r4")
    network.deliver_to_controller("r2")
    moved = [each for each in crossing if each.state is CircuitState.REROUTING]
    left = [each for each in crossing if each.state is CircuitState.DEGRADED]
    # The older promise goes first, and watchers hear of those that it is not the turn of.
    assert moved == crossing[:MAX_AT_ONCE]
    assert left == crossing[MAX_AT_ONCE:]
    assert set(network.changed) == {each.circuit_id for each in crossing}
    for _ in range(len(crossing) // MAX_AT_ONCE + 1):
        network.advance(NS_PER_MS)
        network.deliver_all()
    assert {(each.state, path(each)) for each in crossing} == {
        (CircuitState.ACTIVE, ("r1", "r3", "r4"))
    }
    network.check()


def test_a_killed_router_costs_only_who_has_no_way_around(network: SimulatedNetwork) -> None:
    around = active(network)
    there = active(network, 1e6, "works")
    network.kill_router("r2")
    network.deliver_all()
    assert (around.state, path(around)) == (CircuitState.ACTIVE, ("r1", "r3", "r4"))
    assert there.state is CircuitState.WAITING
    network.restart_router("r2")
    network.connect("r2")
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    assert there.state is CircuitState.ACTIVE
    network.heal()
    network.check_rest()


def test_the_present_source_is_kept_where_it_can_be(network: SimulatedNetwork) -> None:
    (circuit,) = network.request(PowerRequest("any", "works", 1e6))
    network.deliver_all()
    assert newest(circuit).route.source_id == "solar"
    network.cut("r1-r2")
    network.deliver_all()
    assert path(circuit) == ("r1", "r3", "r4", "r2")


def test_constraints_hold_over_reroutes(network: SimulatedNetwork) -> None:
    circuit = active(network, constraints=Constraints(avoid_ids=("r3",)))
    network.cut("r1-r2")
    network.deliver_all()
    assert circuit.state is CircuitState.WAITING
    assert network.grid.held() == set()
    network.mend("r1-r2")
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    assert (circuit.state, path(circuit)) == (CircuitState.ACTIVE, ("r1", "r2", "r4"))


def test_a_line_that_comes_and_goes_while_the_news_are_under_way_ends_well(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network)
    for _ in range(3):
        network.cut("r2-r4")
        network.mend("r2-r4")
    network.deliver_all()
    network.heal()
    network.check_rest()
    assert circuit.state is CircuitState.ACTIVE


def test_power_reported_from_a_path_that_is_down_makes_nothing_active(
    network: SimulatedNetwork,
) -> None:
    (circuit,) = network.request(PowerRequest("a", "town", 2e6, ("solar",)))
    network.make_durable(9)
    for router_id in ("r1", "r2", "r4") * 2:
        session = network.sessions[router_id]
        while session.to_router:
            network.deliver_to_router(router_id)
        while session.to_controller and router_id != "r4":
            network.deliver_to_controller(router_id)
        while len(session.to_controller) > 1:
            network.deliver_to_controller(router_id)
    network.cut("r1-r2")
    network.deliver_to_controller("r1")
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert path(circuit) == ("r1", "r3", "r4")


def test_one_circuits_failure_does_not_stop_anothers_reroute(network: SimulatedNetwork) -> None:
    stuck = active(network, constraints=Constraints(avoid_ids=("r3",)))
    free = active(network, 1e6)
    network.cut("r2-r4")
    network.deliver_all()
    assert stuck.state is CircuitState.WAITING
    assert (free.state, path(free)) == (CircuitState.ACTIVE, ("r1", "r3", "r4"))


def test_the_more_urgent_is_moved_first() -> None:
    text = """
name: narrow
defaults: {voltage_v: 20000, efficiency: 1.0, resistance_ohm: 0.1}
routers: [{id: r1}, {id: r2}, {id: r3}]
links:
  - {id: r1-r3, a: r1, b: r3, ampacity_a: 300}
  - {id: r1-r2, a: r1, b: r2, ampacity_a: 120}
  - {id: r2-r3, a: r2, b: r3, ampacity_a: 120}
sources: [{id: solar, router: r1, max_power_w: 9e6}]
loads:
  - {id: town, router: r3, power_w: 2e6}
  - {id: clinic, router: r3, power_w: 2e6, priority: 5}
"""
    network = SimulatedNetwork.running(loads_grid(text, "narrow"))
    town = active(network)
    clinic = active(network, sink="clinic")
    network.cut("r1-r3")
    network.deliver_all()
    assert (clinic.state, path(clinic)) == (CircuitState.ACTIVE, ("r1", "r2", "r3"))
    assert town.state is CircuitState.WAITING
    network.mend("r1-r3")
    network.deliver_all()
    network.advance(20 * NS_PER_MS)
    network.deliver_all()
    assert town.state is CircuitState.ACTIVE


def test_a_silent_controller_session_moves_nothing(network: SimulatedNetwork) -> None:
    circuit = active(network)
    for router_id in ("r1", "r2", "r4"):
        network.disconnect(router_id)
    network.advance(300 * NS_PER_S)
    assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)
    for router_id in ("r1", "r2", "r4"):
        network.connect(router_id)
    network.deliver_all()
    assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)


def test_a_line_derated_while_a_change_is_under_way_leaves_one_generation(
    network: SimulatedNetwork,
) -> None:
    first = active(network, 1e6, "works")
    second = active(network, 1e6, "works")
    network.event(lambda core, now_ns: core.change(first.circuit_id, 0.2e6, now_ns))
    network.derate("r1-r2", 60.0)
    network.heal()
    network.check_rest()
    assert {first.state, second.state} == {CircuitState.ACTIVE}
    assert first.power_w == 0.2e6


def test_a_circuit_that_its_router_refuses_is_tried_less_and_less_often(
    network: SimulatedNetwork,
) -> None:
    refused: list[int] = []

    def refuses(router_id: str, message: object) -> bool:
        if router_id != "r2" or not isinstance(message, Stage):
            return False
        refused.append(message.txn_id)
        return True

    network.loses = refuses
    (circuit,) = network.request(PowerRequest("refused", "works", 1e6, ("solar",)))
    tries = []
    for _ in range(200):
        network.deliver_all()
        for txn_id in refused:
            result = TransactionResult(txn_id, Operation.STAGE, ResultCode.LINK_DOWN, "no")
            network.tell("r2", result)
            tries.append(network.now_ns // NS_PER_MS)
        refused.clear()
        network.deliver_all()
        network.advance(20 * NS_PER_MS)
    pauses_ms = [after - before for before, after in pairwise(tries)]
    assert len(tries) < 15 and max(pauses_ms) < 1100
    assert pauses_ms == sorted(pauses_ms)
    network.loses = lambda router_id, message: False
    network.advance(NS_PER_S)
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert circuit.setbacks == 0


def test_the_more_circuits_wait_the_rarer_are_the_searches_for_all_of_them(
    network: SimulatedNetwork,
) -> None:
    for power_w in range(1, 41):
        active(network, power_w * 1000.0, "works")
    network.cut("r1-r2")
    network.cut("r2-r4")
    network.deliver_all()
    network.advance(20 * NS_PER_MS)
    searched_ns = network.now_ns
    network.mend("r1-r2")
    network.deliver_all()
    circuits = network.core.questions.circuits.values()
    assert {each.state for each in circuits} == {CircuitState.WAITING}
    assert there(network.core.next_deadline_ns()) - searched_ns > 150 * NS_PER_MS
    network.advance(NS_PER_S)
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}


def test_two_that_are_rerouted_at_once_do_not_take_the_same_room(network: SimulatedNetwork) -> None:
    """Over r3 there is room for one of them beside who stands there."""
    for name, power_w, avoided in (("there", 2.5e6, ("r2",)), ("a", 2.7e6, ()), ("b", 2.7e6, ())):
        limits = Constraints(avoid_ids=avoided)
        network.request(PowerRequest(name, "town", power_w, ("solar",), limits))
        network.deliver_all()
    stays, first, second = network.core.questions.circuits.values()
    paths = {newest(each).route.router_ids for each in (first, second)}
    assert paths == {("r1", "r2", "r4")}
    network.cut("r2-r4")
    for _ in range(20):
        network.deliver_all()
        network.advance(100 * NS_PER_MS)
        network.check()
    assert stays.state is CircuitState.ACTIVE
    assert sorted((first.state, second.state)) == [CircuitState.ACTIVE, CircuitState.WAITING]
