"""Read-back: what a router runs, compared with what it should run, and repaired."""

import pytest
from msgspec.structs import replace

from controller.core.circuits import differences
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.differences import Differences
from controller.core.circuits.generation import Phase
from controller.core.circuits.request import PowerRequest
from controller.core.messages import (
    CircuitStatus,
    CircuitTable,
    Commit,
    ReadTable,
    Stage,
    Withdraw,
)
from digitalgrid.model import CircuitGeneration, ElectionId, FlowState, HopSnapshot
from digitalgrid.units import NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def active(network: SimulatedNetwork) -> Circuit:
    (circuit,) = network.request(PowerRequest("request", "town", 2e6, ("solar",)))
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    return circuit


def read_back(network: SimulatedNetwork, router_id: str) -> Differences:
    """Reconnect a router, and compare what it says with what it should run."""
    network.connect(router_id)
    differences = []
    while network.sessions[router_id].to_controller or network.sessions[router_id].to_router:
        session = network.sessions[router_id]
        while session.to_router:
            network.deliver_to_router(router_id)
        message = session.to_controller.popleft()
        if isinstance(message, CircuitTable):
            differences.append(there(network.tell_table(router_id, message)))
        else:
            network.tell(router_id, message)
    (found,) = differences
    return found


def test_a_table_that_is_as_it_should_be_is_confirmed(network: SimulatedNetwork) -> None:
    circuit = active(network)
    found = read_back(network, "r2")
    assert found.none
    assert found.confirmed == [circuit.newest()]
    assert found.summary() == ""


def test_tables_are_read_after_every_connect_and_from_time_to_time(
    network: SimulatedNetwork,
) -> None:
    network.sent.clear()
    network.connect("r1")
    network.deliver_all()
    assert [router_id for router_id, message in network.sent] == ["r1"]
    network.advance(11 * NS_PER_S)
    network.deliver_all()
    assert {router_id for router_id, message in network.sent if isinstance(message, ReadTable)} == {
        *network.grid.routers
    }
    assert network.core.questions.table_version("r1") == network.grid.routers["r1"].table.version


def test_a_router_that_lost_its_table_is_programmed_again_without_a_new_generation(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network)
    network.grid.routers["r2"].start()
    found = read_back(network, "r2")
    assert [each.key for each in found.missing] == [newest(circuit).key]
    assert found.summary() == "1 missing"
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert circuit.last_generation == 1
    assert ("r2", CircuitGeneration(1, 1)) in network.grid.held()


def test_what_a_router_runs_for_nobody_is_removed(network: SimulatedNetwork) -> None:
    orphan = HopSnapshot(
        *(77, 1, 1, 1e6, 1.1e6, 1e6, 1e6),
        source_id="solar",
        load_id="pump",
    )
    for message in (Stage(1, 2000, (orphan,)), Commit(1)):
        network.grid.routers["r1"].apply(message, ElectionId(0, 1), network.now_ns)
    assert network.grid.held() == {("r1", CircuitGeneration(77, 1))}
    found = read_back(network, "r1")
    assert found.excess == [CircuitGeneration(77, 1)]
    network.deliver_all()
    assert network.grid.held() == set()


def test_a_hop_with_other_values_is_replaced_by_a_new_generation(network: SimulatedNetwork) -> None:
    circuit = active(network)
    key = newest(circuit).key
    network.connect("r2")
    network.deliver_to_controller("r2")
    network.deliver_to_controller("r2")
    (read,) = network.reads_under_way("r2")
    network.sessions["r2"].to_router.clear()
    hop = there(network.grid.routers["r2"].hop(key))
    wrong = HopSnapshot(*key, 99, 3e6, 4e6, 3e6, 3e6, "", hop.ingress_link_id, "", "r2-r4")
    network.tell("r2", CircuitTable(read.read_id, 9, (wrong,)))
    assert circuit.last_generation == 2
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert {each for _, each in network.grid.held()} == {CircuitGeneration(1, 2)}


def test_a_fault_of_the_older_generation_does_not_start_a_third(network: SimulatedNetwork) -> None:
    circuit = active(network)
    key = newest(circuit).key
    network.connect("r2")
    while not network.sessions["r2"].to_router:
        network.deliver_to_controller("r2")
    read = network.sessions["r2"].to_router.popleft()
    assert isinstance(read, ReadTable)
    hop = there(network.grid.routers["r2"].hop(key))
    network.event(lambda core, now_ns: core.change(1, 3e6, now_ns))
    wrong = HopSnapshot(*key, 99, 3e6, 4e6, 3e6, 3e6, "", hop.ingress_link_id, "", "r2-r4")
    network.tell("r2", CircuitTable(read.read_id, 9, (wrong,)))
    assert circuit.last_generation == 2
    network.heal()
    network.check_rest()
    assert circuit.state is CircuitState.ACTIVE


def test_what_is_touched_after_the_read_was_sent_is_left_alone(network: SimulatedNetwork) -> None:
    network.connect("r1")
    for _ in range(2):
        network.deliver_to_controller("r1")
    (circuit,) = network.request(PowerRequest("request", "pump", 1e6))
    read = network.sessions["r1"].to_router.popleft()
    assert isinstance(read, ReadTable)
    stale = CircuitTable(read.read_id, 0, ())
    network.make_durable(9)
    network.deliver_to_router("r1")
    network.deliver_to_controller("r1")
    found = there(network.tell_table("r1", stale))
    assert found.none and not found.confirmed
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE


def test_what_drains_is_not_repaired(network: SimulatedNetwork) -> None:
    circuit = active(network)
    network.kill_router("r2")
    network.restart_router("r2")
    network.deliver_all()
    network.release(circuit.circuit_id)
    found = read_back(network, "r2")
    assert found.missing == []


