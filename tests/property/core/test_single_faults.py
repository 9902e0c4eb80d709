"""One fault at a time on random meshes: whoever it hits runs on by the standby that it had, and nobody else moves."""

import random
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis.strategies import integers, sampled_from

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from digitalgrid.gridfile import Grid
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.random_cases import only_named_unless_explored
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


def protected_over(network: SimulatedNetwork, lost_id: str) -> dict[int, CircuitGeneration]:
    """Circuits that the line or router serves and a standby protects against its loss, with that."""
    return {
        circuit.circuit_id: there(circuit.standby()).key
        for circuit in network.core.questions.circuits.values()
        if circuit.guard.word is Protection.PROTECTED
        and lost_id in parts(newest(circuit).route)
        and lost_id not in parts(there(circuit.standby()).route)
    }


def parts(route: Route) -> set[str]:
    """Lines and routers without which it carries nothing, but for the router of its sink."""
    return {*(each.link_id for each in route.links), *route.router_ids[:-1]}


def serving(circuit: Circuit) -> CircuitGeneration:
    return newest(circuit).key


@settings(max_examples=20, phases=only_named_unless_explored())
@given(seed=integers(0, 2**20), kind=sampled_from(["link", "router"]))
@example(seed=1, kind="link")
@example(seed=1, kind="router")
def test_whom_a_fault_hits_keeps_the_standby_that_it_runs_on_and_nobody_else_moves(
    seed: int, kind: str
) -> None:
    draw = random.Random(seed)
    network = SimulatedNetwork.running(tight_mesh(seed))
    fill(network, draw)
    grid = network.grid.grid
    ids = [each.id for each in grid.links] if kind == "link" else [each.id for each in grid.routers]
    hits = sum(
        hit_by(network, lost_id, kind)
        for lost_id in draw.sample(ids, FAULTS if kind == "link" else 2)
    )
    assert hits > 1 or seed != 1, "the named cases try something"


def hit_by(network: SimulatedNetwork, lost_id: str, kind: str) -> int:
    """How many were hit, and have switched, by the loss of a line or a router, which is back then."""
    hit = protected_over(network, lost_id)
    circuits = network.core.questions.circuits
    untouched = {
        key: serving(each)
        for key, each in circuits.items()
        if not each.state.ended
        and each.newest() is not None
        and lost_id not in {*parts(newest(each).route), newest(each).route.sink_router_id}
    }
    if kind == "link":
        network.cut(lost_id)
    else:
        network.kill_router(lost_id)
    settle(network, 400 * NS_PER_MS)
    for circuit_id, standby in hit.items():
        circuit = circuits[circuit_id]
        assert serving(circuit) == standby, f"{lost_id}: circuit {circuit_id} was rerouted"
        assert circuit.state is CircuitState.ACTIVE
    assert {key: serving(circuits[key]) for key in untouched} == untouched
    if kind == "link":
        network.mend(lost_id)
    else:
        network.restart_router(lost_id)
        network.connect(lost_id)
    settle(network, 2 * NS_PER_S)
    return len(hit)
