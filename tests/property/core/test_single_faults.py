"""One fault at a time on random meshes: whoever it hits runs on by the standby that it had, and nobody else moves."""

import random
from dataclasses import replace

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from digitalgrid.gridfile import Grid
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there
from topologies.generated import mesh_grid

ROUTERS, REQUESTS, FAULTS = 9, 40, 5


def tight_mesh(seed: int) -> Grid:
    """Lines that a few circuits fill, so that standbys share most of what is left."""
    made = mesh_grid(ROUTERS, seed)
    return replace(
        made,
        links=tuple(replace(each, ampacity_a=110.0, resistance_ohm=0.8) for each in made.links),
        loads=tuple(replace(each, power_w=2e6) for each in made.loads),
    )


def fill(network: SimulatedNetwork, draw: random.Random) -> None:
    loads = [each.id for each in network.grid.grid.loads]
    for number in range(REQUESTS):
        power_w = draw.uniform(0.1e6, 0.7e6)
        wanted = PowerRequest(
            f"r{number}", draw.choice(loads), power_w, protect=draw.choice((*Against,))
        )
        try:
            network.request(wanted)
        except Refusal:
            continue
        network.deliver_all()
    settle(network, NS_PER_S)


def protected_over(network: SimulatedNetwork, link_id: str) -> dict[int, CircuitGeneration]:
    """Circuits that the line serves and a standby protects against its loss, with that."""
    return {
        circuit.circuit_id: there(circuit.standby()).key
        for circuit in network.core.questions.circuits.values()
        if circuit.guard.word is Protection.PROTECTED
        and link_id in {each.link_id for each in newest(circuit).route.links}
    }


def serving(circuit: Circuit) -> CircuitGeneration:
    return newest(circuit).key


@pytest.mark.parametrize("seed", [1])
def test_whom_a_fault_hits_keeps_the_standby_that_it_runs_on_and_nobody_else_moves(
    seed: int,
) -> None:
    draw = random.Random(seed)
    network = SimulatedNetwork.running(tight_mesh(seed))
    fill(network, draw)
    hits = 0
    for link in draw.sample(network.grid.grid.links, FAULTS):
        hit = protected_over(network, link.id)
        circuits = network.core.questions.circuits
        untouched = {
            key: serving(each)
            for key, each in circuits.items()
            if not each.state.ended
            and link.id not in {one.link_id for one in newest(each).route.links}
        }
        network.cut(link.id)
        settle(network, 400 * NS_PER_MS)
        for circuit_id, standby in hit.items():
            circuit = circuits[circuit_id]
            assert serving(circuit) == standby, f"{link.id}: circuit {circuit_id} was rerouted"
            assert circuit.state is CircuitState.ACTIVE
        assert {key: serving(circuits[key]) for key in untouched} == untouched
        hits += len(hit)
        network.mend(link.id)
        settle(network, 2 * NS_PER_S)
    assert hits > 1
