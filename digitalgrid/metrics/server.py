"""``/metrics`` over HTTP: in the loop of who is metered, since only there it may be read.

It answers GET alone, and makes what it tells at most once in half a second.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from digitalgrid.http import serving
from digitalgrid.metrics.families import Family, exposition

# How long (s) what was told is told again: whoever asks in a loop costs no more than a few milliseconds each time.
_FRESH_S = 0.5
_MOST_CONNECTIONS = 16
_OPENMETRICS = "application/openmetrics-text"

Collect = Callable[[], Iterable[Family]]


class MetricsServer:
    """Tells what ``collect`` has, and the process' own metrics."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
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
        _, type_ = choose_encoder(accepted)
        now_s = asyncio.get_running_loop().time()
        made = self._made.get(type_)
        if made is None or now_s - made[0] > _FRESH_S:
            made = self._made[type_] = (now_s, *self.tell(accepted))
        return made[1:]

    def tell(self, accepted: str) -> tuple[str, bytes]:
        """The type of what is told, by what is accepted, and the text, made anew."""
        encode, type_ = choose_encoder(accepted)
        text = exposition(self._collect(), openmetrics=type_.startswith(_OPENMETRICS))
        return type_, text.encode() + encode(self._process)


@asynccontextmanager
async def serving_collector(collect: Collect, listen: str) -> AsyncIterator[int]:
    """Serve on ``listen`` (host:port); yields the port. OSError, which says what to do, where that is taken."""
    app = MetricsServer(collect).application()
    async with serving(app, listen, "metrics", _MOST_CONNECTIONS) as port:
        yield port
