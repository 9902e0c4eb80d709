"""An honest client beside others that flood: how long its calls take while they ask for what is refused, without end.

Two clients, each a process with 600 calls in flight, ask for what cannot be served and pay no heed to when they may ask
again. An honest one asks for one thing after the other. ``flooded`` is the median of its calls then; the peer
``allowed`` is 50 ms. ``alone_s`` is its median without the others, ``worst_s`` the longest of its calls among them,
``flood_per_s`` how often the others were answered. ``agree``: each of its requests was admitted. Takes a minute, and
only runs with all sizes.
"""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median

import grpc

from benchmarks.durable_admit import controller_on
from benchmarks.harness import Row
from benchmarks.null_routers import load_ids, networks
from controller.computing.warm_up import warm_up_search
from digitalgrid.channels import asyncio_channel
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.model import RouterLsa
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import PowerServiceStub

_FLOODERS = 2
_IN_FLIGHT = 600
_POWER_W = 50.0
_TOO_MUCH_W = 1e11
_CALLS = 60
# Until what is refused at once has been used up, and it is as it will be.
_SETTLES_S = 5.0
_ALLOWED_S = 0.05
_ENDS_WITHIN_S = 20.0

Work = Callable[[Connection, str, list[str]], None]
Begun = tuple[BaseProcess, Connection]


def rows(full: bool) -> Iterator[Row]:
    if not full:
        return
    warm_up_search()
    freeze_loaded()
    name, (size, lsas) = next(iter(networks(full).items()))
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".flooded-") as directory:
        yield asyncio.run(_row(name, size, lsas, Path(directory)))


async def _row(name: str, size: int, lsas: Sequence[RouterLsa], directory: Path) -> Row:
    loads = load_ids(lsas)
    async with controller_on(lsas, directory) as (_, _, address):
        alone_s = await asyncio.to_thread(_in_process, _honest, address, loads)
        flooders = [_begin(_flood, address, loads) for _ in range(_FLOODERS)]
        try:
            await asyncio.sleep(_SETTLES_S)
            began_s = time.monotonic()
            flooded_s = await asyncio.to_thread(_in_process, _honest, address, loads)
            took_s = time.monotonic() - began_s
            answered = sum([await asyncio.to_thread(_end, each) for each in flooders])
        finally:
            for process, _ in flooders:
                process.kill()
                process.join()
    extra = {
        "alone_s": median(alone_s),
        "worst_s": max(flooded_s),
        "flood_per_s": answered / (took_s + _SETTLES_S),
    }
    agree = len(flooded_s) == len(alone_s) == _CALLS
    return Row("flooded", size, name, median(flooded_s), {"allowed": _ALLOWED_S}, agree, extra)


def _begin(work: Work, address: str, loads: list[str]) -> Begun:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, address, loads), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _in_process(work: Work, address: str, loads: list[str]) -> list[float]:
    process, connection = _begin(work, address, loads)
    seconds: list[float] = connection.recv()
    process.join(_ENDS_WITHIN_S)
    return seconds


def _end(flooder: Begun) -> int:
    """How many answers it had."""
    _, connection = flooder
    connection.send("enough")
    answered: int = connection.recv()
    return answered


def _honest(connection: Connection, address: str, loads: list[str]) -> None:
    asyncio.run(_ask_one_after_another(connection, address, loads))


async def _ask_one_after_another(connection: Connection, address: str, loads: list[str]) -> None:
    seconds = []
    async with asyncio_channel(address) as channel:
        stub = PowerServiceStub(channel)
        for number in range(_CALLS):
            request = pb.PowerRequest(sink_id=loads[number % len(loads)], power_w=_POWER_W)
            began_s = time.perf_counter()
            await stub.RequestPower(pb.RequestPowerRequest(request=request))
            seconds.append(time.perf_counter() - began_s)
    connection.send(seconds)


def _flood(connection: Connection, address: str, loads: list[str]) -> None:
    asyncio.run(_ask_without_end(connection, address, loads))


async def _ask_without_end(connection: Connection, address: str, loads: list[str]) -> None:
    answered = 0
    async with asyncio_channel(address) as channel:
        stub = PowerServiceStub(channel)
        request = pb.RequestPowerRequest(
            request=pb.PowerRequest(sink_id=loads[0], power_w=_TOO_MUCH_W)
        )

        async def ask() -> None:
            nonlocal answered
            while True:
                try:
                    await stub.RequestPower(request)
                except grpc.aio.AioRpcError:
                    answered += 1

        asking = [asyncio.create_task(ask()) for _ in range(_IN_FLIGHT)]
        await asyncio.to_thread(connection.recv)
        for each in asking:
            each.cancel()
    connection.send(answered)
