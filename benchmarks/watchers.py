"""A process full of watchers, clients or browsers, each with a connection of its own, that reads and does hardly
anything else.

It gives way to all others: watchers are other machines, and what theirs do is nobody's loss here.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import grpc

from benchmarks.browsers import Browser
from digitalgrid.channels import asyncio_channel
from digitalgrid.v1 import northbound_pb2 as pb

_POWER, _TOPOLOGY = "/digitalgrid.v1.PowerService/", "/digitalgrid.v1.TopologyService/"
# Each has a connection of its own, as from a machine of its own.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))

# Of circuits by id: generation and state.
Seen = dict[int, tuple[int, int]]


@dataclass(slots=True)
class _Watcher:
    """Of both streams; one that ``looks`` decodes what it is told."""

    channel: grpc.aio.Channel
    looks: bool
    circuits: Seen = field(default_factory=dict)
    answers: int = 0
    down: set[str] = field(default_factory=set)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch_circuits(self) -> None:
        call = self.channel.unary_stream(
            f"{_POWER}WatchCircuits",
            request_serializer=pb.WatchCircuitsRequest.SerializeToString,
        )(pb.WatchCircuitsRequest(together=True))
        done = pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone()).SerializeToString()
        async for answer in call:
            self.answers += 1
            if answer == done:
                self.ready.set()
            elif self.looks:
                for each in pb.WatchCircuitsResponse.FromString(answer).circuits:
                    self.circuits[each.circuit_id] = (each.generation, each.state)

    async def watch_topology(self, downs: "_Downs") -> None:
        call = self.channel.unary_stream(
            f"{_TOPOLOGY}WatchTopology",
            request_serializer=pb.WatchTopologyRequest.SerializeToString,
        )(pb.WatchTopologyRequest(changes_only=True))
        async for answer in call:
            self.answers += 1
            if downs.link_id:
                links = pb.WatchTopologyResponse.FromString(answer).topology.links
                downs.note(self, ((each.link_id, each.up) for each in links))

    async def watch(self, downs: "_Downs") -> None:
        try:
            await asyncio.gather(self.watch_circuits(), self.watch_topology(downs))
        finally:
            await self.channel.close()


@dataclass(slots=True)
class _Downs:
    """Who has heard that a line is down or up again, when it is asked for."""

    link_id: str = ""
    up: bool = False
    missing: int = 0
    told_s: float = 0.0
    all_know: asyncio.Event = field(default_factory=asyncio.Event)
    know: set[int] = field(default_factory=set)

    def expect(self, link_id: str, up: bool, watchers: int) -> None:
        self.link_id, self.up, self.missing = link_id, up, watchers
        self.know.clear()
        self.all_know.clear()

    def note(self, watcher: object, links: Iterable[tuple[str, bool]]) -> None:
        if id(watcher) in self.know or (self.link_id, self.up) not in links:
            return
        self.know.add(id(watcher))
        self.missing -= 1
        if not self.missing:
            self.told_s = time.monotonic()
            self.all_know.set()


class Watchers:
    """The process, from where the controller runs."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    async def open(self, address: str, count: int) -> None:
        """Return once all of them watch; at ``http://`` they are browsers."""
        await self._ask(("open", address, count))

    async def seen(self) -> list[Seen]:
        """What the first and the last watcher know of circuits."""
        found: list[Seen] = await self._ask(("seen",))
        return found

    async def expect(self, link_id: str, *, up: bool) -> None:
        """A change of a line's state, of which they are to say when all of them know."""
        await self._ask(("expect", link_id, up))

    async def told_s(self) -> float:
        """When the last of them knew (s, monotonic)."""
        told_s: float = await self._ask(("told",))
        return told_s

    async def close_all(self) -> int:
        """They go; how many answers they got."""
        answers: int = await self._ask(("close",))
        return answers

    def end(self) -> None:
        self._pipe.send(None)
        self._process.join()

    async def _ask(self, command: tuple[Any, ...]) -> Any:
        self._pipe.send(command)
        return await asyncio.to_thread(self._pipe.recv)


def _browser(address: str, looks: bool, downs: _Downs) -> Browser:
    def note(browser: Browser, links: Sequence[dict[str, Any]]) -> None:
        if downs.link_id:
            downs.note(browser, ((each["link_id"], each["up"]) for each in links))

    return Browser(address, looks=looks, note=note)


def _serve(pipe: Connection) -> None:
    os.nice(19)
    asyncio.run(_answer(pipe))


async def _answer(pipe: Connection) -> None:
    watchers: Sequence[_Watcher | Browser] = []
    tasks: list[asyncio.Task[None]] = []
    downs = _Downs()
    while (command := await asyncio.to_thread(pipe.recv)) is not None:
        answer: Any = None
        match command:
            case ("open", address, count):
                looking = (0, count - 1)
                if address.startswith("http"):
                    watchers = [_browser(address, each in looking, downs) for each in range(count)]
                else:
                    watchers = [
                        _Watcher(asyncio_channel(address, _OPTIONS), each in looking)
                        for each in range(count)
                    ]
                tasks = [asyncio.create_task(each.watch(downs)) for each in watchers]
                await asyncio.gather(*(each.ready.wait() for each in watchers))
            case ("seen",):
                answer = [each.circuits for each in watchers if each.looks]
            case ("expect", link_id, up):
                downs.expect(link_id, up, len(watchers))
            case ("told",):
                await downs.all_know.wait()
                answer = downs.told_s
            case ("close",):
                answer = sum(each.answers for each in watchers)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                watchers, tasks = [], []
                downs.link_id = ""
        pipe.send(answer)
