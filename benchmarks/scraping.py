"""What it takes to tell Prometheus all metrics, and what metrics cost those who ask for power.

``scrape`` is the processor time of the loop for one answer, with 5,000 circuits and the energies of all routers; its
peer ``allowed`` is 5 ms. ``metered`` is seconds of the controller's processor time an admission while metrics are
served and read each second; its peer ``unmetered`` is the same without them, by turns in changing order. Each is the
mean of the quieter half of its rounds, after each of which circuits are released. A look at all meters comes seldom,
and is charged by its share of the time; what asking routers for them takes of gRPC, a hundredth at most, is not in it.
``busy`` is how many processes the machine would run just then.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.durable_admit import Ask, Client, controller_on
from benchmarks.harness import Row, busyness, quieter
from benchmarks.null_routers import load_ids, networks
from benchmarks.watching import release_all
from controller.computing.warm_up import warm_up_search
from controller.metrics.circuit_tallies import CircuitTallies
from controller.metrics.collecting import Metrics
from controller.metrics.server import METERS_S, serving_metrics
from controller.metrics.store_look import StoreLook
from controller.runtime.runtime import Runtime
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.metrics.histogram import LATENESS_BOUNDS_S, Histogram
from digitalgrid.metrics.server import MetricsServer
from digitalgrid.model import RouterLsa
from digitalgrid.v1.power_link_pb2 import LinkMeter, RouterMeters

_ROUNDS = 12
_ASK = Ask(64, 4, 3_840, "unmetered", _ROUNDS)
_CIRCUITS = Ask(64, 4, 5_056, "", 1)
_SCRAPES = 50
_ALLOWED_S = 0.005
# As Prometheus asks.
_ASKED = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
_REQUEST = (
    f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {_ASKED}\r\nConnection: close\r\n\r\n"
).encode()


def rows(full: bool) -> Iterator[Row]:
    warm_up_search()
    freeze_loaded()
    for name, (size, lsas) in networks(full).items():
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".scraping-") as directory:
            yield from asyncio.run(_rows(name, size, lsas, Path(directory)))


async def _rows(name: str, size: int, lsas: Sequence[RouterLsa], directory: Path) -> list[Row]:
    gate = Gate(Budget())
    metered_s: list[float] = []
    unmetered_s: list[float] = []
    statuses: list[bytes] = []
    admitted = True
    async with controller_on(lsas, directory, gate) as (runtime, _, address):
        client = Client(load_ids(lsas))
        meters = MeterLook(partial(_meters, lsas), lambda: runtime.view)
        try:
            answered = await client.ask(address, _CIRCUITS)
            admitted &= answered.admitted == _CIRCUITS.admissions
            begun_s = time.process_time()
            with meters.wanted(METERS_S):
                await meters.news()
                looked_s = time.process_time() - begun_s
                look_share = looked_s / meters.least_interval_s(size)
            scrape_s, bytes_ = _scrapes(runtime, gate, meters)
            await release_all(runtime)
            for number in range(2 * _ROUNDS):
                metered = number % 4 in (1, 2)
                serving = (
                    serving_metrics(runtime, gate, meters, "127.0.0.1:0")
                    if metered
                    else nullcontext(0)
                )
                async with serving as port:
                    if metered:
                        # The first look at meters is at once; from then on they are charged below.
                        await meters.news()
                    reading = asyncio.ensure_future(_read_each_second(port, statuses))
                    begun_s = time.process_time()
                    answered = await client.ask(address, _ASK)
                    taken_s = time.process_time() - begun_s
                    reading.cancel()
                (metered_s if metered else unmetered_s).append(taken_s / _ASK.admissions)
                admitted &= answered.admitted == _ASK.admissions
                await release_all(runtime)
        finally:
            client.close()
    read = all(each.endswith(b" 200 OK") for each in statuses) and len(statuses) >= _ROUNDS
    metered_quiet_s = quieter(metered_s) / (1.0 - look_share)
    ratio = quieter(unmetered_s) / metered_quiet_s
    return [
        Row(
            "scrape",
            size,
            f"{name}, {_CIRCUITS.admissions} circuits",
            scrape_s,
            {"allowed": _ALLOWED_S},
            True,
            {"bytes": bytes_},
        ),
        Row(
            "metered",
            size,
            name,
            metered_quiet_s,
            {"unmetered": ratio * metered_quiet_s},
            admitted and read,
            {"of_meters": look_share, "reads": len(statuses), "busy": busyness()},
        ),
    ]


def _scrapes(runtime: Runtime, gate: Gate, meters: MeterLook) -> tuple[float, int]:
    """The median of some, and the size of the answer."""
    lateness_s = Histogram(LATENESS_BOUNDS_S)
    circuits, store = CircuitTallies(runtime), StoreLook(runtime)
    metrics = Metrics(runtime, gate, meters, circuits, store, lateness_s)
    server = MetricsServer(metrics.collect)
    taken_s = []
    for _ in range(_SCRAPES):
        begun_s = time.thread_time()
        _, answer = server.tell(_ASKED)
        taken_s.append(time.thread_time() - begun_s)
    return median(taken_s), len(answer)


async def _meters(lsas: Sequence[RouterLsa]) -> tuple[list[RouterMeters], list[str]]:
    """Of each router its meters, as they come from its session: all that energies are added up from."""
    return [
        RouterMeters(
            router_id=lsa.router_id,
            boot_id=lsa.boot_id,
            links=[LinkMeter(link_id=link.link_id) for link in lsa.links],
        )
        for lsa in lsas
    ], []


async def _read_each_second(port: int, statuses: list[bytes]) -> None:
    """What each answer begins with is noted: of a request that is refused metrics would cost nothing."""
    while port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_REQUEST)
        answer = await reader.read()
        writer.close()
        statuses.append(answer.partition(b"\r\n")[0])
        await asyncio.sleep(1.0)
