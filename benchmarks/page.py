"""What the operator's page costs a browser: frames, processor time, memory, first paint, and how soon a cut is drawn.

``python -m benchmarks.page`` opens it in headless Chromium without WebGL, over a played controller: 1,000 routers,
2,000 lines, 5,000 circuits; 200 lines change ten times a second. Processor time is that of all of Chromium's processes,
by its own count, and so hardly depends on what else the machine does; frames and latencies do. Then lines of nine
emulated routers are cut, until that is seen; before and after, their daemon is at rest, with nobody who looks, and with
the page open; then it is killed and started again, until the page is live, with nothing to click. Exits with 1 where
anything is missed of what is asked for.
"""

import asyncio
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path

from playwright.async_api import Browser, CDPSession, Page, ViewportSize, async_playwright

from benchmarks.page_at_rest import at_rest, processor_s
from benchmarks.page_feed import PlayedNetwork
from benchmarks.page_server import PlayedServer
from controller.web.assets import Assets
from digitalgrid.client import AsyncPowerClient, PowerError
from digitalgrid.gridfile import Grid
from topologies import emulator
from topologies.emulator.ports import options_on_free_ports
from topologies.generated import mesh_grid

_ROUTERS, _LINES, _CIRCUITS = 1_000, 2_000, 5_000
# Lines that change, ten times a second.
_CHANGES = 200
# How long each thing is looked at (s).
_LOOK_S = 8.0
_CUTS = 20
_KILLS = 5
# An hour of which a page is told, so much at a time (s); by the end of the first third all that it keeps is full.
_HOUR_S, _FULL_S, _MINUTE_S, _STEP_S = 3_600, 1_200, 60, 5
# Until a daemon has done what was to be done (s): sessions are quiet, the solver's worker is warm.
_SETTLED_S = 5.0
_ELAN9 = str(Path(__file__).parents[1] / "topologies" / "elan9.grid.yaml")
_LINE = "r3-r5"
_CHROMIUM = "/usr/bin/chromium"
_VIEW: ViewportSize = {"width": 1440, "height": 900}
# Records when each frame was drawn, and when a line was drawn as down.
_PROBE = """() => {
    const { painter, states } = digitalgrid.mapper.current;
    const probe = (globalThis.probe = { frames: [], drawn: new Map() });
    const frame = painter.frame.bind(painter);
    painter.frame = (now) => {
        frame(now);
        probe.frames.push(performance.now());
        for (const { id } of painter.scene?.badges ?? []) if (!probe.drawn.has(id)) probe.drawn.set(id, Date.now());
    };
}"""
# Whether the page shows what is true now, or has noticed that it does not.
_IS_LIVE = (
    "() => digitalgrid.store.connection.value.state === 'live' && !digitalgrid.store.syncing.value"
)
_IS_LOST = "() => digitalgrid.store.connection.value.state === 'lost'"
# Whether the page has been told of a time.
_HAS_TOLD = "(at) => digitalgrid.store.now.value.at_unix_ms >= at"


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    got: float
    asked: float
    unit: str
    at_least: bool = False

    @property
    def kept(self) -> bool:
        return self.got >= self.asked if self.at_least else self.got <= self.asked

    def __str__(self) -> str:
        bound = "≥" if self.at_least else "≤"
        verdict = "" if self.kept else "  MISSED"
        return f"{self.name:46} {self.got:8.3g} {self.unit:5} {bound} {self.asked:g}{verdict}"


async def _renderer_pss_mb(session: CDPSession) -> float:
    told = await session.send("SystemInfo.getProcessInfo")
    renderers = [each["id"] for each in told["processInfo"] if each["type"] == "renderer"]
    return max(_pss_kb(int(pid)) for pid in renderers) / 1024


