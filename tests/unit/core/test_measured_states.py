"""A circuit is shown as its sink last measured it, whatever was decided, given up, cut, or taken over meanwhile."""

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.request import PowerRequest
from controller.core.messages import CircuitStatus, Stage
from digitalgrid.model import FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def starved(network: SimulatedNetwork) -> Circuit:
    (circuit,) = network.request(PowerRequest("r", "town", 2e6, ("solar",)))
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    say(network, circuit, FlowState.STARVED)
    assert circuit.state is CircuitState.DEGRADED
    return circuit


def say(network: SimulatedNetwork, circuit: Circuit, state: FlowState) -> None:
    """What the sink says of the newest generation; it says it once."""
    network.tell("r4", CircuitStatus(newest(circuit).key, state))


def test_a_starved_circuit_whose_change_is_given_up_is_still_starved(
    network: SimulatedNetwork,
) -> None:
    circuit = starved(network)
    network.loses = lambda router_id, message: isinstance(message, Stage)
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 2.5e6, now_ns))
    assert circuit.state is CircuitState.REROUTING
    for _ in range(10):
        network.advance(2 * NS_PER_S)
        network.deliver_all()
    assert (circuit.state, circuit.power_w) == (CircuitState.DEGRADED, 2e6)
    assert circuit.reason == "its sink gets less than it should"


def test_what_the_sink_says_while_a_change_goes_on_counts_when_that_is_given_up(
    network: SimulatedNetwork,
) -> None:
    circuit = starved(network)
    old = newest(circuit).key
    network.loses = lambda router_id, message: isinstance(message, Stage)
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 2.5e6, now_ns))
    network.tell("r4", CircuitStatus(old, FlowState.ACTUATED))
    for _ in range(10):
        network.advance(2 * NS_PER_S)
        network.deliver_all()
    assert (circuit.state, newest(circuit).key) == (CircuitState.ACTIVE, old)


def test_a_restarted_controller_hears_that_a_circuit_is_starved(network: SimulatedNetwork) -> None:
    starved(network)
    network.kill_controller(written=99)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.sessions["r4"].to_controller.append(
        CircuitStatus(newest(network.core.questions.circuit(1)).key, FlowState.STARVED)
    )
    network.deliver_all()
    for _ in range(10):
        network.advance(NS_PER_S)
        network.deliver_all()
    assert network.core.questions.circuit(1).state is CircuitState.DEGRADED
    assert network.core.questions.circuit(1).last_generation == 1


def test_a_standby_and_whoever_takes_over_show_what_is_starved() -> None:
    cluster = SimulatedCluster.running(diamond())
    circuit = starved(cluster)
    key = newest(circuit).key
    cluster.standby_sessions["r4"].append(CircuitStatus(key, FlowState.STARVED))
    cluster.deliver_all()
    assert there(cluster.standby).questions.circuit(1).state is CircuitState.DEGRADED
    cluster.fail_over(written=0)
    assert cluster.core.questions.circuit(1).state is CircuitState.DEGRADED
    cluster.tell("r4", CircuitStatus(key, FlowState.ACTUATED))
    assert cluster.core.questions.circuit(1).state is CircuitState.ACTIVE


@pytest.mark.parametrize("cloud_first", [True, False])
def test_a_standby_shows_whom_a_source_without_power_leaves_dark_though_its_sink_has_never_spoken(
    *, cloud_first: bool
) -> None:
    """Its router has restarted: it has nothing to say of what has had no power since."""
    cluster = SimulatedCluster.running(diamond())
    (circuit,) = cluster.request(PowerRequest("r", "town", 2e6, ("solar",)))
    cluster.deliver_all()
    if cloud_first:
        cluster.dim("solar", 0.0)
    restart(cluster, "r4")
    cluster.dim("solar", 0.0)
    cluster.heal()
    assert circuit.state is CircuitState.DEGRADED
    # As it has followed, and as one shows it that begins only now.
    for _ in range(2):
        standby = there(cluster.standby).questions.circuit(1)
        assert (standby.state, standby.reason) == (circuit.state, circuit.reason)
        cluster.start_standby()
        cluster.deliver_all()
    cluster.fail_over(written=0)
    cluster.heal()
    taken_over, standby = (
        each.questions.circuit(1) for each in (cluster.core, there(cluster.standby))
    )
    assert (taken_over.state, taken_over.reason) == (CircuitState.DEGRADED, circuit.reason)
    assert (standby.state, standby.reason) == (CircuitState.DEGRADED, circuit.reason)
    cluster.dim("solar", 9e6)
    cluster.heal()
    assert taken_over.state is there(cluster.standby).questions.circuit(1).state
    assert taken_over.state is CircuitState.ACTIVE


def restart(cluster: SimulatedCluster, router_id: str) -> None:
    """So soon that nobody takes its lines for down."""
    cluster.restart_router(router_id)
    cluster.connect(router_id)


def test_a_cut_that_no_sink_noticed_leaves_no_circuit_degraded(network: SimulatedNetwork) -> None:
    """More circuits than are moved at once: the line is up again before it is the last one's turn to leave."""
    circuits = [
        *(
            network.request(PowerRequest(f"r{number}", "town", 5e4, ("solar",)))[0]
            for number in range(64)
        )
    ]
    network.deliver_all()
    network.grid.cut.add("r2-r4")
    down = network.grid.routers["r2"].lsa()
    network.grid.cut.discard("r2-r4")
    up = network.grid.routers["r2"].lsa()
    network.tell("r2", down)
    assert {each.state for each in circuits} >= {CircuitState.DEGRADED, CircuitState.REROUTING}
    network.tell("r2", up)
    network.deliver_all()
    for _ in range(20):
        network.advance(100 * NS_PER_MS)
        network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}
