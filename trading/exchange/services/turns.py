"""Turns: whoever asks for much waits for himself, and others do not wait for all of it.

What a call costs the loop before it waits for anything, it costs in one go. Calls that come together are
let in one a turn of the loop, a connection after another; and a party that tenders faster than it may is heard again
only after a pause, however many of its calls are on their way.
"""

import asyncio
from collections import Counter, defaultdict, deque

from trading.reasons import MarketReason, Refused

# How long (s) a party that was refused for its rate is not heard: a batch of it costs the loop some 10 ms.
_PAUSE_S = 0.1
# Its calls that wait for that; of more it is told at once to come again.
_MOST_WAITING = 64


class Rotation:
    """One call in a turn of the loop, of each connection in its turn."""

    def __init__(self) -> None:
        # In the order of their turns.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def turn(self, peer: str) -> None:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._next)
        comes: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(peer, deque()).append(comes)
        await comes

    def _next(self) -> None:
        peer = next(iter(self._waiting))
        calls = self._waiting.pop(peer)
        comes = calls.popleft()
        if calls:
            # Behind all others.
            self._waiting[peer] = calls
        if not comes.done():
            comes.set_result(None)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)


class Pauses:
    """Of parties that were refused for their rate. Calls of one are heard in the order in which they came."""

    def __init__(self) -> None:
        self._hasty: set[str] = set()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: Counter[str] = Counter()

    async def over(self, party: str) -> None:
        """Once its pause is over, if the party has one; one of its calls after another. Raises Refused."""
        waiting = self._waiting[party]
        if party not in self._hasty and not waiting:
            return
        if waiting >= _MOST_WAITING:
            raise Refused(
                MarketReason.RATE_LIMIT,
                f"{waiting} calls of party {party} wait already, as it tenders faster than it may",
            )
        self._waiting[party] += 1
        try:
            async with self._locks[party]:
                if party in self._hasty:
                    await asyncio.sleep(_PAUSE_S)
        finally:
            self._waiting[party] -= 1

    def note(self, party: str, *, is_hasty: bool) -> None:
        """Whether a call of the party was refused for its rate."""
        if is_hasty:
            self._hasty.add(party)
        else:
            self._hasty.discard(party)