def _pss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@dataclass(frozen=True, slots=True)
class Look:
    """A few seconds of the page: frames, and processor time of all of Chromium."""

    frames: Sequence[float]
    cores: float
    lasted_s: float

    @property
    def per_s(self) -> float:
        return len(self.frames) / self.lasted_s

    @property
    def p95_ms(self) -> float:
        gaps = [after - before for before, after in pairwise(self.frames)]
        return statistics.quantiles(gaps, n=20)[-1]


async def _looked(page: Page, session: CDPSession, *, panning: bool = False) -> Look:
    await page.evaluate("() => { probe.frames.length = 0; }")
    began_s, used_s = time.monotonic(), await processor_s(session)
    if panning:
        await _pan(page, began_s + _LOOK_S)
    else:
        await asyncio.sleep(_LOOK_S)
    lasted_s = time.monotonic() - began_s
    used_s = await processor_s(session) - used_s
    return Look(await page.evaluate("() => probe.frames"), used_s / lasted_s, lasted_s)


async def _pan(page: Page, until_s: float) -> None:
    """Drags the map to and fro, as a hand does."""
    await page.mouse.move(500, 450)
    await page.mouse.down()
    at = 0
    while time.monotonic() < until_s:
        at += 1
        swing = at % 60 if at % 120 < 60 else 60 - at % 60
        await page.mouse.move(500 + 6 * swing, 450 + 2 * swing)
        await asyncio.sleep(0.016)
    await page.mouse.up()


async def _cuts_ms(page: Page, server: PlayedServer, network: PlayedNetwork) -> list[float]:
    """From the event to the pixel."""
    latencies = []
    for link_id in sorted(network.flows)[:_CUTS]:
        began_ms = time.time() * 1000
        server.tell(network.cut(link_id))
        drawn = f"() => probe.drawn.get({link_id!r})"
        await page.wait_for_function(drawn)
        latencies.append(await page.evaluate(drawn) - began_ms)
        server.tell(network.heal(link_id))
    return latencies


@dataclass(frozen=True, slots=True)
class Real:
    """Of nine routers and their daemon: cuts (ms), until a page is live after a kill (s), and what the daemon takes of
    a core at rest.
    """

    cuts_ms: list[float]
    back_s: list[float]
    unseen_cores: float
    seen_cores: float


async def _real(browser: Browser) -> Real:
    """From `dgc fault cut` to the pixel: nine routers and their daemon, as plain processes."""
    with tempfile.TemporaryDirectory(prefix="page-") as directory:
        options = options_on_free_ports(Path(directory))
        emulator.start_in_background(_ELAN9, "local", options)
        try:
            daemon = _daemon_of(Path(directory))
            unseen_cores = await _cores(daemon)
            page = await browser.new_page(viewport=_VIEW)
            await page.goto(f"http://{options.page}/")
            await page.wait_for_function("() => digitalgrid.mapper.current?.painter.stills > 0")
            await page.evaluate(_PROBE)
            cuts_ms = [await _fault_ms(page, Path(directory)) for _ in range(_CUTS)]
            seen_cores = await _cores(daemon)
            back_s = [await _back_s(page, options) for _ in range(_KILLS)]
            return Real(cuts_ms, back_s, unseen_cores, seen_cores)
        finally:
            emulator.stop(Path(directory))


def _daemon_of(run_dir: Path) -> int:
    """Its pid."""
    config = str(run_dir.resolve() / "controller.yaml").encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"serve" in words and config in words:
                return int(process.name)
    raise RuntimeError(f"no daemon runs from {run_dir}")


async def _cores(pid: int) -> float:
    """Of a process, all of its threads, over some seconds in which nothing happens."""
    await asyncio.sleep(_SETTLED_S)
    used_s, began_s = _used_s(pid), time.monotonic()
    await asyncio.sleep(_LOOK_S)
    return (_used_s(pid) - used_s) / (time.monotonic() - began_s)


