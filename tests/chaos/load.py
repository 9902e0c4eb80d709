"""Clients that ask, change and release, without a pause, and repeat what was not answered. Their choices are seeded."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import grpc

from digitalgrid.client import (
    AsyncPowerClient,
    ControllerUnreachable,
    RequestRefused,
    power_request,
)
from digitalgrid.gridfile import Grid
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb
from tests.chaos.journal import Journal, Promise

_WORKERS = 6
# More is released than asked for beyond this.
_MAX_STANDING = 70
_BATCH = 8
_POWERS_W = (10e3, 90e3)
_CALL_WITHIN_S = 5.0
# A client that was told to come back later.
_REPEAT_AFTER_S = 0.05
# A controller may say no for these reasons; any other word of it is a fault.
_REFUSALS = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
# Who answers so to the end of a call's time has decided nothing; others may have, before.
_UNDECIDED = (Reason.NOT_LEADER, Reason.OVERLOADED)


@dataclass(slots=True)
class _Operation:
    """A call that may be made any number of times, until it is answered."""

    call: Callable[[AsyncPowerClient], Awaitable[object]]
    answered: Callable[[object, float], None]
    refused: Callable[[], None]
    promise: Promise | None = None


@dataclass(slots=True)
class Load:
    """``async with Load(...)``: begins with :meth:`go_on`, and pauses when told to."""

    grid: Grid
    servers: str
    seed: int
    # Of each worker between two calls: where time is measured, the machine must not be busy with the load alone.
    pause_s: float = 0.0
    journal: Journal = field(default_factory=Journal)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    _random: random.Random = field(init=False)
    _client: AsyncPowerClient = field(init=False)
    _running: list[asyncio.Task[None]] = field(default_factory=list)
    _unanswered: list[_Operation] = field(default_factory=list)
    _paused: bool = True

    async def __aenter__(self) -> Self:
        self._random = random.Random(self.seed)
        self._client = AsyncPowerClient(self.servers, timeout_s=_CALL_WITHIN_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.break_off()
        await self._client.close()

    def go_on(self) -> None:
        """Repeat what was not answered, then make new calls; ``acknowledged`` is set by the next that is answered."""
        self.acknowledged.clear()
        self._paused = False
        self._running = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]

    async def pause(self) -> None:
        """Make no more calls, and wait for those that are under way: answered or not."""
        self._paused = True
        await asyncio.gather(*self._running)
        self._running = []

    async def break_off(self) -> None:
        """Make no more calls, and wait for none of those that are under way."""
        for worker in self._running:
            worker.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running = []

    async def repeat_unanswered(self) -> None:
        """Until all of them are answered."""
        while self._unanswered:
            await self._attempt(self._unanswered.pop())

    async def _work(self) -> None:
        while not self._paused:
            await self._attempt(self._unanswered.pop() if self._unanswered else self._draw())
            await asyncio.sleep(self.pause_s)

    async def _attempt(self, operation: _Operation) -> None:
        called_at_s = time.monotonic()
        try:
            answer = await operation.call(self._client)
        except asyncio.CancelledError:
            self._unanswered.append(operation)
            raise
        except ControllerUnreachable:
            await self._put_off(operation)
            return
        except RequestRefused as error:
            if error.reason in _UNDECIDED:
                await self._put_off(operation)
                return
            if error.code not in _REFUSALS:
                self.journal.faults.append(f"answered with {error.code.name}: {error}")
                await self._put_off(operation)
                return
            operation.refused()
        else:
            operation.answered(answer, called_at_s)
            self.acknowledged.set()
        if operation.promise is not None:
            operation.promise.busy = False

    async def _put_off(self, operation: _Operation) -> None:
        self._unanswered.append(operation)
        await asyncio.sleep(_REPEAT_AFTER_S)

    def _draw(self) -> _Operation:
        idle = [each for each in self.journal.standing() if not each.busy]
        crowded = len(idle) >= _MAX_STANDING
        kinds = ("request", "split", "batch", "change", "release")
        weights = (1, 1, 0, 3, 9) if crowded else (6, 3, 2, 3, 2)
        kind = self._random.choices(kinds, weights)[0]
        if kind in ("change", "release") and idle:
            promise = self._random.choice(idle)
            return self._change(promise) if kind == "change" else self._release(promise)
        count = _BATCH if kind == "batch" else 1
        return self._ask([self._request(split=kind == "split") for _ in range(count)])

    def _request(self, *, split: bool) -> pb.PowerRequest:
        return power_request(
            self._random.choice(self.grid.loads).id,
            round(self._random.uniform(*_POWERS_W)),
            allow_split=split,
            request_id=f"{self._random.getrandbits(64):016x}",
        )

    def _ask(self, requests: Sequence[pb.PowerRequest]) -> _Operation:
        journal = self.journal
        journal.ask(requests)

        async def call(client: AsyncPowerClient) -> object:
            if len(requests) == 1:
                return await client.request_power(requests[0])
            return await client.batch_request_power(requests)

        def answered(answer: object, called_at_s: float) -> None:
            outcomes: Sequence[Any] = (
                answer.outcomes if isinstance(answer, pb.BatchRequestPowerResponse) else [answer]
            )
            for request, outcome in zip(requests, outcomes, strict=True):
                if outcome.circuits:
                    journal.acknowledge(request.request_id, outcome.circuits, called_at_s)
                else:
                    journal.refuse(request.request_id)

        def refused() -> None:
            for request in requests:
                journal.refuse(request.request_id)

        return _Operation(call, answered, refused)

    def _change(self, promise: Promise) -> _Operation:
        power_w = round(self._random.uniform(*_POWERS_W))
        promise.busy, promise.asked_w = True, power_w

        def answered(answer: object, called_at_s: float) -> None:
            promise.power_w, promise.asked_w = power_w, None

        def refused() -> None:
            promise.asked_w = None

        return _Operation(
            lambda client: client.change_circuit(promise.circuit_id, power_w),
            answered,
            refused,
            promise,
        )

    def _release(self, promise: Promise) -> _Operation:
        promise.busy = promise.release_asked = True

        def answered(answer: object, called_at_s: float) -> None:
            promise.released = True

        def refused() -> None:
            self.journal.faults.append(f"circuit {promise.circuit_id}: its release was refused")

        return _Operation(
            lambda client: client.release_circuit(promise.circuit_id), answered, refused, promise
        )
