"""Two agents joined by a veth pair in a network namespace of their own, which ends with its thread."""

import asyncio
import ctypes
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from router_agent.agent import Agent
from router_agent.config import LinkConfig, RouterConfig
from tests.support.patience import PATIENCE_S

_CLONE_NEWNET = 0x40000000
# Carrier stays up, and nothing gets through.
_SILENCE = ("root", "tbf", "rate", "8bit", "burst", "1", "limit", "1")

# So long that a machine which is busy with other things is not taken for a line that fails.
HELLO_MS = 400
DEAD_MS = 3 * HELLO_MS + 20

Scenario = Callable[["Pair"], Awaitable[None]]


class Pair:
    """Agents a and b on the two ends of the line."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.agents: dict[str, Agent] = {}

    async def play(self, scenario: Scenario) -> None:
        loop = asyncio.get_running_loop()
        for name, neighbor in (("a", "b"), ("b", "a")):
            link = LinkConfig(id="ab", neighbor=neighbor, interface=f"v-{name}")
            config = RouterConfig(
                router_id=name,
                state_dir=str(self.directory / name),
                controllers=(),
                links=(link,),
                hello_interval_ms=HELLO_MS,
            )
            self.agents[name] = Agent(config, loop)
        stop = asyncio.Event()
        runs = [asyncio.create_task(agent.run(stop)) for agent in self.agents.values()]
        try:
            await scenario(self)
        finally:
            stop.set()
            await asyncio.gather(*runs)

    async def until(self, up: bool) -> float:
        """Milliseconds until both ends say so."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            # Agents tell only controllers, and no controller is in this namespace.
            while any(agent.device.lines["ab"].up is not up for agent in self.agents.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        return (time.monotonic() - began) * 1e3

    def lost_to_faults(self) -> bool:
        links = [agent.device.books.links["ab"] for agent in self.agents.values()]
        return any(link.lost_in_transit_mj or link.lost_to_faults_mj for link in links)


def in_namespace(scenario: Scenario, directory: Path) -> None:
    """Play the scenario in a thread that has a network namespace to itself."""
    failure: list[BaseException] = []

    def body() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(_CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            add_veth()
            asyncio.run(Pair(directory).play(scenario))
        except BaseException as error:  # noqa: BLE001 - raised again by the test's own thread
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=PATIENCE_S)


def ip(*arguments: str) -> None:
    run("ip", *arguments)


def add_veth(first_index: int = 101) -> None:
    """Where both ends have the same ifindex, Linux holds carrier events back."""
    ip("link", "add", "v-a", "index", str(first_index), "type", "veth",
       "peer", "name", "v-b", "index", str(first_index + 1))  # fmt: skip
    ip("link", "set", "v-a", "up")
    ip("link", "set", "v-b", "up")


def test_carrier_loss_is_noticed_at_once_and_survived(tmp_path: Path) -> None:
    async def scenario(pair: Pair) -> None:
        await pair.until(up=True)
        for _ in range(3):
            ip("link", "set", "v-a", "down")
            assert await pair.until(up=False) < HELLO_MS
            ip("link", "set", "v-a", "up")
            await pair.until(up=True)
        assert not pair.lost_to_faults()

    in_namespace(scenario, tmp_path)


def test_a_silent_line_is_noticed_within_the_dead_interval(tmp_path: Path) -> None:
    async def scenario(pair: Pair) -> None:
        await pair.until(up=True)
        for name in ("v-a", "v-b"):
            run("tc", "qdisc", "add", "dev", name, *_SILENCE)
        assert HELLO_MS < await pair.until(up=False) < 3 * DEAD_MS
        for name in ("v-a", "v-b"):
            run("tc", "qdisc", "del", "dev", name, "root")
        await pair.until(up=True)

    in_namespace(scenario, tmp_path)


def test_an_interface_may_go_and_be_made_anew(tmp_path: Path) -> None:
    async def scenario(pair: Pair) -> None:
        await pair.until(up=True)
        ip("link", "del", "v-a")
        assert await pair.until(up=False) < HELLO_MS
        add_veth(first_index=201)
        await pair.until(up=True)

    in_namespace(scenario, tmp_path)