def _used_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _fault_ms(page: Page, run_dir: Path) -> float:
    await page.evaluate("() => probe.drawn.clear()")
    began_ms = time.time() * 1000
    await asyncio.to_thread(emulator.send_command, run_dir, "cut", _LINE)
    drawn = f"() => probe.drawn.get({_LINE!r})"
    await page.wait_for_function(drawn)
    latency_ms = float(await page.evaluate(drawn)) - began_ms
    await asyncio.to_thread(emulator.send_command, run_dir, "restore", _LINE)
    await page.wait_for_function(
        "() => digitalgrid.mapper.current.painter.scene.badges.length === 0"
    )
    return latency_ms


async def _back_s(page: Page, options: emulator.EmulationOptions) -> float:
    """From when a killed daemon answers again until the page is live."""
    run_dir = options.run_dir
    await asyncio.to_thread(emulator.send_command, run_dir, "kill-controller")
    await page.wait_for_function(_IS_LOST)
    restarting = asyncio.ensure_future(
        asyncio.to_thread(emulator.send_command, run_dir, "restart-controller")
    )
    live = asyncio.ensure_future(_live_s(page))
    answers = asyncio.ensure_future(_answers_s(options.northbound))
    try:
        # A daemon that is not started again answers never: that it is not, is raised here.
        await restarting
        return await live - await answers
    finally:
        live.cancel()
        answers.cancel()


async def _live_s(page: Page) -> float:
    await page.wait_for_function(_IS_LIVE)
    return time.monotonic()


async def _answers_s(northbound: str) -> float:
    """When a client that comes just then is answered."""
    while True:
        async with AsyncPowerClient(northbound, timeout_s=1.0) as client:
            with suppress(PowerError):
                await client.get_topology()
                return time.monotonic()


async def _first_paint_s(browser: Browser, address: str) -> float:
    """From the navigation to the first picture of the whole network; the best of three, without a cache."""
    took: list[float] = []
    for _ in range(3):
        context = await browser.new_context(viewport=_VIEW)
        page = await context.new_page()
        await page.goto(address)
        await page.wait_for_function("() => digitalgrid.mapper.current?.painter.stills > 0")
        took.append(await page.evaluate("() => digitalgrid.mapper.current.painter.firstMs"))
        await context.close()
    return min(took) / 1000


