"""``/metrics`` over HTTP: in the loop of who is metered, since only there it may be read.

It answers GET alone, and makes what it tells at most once in half a second.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from digitalgrid.http import serving

# How long (s) what was told is told again: whoever asks in a loop costs no more than a few milliseconds each time.
_FRESH_S = 0.5
_MOST_CONNECTIONS = 16


class MetricsServer:
    """Tells what ``collector`` has, and the process' own metrics."""

    def __init__(self, collector: Collector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        # By what is accepted: when it was made, of which type, and what.
        self._made: dict[str, tuple[float, str, bytes]] = {}

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/metrics", self._answer, allow_head=False)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        type_, text = self._metrics(request.headers.get("Accept", "").strip()[:1024])
        headers = {
            "Content-Type": type_,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(body=text, headers=headers)

    def _metrics(self, accepted: str) -> tuple[str, bytes]:
        encode, type_ = choose_encoder(accepted)
        now_s = asyncio.get_running_loop().time()
        made = self._made.get(type_)
        if made is None or now_s - made[0] > _FRESH_S:
            made = self._made[type_] = (now_s, type_, encode(self._registry))
        return made[1:]


@asynccontextmanager
async def serving_collector(collector: Collector, listen: str) -> AsyncIterator[int]:
    """Serve on ``listen`` (host:port); yields the port. OSError, which says what to do, where that is taken."""
    app = MetricsServer(collector).application()
    async with serving(app, listen, "metrics", _MOST_CONNECTIONS) as port:
        yield port
