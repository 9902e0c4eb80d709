"""Batching of single calls: requests that come at about the same time are decided in one event, each by itself: one
search call, one transaction, one turn of the loop for all of them. One that comes alone does not wait.

Fair queueing: a client's requests keep their order, and clients take turns, so that whoever asks for much does not
keep others waiting.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from controller.core.access import Call
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.runtime.durability import Decided
from controller.runtime.runtime import Runtime

# Requests decided in one event: news of a dead line must not wait for more.
MAX_TOGETHER = 64
# Of requests that are searched for one by one, or refused: each takes up to ten times as long as an admission.
MAX_SLOW_TOGETHER = 8
# How long (s) a request that is not alone waits for others: each saves more by being decided together.
_FOR_OTHERS_S = 0.008


class _Waiting(NamedTuple):
    call: Call
    request: PowerRequest
    answer: "asyncio.Future[tuple[list[Circuit], Decided]]"


class Slice:
    """How many requests the next event takes, so that each keeps the loop from its routers for a moment only."""

    def __init__(self) -> None:
        self._max = MAX_TOGETHER

    def of(self, plain: Iterable[bool]) -> int:
        """How many of the first of these; at least one. Those that are not plain are searched for one by one."""
        count = load = 0
        for each in plain:
            load += 1 if each else MAX_TOGETHER // MAX_SLOW_TOGETHER
            if count and load > self._max:
                break
            count += 1
        return count

    def note(self, decisions: Sequence[list[Circuit] | Refusal]) -> None:
        """What became of the last: where most are refused, more will be."""
        refused = sum(isinstance(each, Refusal) for each in decisions)
        self._max = MAX_SLOW_TOGETHER if 2 * refused > len(decisions) else MAX_TOGETHER


class Gathering:
    """What has come in since the loop last turned round, by client."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._count = 0
        self._slice = Slice()
        self._due: asyncio.Handle | None = None
        self._under_way = 0

    async def admit(self, call: Call, request: PowerRequest) -> list[Circuit]:
        """The circuits of a request, durable; Refusal where there are none."""
        waiting = _Waiting(call, request, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(call.principal.address, deque()).append(waiting)
        self._count += 1
        self._under_way += 1
        try:
            self._plan()
            circuits, decided = await waiting.answer
            await self._runtime.durable(decided)
        finally:
            self._under_way -= 1
        return circuits

    def _plan(self) -> None:
        loop = asyncio.get_running_loop()
        if self._due is None:
            delay_s = _FOR_OTHERS_S if self._under_way > 1 else 0.0
            self._due = loop.call_later(delay_s, self._decide)
        elif self._count == MAX_TOGETHER:
            self._due.cancel()
            self._due = loop.call_soon(self._decide)

    def _take(self) -> list[_Waiting]:
        """The next of each client in turn, as many as an event takes."""
        in_turn = (
            queue[turn]
            for turn in range(MAX_TOGETHER)
            for queue in self._waiting.values()
            if turn < len(queue)
        )
        next_ones = list(islice(in_turn, MAX_TOGETHER))
        taken = next_ones[: self._slice.of(each.request.is_plain for each in next_ones)]
        for each in taken:
            # Whoever is served goes to the end of the row.
            client = each.call.principal.address
            queue = self._waiting.pop(client)
            queue.popleft()
            if queue:
                self._waiting[client] = queue
        self._count -= len(taken)
        return taken

    def _decide(self) -> None:
        together = self._take()
        self._due = None
        if self._count:
            # They have waited; the loop turns round between, for its routers.
            self._due = asyncio.get_running_loop().call_soon(self._decide)
        # Who has given up meanwhile asks for nothing any more.
        asked = [each for each in together if not each.answer.done()]
        if not asked:
            return
        try:
            decisions = self._ask([(each.call, each.request) for each in asked])
        except Exception as error:  # noqa: BLE001 - each caller is told, and answers for itself
            for each in asked:
                each.answer.set_exception(error)
            return
        self._slice.note(decisions)
        decided = self._runtime.decided()
        for each, decision in zip(asked, decisions, strict=True):
            if isinstance(decision, Refusal):
                each.answer.set_exception(decision)
            else:
                each.answer.set_result((decision, decided))

    def _ask(self, asked: Sequence[tuple[Call, PowerRequest]]) -> Sequence[list[Circuit] | Refusal]:
        if len(asked) > 1:
            return self._runtime.handle_requests(asked)
        # What many share would be made for one alone.
        ((call, request),) = asked
        self._runtime.tallies.batch_sizes.observe(1)
        return [self._runtime.handle(call, lambda core, now_ns: core.request(request, now_ns))]
