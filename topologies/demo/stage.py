"""What a story on an emulation is told with: waiting for circuits, lines and quiet, and reading all meters."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from digitalgrid.client import AsyncPowerClient, PowerError
from digitalgrid.gridfile import Grid
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.demo.books import Books, add_up
from topologies.demo.meters import Meters, whole_reading
from topologies.demo.missing import Lacking
from topologies.demo.observer import Observer
from topologies.emulator.emulation import Emulation

# Between two looks at what is waited for (s).
POLL_S = 0.25
# Between two questions to a controller that is starting.
_RETRY_S = 0.02
# For what takes a second or two on a machine that is idle (s).
PATIENCE_S = 20.0

T = TypeVar("T")


class Stage:
    """An emulation that is healthy, with its controller; ``say`` tells people what goes on."""

    def __init__(
        self,
        emulation: Emulation,
        client: AsyncPowerClient,
        observer: Observer,
        say: Callable[[str], None],
    ) -> None:
        self._emulation = emulation
        self._client = client
        self._observer = observer
        self._say = say

    @property
    def _grid(self) -> Grid:
        return self._emulation.grid

    async def _all_links_up(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            async for topology in self._client.watch_topology():
                ready = all(router.connected for router in topology.routers)
                if ready and all(link.up for link in topology.links):
                    return

    async def _meters(self) -> Meters:
        return await whole_reading(self._client, PATIENCE_S)

    async def _lacking(self, circuit_ids: Collection[int]) -> Lacking:
        """A reading with the books of all these circuits; without those of a late router it would flatter."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            # Not the whole network's: a router of it may have been killed.
            lacking = Lacking.of((await self._client.read_meters()).meters)
            if lacking.energy_mj.keys() >= set(circuit_ids):
                return lacking
            await asyncio.sleep(POLL_S)
        raise TimeoutError(f"after {PATIENCE_S:g} s the books of some circuits cannot be read")

    async def _lacking_no_more(self, circuit_ids: set[int]) -> Lacking:
        """Once nothing more is missing of these circuits."""
        deadline_s = time.monotonic() + PATIENCE_S
        lacking = await self._lacking(circuit_ids)
        while time.monotonic() < deadline_s:
            await asyncio.sleep(POLL_S)
            before, lacking = lacking, await self._lacking(circuit_ids)
            if all(lacking.since(before, key, 1.0) == 0.0 for key in circuit_ids):
                return lacking
        raise TimeoutError(
            f"after {PATIENCE_S:g} s circuits {sorted(circuit_ids)} still lack power"
        )

    async def _missing_in_move(
        self, begin: Callable[[], Awaitable[object]], circuit_ids: set[int]
    ) -> dict[int, float]:
        """Move circuits, and wait until they have; what each of them lacked, in milliseconds of its power."""
        circuits = self._observer.circuits
        generations = {key: circuits[key].generation for key in circuit_ids}
        before = await self._lacking(circuit_ids)
        await begin()

        def moved() -> bool:
            return all(
                circuits[key].generation > generations[key]
                and circuits[key].state == pb.CIRCUIT_STATE_ACTIVE
                for key in circuit_ids
            )

        await self._observer.until(moved, PATIENCE_S, f"circuits {sorted(circuit_ids)} have moved")
        lacking = await self._lacking_no_more(circuit_ids)
        return {
            key: lacking.since(before, key, circuits[key].power_w) for key in sorted(circuit_ids)
        }

    async def _until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await ask()
            except PowerError:
                if time.monotonic() > deadline_s:
                    raise
            await asyncio.sleep(_RETRY_S)

    async def _release(self, circuit_ids: Collection[int]) -> None:
        """Release circuits, and wait until routers have let go of them."""
        for key in circuit_ids:
            await self._client.release_circuit(key)
        withdrawn = {pb.CIRCUIT_STATE_WITHDRAWN}
        await self._observer.until(
            lambda: self._observer.states(circuit_ids) <= withdrawn,
            PATIENCE_S,
            f"circuits {circuit_ids} are withdrawn",
        )

    async def _until_quiet(self) -> Books:
        """Nothing is wanted, held or under way any more; the books then."""
        readings: list[tuple[object, ...]] = []
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            meters = await self._meters()
            books = add_up(meters)
            counters = (books.injected_mj, books.delivered_mj, books.lost_to_faults_mj)
            readings = [*readings[-3:], (counters, books.demand_mw, books.buffered_mj)]
            if len(readings) == 4 and set(readings) == {(counters, 0, 0)}:
                return books
            await asyncio.sleep(POLL_S)
        raise TimeoutError(f"the network is not quiet after {PATIENCE_S:g} s: {readings[-1]}")
