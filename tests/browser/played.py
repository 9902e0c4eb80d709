"""A played controller beside a browser: in a thread with a loop of its own, as who drives a browser waits for it."""

import asyncio
from contextlib import AsyncExitStack
from threading import Thread
from typing import Any, Self

from benchmarks.page_feed import PlayedNetwork
from benchmarks.page_server import PlayedServer
from digitalgrid.gridfile import Grid, Link, Load, Router, Source


def small_grid() -> Grid:
    return Grid(
        name="small",
        routers=tuple(Router(each, 0.97) for each in "abc"),
        links=(
            Link("a-b", "a", "b", 0.5, 20_000.0, 300.0),
            Link("b-c", "b", "c", 0.5, 20_000.0, 300.0),
            Link("a-c", "a", "c", 0.5, 20_000.0, 300.0),
        ),
        sources=(Source("pv", "a", 4e6),),
        loads=(Load("town", "b", 2e6), Load("mill", "c", 1e6)),
    )


class PlayedController:
    def __init__(self, network: PlayedNetwork) -> None:
        self._server = PlayedServer(network)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._stack = AsyncExitStack()
        self.address = ""

    def __enter__(self) -> Self:
        self._thread.start()
        serving = self._stack.enter_async_context(self._server.serving())
        self.address = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def streams(self) -> int:
        return self._server.streams

    def tell(self, told: str) -> None:
        self._loop.call_soon_threadsafe(self._server.tell, told)

    def keep(self, history: dict[str, Any]) -> None:
        """The map as it was, for who asks."""
        self._server.history = history

    def stall(self, *, stalled: bool) -> None:
        """Says nothing any more, and closes nothing; or goes on."""
        self._server.stalled = stalled

    def delay(self, first_word_s: float) -> None:
        """Whoever listens hears the first word so late."""
        self._server.delay_s = first_word_s
