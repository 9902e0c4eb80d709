"""Watches a controller's circuits through its API, over restarts of the controller."""

import asyncio
from collections.abc import Callable, Iterable

from digitalgrid.client import AsyncPowerClient, PowerError
from digitalgrid.v1 import northbound_pb2 as pb

# Until a watch that broke off is opened again (s): it times what the controller does.
_RECONNECT_S = 0.05


class Observer:
    """The newest known state of every circuit; use it as a context manager."""

    def __init__(self, client: AsyncPowerClient) -> None:
        self._client = client
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.circuits: dict[int, pb.Circuit] = {}
        # Counts snapshots: one at first, and one after each time the controller was away.
        self.snapshots = 0

    async def __aenter__(self) -> "Observer":
        self._task = asyncio.create_task(self._watch())
        await self.until(lambda: self.snapshots > 0, 10.0, "the controller answers a watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                async for event in self._client.watch_circuits():
                    await self._take(event)
            except PowerError:
                # The controller is away: power flows on, and it will be back.
                await asyncio.sleep(_RECONNECT_S)

    async def _take(self, event: pb.WatchCircuitsResponse) -> None:
        async with self._changed:
            if event.HasField("circuit"):
                self.circuits[event.circuit.circuit_id] = event.circuit
            else:
                self.snapshots += 1
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for news that make ``condition`` true; TimeoutError says what did not happen."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError as error:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}") from error

    def states(self, circuit_ids: Iterable[int]) -> set[int]:
        return {
            self.circuits[key].state if key in self.circuits else pb.CIRCUIT_STATE_UNSPECIFIED
            for key in circuit_ids
        }

    def all_active(self, circuit_ids: Iterable[int]) -> bool:
        return self.states(circuit_ids) <= {pb.CIRCUIT_STATE_ACTIVE}

    def using(self, link_id: str, circuit_ids: Iterable[int]) -> set[int]:
        """Those of the circuits whose route crosses a link."""
        return {
            key
            for key in circuit_ids
            if any(link.link_id == link_id for link in self.circuits[key].links)
        }
