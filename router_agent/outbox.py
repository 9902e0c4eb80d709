"""Outbox: what waits to be told to a controller, in order, and no more of it than there are circuits.

Who is late, here or there, must not lose its session for what its loads feel meanwhile: once much waits, what is
measured of a circuit is told as it is when its turn comes, and what it was before is not told any more. Nor must its
answers come late for that: they go before the statuses that wait, of which a line that is cut brings hundreds, and each
message costs a router that has much to do several turns of its loop.
"""

import asyncio
from dataclasses import dataclass
from itertools import count

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent.device.sink import FlowStatus

# Messages: so many come at once from a line that is cut, each of which says something by itself.
MUCH = 1_000
# What a sink measures; each says all, also of what was missing before. The others are news that nothing replaces.
_MEASURED = frozenset({FlowState.ARRIVED, FlowState.ACTUATED, FlowState.STARVED})


@dataclass(slots=True, eq=False)
class _Waiting:
    status: FlowStatus


# What goes first, in which order, itself.
_Queued = tuple[bool, int, pb.RouterMessage | _Waiting]


class Outbox:
    def __init__(self) -> None:
        self._queue: asyncio.PriorityQueue[_Queued] = asyncio.PriorityQueue()
        self._order = count()
        # Messages that wait and are no statuses. An answer goes before none of those: a table was read before what it
        # answers was done.
        self._others = 0
        # The last of each generation that waits.
        self._last: dict[CircuitGeneration, _Waiting] = {}

    def __len__(self) -> int:
        return self._queue.qsize()

    def put(self, message: pb.RouterMessage) -> None:
        first = message.HasField("result") and not self._others
        self._others += not first
        self._queue.put_nowait((not first, next(self._order), message))

    def report(self, status: FlowStatus) -> None:
        """It becomes a message when its turn has come: a hundred at once would keep the lines waiting."""
        last = self._last.get(status.key)
        if (
            last is not None
            and len(self) >= MUCH
            and {status.state, last.status.state} <= _MEASURED
        ):
            last.status = status
            return
        waiting = self._last[status.key] = _Waiting(status)
        self._queue.put_nowait((True, next(self._order), waiting))

    async def get(self) -> pb.RouterMessage | FlowStatus:
        waited, _, message = await self._queue.get()
        if not isinstance(message, _Waiting):
            self._others -= waited
            return message
        if self._last.get(message.status.key) is message:
            del self._last[message.status.key]
        return message.status
