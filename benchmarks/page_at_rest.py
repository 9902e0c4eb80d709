"""What a still map costs a browser while nothing changes, beside a page that only reads the same stream.

Both are woken once a second, by the daemon's word that all is as it was. What a browser takes for that hangs on the
machine far more than on the page: a processor that has done something else for a second finds its caches cold, and in a
virtual machine its page tables. So a peer's share is taken by turns, in the same run.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from playwright.async_api import Browser, CDPSession, Page, ViewportSize

from benchmarks.page_server import PlayedServer

_ROUNDS = 3
# How long lines change before they stand still, and then until all is looked at (s): tables have found their order, the
# timeline has drawn the last mark, and V8 has collected what the busy time has left, which it does once, when it has
# been idle for some eight seconds.
_BUSY_S, _SETTLED_S, _LOOK_S = 3.0, 16.0, 8.0
# A document of the daemon's that is plain text, to read its stream from.
_BARE = "page/vendor/LICENSES.txt"
_READ = """() => {
    (async () => {
        const answer = await fetch("/api/v1/stream", { cache: "no-store" });
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        while (!(await reader.read()).done);
    })();
}"""


@dataclass(frozen=True, slots=True)
class AtRest:
    """Cores, of all of Chromium's processes: medians of rounds."""

    map: float
    reader: float


async def processor_s(session: CDPSession) -> float:
    """Of all of Chromium's processes, since they began."""
    told = await session.send("SystemInfo.getProcessInfo")
    return sum(float(each["cpuTime"]) for each in told["processInfo"])


async def at_rest(
    launch: Callable[[], Awaitable[Browser]],
    view: ViewportSize,
    server: PlayedServer,
    address: str,
) -> AtRest:
    """Each time in a browser of its own, so that none has a past."""
    drift = server.drift
    of_map: list[float] = []
    of_reader: list[float] = []
    for _ in range(_ROUNDS):
        for opens, cores in ((_opens_map, of_map), (_opens_reader, of_reader)):
            server.drift = drift
            browser = await launch()
            page = await browser.new_page(viewport=view)
            await opens(page, address)
            await asyncio.sleep(_BUSY_S)
            server.drift = 0
            await asyncio.sleep(_SETTLED_S)
            cores.append(await _cores(await browser.new_browser_cdp_session()))
            await browser.close()
    server.drift = drift
    return AtRest(statistics.median(of_map), statistics.median(of_reader))


async def _opens_map(page: Page, address: str) -> None:
    await page.goto(address)
    await page.wait_for_function("() => digitalgrid.mapper.current?.painter.stills > 0")
    await page.keyboard.press("s")
    await page.mouse.move(1200, 700)


async def _opens_reader(page: Page, address: str) -> None:
    await page.goto(address + _BARE)
    await page.evaluate(_READ)


async def _cores(session: CDPSession) -> float:
    began_s, used_s = time.monotonic(), await processor_s(session)
    await asyncio.sleep(_LOOK_S)
    return (await processor_s(session) - used_s) / (time.monotonic() - began_s)
