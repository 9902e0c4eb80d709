"""kill -9 of the controller while routers switch to standbys: between a switch, its Promote, and the next standby.

The routers are real ones (``dgr``, as plain processes on loopback), as it is their selectors that the controller which
returns must agree with.
"""

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory

from digitalgrid.client import AsyncPowerClient, power_request
from digitalgrid.client.differences import count_differences
from digitalgrid.gridfile import load_grid
from digitalgrid.v1 import northbound_pb2 as pb
from tests.chaos.checks import Findings
from tests.chaos.report import Report
from topologies.demo.observer import Observer
from topologies.demo.stage import Stage
from topologies.emulator.backends import make_emulation
from topologies.emulator.emulation import Emulation
from topologies.emulator.health import wait_until_healthy
from topologies.emulator.ports import options_on_free_ports

_GRID = Path(__file__).parents[2] / "topologies" / "elan9.grid.yaml"
_CIRCUITS = 12
_POWER_W = 10e3
# From a cut to the kill, at most: routers have switched, standbys are promoted, and new ones are set up within that.
_LONGEST_LIFE_S = 0.6
_HEALTHY_WITHIN_S = 60.0
# Until all is as if nothing had happened. A controller that starts on a busy machine needs seconds of it.
_SETTLED_WITHIN_S = 60.0
_POLL_S = 0.1


async def switchover(rounds: int, seed: int, report: Report) -> None:
    """{rounds, lost, torn, oversubscribed}: circuits that stand no more, hops that routers run otherwise than the
    controller says, and instants of over-subscription.
    """
    with TemporaryDirectory(prefix="chaos-") as name:
        options = options_on_free_ports(Path(name))
        emulation = make_emulation(load_grid(_GRID), "local", options)
        try:
            emulation.start()
            async with AsyncPowerClient(options.northbound) as client:
                await wait_until_healthy(
                    client, emulation.grid, _HEALTHY_WITHIN_S, emulation.require_running
                )
                async with Observer(client) as observer:
                    story = _Switchover(emulation, client, observer, seed)
                    await story.run(rounds, report)
        finally:
            emulation.stop()


class _Switchover(Stage):
    def __init__(
        self, emulation: Emulation, client: AsyncPowerClient, observer: Observer, seed: int
    ) -> None:
        super().__init__(emulation, client, observer, lambda text: None)
        self._seed = seed
        self._chance = random.Random(seed)
        self._ids: set[int] = set()

    async def run(self, rounds: int, report: Report) -> None:
        counts = {"rounds": rounds, "lost": 0, "torn": 0, "oversubscribed": 0}
        await self._request()
        for number in range(1, rounds + 1):
            findings = Findings()
            link_id = self._chance.choice(sorted(self._used_links()))
            report.progress(
                number, f"{link_id} is cut under {len(self._observer.using(link_id, self._ids))}"
            )
            await self._cut_and_kill(link_id)
            # With a line down there may be no second way.
            await self._check(findings, {pb.PROTECTION_PROTECTED, pb.PROTECTION_LOST})
            self._emulation.restore(link_id)
            await self._all_links_up()
            await self._check(findings, {pb.PROTECTION_PROTECTED})
            counts["lost"] += len(findings.lost)
            counts["torn"] += len(findings.torn)
            report.fail("switchover", number, self._seed, findings.all())
        await self._release(self._ids)
        books = await self._until_quiet()
        counts["oversubscribed"] = books.oversubscribed_instants
        if books.oversubscribed_instants or books.conservation_error_mj:
            report.fail("switchover", rounds, self._seed, [f"books out of balance: {books}"])
        report.figures["switchover"] = counts

    async def _request(self) -> None:
        loads = [each.id for each in self._grid.loads]
        requests = [
            power_request(loads[number % len(loads)], _POWER_W) for number in range(_CIRCUITS)
        ]
        for each in requests:
            each.protect = pb.PROTECT_LINK
        answer = await self._client.batch_request_power(requests)
        self._ids = {each.circuit_id for one in answer.outcomes for each in one.circuits}
        await self._observer.until(self._all_protected, _SETTLED_WITHIN_S, "all are protected")

    def _used_links(self) -> set[str]:
        return {link.link_id for key in self._ids for link in self._observer.circuits[key].links}

    async def _cut_and_kill(self, link_id: str) -> None:
        """Kill the controller at some moment after the cut, or even before, and start it again."""
        kill_first = self._chance.random() < 0.25
        if kill_first:
            self._emulation.kill_controller()
        self._emulation.cut(link_id)
        await asyncio.sleep(self._chance.uniform(0.0, _LONGEST_LIFE_S))
        if not kill_first:
            self._emulation.kill_controller()
        snapshots = self._observer.snapshots
        self._emulation.restart_controller()
        await self._observer.until(
            lambda: self._observer.snapshots > snapshots, _SETTLED_WITHIN_S, "it is back"
        )

    def _all_protected(self) -> bool:
        known = [self._observer.circuits.get(key) for key in self._ids]
        return all(
            each is not None and each.protection == pb.PROTECTION_PROTECTED for each in known
        )

    async def _check(self, findings: Findings, words: set[pb.Protection.ValueType]) -> None:
        """All run, are protected as well as can be, and routers hold exactly what the controller says."""
        try:
            async with asyncio.timeout(_SETTLED_WITHIN_S):
                while left := await self._unsettled(words):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            findings.torn += [f"{each}, after {_SETTLED_WITHIN_S:g} s" for each in left]
        standing = {each.circuit_id: each for each in (await self._client.list_circuits()).circuits}
        for key in sorted(self._ids):
            if key not in standing or standing[key].power_w != _POWER_W:
                findings.lost.append(f"circuit {key} was acknowledged, and is {standing.get(key)}")

    async def _unsettled(self, words: set[pb.Protection.ValueType]) -> list[str]:
        circuits = (await self._client.list_circuits()).circuits
        answer = await self._client.reconcile(pb.ReconcileRequest(dry_run=True))
        silent = [*answer.disconnected_router_ids, *answer.silent_router_ids]
        return (
            [
                f"circuit {each.circuit_id} is {pb.CircuitState.Name(each.state)} and"
                f" {pb.Protection.Name(each.protection)} ({each.protection_reason or each.reason})"
                for each in circuits
                if each.state != pb.CIRCUIT_STATE_ACTIVE or each.protection not in words
            ]
            + [f"router {each} does not answer" for each in silent]
            + [
                f"router {each.router_id} runs what it should not, or lacks what it should run: {each}"
                for each in answer.routers
                if count_differences(each)
            ]
        )
