"""``/metrics`` over HTTP: in the daemon's loop, since only there the core may be read.

It answers GET alone, and makes what it tells at most once in half a second.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from controller.http import serving
from controller.metrics.circuit_tallies import CircuitTallies
from controller.metrics.collecting import Metrics
from controller.runtime.runtime import Runtime
from controller.tallies import LATENESS_BOUNDS_S, Histogram
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook
from digitalgrid.supervision import start_task

# How long (s) what was told is told again: whoever asks in a loop costs no more than a few milliseconds each time.
_FRESH_S = 0.5
_MOST_CONNECTIONS = 16
# How often (s) the loop's lateness is looked at.
_LOOK_S = 0.1
# How often (s) routers are asked for their energies, if the loop can afford it.
_METERS_S = 5.0
# How often (s) circuits that changed are looked at, between scrapes too: they are forgotten some time after their end.
_SWEEP_S = 1.0


class MetricsServer:
    def __init__(self, metrics: Metrics) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(metrics)
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
async def serving_metrics(
    runtime: Runtime, gate: Gate, meters: MeterLook, listen: str
) -> AsyncIterator[int]:
    """Serve on ``listen`` (host:port); yields the port. OSError, which says what to do, where that is taken."""
    lateness_s = Histogram(LATENESS_BOUNDS_S)
    circuits = CircuitTallies(runtime)
    server = MetricsServer(Metrics(runtime, gate, meters, circuits, lateness_s))
    unsubscribe = circuits.subscribed()
    tasks = [
        start_task("loop-lateness", lambda: _look_at_lateness(lateness_s)),
        start_task("circuit-tallies", lambda: _sweep(circuits)),
    ]
    try:
        app = server.application()
        async with serving(app, listen, "metrics", _MOST_CONNECTIONS) as port:
            with meters.wanted(_METERS_S):
                yield port
    finally:
        for task in tasks:
            task.cancel()
        unsubscribe()


async def _look_at_lateness(lateness_s: Histogram) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + _LOOK_S
        await asyncio.sleep(_LOOK_S)
        lateness_s.observe(max(0.0, loop.time() - due_s))


async def _sweep(circuits: CircuitTallies) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        circuits.sweep()
