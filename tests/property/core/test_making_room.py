"""Promises that wait are served as soon as moves of others make room, without anybody's asking."""

from pathlib import Path

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.request import PowerRequest
from controller.core.invariants import broken_invariants
from controller.routing.assignments.room import RoomPlan
from digitalgrid.gridfile import load_grid
from digitalgrid.units import NS_PER_MS
from tests.support.simulated_network import SimulatedNetwork

ELAN9 = load_grid(Path(__file__).parents[3] / "topologies" / "elan9.grid.yaml")


# In this order, after both cuts and repairs, sources have the power for load5, and no single path does.
ORDER = ("load6", "load9", "load8", "load7", "load3", "load5", "load4")
CUTS = ("r2-r9", "r1-r8")


class WithoutWorker(SimulatedNetwork):
    """Its worker process never answers."""

    def make_room(self) -> RoomPlan:
        self.room_answered = self.room_wanted
        return RoomPlan()


def served(network: SimulatedNetwork) -> SimulatedNetwork:
    """All seven loads of elan9, in full, then both cuts, a restart, and both repairs."""
    power_w = {load.id: load.power_w for load in ELAN9.loads}
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    for load_id in ORDER:
        network.request(PowerRequest(f"all of {load_id}", load_id, power_w[load_id]))
    network.deliver_all()
    assert waiting(network) == set()
    for link_id in CUTS:
        network.cut(link_id)
    run(network, 3)
    network.kill_controller(written=99)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    run(network, 4)
    for link_id in reversed(CUTS):
        network.mend(link_id)
        run(network, 1)
    return network


def waiting(network: SimulatedNetwork) -> set[str]:
    circuits = network.core.questions.circuits.values()
    assert {each.state for each in circuits} <= {CircuitState.ACTIVE, CircuitState.WAITING}
    return {each.sink_id for each in circuits if each.state is CircuitState.WAITING}


def run(network: SimulatedNetwork, seconds: int) -> None:
    for _ in range(10 * seconds):
        network.deliver_all()
        network.advance(100 * NS_PER_MS)
    network.deliver_all()


def test_all_loads_of_elan9_are_served_again_after_cuts_a_restart_and_repairs() -> None:
    network = served(SimulatedNetwork(ELAN9))
    run(network, 8)
    assert waiting(network) == set()
    assert broken_invariants(network.core.questions) == []
    assert all(each.interruptions == 0 for each in network.core.questions.circuits.values())
    network.check_rest()
    # It does not go on asking, nor moving.
    asked, held = network.room_wanted, network.grid.held()
    run(network, 60)
    assert (network.room_wanted, network.grid.held()) == (asked, held)


def test_without_moves_one_of_them_waits_and_says_what_keeps_it_now() -> None:
    network = served(WithoutWorker(ELAN9))
    run(network, 20)
    assert waiting(network) == {"load5"}
    (reason,) = {
        each.reason
        for each in network.core.questions.circuits.values()
        if each.state is CircuitState.WAITING
    }
    assert reason.startswith("waits: no single path carries 7 MW to load 'load5'")
    # One question at a time: this one is not answered yet.
    asked = network.room_wanted
    run(network, 60)
    assert network.room_wanted == asked


def test_the_reason_that_is_shown_is_the_present_one() -> None:
    network = SimulatedNetwork.running(ELAN9)
    (circuit,) = network.request(PowerRequest("r", "load9", 5e6, ("source2",)))
    network.deliver_all()
    for link in ELAN9.links:
        if "r9" in (link.a, link.b):
            network.cut(link.id)
    run(network, 3)
    assert "r2-r9, r4-r9, r7-r9, r8-r9 being down" in circuit.reason
    network.changed.clear()
    network.kill_router("r9")
    run(network, 8)
    assert circuit.reason == (
        "waits: router 'r9' of load 'load9' is not connected; try again later"
    )
    assert circuit.circuit_id in network.changed
    network.kill_controller(written=99)
    network.start_controller()
    for router_id in network.grid.routers:
        if router_id != "r9":
            network.connect(router_id)
    run(network, 3)
    assert network.core.questions.circuit(circuit.circuit_id).reason == (
        "waits for load 'load9', which no router has just now"
    )
