"""``/metrics`` of the daemon, and what must go on between two who ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from controller.metrics.circuit_tallies import CircuitTallies
from controller.metrics.collecting import Metrics
from controller.metrics.of_links import LinkDetail
from controller.metrics.store_look import StoreLook
from controller.runtime.runtime import Runtime
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook
from digitalgrid.metrics.histogram import LATENESS_BOUNDS_S, Histogram
from digitalgrid.metrics.server import serving_collector
from digitalgrid.supervision import start_task

# How often (s) the loop's lateness is looked at.
_LOOK_S = 0.1
# How often (s) routers are asked for their energies, if the loop can afford it.
METERS_S = 5.0
# How often (s) circuits that changed are looked at, between scrapes too: they are forgotten some time after their end.
_SWEEP_S = 1.0


@asynccontextmanager
async def serving_metrics(
    runtime: Runtime,
    gate: Gate,
    meters: MeterLook,
    listen: str,
    now_ns: Callable[[], int] = time.monotonic_ns,
    *,
    of_links: bool = False,
) -> AsyncIterator[int]:
    """Serve on ``listen`` (host:port); yields the port. OSError, which says what to do, where that is taken.
    ``of_links``: each link too, and places of routers.
    """
    lateness_s = Histogram(LATENESS_BOUNDS_S)
    circuits = CircuitTallies(runtime, now_ns)
    store = StoreLook(runtime)
    links = LinkDetail(time.monotonic) if of_links else None
    metrics = Metrics(runtime, gate, meters, circuits, store, lateness_s, links)
    unsubscribe = circuits.subscribed()
    tasks = [
        start_task("loop-lateness", lambda: _look_at_lateness(lateness_s)),
        start_task("circuit-tallies", lambda: _sweep(circuits)),
        start_task("store-look", store.run),
    ]
    try:
        async with serving_collector(metrics.collect, listen) as port:
            with meters.wanted(METERS_S):
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
