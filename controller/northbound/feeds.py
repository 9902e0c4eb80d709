"""Streams of what changes. Each watcher keeps only the ids of what changed since it was last sent something:
a slow one gets the newest state of each, in bounded memory."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from time import monotonic

from controller.core.errors import Refusal, RefusalCode
from controller.northbound.codec import circuit_to_pb
from controller.northbound.topology_codec import topology_to_pb
from controller.runtime import Runtime
from digitalgrid.v1 import northbound_pb2 as pb

# The whole topology is sent each time, so not more often than this.
TOPOLOGY_PACE_S = 0.1


async def circuit_events(runtime: Runtime) -> AsyncGenerator[pb.WatchCircuitsResponse]:
    """All circuits that have not ended, a marker, then each that changes, as it stands when it is sent."""
    grid = runtime.grid
    circuits = grid.book.circuits
    changed: dict[int, None] = {}
    wake = asyncio.Event()

    def note(circuit_id: int) -> None:
        changed[circuit_id] = None
        wake.set()

    runtime.circuit_listeners.add(note)
    runtime.role_listeners.add(wake.set)
    try:
        for circuit_id in [key for key, each in circuits.items() if not each.state.ended]:
            changed.pop(circuit_id, None)
            if circuit_id in circuits:
                yield pb.WatchCircuitsResponse(circuit=circuit_to_pb(circuits[circuit_id]))
        yield pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone())
        while True:
            await wake.wait()
            wake.clear()
            if runtime.core is not grid:
                raise _role_changed()
            while changed:
                circuit_id = next(iter(changed))
                del changed[circuit_id]
                if circuit_id in circuits:
                    yield pb.WatchCircuitsResponse(circuit=circuit_to_pb(circuits[circuit_id]))
    finally:
        runtime.circuit_listeners.discard(note)
        runtime.role_listeners.discard(wake.set)


class TopologyFeed:
    """The whole view now, and after every change of link state, sessions or reservations: made once for all."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._newest: pb.WatchTopologyResponse | None = None
        self._made_at_s = 0.0
        self._changed = asyncio.Event()
        self._watchers = 0

    async def watch(self) -> AsyncGenerator[pb.WatchTopologyResponse]:
        with self._listening():
            while True:
                changed, sent_at_s = self._changed, monotonic()
                yield self._look()
                await changed.wait()
                await asyncio.sleep(sent_at_s + TOPOLOGY_PACE_S - monotonic())

    @contextmanager
    def _listening(self) -> Iterator[None]:
        runtime = self._runtime
        if not self._watchers:
            runtime.role_listeners.add(self._note)
            runtime.topology_listeners.add(self._note)
            # Reservations are part of the view, and change with the circuits that hold them.
            runtime.circuit_listeners.add(self._note_circuit)
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                runtime.role_listeners.discard(self._note)
                runtime.topology_listeners.discard(self._note)
                runtime.circuit_listeners.discard(self._note_circuit)
                self._newest = None

    def _note_circuit(self, _circuit_id: int) -> None:
        self._note()

    def _note(self) -> None:
        if self._newest is not None:
            self._newest = None
            self._changed.set()
            self._changed = asyncio.Event()

    def _look(self) -> pb.WatchTopologyResponse:
        now_s = monotonic()
        if self._newest is None or now_s - self._made_at_s > TOPOLOGY_PACE_S:
            topology = self._runtime.look(topology_to_pb)
            self._newest = pb.WatchTopologyResponse(topology=topology)
            self._made_at_s = now_s
        return self._newest


def _role_changed() -> Refusal:
    return Refusal(
        RefusalCode.UNAVAILABLE,
        "ROLE_CHANGED",
        "this controller's role has changed, and with it what it knows; watch again",
    )
