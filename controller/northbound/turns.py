"""Large answers are built in turns of the loop: while one is made, others are heard."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from time import monotonic
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

# How long one turn may take (s): half of what a router notices, were there nothing else.
TURN_S = 0.004
# The clock is not looked at for each: one takes some 20 us.
_AT_ONCE = 16


async def in_turns(items: Iterable[A], build: Callable[[A], B]) -> AsyncIterator[list[B]]:
    """What ``build`` makes of each item, by turns; whatever changes between them shows in what is built after."""
    built: list[B] = []
    begun_s = monotonic()
    for number, item in enumerate(items, 1):
        built.append(build(item))
        if number % _AT_ONCE == 0 and monotonic() - begun_s >= TURN_S:
            yield built
            built = []
            await asyncio.sleep(0)
            begun_s = monotonic()
    if built:
        yield built
