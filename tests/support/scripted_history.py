"""Prints all that a controller told its routers and its store in a history full of choices: `python -m` this, with a
seed of the history. Run under two values of PYTHONHASHSEED it says the same, or an order of a set decided something.
"""

import sys
from contextlib import suppress
from random import Random

import msgspec

from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.network.admin import DrainOrder
from digitalgrid.gridfile import Grid
from digitalgrid.units import NS_PER_S
from tests.support.grids import mesh, roomy_mesh
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork

_STEPS = 40


def tell(seed: int) -> None:
    random = Random(seed)
    for grid in (roomy_mesh(), mesh()):
        network = SimulatedNetwork.running(grid)
        for step in range(_STEPS):
            with suppress(Refusal):
                _happen(random, network, grid, step)
            settle(network, random.choice((0, 0, NS_PER_S // 5, 2 * NS_PER_S)))
        for router_id, message in network.sent:
            sys.stdout.write(f"{router_id} {message}\n")
        for record in network.store.records.values():
            sys.stdout.write(f"{msgspec.json.encode(record).decode()}\n")
        for entry in network.store.audit:
            sys.stdout.write(f"{entry}\n")


def _happen(random: Random, network: SimulatedNetwork, grid: Grid, step: int) -> None:
    link = random.choice(grid.links)
    circuit_ids = sorted(network.core.questions.circuits)
    match random.randrange(12):
        case 0 | 1 | 2 | 3:
            network.request(_wanted(random, grid, step))
        case 4 | 5:
            network.cut(link.id)
        case 6 | 7:
            for link_id in sorted(network.grid.cut):
                network.mend(link_id)
        case 8:
            network.derate(link.id, link.ampacity_a * random.choice((0.3, 0.6, 1.0)))
        case 9:
            source = random.choice(grid.sources)
            network.dim(source.id, source.max_power_w * random.choice((0.3, 0.6, 1.0)))
        case 10:
            router_id = random.choice(grid.routers).id
            network.restart_router(router_id)
            network.connect(router_id)
        case _ if circuit_ids and random.random() < 0.5:
            network.release(random.choice(circuit_ids))
        case _:
            drained = sorted(network.core.questions.drains)
            if drained:
                network.event(lambda core, now_ns: core.undrain(drained[0], now_ns))
            else:
                network.event(lambda core, now_ns: core.drain(DrainOrder(link.id), now_ns))


def _wanted(random: Random, grid: Grid, step: int) -> PowerRequest:
    hold = random.randrange(4)
    power_w = random.choice((0.3e6, 0.7e6, 1.5e6, 3e6))
    return PowerRequest(
        f"request-{step}",
        random.choice(grid.loads).id,
        power_w,
        protect=random.choice((None, *Against)),
        allow_split=random.random() < 0.3,
        setup_priority=random.randint(0, hold),
        hold_priority=hold,
        floor_w=random.choice((0.0, power_w / 2)),
    )


if __name__ == "__main__":
    tell(int(sys.argv[1]))
