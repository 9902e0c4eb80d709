"""Durable admissions through gRPC: a client in a process of its own asks, and is answered once the store has it.

The controller is whole: its northbound server, its core with routing, a SQLite store on a disk that is flushed for
each commit, and the programming of null routers, which answer at once and move no power. Requests are small, and fit.

``durable-admit-batch`` has 64 requests a call and 4 calls in flight, ``durable-admit-one`` a request a call and 64 in
flight. ``ours_per_s`` are admissions a second as the client counts answers, ``active_per_s`` those a second until all
of them have their power, ``flushes_per_s`` what the disk can do without us. ``alone_mean_s`` is the mean time of a
call that is the only one in flight. All are of the best round, for a machine is never only ours. ``agree``: every
request was admitted, and every circuit became active.
"""

import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

from google.rpc.code_pb2 import Code

from benchmarks.harness import Row
from benchmarks.null_routers import NullRouters, load_ids, networks
from controller.computing.optimiser import Optimiser
from controller.computing.solver import Solver
from controller.computing.warm_up import warm_up
from controller.core.circuits.circuit import CircuitState
from controller.core.optimising.moves import ReoptimiseLimits
from controller.core.settings import CoreSettings
from controller.northbound.server import start_server
from controller.runtime.garbage_collector import freeze_loaded
from controller.runtime.runtime import Runtime
from controller.store.sqlite import SqliteStore
from digitalgrid.channels import asyncio_channel
from digitalgrid.model import RouterLsa
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import PowerServiceStub
from digitalgrid.v1.power_link_pb2 import RouterMeters

_POWER_W = 50.0
_BATCH = 64
_BATCHES_IN_FLIGHT = 4
_ONES_IN_FLIGHT = 64
_ROUNDS = 3
_FLUSHES = 200


@dataclass(frozen=True, slots=True)
class _Ask:
    """What a client does in one round: so many admissions in calls of ``batch`` requests."""

    batch: int
    in_flight: int
    admissions: int


_ASKS = {
    "batch": _Ask(_BATCH, _BATCHES_IN_FLIGHT, 7_680),
    "one": _Ask(1, _ONES_IN_FLIGHT, 3_000),
    "alone": _Ask(1, 1, 300),
}


@dataclass(frozen=True, slots=True)
class _Answered:
    """How long a client waited for all its answers, and for each call in the mean; how many were admissions."""

    all_s: float
    mean_s: float
    admitted: int


def rows(full: bool) -> Iterator[Row]:
    warm_up()
    freeze_loaded()
    for name, (size, lsas) in networks(full).items():
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".durable-admit-") as directory:
            yield from asyncio.run(_rows(name, size, lsas, Path(directory)))


async def _rows(name: str, size: int, lsas: Sequence[RouterLsa], directory: Path) -> list[Row]:
    disk_per_s = flushes_per_s(directory)
    async with _controller(lsas, directory) as (runtime, address):
        client = _Client(address, load_ids(lsas))
        try:
            rounds = {
                way: [await _round(runtime, client, ask) for _ in range(_ROUNDS)]
                for way, ask in _ASKS.items()
            }
        finally:
            client.close()
    alone_s = min(answered.mean_s for answered, _, _ in rounds["alone"])
    extras: dict[str, dict[str, Any]] = {"batch": {}, "one": {"alone_mean_s": alone_s}}
    return [
        _row(way, name, size, rounds[way], {"flushes_per_s": disk_per_s, **extra})
        for way, extra in extras.items()
    ]


def _row(
    way: str,
    name: str,
    size: int,
    rounds: Sequence[tuple[_Answered, float, bool]],
    extra: dict[str, Any],
) -> Row:
    asked = _ASKS[way].admissions
    best_s = min(answered.all_s for answered, _, _ in rounds)
    return Row(
        f"durable-admit-{way}",
        size,
        f"{name}, {_ASKS[way].batch} a call, {_ASKS[way].in_flight} calls in flight",
        best_s / asked,
        {},
        all(good and answered.admitted == asked for answered, _, good in rounds),
        {
            "ours_per_s": asked / best_s,
            "active_per_s": asked / min(active_s for _, active_s, _ in rounds),
            **extra,
        },
    )


