"""Turns: whoever asks for much waits for himself, and others do not wait for all of it.

What a call costs the loop before it waits for anything, it costs in one go. Calls that come together are let in one at
a time, every few turns of the loop, or after some dozens while there are always others at the door: a host after
another, and of each a connection after another, and a long answer is made in such turns too; and a party that asks for
more than it may is heard seldom for a while, however many of its calls are on their way.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

from trading.reasons import MarketReason, Refused

# How long (s) a party that was refused for its rate is heard slowly: by then it may ask for hundreds of things again.
_HASTY_S = 1.0
# Between two of its calls meanwhile (s): a batch of it costs the loop some 10 ms.
_PAUSE_S = 0.1
# Its calls that wait for that; of more it is told at once to come again.
_MOST_WAITING = 64
# Calls of one connection that wait for their turn, which is a second of the loop's time or more.
_MOST_CALLS = 2_048
# Turns of the loop behind whoever was let in, or has come to the door, until another is let in: gRPC hands one call
# over at a time, and needs some turns for the next.
_QUIET_TURNS = 4
# For so many turns at most those at the door come before those who wait behind it.
_MOST_AT_DOOR = 64

# How a call that is in asks for another turn; None where the exchange reads for itself.
_ANOTHER: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("another", default=None)


class Rotation:
    """One call at a time, of each host in its turn, and there of each connection.

    gRPC's own door knows no turns: first in, first out. So whoever is at it comes through before anybody is let in,
    which costs a fraction of that, and waits here; but nobody inside waits for that for more than some dozens of turns.
    """

    def __init__(self) -> None:
        # By host and peer, each in the order of their turns.
        self._waiting: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}
        # Turns of the loop since somebody came to the door or was let in, and since the last of these.
        self._quiet = self._at_door = 0

    def knock(self) -> None:
        """Somebody is at the door; for a turn it is asked once its request is read."""
        self._quiet = 0

    async def turn(self, peer: str) -> None:
        """``peer``: as gRPC calls a connection. Raises Refused where too many of its calls wait."""
        waiting = len(self._waiting.get(host_of(peer), {}).get(peer, ()))
        if waiting >= _MOST_CALLS:
            raise Refused(
                MarketReason.OVERLOADED, f"{waiting} calls of this connection wait already"
            )
        await self._wait(peer)
        # Each call has a task of its own, and so a context.
        _ANOTHER.set(partial(self._wait, peer))

    async def _wait(self, peer: str) -> None:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._next)
        comes: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(host_of(peer), {}).setdefault(peer, deque()).append(comes)
        await comes

    def _next(self) -> None:
        self._quiet, self._at_door = self._quiet + 1, self._at_door + 1
        if self._quiet >= _QUIET_TURNS or self._at_door > _MOST_AT_DOOR:
            self._quiet = self._at_door = 0
            self._let_in()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)

    def _let_in(self) -> None:
        while self._waiting:
            comes = self._taken()
            # Who waits no more takes nobody's turn.
            if not comes.done():
                comes.set_result(None)
                break

    def _taken(self) -> asyncio.Future[None]:
        """Whose turn it is; whatever else its connection and host have waiting comes behind all others."""
        host = next(iter(self._waiting))
        peers = self._waiting.pop(host)
        peer = next(iter(peers))
        calls = peers.pop(peer)
        comes = calls.popleft()
        if calls:
            peers[peer] = calls
        if peers:
            self._waiting[host] = peers
        return comes


async def another_turn() -> None:
    """Of a call that has more to do than fits into one: all others who wait have theirs before."""
    another = _ANOTHER.get()
    await (asyncio.sleep(0) if another is None else another())


def host_of(peer: str) -> str:
    """Of ``ipv4:192.0.2.1:50051`` all but the port; whoever comes by a socket of the file system is one host."""
    kind, _, address = peer.partition(":")
    return f"host {kind}:{address.rpartition(':')[0]}"


@dataclass(slots=True)
class _Party:
    """Of whom something waits, or is being heard."""

    # Of all its calls that came meanwhile, also of those that were refused.
    last_nonce: int
    calls: int = 0
    # Of those that were refused, as too many waited.
    refused_nonce: int | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pauses:
    """Of parties that were refused for their rate. Calls of one are heard in the order in which they came."""

    def __init__(self, pass_over: Callable[[str, int], None]) -> None:
        """``pass_over``: no nonce of a party up to this one is heard from now on."""
        self._pass_over = pass_over
        # Until when (s, of the loop's clock) each is heard slowly. It goes by time: what else a party says, and is
        # not refused, ends nothing.
        self._hasty_until_s: dict[str, float] = {}
        self._parties: dict[str, _Party] = {}

    @asynccontextmanager
    async def over(self, party: str, nonce: int) -> AsyncIterator[None]:
        """Once its pause is over, if the party has one; one of its calls after another. Raises Refused.

        What is refused voids none of those that wait: only once none does, its nonce is passed over, and until then
        nothing up to it comes in.
        """
        theirs = self._parties.get(party)
        if theirs is None:
            if not self._is_hasty(party):
                yield
                return
            theirs = self._parties[party] = _Party(nonce - 1)
        self._admit(party, nonce, theirs)
        try:
            async with theirs.lock:
                if self._is_hasty(party):
                    await asyncio.sleep(_PAUSE_S)
            yield
        finally:
            theirs.calls -= 1
            if not theirs.calls:
                del self._parties[party]
                if theirs.refused_nonce is not None:
                    self._pass_over(party, theirs.refused_nonce)

    def _admit(self, party: str, nonce: int, theirs: _Party) -> None:
        if nonce <= theirs.last_nonce:
            # Heard behind a newer one it would be stale; a copy would only take the place of what is new.
            raise Refused(
                MarketReason.STALE_NONCE,
                f"nonce is {nonce}; party {party} has sent {theirs.last_nonce}, which waits",
            )
        theirs.last_nonce = nonce
        if theirs.calls >= _MOST_WAITING:
            theirs.refused_nonce = nonce
            raise Refused(
                MarketReason.RATE_LIMIT,
                f"{theirs.calls} calls of party {party} wait already, as it asks for more than it may",
            )
        theirs.calls += 1

    def note_hasty(self, party: str) -> None:
        """A call of the party was refused for its rate."""
        self._hasty_until_s[party] = asyncio.get_running_loop().time() + _HASTY_S

    def _is_hasty(self, party: str) -> bool:
        return asyncio.get_running_loop().time() < self._hasty_until_s.get(party, 0.0)
