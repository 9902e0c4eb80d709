"""Durable admissions through gRPC: a client in a process of its own asks, and is answered once the store has it.

The controller is whole: its northbound server, its core with routing, a SQLite store on a disk that is flushed for
each commit, and the programming of null routers, which answer at once and move no power. Requests are small, and fit.

``durable-admit-batch`` has 64 requests a call and 4 calls in flight, ``durable-admit-one`` a request a call and 64 in
flight, ``durable-admit-alone`` one call at a time. The peers are bare servers (`benchmarks.bare`) in the same process,
before the same disk and the same client, a round of theirs after each of ours: ``bare-grpc`` writes a line for each
call and flushes once a group, ``bare-sqlite`` commits as many rows. ``durable-refuse-batch`` and ``-one`` ask in the
same way for what cannot be served (too much power, too little loss, or both), and are told why; their peer is what the
same controller admits, by turns. ``ours_per_s`` are decisions a second as the client counts answers, ``active_per_s``
those a second until all circuits have their power, ``flushes_per_s`` what the disk can do without anybody. Rates are of
the best round, for a machine is never only ours; a peer's time is that of our best round times the median over rounds
of peer to ours, for a disk that is slow for a second is so for both. ``agree``: every request was admitted (or
refused), and every circuit became active.
"""

import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
from google.rpc.code_pb2 import Code

from benchmarks.bare import bare_server
from benchmarks.harness import Row
from benchmarks.null_routers import NullRouters, load_ids, networks
from controller.computing.optimiser import Optimiser
from controller.computing.solver import Solver
from controller.computing.warm_up import warm_up_search
from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.records import AuditEntry, CircuitRecord
from controller.core.optimising.moves import ReoptimiseLimits
from controller.core.settings import CoreSettings
from controller.northbound.server import start_server
from controller.northbound.services import Services
from controller.runtime.runtime import Runtime
from controller.store.sqlite import SqliteAccess, SqliteStore
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from digitalgrid.channels import asyncio_channel
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.model import RouterLsa
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import PowerServiceStub
from digitalgrid.v1.power_link_pb2 import RouterMeters

if TYPE_CHECKING:
    from controller.tracing.tracing import Tracing

