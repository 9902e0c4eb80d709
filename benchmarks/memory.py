"""Whether memory grows with all that has been: circuits come and go, far more than any table remembers.

``memory-daemon``: a hundred thousand circuits are asked for, admitted, programmed and released, at a whole controller
with null routers; ``memory-router`` is a real agent, with its journal on the disk, that stages, runs, drains and
withdraws seventy thousand. What remembers fills up to its bound (10,000 circuits that have ended; 20,000 tombstones and
1,024 transactions of a router), and then stays; so looked at are the circuits after those. ``ours_s`` is what each of
them left behind, in bytes of the process (PSS), and ``allowed`` what is asked for: a circuit that leaks is a kilobyte
at the least. ``began_mb``, ``filled_mb`` and ``ended_mb`` are the process before, when tables are full, and in the end.
"""

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from benchmarks.durable_admit import Ask, Client, controller_on
from benchmarks.harness import Row
from benchmarks.null_routers import load_ids, networks
from benchmarks.watching import release_all
from controller.computing.warm_up import warm_up_search
from digitalgrid.model import CircuitGeneration, ElectionId, HopSnapshot, Operation, ResultCode
from digitalgrid.units import NS_PER_S
from router_agent.agent import Agent
from router_agent.config import LoadConfig, RouterConfig, SourceConfig
from router_agent.device.mutation import Mutation, Outcome

_ROUND = 5_120
_ROUNDS = 20
# The daemon's tables are full after these, and allocators have found their size.
_FILLING_ROUNDS = 8
# A router remembers 1,024 transactions, with all that was in each: what of them there is grows until then.
_TOGETHER = 40
_ROUTER_TURNS = 1_800
_ROUTER_FILLING_TURNS = 1_100
# What a router's circuits run for (s): each is begun by a tick or two.
_RUNS_S = 0.02
_POWER_W = 100.0
# However busy the machine is.
_LEASE_NS = 60 * NS_PER_S
_ALLOWED_BYTES = 150.0

_Work = Callable[[int], Awaitable[None]]


def rows(full: bool) -> Iterator[Row]:
    warm_up_search()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".memory-") as directory:
        yield asyncio.run(_router(Path(directory)))
        yield asyncio.run(_daemon(Path(directory)))


async def _daemon(directory: Path) -> Row:
    size, lsas = networks(full=False)["elan9"]
    async with controller_on(lsas, directory) as (runtime, _, address):
        client = Client(load_ids(lsas))

        async def come_and_go(_: int) -> None:
            answered = await client.ask(address, Ask(64, 4, _ROUND, "", 1))
            if answered.admitted != _ROUND:
                raise RuntimeError(f"{_ROUND - answered.admitted} circuits were refused")
            await release_all(runtime)

        try:
            looks = await _looks(come_and_go, _ROUNDS, _FILLING_ROUNDS)
        finally:
            client.close()
    return _row("memory-daemon", size, looks, (_ROUNDS - _FILLING_ROUNDS) * _ROUND)


async def _router(directory: Path) -> Row:
    config = RouterConfig(
        router_id="r1",
        state_dir=str(directory / "router"),
        controllers=(),
        sources=(SourceConfig("pv", 1e6),),
        loads=(LoadConfig("town", 1e6),),
    )
    stop = asyncio.Event()
    agent = Agent(config, asyncio.get_running_loop())
    running = asyncio.ensure_future(agent.run(stop))

    async def come_and_go(turn: int) -> None:
        numbers = range(turn * _TOGETHER + 1, (turn + 1) * _TOGETHER + 1)
        keys = tuple(CircuitGeneration(number, 1) for number in numbers)
        hops = tuple(
            HopSnapshot(
                n, 1, n, *(_POWER_W, 1.1 * _POWER_W, _POWER_W, _POWER_W), "pv", load_id="town"
            )
            for n in numbers
        )
        _order(agent, Operation.STAGE, turn + 1, hops=hops)
        _order(agent, Operation.COMMIT, turn + 1)
        await asyncio.sleep(_RUNS_S)
        _order(agent, Operation.DRAIN, 0, circuits=keys)
        await asyncio.sleep(_RUNS_S)
        _order(agent, Operation.WITHDRAW, 0, circuits=keys)

    try:
        looks = await _looks(come_and_go, _ROUTER_TURNS, _ROUTER_FILLING_TURNS)
    finally:
        stop.set()
        await running
    return _row("memory-router", 1, looks, (_ROUTER_TURNS - _ROUTER_FILLING_TURNS) * _TOGETHER)


def _order(
    agent: Agent,
    operation: Operation,
    txn_id: int,
    hops: tuple[HopSnapshot, ...] = (),
    circuits: tuple[CircuitGeneration, ...] = (),
) -> None:
    answers: list[Outcome] = []
    order = Mutation(operation, "benchmark", ElectionId(0, 1), txn_id, hops, _LEASE_NS, circuits)
    agent.mutate(order, answers.append)
    if [each.code for each in answers] != [ResultCode.OK]:
        raise RuntimeError(f"{operation.name} was answered {answers[0].code.name}")


async def _looks(work: _Work, turns: int, filling: int) -> tuple[float, float, float]:
    """Kilobytes of the process: before, when its tables are full, and in the end."""
    await work(0)
    began_kb = _held_kb()
    for turn in range(1, filling):
        await work(turn)
    filled_kb = _held_kb()
    for turn in range(filling, turns):
        await work(turn)
    return began_kb, filled_kb, _held_kb()


def _held_kb() -> float:
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _row(name: str, size: int, looks_kb: tuple[float, float, float], circuits: int) -> Row:
    began_kb, filled_kb, ended_kb = looks_kb
    # Never less than a byte: it is divided by.
    each = max(1.0, (ended_kb - filled_kb) * 1024 / circuits)
    return Row(
        name,
        size,
        f"left of each of {circuits:,} circuits",
        each,
        {"allowed": _ALLOWED_BYTES},
        True,
        {
            "unit": "bytes",
            "began_mb": began_kb / 1024,
            "filled_mb": filled_kb / 1024,
            "ended_mb": ended_kb / 1024,
        },
    )
