"""Serves the operator's page as a daemon does, over a played network: no routers, no core."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from benchmarks.page_feed import PlayedNetwork
from controller.web.assets import Assets

_TICK_S = 0.1
_TICKS_A_SECOND = 10


class PlayedServer:
    """Tells the network to whoever listens; ``drift``: so many lines change ten times a second."""

    def __init__(self, network: PlayedNetwork, drift: int = 0) -> None:
        self._network = network
        self.drift = drift
        # Says nothing any more, and closes nothing.
        self.stalled = False
        # How late the first word of a stream is (s).
        self.delay_s = 0.0
        # The map as it was, if it has kept any.
        self.history: dict[str, Any] | None = None
        self._readers: set[asyncio.Queue[str]] = set()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self.delay_s)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._readers.add(queue)
        try:
            for each in (self._network.hello(), self._network.now(), *self._network.whole()):
                await response.write(each.encode())
            while told := await queue.get():
                await response.write(told.encode())
        except ConnectionError:
            pass
        finally:
            self._readers.discard(queue)
        return response

    async def _history(self, _request: web.Request) -> web.Response:
        if self.history is None:
            raise web.HTTPNotFound
        return web.json_response(self.history)

    @property
    def streams(self) -> int:
        """How many browsers listen."""
        return len(self._readers)

    def tell(self, told: str) -> None:
        if not self.stalled:
            for queue in self._readers:
                queue.put_nowait(told)

    async def _play(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(_TICK_S)
            ticks += 1
            if self.drift:
                self.tell(self._network.drifted(self.drift))
            if ticks % _TICKS_A_SECOND == 0:
                self.tell(self._network.now())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its address."""
        assets = Assets()
        app = web.Application()
        app.router.add_get("/", assets.index)
        app.router.add_get("/page/{name:.+}", assets.file)
        app.router.add_get("/api/v1/stream", self._stream)
        app.router.add_get("/api/v1/history", self._history)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        playing = asyncio.create_task(self._play())
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
        finally:
            playing.cancel()
            for queue in self._readers:
                queue.put_nowait("")
            await runner.cleanup()
