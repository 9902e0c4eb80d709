"""A router's sign of life does not wait for its work."""

import asyncio
import socket
import time
from pathlib import Path

from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.wire import Frame, decode
from router_agent.agent import Agent
from router_agent.config import LinkConfig, RouterConfig
from topologies.emulator.ports import free_ports

BUSY_S = 0.5


def frames(far_end: socket.socket) -> list[Frame]:
    """All that has come by now."""
    found = []
    while True:
        try:
            found.append(decode(far_end.recv(1 << 16)))
        except BlockingIOError:
            return found


def test_an_agent_that_is_busy_for_longer_than_it_may_be_silent_says_that_it_lives_and_how_late_it_is(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far_end:
        far_end.bind(("127.0.0.1", 0))
        far_end.setblocking(False)
        (port,) = free_ports(1)
        link = LinkConfig(
            id="ab",
            neighbor="b",
            local=f"127.0.0.1:{port}",
            remote=f"127.0.0.1:{far_end.getsockname()[1]}",
        )
        config = RouterConfig("a", str(tmp_path), controllers=(), links=(link,))
        heard = asyncio.run(_busy(config, far_end))
    pulses = [frame for frame in heard if frame.pulse]
    assert pulses
    assert len({frame.seq for frame in heard}) == 1
    late_ms = [frame.part for frame in pulses]
    assert late_ms == sorted(late_ms)
    # For as long as a dead neighbour is silent, and longer.
    assert max(late_ms) * NS_PER_MS > config.dead_ns


async def _busy(config: RouterConfig, far_end: socket.socket) -> list[Frame]:
    """What is heard of an agent that does nothing else for a while."""
    agent, stop = Agent(config, asyncio.get_running_loop()), asyncio.Event()
    running = asyncio.create_task(agent.run(stop))
    heard = asyncio.Event()
    asyncio.get_running_loop().add_reader(far_end, heard.set)
    await heard.wait()
    asyncio.get_running_loop().remove_reader(far_end)
    frames(far_end)
    time.sleep(BUSY_S)  # noqa: ASYNC251 - the loop is held up on purpose
    said = frames(far_end)
    stop.set()
    await running
    frames(far_end)
    await asyncio.sleep(4 * config.hello_ns / NS_PER_S)
    assert not frames(far_end)
    return said
