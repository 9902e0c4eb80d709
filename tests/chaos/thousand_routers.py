"""A thousand routers at one controller, and a thousand clients that watch it: crowds are an accident too."""

import asyncio
import gc
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from digitalgrid.channels import asyncio_channel
from digitalgrid.client import AsyncPowerClient
from digitalgrid.v1 import northbound_pb2 as pb
from tests.chaos.checks import connected, loaded
from tests.chaos.daemons import Daemon, Daemons
from tests.chaos.report import Report
from tests.chaos.routers import Routers
from topologies.generated import mesh_grid

_ROUTERS = 1000
_WATCHERS = 1000
_CHANNELS = 8
_UP_LIMIT_S = 30.0
_SESSION_LIMIT_BYTES = 100_000
_NEWS_LIMIT_S = 0.25
_WATCHING_WITHIN_S = 120.0
_NEWS_WITHIN_S = 30.0
_LARGE_MESSAGES = (("grpc.max_receive_message_length", 64 * 1024 * 1024),)


async def thousand_routers(
    rounds: int, seed: int, report: Report, routers: int = _ROUTERS, watchers: int = _WATCHERS
) -> None:
    """{routers, up_s, bytes_a_session}, and how long news of a line take to reach the last watcher, over rounds."""
    with TemporaryDirectory(prefix="chaos-") as name:
        directory = Path(name)
        daemon = Daemon("dgc", directory, {"path": str(directory / "store.sqlite")})
        async with Daemons([daemon]) as daemons, AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                AsyncPowerClient(daemons.northbound, timeout_s=_UP_LIMIT_S * 4)
            )
            await loaded(client)
            alone_bytes = daemon.resident_bytes
            began_s = time.monotonic()
            fleet = await stack.enter_async_context(
                Routers(mesh_grid(routers, seed), daemons.southbound)
            )
            await connected(client, routers)
            up_s = time.monotonic() - began_s
            session_bytes = (daemon.resident_bytes - alone_bytes) // routers
            _judge(report, routers, up_s, session_bytes)
            report.progress(0, f"{routers} routers are connected after {up_s:.1f} s")
            async with _Crowd(daemons.northbound, watchers) as crowd:
                took_s = []
                for number in range(1, rounds + 1):
                    since_s = await fleet.flap()
                    took_s.append(await crowd.last_hears_of(number) - since_s)
                    report.progress(number, f"the last watcher heard after {took_s[-1]:.3f} s")
    _judge_news(report, took_s)


def _judge(report: Report, routers: int, up_s: float, session_bytes: int) -> None:
    report.figures["routers"] = {
        "routers": routers,
        "up_s": round(up_s, 2),
        "up_limit_s": _UP_LIMIT_S,
        "bytes_a_session": session_bytes,
        "limit_bytes": _SESSION_LIMIT_BYTES,
    }
    if up_s > _UP_LIMIT_S:
        report.missed.append(f"routers: up after {up_s:.1f} s, the limit is {_UP_LIMIT_S:g} s")
    if session_bytes > _SESSION_LIMIT_BYTES:
        report.missed.append(
            f"routers: {session_bytes} bytes a session, the limit is {_SESSION_LIMIT_BYTES}"
        )


def _judge_news(report: Report, took_s: Sequence[float]) -> None:
    p99_s = sorted(took_s)[max(0, round(0.99 * len(took_s)) - 1)]
    report.figures["last_watcher_s"] = {
        "rounds": len(took_s),
        "p50": round(statistics.median(took_s), 4),
        "p99": round(p99_s, 4),
        "limit": _NEWS_LIMIT_S,
    }
    if p99_s > _NEWS_LIMIT_S:
        report.missed.append(f"last_watcher_s: {p99_s:.3f} s, the limit is {_NEWS_LIMIT_S:g} s")


class _Crowd:
    """Watchers that count what they are told: what a message says is read by one of them only."""

    def __init__(self, address: str, watchers: int) -> None:
        self._address = address
        self._watchers = watchers
        self._channels: list[grpc.aio.Channel] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._heard = [0] * watchers
        self._missing: set[int] = set()
        self._awaited = 0
        self._last_s = 0.0
        self._all_heard = asyncio.Event()

    async def __aenter__(self) -> "_Crowd":
        self._channels = [
            asyncio_channel(
                self._address, (("grpc.use_local_subchannel_pool", 1), *_LARGE_MESSAGES)
            )
            for _ in range(_CHANNELS)
        ]
        self._expect(0)
        self._tasks = [asyncio.create_task(self._watch(each)) for each in range(self._watchers)]
        async with asyncio.timeout(_WATCHING_WITHIN_S):
            await self._all_heard.wait()
        # Their own garbage collection would hold the watchers up, and is none of the controller's business.
        gc.freeze()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels:
            await channel.close()

    async def last_hears_of(self, change: int) -> float:
        """When the last watcher has heard of this change, by the monotonic clock."""
        self._expect(change)
        async with asyncio.timeout(_NEWS_WITHIN_S):
            await self._all_heard.wait()
        return self._last_s

    def _expect(self, change: int) -> None:
        self._awaited = change
        self._missing = {each for each, heard in enumerate(self._heard) if heard <= change}
        self._all_heard.clear()
        if not self._missing:
            self._all_heard.set()

    async def _watch(self, watcher: int) -> None:
        channel = self._channels[watcher % len(self._channels)]
        call = channel.unary_stream(
            "/digitalgrid.v1.TopologyService/WatchTopology",
            request_serializer=pb.WatchTopologyRequest.SerializeToString,
        )(pb.WatchTopologyRequest(changes_only=True))
        async for _ in call:
            self._last_s = time.monotonic()
            self._heard[watcher] += 1
            if self._heard[watcher] > self._awaited:
                self._missing.discard(watcher)
                if not self._missing:
                    self._all_heard.set()
