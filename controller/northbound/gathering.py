"""Batching of single calls: requests that come at about the same time are decided in one event, each by itself and in
order: one search call, one transaction, one turn of the loop for all of them. One that comes alone does not wait.
"""

import asyncio
from collections.abc import Sequence

from controller.core.access import Call
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.runtime.durability import Decided
from controller.runtime.runtime import Runtime

# Requests decided in one event: news of a dead line must not wait for more.
MAX_TOGETHER = 64
# How long (s) a request that is not alone waits for others: each saves more by being decided together.
_FOR_OTHERS_S = 0.008

_Answer = asyncio.Future[tuple[list[Circuit], Decided]]


class Gathering:
    """What has come in since the loop last turned round."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: list[tuple[Call, PowerRequest, _Answer]] = []
        self._due: asyncio.Handle | None = None
        self._under_way = 0

    async def admit(self, call: Call, request: PowerRequest) -> list[Circuit]:
        """The circuits of a request, durable; Refusal where there are none."""
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._waiting.append((call, request, answer))
        self._under_way += 1
        try:
            self._plan()
            circuits, decided = await answer
            await self._runtime.durable(decided)
        finally:
            self._under_way -= 1
        return circuits

    def _plan(self) -> None:
        loop = asyncio.get_running_loop()
        if self._due is None:
            delay_s = _FOR_OTHERS_S if self._under_way > 1 else 0.0
            self._due = loop.call_later(delay_s, self._decide)
        elif len(self._waiting) == MAX_TOGETHER:
            self._due.cancel()
            self._due = loop.call_soon(self._decide)

    def _decide(self) -> None:
        together, self._waiting = self._waiting[:MAX_TOGETHER], self._waiting[MAX_TOGETHER:]
        self._due = None
        if self._waiting:
            self._plan()
        # Who has given up meanwhile asks for nothing any more.
        asked = [each for each in together if not each[2].done()]
        if not asked:
            return
        try:
            decisions = self._ask([(call, request) for call, request, _ in asked])
        except Exception as error:  # noqa: BLE001 - each caller is told, and answers for itself
            for _, _, answer in asked:
                answer.set_exception(error)
            return
        decided = self._runtime.decided()
        for (_, _, answer), decision in zip(asked, decisions, strict=True):
            if isinstance(decision, Refusal):
                answer.set_exception(decision)
            else:
                answer.set_result((decision, decided))

    def _ask(self, asked: Sequence[tuple[Call, PowerRequest]]) -> Sequence[list[Circuit] | Refusal]:
        if len(asked) > 1:
            return self._runtime.handle_requests(asked)
        # What many share would be made for one alone.
        ((call, request),) = asked
        return [self._runtime.handle(call, lambda core, now_ns: core.request(request, now_ns))]
