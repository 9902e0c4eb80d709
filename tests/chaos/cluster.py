"""Three controllers that meet at three members of etcd, with routers and clients that know all of them."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from controller.store.etcd.access import EtcdAccess
from digitalgrid.client import AsyncPowerClient
from tests.chaos.checks import Findings, check_history, check_settled, connected
from tests.chaos.daemons import Daemon, Daemons
from tests.chaos.elections import Elections
from tests.chaos.fleet import History
from tests.chaos.grids import tight_grid
from tests.chaos.load import Load
from tests.chaos.probe import Probe
from tests.chaos.routers import Routers
from tests.support.etcd_cluster import EtcdCluster

_PREFIX = "/chaos"
# From the first acknowledgement of a round until the accident.
_LONGEST_CALM_S = 0.5
# Some two hundred calls a second, from six workers.
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Profile:
    """How soon silence is noticed: by etcd's members of their leader, and by etcd of ours."""

    heartbeat_ms: int
    election_ms: int
    lease_ttl_s: int


# As recommended for members in one building. With etcd's own 100 and 1000 ms, the death of both leaders takes a second
# more: a new leader of etcd renews all leases.
DEFAULT = Profile(50, 500, 2)
TUNED = Profile(20, 200, 1)


@dataclass(frozen=True, slots=True)
class Cluster:
    etcd: EtcdCluster
    daemons: Daemons
    routers: Routers
    load: Load
    client: AsyncPowerClient
    probe: Probe
    elections: Elections
    router_count: int

    async def leader(self) -> Daemon:
        """Who leads; waits until somebody does."""
        return self.daemons.at(await self.probe.leader())

    async def work(self, chance: random.Random) -> None:
        """Clients begin, and go on after this returns, at a random moment."""
        self.load.go_on()
        await self.load.acknowledged.wait()
        await asyncio.sleep(chance.uniform(0, _LONGEST_CALM_S))

    async def recover(self, daemon: Daemon) -> None:
        """Start a controller again, as one that stands by, and wait until it could take over."""
        await daemon.start()
        await daemon.wait_answering()
        await daemon.wait_warm()
        async with AsyncPowerClient(daemon.northbound) as client:
            await connected(client, self.router_count)

    async def check(self, findings: Findings) -> History:
        """With no call under way: everything that must be true. What routers were told since the last check."""
        await self.load.repeat_unanswered()
        await check_settled(self.client, self.routers, self.load.journal, findings)
        history = await self.routers.take_history()
        check_history(history, findings)
        findings.torn += await asyncio.to_thread(EtcdAccess(self.etcd.endpoints, _PREFIX).verify)
        return history


def etcd_store(etcd: EtcdCluster, profile: Profile) -> dict[str, Any]:
    """What the configuration of a controller says of its store."""
    return {
        "etcd": {
            "endpoints": list(etcd.endpoints),
            "prefix": _PREFIX,
            "lease_ttl_s": profile.lease_ttl_s,
        }
    }


@asynccontextmanager
async def cluster(profile: Profile, seed: int) -> AsyncIterator[Cluster]:
    """Started, connected and led by somebody."""
    grid = tight_grid()
    with TemporaryDirectory(prefix="chaos-") as name:
        directory = Path(name)
        etcd = EtcdCluster(
            directory, heartbeat_ms=profile.heartbeat_ms, election_ms=profile.election_ms
        )
        with etcd, Elections(etcd.endpoints, _PREFIX) as elections:
            store = etcd_store(etcd, profile)
            daemons = Daemons([Daemon(f"dgc{index}", directory, store) for index in (1, 2, 3)])
            async with (
                daemons,
                Routers(grid, daemons.southbound) as routers,
                Load(grid, daemons.northbound, seed, _PAUSE_S) as load,
                AsyncPowerClient(daemons.northbound) as client,
                Probe(daemons.northbound.split(","), load.journal, grid.loads[0].id) as probe,
            ):
                for daemon in daemons.all:
                    await daemon.wait_warm()
                    async with AsyncPowerClient(daemon.northbound) as one:
                        await connected(one, len(grid.routers))
                count = len(grid.routers)
                yield Cluster(etcd, daemons, routers, load, client, probe, elections, count)
