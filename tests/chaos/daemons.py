"""``dgc serve`` as a process that is killed, stopped in its tracks and started again. None outlives its tests."""

import asyncio
import json
import resource
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from digitalgrid.client import AsyncPowerClient, ControllerUnreachable
from topologies.emulator.ports import free_ports

_STARTED_WITHIN_S = 120.0
_ENDED_WITHIN_S = 20.0
_POLL_S = 0.01
_LAST_WORDS = 4000
_WARM = b"the solver is warm"


class Daemon:
    """One controller. ``store`` is what its configuration says of the store."""

    def __init__(self, name: str, directory: Path, store: dict[str, Any]) -> None:
        self.name = name
        self.northbound = f"127.0.0.1:{free_port()}"
        self.southbound = f"127.0.0.1:{free_port()}"
        self._config = directory / f"{name}.yaml"
        self._log = directory / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        # Where its log begins of the present start.
        self._started_at = 0
        # JSON is YAML.
        self._config.write_text(
            json.dumps(
                {
                    "name": name,
                    "northbound": {"listen": self.northbound},
                    "southbound": {"listen": [self.southbound]},
                    "store": store,
                    # Simulated routers advertise once.
                    "lsa_max_age_s": 86_400,
                }
            )
        )

    async def start(self) -> None:
        assert self._process is None, f"{self.name} runs already"
        with self._log.open("ab") as log:
            self._started_at = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                # setpriv becomes the program, so that the pid is the controller's own.
                "setpriv", "--pdeathsig", "SIGKILL",
                str(Path(sys.executable).with_name("dgc")), "serve", "--config", str(self._config),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def wait_answering(self) -> float:
        """Return, with the seconds that it took, once it answers who asks whether it is there."""
        began_s = time.monotonic()
        host, _, port = self.northbound.rpartition(":")
        async with asyncio.timeout(_STARTED_WITHIN_S):
            while True:
                assert self.runs, f"{self.name} has ended:\n{self.last_words}"
                try:
                    _, writer = await asyncio.open_connection(host, int(port))
                except OSError:
                    await asyncio.sleep(_POLL_S)
                else:
                    writer.close()
                    break
            async with AsyncPowerClient(self.northbound) as client:
                while not await _knows_the_state(client):  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(_POLL_S)
        return time.monotonic() - began_s

    async def wait_warm(self) -> None:
        """Return once it has done all that a start brings, which keeps a processor busy for seconds."""
        async with asyncio.timeout(_STARTED_WITHIN_S):
            while _WARM not in self._log.read_bytes()[self._started_at :]:
                assert self.runs, f"{self.name} has ended:\n{self.last_words}"
                await asyncio.sleep(_POLL_S)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def resident_bytes(self) -> int:
        """What it takes of the memory."""
        status = Path(f"/proc/{self._running().pid}/statm").read_text(encoding="ascii")
        return int(status.split()[1]) * resource.getpagesize()

    @property
    def last_words(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]

    def signal(self, number: signal.Signals) -> None:
        """Send it, and return at once."""
        self._running().send_signal(number)

    async def ended(self) -> int:
        """Its exit code, once it has one."""
        process = self._running()
        async with asyncio.timeout(_ENDED_WITHIN_S):
            code = await process.wait()
        self._process = None
        return code

    async def kill(self) -> None:
        """Kill it, as a crash would. Also one that was stopped, or has ended already."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, f"{self.name} does not run"
        return self._process


class Daemons:
    """``async with Daemons(...)``: several, killed at the end."""

    def __init__(self, daemons: Iterable[Daemon]) -> None:
        self.all = tuple(daemons)

    @property
    def northbound(self) -> str:
        """As clients are told of all of them."""
        return ",".join(each.northbound for each in self.all)

    @property
    def southbound(self) -> tuple[str, ...]:
        return tuple(each.southbound for each in self.all)

    async def __aenter__(self) -> Self:
        try:
            for each in self.all:
                await each.start()
            for each in self.all:
                await each.wait_answering()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self.all:
            await each.kill()

    def at(self, northbound: str) -> Daemon:
        return next(each for each in self.all if each.northbound == northbound)


async def _knows_the_state(client: AsyncPowerClient) -> bool:
    try:
        await client.get_topology()
    except ControllerUnreachable:
        return False
    return True


def free_port() -> int:
    (port,) = free_ports(1)
    return port
