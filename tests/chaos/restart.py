"""A controller that keeps a thousand circuits is killed, and started again at once: how long nobody is answered."""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from digitalgrid.client import AsyncPowerClient, power_request
from digitalgrid.gridfile import Grid
from tests.chaos.checks import connected, loaded
from tests.chaos.daemons import Daemon, Daemons
from tests.chaos.journal import Journal
from tests.chaos.probe import Probe
from tests.chaos.report import Report
from tests.chaos.routers import Routers
from topologies.generated import mesh_grid

_ROUTERS = 16
_CIRCUITS = 1_000
_BATCH = 100
_POWER_W = 100.0
# From exec, kernels cached.
_READ_LIMIT_S = 1.0
_ADMITS_LIMIT_S = 2.0


async def restart(rounds: int, seed: int, report: Report, circuits: int = _CIRCUITS) -> None:
    """How long from exec to the first answer, and to the first admission; {rounds, circuits, lost}"""
    lost = 0
    with TemporaryDirectory(prefix="chaos-") as name:
        directory = Path(name)
        grid = mesh_grid(_ROUTERS, seed)
        daemon = Daemon("dgc", directory, {"path": str(directory / "store.sqlite")})
        reads_s: list[float] = []
        admits_s: list[float] = []
        async with (
            Daemons([daemon]) as daemons,
            Routers(grid, daemons.southbound),
            AsyncPowerClient(daemons.northbound) as client,
            Probe([daemon.northbound], Journal(), grid.loads[0].id) as probe,
        ):
            await connected(client, _ROUTERS)
            promised = await _promised(client, grid, circuits)
            for number in range(1, rounds + 1):
                await loaded(client)
                await daemon.wait_warm()
                await daemon.kill()
                began_s = time.monotonic()
                await daemon.start()
                admission = asyncio.create_task(probe.admitted())
                reads_s.append(await daemon.wait_answering())
                admits_s.append(await admission - began_s)
                there = {each.circuit_id for each in (await client.list_circuits()).circuits}
                gone = len(promised - there)
                lost += gone
                if gone:
                    report.fail("restart", number, seed, [f"{gone} circuits were lost"])
                report.progress(number, f"read {reads_s[-1]:.2f} s, admitted {admits_s[-1]:.2f} s")
                await connected(client, _ROUTERS)
    report.figures["restart"] = {"rounds": rounds, "circuits": circuits, "lost": lost}
    report.add_times("restart_read_s", reads_s, _READ_LIMIT_S)
    report.add_times("restart_admits_s", admits_s, _ADMITS_LIMIT_S)


async def _promised(client: AsyncPowerClient, grid: Grid, count: int) -> set[int]:
    """So many circuits, each of little power, over all loads."""
    loads = [each.id for each in grid.loads]
    ids: set[int] = set()
    for first in range(0, count, _BATCH):
        requests = [
            power_request(loads[number % len(loads)], _POWER_W)
            for number in range(first, min(first + _BATCH, count))
        ]
        answer = await client.batch_request_power(requests)
        ids |= {each.circuit_id for outcome in answer.outcomes for each in outcome.circuits}
    assert len(ids) >= count, f"{len(ids)} of {count} circuits were admitted"
    return ids
