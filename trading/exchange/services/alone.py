"""One at a time: what is said again while it is being carried out waits for that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Alone:
    """By key, words that are being carried out."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def with_key(self, key: str) -> AsyncIterator[None]:
        while key in self._under_way:
            await self._under_way[key].wait()
        over = self._under_way[key] = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[key]
            over.set()