async def _hours_growth_mb(browser: Browser) -> float:
    """What the heap has after an hour beyond what it had when all that is kept for a quarter of one was full.

    It goes by the controller's clock, which is put on, some seconds at a time; in each a line breaks or is mended.
    """
    network = PlayedNetwork(_grid(), _CIRCUITS)
    server = PlayedServer(network)
    async with server.serving() as address:
        page = await browser.new_page(viewport=_VIEW)
        await page.goto(address)
        await page.wait_for_function("() => digitalgrid.mapper.current?.painter.stills > 0")
        heaps_mb: dict[int, float] = {}
        lines = sorted(network.flows)
        for at_s in range(_STEP_S, _HOUR_S + 1, _STEP_S):
            line = lines[at_s // _STEP_S // 2 % len(lines)]
            for _ in range(_STEP_S):
                network.ahead_ms += 1000
                server.tell(network.now())
            server.tell(network.drifted(_CHANGES))
            server.tell(network.heal(line) if at_s // _STEP_S % 2 else network.cut(line))
            if at_s % _MINUTE_S == 0:
                # No more is on its way than a page takes in at once.
                await page.wait_for_function(_HAS_TOLD, arg=network.now_ms() - _MINUTE_S * 1000)
            if at_s in (_FULL_S, _HOUR_S):
                await page.wait_for_function(_HAS_TOLD, arg=network.now_ms() - 1000)
                heaps_mb[at_s] = await _heap_mb(page)
        await page.close()
    return heaps_mb[_HOUR_S] - heaps_mb[_FULL_S]


async def _heap_mb(page: Page) -> float:
    """Without garbage."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    return float((await session.send("Runtime.getHeapUsage"))["usedSize"]) / 2**20


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _grid() -> Grid:
    """A mesh, with as many lines more as are asked for, the shortest there are."""
    grid = mesh_grid(_ROUTERS)
    places = {each.id: each.at or (0.0, 0.0) for each in grid.routers}
    joined = {frozenset((each.a, each.b)) for each in grid.links}
    pairs = sorted(
        (math.dist(places[a], places[b]), a, b)
        for a, b in combinations(sorted(places), 2)
        if abs(places[a][0] - places[b][0]) < 2 and frozenset((a, b)) not in joined
    )
    like = grid.links[0]
    more = [replace(like, id=f"{a}-{b}", a=a, b=b) for _, a, b in pairs[: _LINES - len(grid.links)]]
    return replace(grid, links=(*grid.links, *more))


async def _figures() -> list[Figure]:
    network = PlayedNetwork(_grid(), _CIRCUITS)
    server = PlayedServer(network, drift=_CHANGES)
    async with server.serving() as address, async_playwright() as playwright:
        arguments = ["--disable-3d-apis", "--no-sandbox"]
        launch = partial(playwright.chromium.launch, executable_path=_CHROMIUM, args=arguments)
        still = await at_rest(launch, _VIEW, server, address)
        browser = await launch()
        session = await browser.new_browser_cdp_session()
        first_s = await _first_paint_s(browser, address)
        page = await browser.new_page(viewport=_VIEW)
        await page.goto(address)
        await page.wait_for_function("() => digitalgrid.mapper.current?.painter.stills > 0")
        await page.evaluate(_PROBE)
        await asyncio.sleep(2)
        moving = await _looked(page, session)
        panning = await _looked(page, session, panning=True)
        cuts = await _cuts_ms(page, server, network)
        pss_mb = await _renderer_pss_mb(session)
        heap_mb = await page.evaluate("() => performance.memory.usedJSHeapSize / 2 ** 20")
        server.drift = 0
        await page.close()
        grown_mb = await _hours_growth_mb(browser)
        real = await _real(browser)
        await browser.close()
    weight = sum(
        len(each.gzipped or each.plain)
        for each in Assets()
        if not each.type.startswith("text/plain")
    )
    return [
        Figure("frames, dashes moving", moving.per_s, 30, "/s", at_least=True),
        Figure("p95 of a frame", moving.p95_ms, 40, "ms"),
        Figure("cores, dashes moving", moving.cores, 0.6, ""),
        Figure("processor time of a frame", moving.cores / moving.per_s * 1000, 16, "ms"),
        Figure("frames, panning", panning.per_s, 30, "/s", at_least=True),
        Figure("p95 of a frame, panning", panning.p95_ms, 40, "ms"),
        Figure("cores, still map", still.map, 0.02, ""),
        Figure("the same, beside a page that only reads", still.map / still.reader, 3, ""),
        Figure("renderer, PSS", pss_mb, 260, "MB"),
        Figure("heap of JavaScript", heap_mb, 48, "MB"),
        Figure("heap after an hour, beyond 20 minutes", grown_mb, 2, "MB"),
        Figure("first picture", first_s, 1, "s"),
        Figure("event of a cut to its pixel, p95", _p95(cuts), 100, "ms"),
        Figure("fault cut to its pixel, p95", _p95(real.cuts_ms), 250, "ms"),
        Figure("killed daemon answers to page live, longest", max(real.back_s), 1, "s"),
        Figure("cores of a daemon at rest", real.unseen_cores, 0.03, ""),
        Figure("cores of a daemon at rest, a page open", real.seen_cores, 0.05, ""),
        Figure("all files, gzip", weight / 1000, 120, "kB"),
    ]


def main() -> int:
    """The exit status: 0 where all is kept."""
    figures = asyncio.run(_figures())
    for each in figures:
        sys.stdout.write(f"{each}\n")
    return 0 if all(each.kept for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
