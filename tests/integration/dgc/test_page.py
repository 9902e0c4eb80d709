"""The operator's page of a daemon that is killed: who shows it comes back by itself, with all that is true by then."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp

from digitalgrid.client import AsyncPowerClient, PowerError, power_request
from tests.integration.dgc.test_serve import ROUTERS, a_router
from tests.support.northbound import free_port, in_loop
from tests.support.page import Event, Mirror, read_events
from tests.support.patience import PATIENCE_S

DGC = Path(sys.executable).with_name("dgc")
# Asked for is 1 s on an idle machine; this one may be at other things.
MAX_UNTIL_LIVE_S = 5.0
# As the page's server asks browsers to wait before they come again (s).
_RETRY_S = 0.5


class Killable:
    def __init__(self, directory: Path) -> None:
        self.northbound, southbound, page = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.southbound, self.page = southbound, f"http://{page}/"
        self._config = directory / "controller.yaml"
        self._config.write_text(
            f"engine: interpreted\nnorthbound: {{listen: '{self.northbound}'}}\n"
            f"southbound: {{listen: ['{southbound}']}}\nweb: {{listen: '{page}'}}\n"
            f"store: {{path: {directory / 'store.sqlite'}}}\n"
        )
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen([DGC, "serve", "--config", self._config])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def as_a_browser(http: aiohttp.ClientSession, address: str) -> AsyncIterator[Event]:
    """Comes back whenever the stream ends, and says which event it has had last."""
    last_id = ""
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with suppress(aiohttp.ClientError):
            async with http.get(f"{address}api/v1/stream", headers=headers) as answer:
                async for event in read_events(answer.content):
                    last_id = event.id or last_id
                    yield event
        await asyncio.sleep(_RETRY_S)


async def until_it_answers(client: AsyncPowerClient) -> float:
    while True:
        with suppress(PowerError):
            await client.list_circuits()
            return time.monotonic()
        await asyncio.sleep(0.01)


def test_a_page_is_live_again_soon_after_a_killed_daemon_serves(tmp_path: Path) -> None:
    @in_loop
    async def story() -> None:
        daemon = Killable(tmp_path)
        routers = [asyncio.ensure_future(a_router(daemon.southbound, each)) for each in ROUTERS]
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                AsyncPowerClient(daemon.northbound, timeout_s=PATIENCE_S) as client,
            ):
                mirror, events = Mirror(), as_a_browser(http, daemon.page)

                async def until_shown(circuit_id: int) -> float:
                    while not (mirror.ready and circuit_id in mirror.tables["circuits"]):
                        mirror.take(await anext(events))
                    return time.monotonic()

                while not (mirror.ready and len(mirror.tables["loads"]) == 1):
                    mirror.take(await anext(events))
                answer = await client.request_power(power_request("town", 1e5))
                circuit_id = answer.circuits[0].circuit_id
                await until_shown(circuit_id)
                started = mirror.daemon["started_unix_ms"]
                daemon.kill()
                mirror.ready = False
                daemon.start()
                served_s, live_s = await asyncio.gather(
                    until_it_answers(client), until_shown(circuit_id)
                )
                assert mirror.daemon["started_unix_ms"] > started
                assert not mirror.resumed
                assert live_s - served_s <= MAX_UNTIL_LIVE_S
        finally:
            for router in routers:
                router.cancel()
            daemon.kill()

    story()
