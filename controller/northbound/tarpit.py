"""Tarpit: a client that goes on asking for what is refused, and whose calls keep others waiting, is slowed down.

Calls wait in gRPC's own queue, first in, first out, before anybody sees whose they are; a client with hundreds of them
in flight holds up everybody behind it. Its calls are therefore accepted and stand still for a while, which costs
nothing, before they are looked at: then it has nothing left to put into that queue. Whoever is alone keeps nobody
waiting, and is refused as fast as can be.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from controller.core.errors import Refusal
from digitalgrid.rate_limit import TokenBucket

# Refusals that a client may have at once, and per second, before it is slowed down where others are about.
REFUSALS_AT_ONCE, REFUSALS_PER_S = 256, 64
# How long (s) its calls stand still then, about; and how many of all clients do at most, at some kilobytes each.
STANDS_STILL_S = 5.0
MOST_STANDING_STILL = 4096
# For so long (s) a client that has made a call is about.
_ABOUT_S = 5.0
# Clients that are remembered, by connection, of which there are fewer.
MOST_CLIENTS = 4096


class Tarpit:
    """Counts the refusals of each client."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        # When each client that is about made its last call; the last comes last.
        self._about_s: dict[str, float] = {}
        self._refusals: dict[str, TokenBucket] = {}
        self._standing_still = 0

    async def pause(self, client: str) -> None:
        """Returns at once, or after a while to a client that is to be slowed down."""
        self._note(client)
        if not self._is_to_wait(client):
            return
        self._standing_still += 1
        try:
            # Those that came together do not go on together.
            await asyncio.sleep(STANDS_STILL_S * random.uniform(0.5, 1.5))
        finally:
            self._standing_still -= 1

    @contextmanager
    def counting(self, client: str) -> Iterator[None]:
        """A call that is refused, for whatever reason, counts."""
        try:
            yield
        except Refusal:
            bucket = self._refusals.setdefault(
                client, TokenBucket(REFUSALS_PER_S, REFUSALS_AT_ONCE)
            )
            bucket.take(self._now_ns())
            raise

    def _note(self, client: str) -> None:
        now_s = self._now_s()
        self._about_s.pop(client, None)
        self._about_s[client] = now_s
        while len(self._about_s) > MOST_CLIENTS or now_s - self._oldest_s() > _ABOUT_S:
            gone = next(iter(self._about_s))
            del self._about_s[gone]
            self._refusals.pop(gone, None)

    def _oldest_s(self) -> float:
        return next(iter(self._about_s.values()))

    def _is_to_wait(self, client: str) -> bool:
        if len(self._about_s) < 2 or self._standing_still >= MOST_STANDING_STILL:
            return False
        bucket = self._refusals.get(client)
        return bucket is not None and bucket.wait_ns(self._now_ns()) > 0

    def _now_ns(self) -> int:
        return round(self._now_s() * 1e9)
