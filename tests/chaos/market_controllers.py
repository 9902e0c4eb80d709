"""The controller is killed while trades need it: one with a store of its own, or the leader of a cluster.

At moments that the exchange picks: right after its journal has a trade as being held, held, or delivering, and a little
later, when what the trade asks is on its way, or was answered. The routers are real ones, as it is their meters that
trades are settled by.
"""

import asyncio
import os
import random
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from digitalgrid.client import AsyncPowerClient, PowerClient
from digitalgrid.gridfile import Grid, load_grid
from digitalgrid.market.v1 import market_pb2 as pb
from tests.chaos.cluster import DEFAULT, etcd_store
from tests.chaos.daemons import Daemon, Daemons
from tests.chaos.journal import Journal
from tests.chaos.killing_exchange import KILLS, PROGRAM, Killing
from tests.chaos.market_books import MarketBooks
from tests.chaos.market_kills import trade_between
from tests.chaos.probe import Probe
from tests.chaos.report import Report
from tests.support.etcd_cluster import EtcdCluster
from tests.support.market_daemon import MarketDaemon, market_daemon
from tests.support.networks import LINE3
from topologies.emulator import plan, workspace
from topologies.emulator.agents import Agents
from topologies.emulator.health import wait_until_healthy
from topologies.emulator.plan import RunFiles
from topologies.emulator.ports import free_ports
from trading.core.trades import State

# Seconds after a state is written. A hold is on its way for milliseconds; a circuit carries within a tenth.
MOMENTS = [
    *((State.HOLDING, delay_s) for delay_s in (0.0, 0.004, 0.012)),
    *((State.HELD, delay_s) for delay_s in (0.0, 0.004, 0.012)),
    *((State.DELIVERING, delay_s) for delay_s in (0.0, 0.02, 1.0)),
]
# By then a circuit carries, and the interval has not begun: all of it is delivered, whoever leads, or nobody.
_CARRIES_S = 1.0
_HEALTHY_WITHIN_S = 60.0
# Long enough for another leader between a match and its interval.
_INTERVAL_S = 4


async def market_controller(rounds: int, seed: int, report: Report) -> None:
    """The only controller, which is started again at once."""
    with TemporaryDirectory(prefix="chaos-") as name:
        directory = Path(name)
        daemon = Daemon("dgc", directory, {"path": str(directory / "store.sqlite")})
        async with Daemons([daemon]) as daemons:
            deaths = _Deaths("market-controller", daemons, directory, seed, report)
            await deaths.run(rounds)


async def market_leader(rounds: int, seed: int, report: Report) -> None:
    """The leader of three, which is started again, as one that stands by, once there is another."""
    with TemporaryDirectory(prefix="chaos-") as name:
        directory = Path(name)
        times = {"heartbeat_ms": DEFAULT.heartbeat_ms, "election_ms": DEFAULT.election_ms}
        with EtcdCluster(directory, **times) as etcd:
            store = etcd_store(etcd, DEFAULT)
            daemons = Daemons([Daemon(f"dgc{index}", directory, store) for index in (1, 2, 3)])
            async with daemons:
                deaths = _Deaths("market-leader", daemons, directory, seed, report)
                await deaths.run(rounds)


class _Deaths:
    def __init__(
        self, name: str, daemons: Daemons, directory: Path, seed: int, report: Report
    ) -> None:
        self._name = name
        self._daemons = daemons
        self._directory = directory
        self._orders = directory / "kills"
        self._seed = seed
        self._chance = random.Random(seed)
        self._report = report
        self._grid = load_grid(LINE3)
        self._addresses = daemons.northbound.split(",")

    async def run(self, rounds: int) -> None:
        market = {"interval_s": _INTERVAL_S, "ahead": 3}
        with (
            _real_routers(self._directory / "run", self._grid, self._daemons.southbound),
            market_daemon(self._directory, self._daemons.northbound, market=market) as dgm,
        ):
            async with AsyncPowerClient(self._daemons.northbound) as client:
                await wait_until_healthy(client, self._grid, _HEALTHY_WITHIN_S)
            dgm.kill()
            dgm.start(PROGRAM, environment=os.environ | {KILLS: str(self._orders)})
            sink_id = self._grid.loads[0].id
            async with Probe(self._addresses, Journal(), sink_id) as probe:
                with PowerClient(self._daemons.northbound) as power:
                    await self._rounds(rounds, dgm, MarketBooks(dgm, power), probe)

    async def _rounds(
        self, rounds: int, dgm: MarketDaemon, books: MarketBooks, probe: Probe
    ) -> None:
        ended_s: list[float] = []
        for number in range(1, rounds + 1):
            state, delay_s = MOMENTS[(number - 1) % len(MOMENTS)]
            began_ns = time.time_ns()
            killed_s = await self._kill(dgm, f"{number}", probe, state, delay_s)
            wrong = await asyncio.to_thread(books.wrong)
            ended_s.append(time.monotonic() - killed_s)
            for trade in await asyncio.to_thread(books.trades):
                was_carried = trade.matched_unix_ns > began_ns and delay_s >= _CARRIES_S
                if was_carried and trade.state != pb.TRANSACTION_STATE_SETTLED:
                    wrong.append(f"{trade.trade_id}: power did not flow on")
            self._report.fail(self._name, number, self._seed, wrong)
            for daemon in self._daemons.all:
                await daemon.wait_warm()
            self._report.progress(number, f"killed {delay_s:g} s after a trade was {state}")
        trades = await asyncio.to_thread(books.trades)
        self._report.figures[self._name.replace("-", "_")] = {
            "rounds": rounds,
            "moments": len(MOMENTS),
            "failures": len(self._report.failures),
            "ended_max_s": round(max(ended_s), 2),
            **Counter(_word(each.state) for each in trades),
        }

    async def _kill(
        self, dgm: MarketDaemon, order_id: str, probe: Probe, state: State, delay_s: float
    ) -> float:
        """When it was dead; it, or another, leads again when this returns."""
        leader = self._daemons.at(await probe.leader())
        # Some are sooner, some later, and all the same of the same seed.
        after_s = delay_s * self._chance.uniform(0.75, 1.25) if delay_s < _CARRIES_S else delay_s
        Killing(state, victim=leader.pid, delay_s=after_s).write(self._orders)
        await asyncio.to_thread(trade_between, dgm, order_id)
        await leader.ended()
        began_s = time.monotonic()
        if len(self._daemons.all) > 1:
            await probe.leader()
        await leader.start()
        await leader.wait_answering()
        return began_s


@contextmanager
def _real_routers(run_dir: Path, grid: Grid, controllers: Sequence[str]) -> Iterator[None]:
    """As plain processes on loopback, each with a session at every controller."""
    files = RunFiles.under(run_dir)
    ports = free_ports(2 * len(grid.links), socket.SOCK_DGRAM)
    ends = plan.local_line_ends(grid, ports, secrets.token_hex(16))
    for router in grid.routers:
        config = plan.router_config(grid, router, files, controllers[0], ends, {})
        config["controllers"] = list(controllers)
        workspace.write_yaml(files.router_config(router.id), config, secret=True)
    agents = Agents(files)
    try:
        for router in grid.routers:
            agents.start(router.id)
        yield
    finally:
        agents.close()


def _word(state: int) -> str:
    name = pb.TransactionState.Name(state)  # type: ignore[arg-type]
    return name.removeprefix("TRANSACTION_STATE_").lower()