def test_what_lingers_is_withdrawn_again(network: SimulatedNetwork) -> None:
    active(network)
    network.loses = lambda router_id, message: isinstance(message, Withdraw) and router_id == "r2"
    network.release(1)
    network.deliver_all()
    network.loses = lambda router_id, message: False
    found = read_back(network, "r2")
    assert [each.key for each in found.lingering] == [CircuitGeneration(1, 1)]
    network.deliver_all()
    assert network.grid.held() == set()


def test_an_answer_that_was_not_asked_for_is_dropped(network: SimulatedNetwork) -> None:
    active(network)
    answer = network.event(
        lambda core, now_ns: core.on_table("r2", CircuitTable(99, 1, ()), now_ns)
    )
    assert answer is None
    network.disconnect("r2")
    answer = network.event(lambda core, now_ns: core.on_table("r2", CircuitTable(1, 1, ()), now_ns))
    assert answer is None


def test_an_older_router_that_says_no_priority_runs_what_it_should(
    network: SimulatedNetwork,
) -> None:
    asked = PowerRequest("urgent", "town", 1e6, ("solar",), hold_priority=5, floor_w=0.5e6)
    (circuit,) = network.request(asked)
    network.deliver_all()
    hop = there(network.grid.routers["r1"].hop(newest(circuit).key))
    assert (hop.priority, hop.floor_w) == (5, 0.5e6)
    network.connect("r1")
    network.deliver_to_controller("r1")
    network.deliver_to_controller("r1")
    (read,) = network.reads_under_way("r1")
    network.sessions["r1"].to_router.clear()
    older = replace(hop, priority=0, floor_w=0.0)
    told = network.tell_table("r1", CircuitTable(read.read_id, 9, (older,)))
    assert told is not None and told.none
    assert [each.key for each in told.confirmed] == [newest(circuit).key]


def test_who_takes_over_mends_what_a_router_lacks_before_anybody_sees_it() -> None:
    """Tables are read one after another then; who asks meanwhile has the router read for good first."""
    cluster = SimulatedCluster.running(diamond())
    active(cluster)
    cluster.grid.routers["r2"].start()
    cluster.fail_over(written=0)
    cluster.look()
    cluster.deliver_all()
    found = {each.router_id: there(each.found) for each in cluster.tables_read}
    assert all(each.none for each in found.values()), found
    assert {key: len(each.under_way) for key, each in found.items()} == {
        **{"r1": 0, "r2": 1},
        **{"r3": 0, "r4": 0},
    }
    assert ("r2", CircuitGeneration(1, 1)) in cluster.grid.held()


def test_what_is_to_be_withdrawn_at_the_end_of_the_turn_is_under_way(
    network: SimulatedNetwork,
) -> None:
    """Several events may come before orders leave."""
    circuit = active(network)
    network.release(circuit.circuit_id)
    network.look()
    network.deliver_to_router("r2")
    table = network.sessions["r2"].to_controller.popleft()
    assert isinstance(table, CircuitTable) and len(table.hops) == 1
    core, drained_ns = network.core, there(network.core.next_deadline_ns())
    core.on_timer(drained_ns)
    assert circuit.generations[1].phase is Phase.WITHDRAWING
    found = there(core.on_table("r2", table, drained_ns))
    assert found.none and found.under_way == [CircuitGeneration(1, 1)]


def test_between_two_slices_of_a_table_others_are_heard_and_what_they_change_is_left_alone(
    network: SimulatedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differences, "SLICE", 1)
    for number in range(1, 5):
        network.request(PowerRequest(f"request-{number}", "town", 1e5, ("solar",)))
    network.deliver_all()
    orphan = HopSnapshot(77, 1, 1, 1e5, 1e5, 1e5, 1e5, source_id="solar", load_id="pump")
    network.grid.routers["r1"].start()
    for message in (Stage(1, 2000, (orphan,)), Commit(1)):
        network.grid.routers["r1"].apply(message, ElectionId(0, 1), network.now_ns)
    network.connect("r1")
    session = network.sessions["r1"]
    while not any(isinstance(each, CircuitTable) for each in session.to_controller):
        if session.to_router:
            network.deliver_to_router("r1")
        else:
            network.deliver_to_controller("r1")
    (table,) = (each for each in session.to_controller if isinstance(each, CircuitTable))
    session.to_controller.remove(table)

    def compare() -> Differences:
        return there(
            network.event(lambda core, now_ns: core.on_table_slice("r1", table, now_ns)),
        )

    network.sent.clear()
    found = compare()
    assert [each.key.circuit_id for each in found.missing] == [1] and not found.whole
    network.release(3)
    # Power is missing there, which is read again; that does not begin anew.
    (circuit,) = (each for each in network.core.questions.circuits.values() if each.circuit_id == 4)
    network.event(
        lambda core, now_ns: core.on_status(
            "r4", CircuitStatus(newest(circuit).key, FlowState.STARVED), now_ns
        )
    )
    assert network.reads_under_way("r1")
    while not (found := compare()).whole:
        pass
    assert [each.key.circuit_id for each in found.missing] == [1, 2, 4]
    assert found.under_way == [CircuitGeneration(3, 1)]
    assert found.excess == [CircuitGeneration(77, 1)]
    again = [each for each in network.sent if isinstance(each[1], Stage) and each[0] == "r1"]
    assert len(again) == 3
    network.deliver_all()
    for _ in range(5):
        network.advance(3 * NS_PER_S)
        network.deliver_all()
    assert {key.circuit_id for _, key in network.grid.held()} == {1, 2, 4}
