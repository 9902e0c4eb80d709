"""The stream of topology changes: the difference is worked out once for all watchers.

A watcher that is slow misses changes, and is told the whole again: nothing is kept for it.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from time import monotonic
from typing import Any

from controller.core.errors import Refusal
from controller.northbound.topology_codec import topology_parts
from controller.northbound.turns import in_turns
from controller.runtime.runtime import Runtime
from digitalgrid.supervision import start_once
from digitalgrid.v1 import northbound_pb2 as pb

# Conflation (s): what changes within this time is told together.
PACE_S = 0.05


class TopologyFeed:
    """``watch`` yields the whole view now, then after every change of link state, sessions or reservations."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._watchers = 0
        self._looked_at_s = 0.0
        self._pending: asyncio.TimerHandle | None = None
        # Of the newest look: what it saw, and what had changed since the one before.
        self._version = 0
        self._whole = pb.WatchTopologyResponse()
        self._changes = pb.WatchTopologyResponse()
        self._changed = asyncio.Event()
        self._looking = asyncio.Lock()
        # What kept the newest look from seeing anything, if anything did.
        self._refusal: Refusal | None = None

    async def watch(self, *, changes_only: bool) -> AsyncGenerator[pb.WatchTopologyResponse]:
        await self._enter()
        try:
            version = self._version
            yield self._whole
            while True:
                while self._version == version and self._refusal is None:
                    await self._changed.wait()
                if self._refusal is not None:
                    raise self._refusal
                told_all = version == self._version - 1
                version = self._version
                yield self._changes if changes_only and told_all else self._whole
        finally:
            self._leave()

    async def _enter(self) -> None:
        self._watchers += 1
        is_first = self._watchers == 1
        if is_first:
            self._runtime.feeds.roles.subscribe(self._note)
            self._runtime.feeds.topology.subscribe(self._note)
            # Reservations are part of the view, and change with the circuits that hold them.
            self._runtime.feeds.circuits.subscribe(self._note_circuit)
        try:
            # One that is slow may not have heard of an old refusal yet; it is none to who comes now.
            if (
                is_first
                or not self._version
                or self._pending is not None
                or self._refusal is not None
            ):
                await self._look()
            if self._refusal is not None:
                raise self._refusal
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        self._watchers -= 1
        if not self._watchers:
            self._runtime.feeds.roles.unsubscribe(self._note)
            self._runtime.feeds.topology.unsubscribe(self._note)
            self._runtime.feeds.circuits.unsubscribe(self._note_circuit)
            if self._pending is not None:
                self._pending.cancel()
                self._pending = None
            self._refusal = None
            self._whole = self._changes = pb.WatchTopologyResponse()

    def _note_circuit(self, _circuit_id: int) -> None:
        self._note()

    def _note(self) -> None:
        if self._pending is None:
            delay_s = max(0.0, self._looked_at_s + PACE_S - monotonic())
            self._pending = asyncio.get_running_loop().call_later(delay_s, self._begin_look)

    def _begin_look(self) -> None:
        start_once("topology-look", self._look)

    async def _look(self) -> None:
        """At all of it, by turns; what changes meanwhile is noted anew."""
        async with self._looking:
            if self._pending is not None:
                self._pending.cancel()
                self._pending = None
            try:
                await self._take(await _whole(self._runtime))
            except Refusal as refusal:
                self._refusal = refusal
                self._wake()

    async def _take(self, topology: pb.Topology) -> None:
        self._looked_at_s = monotonic()
        self._refusal = None
        if topology == self._whole.topology and self._version:
            return
        changes = await _changes(self._whole.topology, topology)
        self._changes = changes
        self._whole = pb.WatchTopologyResponse(topology=topology)
        self._version += 1
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _whole(runtime: Runtime) -> pb.Topology:
    topology = pb.Topology()
    parts = runtime.look(topology_parts)
    async for _ in in_turns(parts, topology.MergeFrom):
        pass
    return topology


async def _changes(before: pb.Topology, now: pb.Topology) -> pb.WatchTopologyResponse:
    routers, gone_routers = await _difference(before.routers, now.routers, "router_id")
    links, gone_links = await _difference(before.links, now.links, "link_id")
    sources, gone_sources = await _difference(before.sources, now.sources, "source_id")
    loads, gone_loads = await _difference(before.loads, now.loads, "load_id")
    return pb.WatchTopologyResponse(
        topology=pb.Topology(
            lsdb_version=now.lsdb_version,
            routers=routers,
            links=links,
            sources=sources,
            loads=loads,
        ),
        partial=True,
        removed_router_ids=gone_routers,
        removed_link_ids=gone_links,
        removed_source_ids=gone_sources,
        removed_load_ids=gone_loads,
    )


async def _difference(
    before: Iterable[Any], now: Iterable[Any], id_field: str
) -> tuple[list[Any], list[str]]:
    """What is new or otherwise, and the ids of what is no longer there."""
    known: dict[str, Any] = {}
    async for some in in_turns(before, lambda each: (getattr(each, id_field), each)):
        known.update(some)

    def if_different(each: Any) -> Any:
        return each if known.pop(getattr(each, id_field), None) != each else None

    different = [
        each async for some in in_turns(now, if_different) for each in some if each is not None
    ]
    return different, sorted(known)
