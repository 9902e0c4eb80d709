"""kill -9 of a controller with a store of its own, at random moments under load."""

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory

from controller.store.sqlite import SqliteAccess
from digitalgrid.client import AsyncPowerClient
from tests.chaos.checks import (
    Findings,
    check_history,
    check_settled,
    check_state,
    connected,
    watching_limits,
)
from tests.chaos.daemons import Daemon, Daemons
from tests.chaos.grids import tight_grid
from tests.chaos.load import Load
from tests.chaos.report import Report
from tests.chaos.routers import Routers

# From the first acknowledgement of the round, so that each is killed while it works.
_LONGEST_LIFE_S = 0.5
# From exec to the first answer, on a machine that is busy with routers and clients; alone it takes one: see `restart`.
_ANSWERS_WITHIN_S = 5.0


async def kill9(rounds: int, seed: int, report: Report) -> None:
    """{rounds, lost, torn, oversubscribed}"""
    with TemporaryDirectory(prefix="chaos-") as name:
        directory = Path(name)
        grid = tight_grid()
        store = directory / "store.sqlite"
        daemon = Daemon("dgc", directory, {"path": str(store)})
        async with (
            Daemons([daemon]) as daemons,
            Routers(grid, daemons.southbound) as routers,
            Load(grid, daemons.northbound, seed) as load,
            AsyncPowerClient(daemons.northbound) as client,
        ):
            chaos = _Kill9(daemon, store, routers, load, client, len(grid.routers))
            await chaos.run(rounds, seed, report)


class _Kill9:
    def __init__(
        self,
        daemon: Daemon,
        store: Path,
        routers: Routers,
        load: Load,
        client: AsyncPowerClient,
        router_count: int,
    ) -> None:
        self._daemon = daemon
        self._store = store
        self._routers = routers
        self._load = load
        self._client = client
        self._router_count = router_count

    async def run(self, rounds: int, seed: int, report: Report) -> None:
        chance = random.Random(seed)
        counts = {"rounds": rounds, "lost": 0, "torn": 0, "oversubscribed": 0}
        start_s = []
        for number in range(1, rounds + 1):
            findings = Findings()
            await connected(self._client, self._router_count)
            await self._kill(chance.uniform(0, _LONGEST_LIFE_S), findings)
            start_s.append(await self._recover(findings))
            counts["lost"] += len(findings.lost)
            counts["torn"] += len(findings.torn)
            counts["oversubscribed"] += len(findings.over_subscribed)
            report.fail("kill9", number, seed, findings.all())
            standing = len(self._load.journal.standing())
            report.progress(
                number, f"{self._load.journal.answered} answers, {standing} circuits stand"
            )
        report.figures["kill9"] = counts
        report.add_times("restart_s", start_s, _ANSWERS_WITHIN_S)

    async def _kill(self, after_s: float, findings: Findings) -> None:
        async with watching_limits(self._client, findings):
            self._load.go_on()
            await self._load.acknowledged.wait()
            await asyncio.sleep(after_s)
            await self._daemon.kill()
        await self._load.break_off()

    async def _recover(self, findings: Findings) -> float:
        """Look at what it left, start it again, and look; the seconds until it answered."""
        findings.torn += await asyncio.to_thread(SqliteAccess(self._store).verify)
        await self._daemon.start()
        start_s = await self._daemon.wait_answering()
        journal = self._load.journal
        await check_state(self._client, journal, findings)
        await connected(self._client, self._router_count)
        await self._load.repeat_unanswered()
        await check_settled(self._client, self._routers, journal, findings)
        check_history(await self._routers.take_history(), findings)
        return start_s