_POWER_W = 50.0
_BATCH = 64
_BATCHES_IN_FLIGHT = 4
_ONES_IN_FLIGHT = 64
_FLUSHES = 200


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client does in one round: so many admissions in calls of ``batch`` requests."""

    batch: int
    in_flight: int
    admissions: int
    # What does the same and decides nothing.
    peer: str
    # Many short ones where a call is one flush: a disk may be another from one second to the next.
    rounds: int
    refused: bool = False


_ASKS = {
    "batch": Ask(_BATCH, _BATCHES_IN_FLIGHT, 7_680, "bare-sqlite", 5),
    "one": Ask(1, _ONES_IN_FLIGHT, 1_500, "bare-grpc", 9),
    "alone": Ask(1, 1, 100, "bare-grpc", 15),
}
_REFUSED = {
    "batch": Ask(_BATCH, _BATCHES_IN_FLIGHT, 2_560, "admitted", 5, refused=True),
    "one": Ask(1, _ONES_IN_FLIGHT, 900, "admitted", 5, refused=True),
}
# Power (W) and limit of losses of what is refused, by turns.
_TOO_MUCH: tuple[tuple[float, float | None], ...] = ((1e11, 1e-9), (_POWER_W, 1e-9), (1.5e7, 1e-9))


@dataclass(frozen=True, slots=True)
class Answered:
    """How long a client waited for all its answers; how many were admissions."""

    all_s: float
    admitted: int


@dataclass(slots=True)
class _Rounds:
    """What the client saw in each round, of ours and of the peer."""

    ours: list[Answered] = field(default_factory=list)
    bare: list[Answered] = field(default_factory=list)
    # Seconds until all circuits of a round had their power.
    active_s: list[float] = field(default_factory=list)
    all_active: bool = True

    @property
    def bare_to_ours(self) -> float:
        turns = zip(self.ours, self.bare, strict=True)
        return median(bare.all_s / ours.all_s for ours, bare in turns)


def rows(full: bool) -> Iterator[Row]:
    warm_up_search()
    freeze_loaded()
    for name, (size, lsas) in networks(full).items():
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".durable-admit-") as directory:
            yield from asyncio.run(_rows(name, size, lsas, Path(directory)))


async def _rows(name: str, size: int, lsas: Sequence[RouterLsa], directory: Path) -> list[Row]:
    disk_per_s = flushes_per_s(directory)
    rounds = {way: _Rounds() for way in _ASKS}
    refused = {way: _Rounds() for way in _REFUSED}
    async with controller_on(lsas, directory) as (runtime, _, address):
        client = Client(load_ids(lsas))
        try:
            # Of the first call everything is made that later ones share.
            await _round(runtime, client, address, Ask(1, 1, 1, "", 1), _Rounds())
            async with bare_server(directory, *await _likeness(address, directory)) as bare:
                turns = ((way, ask) for way, ask in _ASKS.items() for _ in range(ask.rounds))
                for way, ask in turns:
                    await _round(runtime, client, address, ask, rounds[way])
                    rounds[way].bare.append(await client.ask(bare, ask))
            turns = ((way, ask) for way, ask in _REFUSED.items() for _ in range(ask.rounds))
            for way, ask in turns:
                await _round(runtime, client, address, ask, refused[way])
                admitted = replace(ask, refused=False)
                refused[way].bare.append(await client.ask(address, admitted))
        finally:
            client.close()
    return [
        *(
            _row(f"admit-{way}", _ASKS[way], name, size, each, disk_per_s)
            for way, each in rounds.items()
        ),
        *(
            _row(f"refuse-{way}", _REFUSED[way], name, size, each, disk_per_s)
            for way, each in refused.items()
        ),
    ]


async def _likeness(address: str, directory: Path) -> tuple[pb.Circuit, CircuitRecord, AuditEntry]:
    """A circuit as clients and the store have it, with the entry of its admission: so large are the peers' too."""
    async with asyncio_channel(address) as channel:
        answer = await PowerServiceStub(channel).GetCircuit(pb.GetCircuitRequest(circuit_id=1))
    contents = SqliteAccess(directory / "store.sqlite").read()
    return answer.circuit, next(iter(contents.circuits)), next(iter(contents.audit))


def _row(way: str, ask: Ask, name: str, size: int, rounds: _Rounds, disk_per_s: float) -> Row:
    expected = 0 if ask.refused else ask.admissions
    best_s = min(each.all_s for each in rounds.ours)
    return Row(
        f"durable-{way}",
        size,
        f"{name}, {ask.batch} a call, {ask.in_flight} calls in flight",
        best_s / ask.admissions,
        {ask.peer: rounds.bare_to_ours * best_s / ask.admissions},
        rounds.all_active and all(each.admitted == expected for each in rounds.ours),
        {
            "ours_per_s": ask.admissions / best_s,
            "active_per_s": ask.admissions / min(rounds.active_s),
            "flushes_per_s": disk_per_s,
        },
    )


async def _round(
    runtime: Runtime, client: "Client", address: str, ask: Ask, rounds: _Rounds
) -> None:
    begin_s = perf_counter()
    rounds.ours.append(await client.ask(address, ask))
    circuits = runtime.questions.circuits
    # A circuit becomes active once, so one look over those that are not suffices at a time.
    waiting = list(circuits.values())
    while waiting and perf_counter() - begin_s < 60:
        waiting = [each for each in waiting if each.state is not CircuitState.ACTIVE]
        await asyncio.sleep(0.001)
    rounds.active_s.append(perf_counter() - begin_s)
    rounds.all_active = rounds.all_active and not waiting


@asynccontextmanager
async def controller_on(
    lsas: Sequence[RouterLsa],
    directory: Path,
    gate: Gate | None = None,
    address: str = "",
    tracing: "Tracing | None" = None,
) -> AsyncIterator[tuple[Runtime, NullRouters, str]]:
    async with services_on(lsas, directory, gate or Gate(Budget()), address, tracing) as served:
        services, routers, address = served
        yield services.runtime, routers, address