async def _round(runtime: Runtime, client: "_Client", ask: _Ask) -> tuple[_Answered, float, bool]:
    """What the client saw, the seconds until all circuits had their power, and whether all got it."""
    begin_s = perf_counter()
    answered = await client.ask(ask)
    circuits = runtime.questions.circuits
    # A circuit becomes active once, so one look over those that are not suffices at a time.
    waiting = list(circuits.values())
    while waiting and perf_counter() - begin_s < 60:
        waiting = [each for each in waiting if each.state is not CircuitState.ACTIVE]
        await asyncio.sleep(0.001)
    return answered, perf_counter() - begin_s, not waiting


@asynccontextmanager
async def _controller(
    lsas: Sequence[RouterLsa], directory: Path
) -> AsyncIterator[tuple[Runtime, str]]:
    runtime = Runtime(CoreSettings())
    solver = Solver()
    address = f"unix:{directory}/northbound"
    try:
        runtime.lead(SqliteStore(directory / "store.sqlite"))
        NullRouters(runtime, lsas).attach()
        server = await start_server(
            runtime, Optimiser(runtime, solver, ReoptimiseLimits()), address, _read_meters
        )
        try:
            yield runtime, address
        finally:
            await server.stop(None)
    finally:
        solver.close()
        runtime.close()


async def _read_meters() -> tuple[list[RouterMeters], list[str]]:
    return [], []


def flushes_per_s(directory: Path) -> float:
    """How often a second the disk makes 4 KiB durable that are added to a file."""
    with (directory / "flushed").open("wb", buffering=0) as file:
        begin_s = perf_counter()
        for _ in range(_FLUSHES):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
        return _FLUSHES / (perf_counter() - begin_s)


class _Client:
    """A process that asks when it is told to."""

    def __init__(self, address: str, sinks: list[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve_asks, args=(address, sinks, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    async def ask(self, ask: _Ask) -> _Answered:
        self._pipe.send(ask)
        answered: _Answered = await asyncio.to_thread(self._pipe.recv)
        return answered

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()


def _serve_asks(address: str, sinks: list[str], pipe: Connection) -> None:
    asyncio.run(_answer_asks(address, sinks, pipe))


async def _answer_asks(address: str, sinks: list[str], pipe: Connection) -> None:
    async with asyncio_channel(address) as channel:
        stub = PowerServiceStub(channel)
        while (ask := await asyncio.to_thread(pipe.recv)) is not None:
            pipe.send(await _ask(stub, sinks, ask))


async def _ask(stub: PowerServiceStub, sinks: list[str], ask: _Ask) -> _Answered:
    began = time.time_ns()
    requests = [
        pb.PowerRequest(
            request_id=f"{began}-{number}",
            sink_id=sinks[number * 7919 % len(sinks)],
            power_w=_POWER_W,
        )
        for number in range(ask.admissions)
    ]
    calls: list[Any] = [
        pb.BatchRequestPowerRequest(requests=requests[first : first + ask.batch])
        if ask.batch > 1
        else pb.RequestPowerRequest(request=requests[first])
        for first in range(0, ask.admissions, ask.batch)
    ]
    waiting, waits_s, admitted = iter(calls), [], 0

    async def ask_on() -> None:
        nonlocal admitted
        for call in waiting:
            begin_s = perf_counter()
            if ask.batch > 1:
                outcomes = (await stub.BatchRequestPower(call)).outcomes
                admitted += sum(each.code == Code.OK for each in outcomes)
            else:
                circuits = (await stub.RequestPower(call)).circuits
                admitted += len(circuits)
            waits_s.append(perf_counter() - begin_s)

    begin_s = perf_counter()
    await asyncio.gather(*(ask_on() for _ in range(ask.in_flight)))
    return _Answered(perf_counter() - begin_s, fmean(waits_s), admitted)
