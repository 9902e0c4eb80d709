"""A source that drops, in Mininet: ten circuits over three hops, shared by floors and priorities at once."""

import pytest

from digitalgrid.client import PowerClient, power_request
from digitalgrid.gridfile import Grid, loads_grid
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import RouterMeters
from tests.support.patience import wait_for
from topologies.emulator.health import wait_healthy
from topologies.emulator.mininet_backend import MininetEmulation
from topologies.emulator.plan import EmulationOptions

pytestmark = pytest.mark.usefixtures("nothing_left")
POWER_W = 1e6
FLOOR_W = 0.3e6
# By circuit, in the order of admission; those of the lowest class have a floor.
PRIORITIES = [0, 0, 1, 1, 1, 0, 1, 2, 0, 2]
# Of its power: class 2 in full, the floors of class 0, and what is left to class 1, the oldest first.
SHARES = [0.3, 0.3, 1.0, 1.0, 0.8, 0.3, 0.0, 1.0, 0.3, 1.0]


def chain() -> Grid:
    """a - b - c - d, whose losses are so small that shares are seen as they are."""
    return loads_grid(
        """
name: chain
defaults: {voltage_v: 20000, efficiency: 1, ampacity_a: 700, resistance_ohm: 0.001}
routers: [{id: a}, {id: b}, {id: c}, {id: d}]
links: [{id: ab, a: a, b: b}, {id: bc, a: b, b: c}, {id: cd, a: c, b: d}]
sources: [{id: plant, router: a, max_power_w: 10.1e6}]
loads: [{id: town, router: d, power_w: 12e6}]
""",
        "chain",
    )


def delivered_mj(client: PowerClient, ids: list[int]) -> list[int]:
    """What each circuit has brought to its load by now."""
    sinks: list[RouterMeters] = []

    def answered() -> bool:
        # A router that is late is left out of an answer.
        sinks[:] = [each for each in client.read_meters().meters if each.router_id == "d"]
        return bool(sinks)

    wait_for(answered)
    (sink,) = sinks
    by_circuit = dict.fromkeys(ids, 0) | {
        each.circuit_id: each.delivered_mj for each in sink.circuits
    }
    return [by_circuit[each] for each in ids]


def test_floors_and_priorities_are_what_loads_feel(options: EmulationOptions) -> None:
    emulation = MininetEmulation(chain(), options)
    try:
        emulation.start()
        wait_healthy(emulation, options.northbound, 40.0)
        with PowerClient(options.northbound) as client:
            ids = []
            for hold in PRIORITIES:
                request = power_request(
                    *("town", POWER_W),
                    hold_priority=hold,
                    setup_priority=0,
                    floor_w=0.0 if hold else FLOOR_W,
                )
                ids.append(client.request_power(request).circuits[0].circuit_id)
            client.wait_until_active(ids, timeout_s=20.0)
            emulation.cloud("plant", 6e6 / 10.1e6)
            short = [each for each, share in zip(ids, SHARES, strict=True) if share < 1.0]
            wait_for(lambda: degraded(client) == short)
            # What was on its way arrives first.
            let_pass(client, ids)
            got = let_pass(client, ids)
            assert got == pytest.approx(SHARES, abs=0.05)
            meters = client.read_meters().meters
            assert sum(each.oversubscribed_instants for each in meters) == 0
            emulation.clear("plant")
            wait_for(lambda: not degraded(client))
    finally:
        emulation.stop()


def let_pass(client: PowerClient, ids: list[int]) -> list[float]:
    """For as long as a circuit that has all its power takes for 2 MJ: what the others get beside it."""
    before = delivered_mj(client, ids)
    full = SHARES.index(1.0)
    wait_for(lambda: delivered_mj(client, ids)[full] - before[full] > 2e9)
    brought = [late - early for early, late in zip(before, delivered_mj(client, ids), strict=True)]
    return [each / brought[full] for each in brought]


def degraded(client: PowerClient) -> list[int]:
    circuits = client.list_circuits().circuits
    return sorted(each.circuit_id for each in circuits if each.state == pb.CIRCUIT_STATE_DEGRADED)