@asynccontextmanager
async def services_on(
    lsas: Sequence[RouterLsa],
    directory: Path,
    gate: Gate,
    address: str = "",
    tracing: "Tracing | None" = None,
) -> AsyncIterator[tuple[Services, NullRouters, str]]:
    runtime = Runtime(CoreSettings(), tracing=tracing)
    solver = Solver()
    address = address or f"unix:{directory}/northbound"
    try:
        runtime.lead(SqliteStore(directory / "store.sqlite"))
        routers = NullRouters(runtime, lsas)
        routers.attach()
        optimiser = Optimiser(runtime, solver, ReoptimiseLimits())
        services = Services(runtime, optimiser, gate, read_meters)
        server = await start_server(services, address)
        try:
            yield services, routers, address
        finally:
            await server.stop(None)
            services.close()
    finally:
        solver.close()
        runtime.close()


async def read_meters() -> tuple[list[RouterMeters], list[str]]:
    return [], []


def flushes_per_s(directory: Path) -> float:
    """How often a second the disk makes 4 KiB durable that are added to a file."""
    with (directory / "flushed").open("wb", buffering=0) as file:
        begin_s = perf_counter()
        for _ in range(_FLUSHES):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
        return _FLUSHES / (perf_counter() - begin_s)


class Client:
    """A process that asks when it is told to."""

    def __init__(self, sinks: list[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve_asks, args=(sinks, theirs), daemon=True)
        self._process.start()
        theirs.close()

    async def ask(self, address: str, ask: Ask) -> Answered:
        self._pipe.send((address, ask))
        answered: Answered = await asyncio.to_thread(self._pipe.recv)
        return answered

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()


def _serve_asks(sinks: list[str], pipe: Connection) -> None:
    asyncio.run(_answer_asks(sinks, pipe))


async def _answer_asks(sinks: list[str], pipe: Connection) -> None:
    channels: dict[str, grpc.aio.Channel] = {}
    while (told := await asyncio.to_thread(pipe.recv)) is not None:
        address, ask = told
        if address not in channels:
            channels[address] = asyncio_channel(address)
            await channels[address].channel_ready()
        pipe.send(await _ask(PowerServiceStub(channels[address]), sinks, ask))
    for channel in channels.values():
        await channel.close()


def _refused(request_id: str, sink_id: str, number: int) -> pb.PowerRequest:
    power_w, max_loss_fraction = _TOO_MUCH[number % len(_TOO_MUCH)]
    constraints = pb.Constraints(max_loss_fraction=max_loss_fraction)
    return pb.PowerRequest(
        request_id=request_id, sink_id=sink_id, power_w=power_w, constraints=constraints
    )


async def _ask(stub: PowerServiceStub, sinks: list[str], ask: Ask) -> Answered:
    began = time.time_ns()
    requests = [
        pb.PowerRequest(
            request_id=f"{began}-{number}",
            sink_id=sinks[number * 7919 % len(sinks)],
            power_w=_POWER_W,
        )
        if not ask.refused
        else _refused(f"{began}-{number}", sinks[number * 7919 % len(sinks)], number)
        for number in range(ask.admissions)
    ]
    calls: list[Any] = [
        pb.BatchRequestPowerRequest(requests=requests[first : first + ask.batch])
        if ask.batch > 1
        else pb.RequestPowerRequest(request=requests[first])
        for first in range(0, ask.admissions, ask.batch)
    ]
    waiting, admitted = iter(calls), 0

    async def ask_on() -> None:
        nonlocal admitted
        for call in waiting:
            if ask.batch > 1:
                outcomes = (await stub.BatchRequestPower(call)).outcomes
                admitted += sum(each.code == Code.OK for each in outcomes)
            else:
                circuits: Sequence[pb.Circuit] = ()
                with suppress(grpc.aio.AioRpcError) if ask.refused else nullcontext():
                    circuits = (await stub.RequestPower(call)).circuits
                admitted += len(circuits)

    begin_s = perf_counter()
    await asyncio.gather(*(ask_on() for _ in range(ask.in_flight)))
    return Answered(perf_counter() - begin_s, admitted)
