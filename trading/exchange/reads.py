"""Reads: of what one thread reads, and of long answers, whoever asks for much waits for himself.

Journal and ledger have one reader each, who hears first whoever came first; and of answers that are made by turns, as
many as are begun at once are in memory half made. What needs neither waits for nobody.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

# Of one connection, and of all of a host, that one reader has at a time, or that are being made.
_OF_CONNECTION, _OF_HOST = 2, 4


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose call it is: a connection, of a host. No two of them have one name."""

    connection: str
    host: str


# Whose call is being answered; None where the exchange reads for itself.
CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


class Reads:
    """Of one reader, or of answers that are being made. Of each host so many at a time, and of those that wait there,
    as many of one connection as of another.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """For one read of whoever calls, or one answer to him. It is asked for around that only, never within another
        of the same reads.
        """
        caller = CALLER.get()
        if caller is None:
            yield
            return
        with (
            self._shared(caller.connection, _OF_CONNECTION) as of_connection,
            self._shared(caller.host, _OF_HOST) as of_host,
        ):
            async with of_connection, of_host:
                yield

    @contextmanager
    def _shared(self, whose: str, most: int) -> Iterator[asyncio.Semaphore]:
        room = self._rooms.get(whose)
        if room is None:
            room = self._rooms[whose] = _Room(asyncio.Semaphore(most))
        room.calls += 1
        try:
            yield room.places
        finally:
            room.calls -= 1
            if not room.calls:
                del self._rooms[whose]


@dataclass(slots=True)
class _Room:
    places: asyncio.Semaphore
    # That are in it, or wait for it.
    calls: int = 0
