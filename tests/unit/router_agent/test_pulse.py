"""A router's sign of life does not wait for its work, and ends with it."""

import asyncio
import ctypes
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.wire import Frame, decode
from router_agent.agent import Agent
from router_agent.config import LinkConfig, RouterConfig
from router_agent.pulse import Pulse
from router_agent.transport import LineCarrier, carrier_command
from tests.support.patience import PATIENCE_S
from topologies.emulator.ports import free_ports

BUSY_S = 0.5
KEY = "0123456789abcdef"


def run(config: RouterConfig, orders: Connection) -> None:
    """A router in a process of its own, which is told when to be busy and when to leave."""
    with closing(Pulse.start([link.id for link in config.links], config.hello_ns)) as pulse:
        asyncio.run(_run(config, pulse, orders))


async def _run(config: RouterConfig, pulse: Pulse, orders: Connection) -> None:
    loop = asyncio.get_running_loop()
    agent, stop = Agent(config, loop, pulse=pulse), asyncio.Event()

    def obey() -> None:
        if orders.recv():
            # Without letting go of the interpreter's lock, as whoever waits for a core does not either.
            ctypes.PyDLL(None).usleep(round(BUSY_S * 1e6))
            orders.send(True)
        else:
            stop.set()

    loop.add_reader(orders, obey)
    await agent.run(stop)
    loop.remove_reader(orders)


class Router:
    """From without."""

    def __init__(self, config: RouterConfig, far_end: socket.socket) -> None:
        context = multiprocessing.get_context("spawn")
        self.config = config
        self.far_end = far_end
        self.orders, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=run, args=(config, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.hear()

    def hear(self) -> Frame:
        """The next that it says, whenever that is."""
        self.far_end.settimeout(PATIENCE_S)
        return decode(self.far_end.recv(1 << 16))

    def heard(self) -> list[Frame]:
        """All that has come by now."""
        self.far_end.setblocking(False)
        found = []
        while True:
            try:
                found.append(decode(self.far_end.recv(1 << 16)))
            except BlockingIOError:
                return found

    def works(self) -> list[Frame]:
        """What it says while it is too busy to say anything."""
        self.heard()
        self.orders.send(True)
        assert self.orders.poll(PATIENCE_S) and self.orders.recv()
        return [frame for frame in self.heard() if frame.pulse]

    def says_no_more(self) -> bool:
        """For longer than anybody alive is silent."""
        self.heard()
        self.far_end.settimeout(4 * self.config.hello_ns / NS_PER_S)
        try:
            return not self.far_end.recv(1 << 16)
        except TimeoutError:
            return True


@contextmanager
def router(directory: Path) -> Iterator[Router]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far_end:
        far_end.bind(("127.0.0.1", 0))
        (port,) = free_ports(1, socket.SOCK_DGRAM)
        link = LinkConfig(
            id="ab",
            neighbor="b",
            local=f"127.0.0.1:{port}",
            remote=f"127.0.0.1:{far_end.getsockname()[1]}",
            carrier_key=KEY,
        )
        made = Router(RouterConfig("a", str(directory), controllers=(), links=(link,)), far_end)
        try:
            yield made
        finally:
            made.process.kill()
            made.process.join()


def test_an_agent_that_is_busy_for_longer_than_it_may_be_silent_says_that_it_lives_and_how_late_it_is(
    tmp_path: Path,
) -> None:
    with router(tmp_path) as made:
        pulses = made.works()
        late_ms = [frame.part for frame in pulses if frame.seq == pulses[-1].seq]
        assert late_ms == sorted(late_ms)
        hello_ms = made.config.hello_interval_ms
        assert hello_ms // 2 <= late_ms[0] < 2 * hello_ms
        # For as long as a dead neighbour is silent, and longer.
        assert late_ms[-1] * NS_PER_MS > made.config.dead_ns
        made.orders.send(False)
        made.process.join(PATIENCE_S)
        assert made.process.exitcode == 0
        assert made.says_no_more()


def test_nothing_says_of_a_router_that_was_killed_that_it_lives(tmp_path: Path) -> None:
    with router(tmp_path) as made:
        made.works()
        made.process.kill()
        made.process.join()
        assert made.says_no_more()
        again = Router(made.config, made.far_end)
        again.process.kill()
        again.process.join()


@pytest.mark.parametrize("carrier", [LineCarrier.DOWN, LineCarrier.SILENT])
def test_a_line_that_carries_nothing_carries_no_sign_of_life(
    tmp_path: Path, carrier: LineCarrier
) -> None:
    with router(tmp_path) as made:
        local = made.config.links[0].local
        host, _, port = local.rpartition(":")
        for each, carries in ((carrier, False), (LineCarrier.UP, True)):
            made.far_end.sendto(carrier_command(each, KEY), (host, int(port)))
            # It has obeyed once it has been busy and is not any more.
            made.works()
            assert bool(made.works()) is carries


def test_nothing_says_of_a_router_that_is_stopped_that_it_lives(tmp_path: Path) -> None:
    with router(tmp_path) as made:
        pid = made.process.pid
        assert pid is not None
        assert made.works()
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        assert made.says_no_more()
        os.kill(pid, signal.SIGCONT)
        assert made.works()


HELLO_NS = 50 * NS_PER_MS


class TestAPulseThatIsStopped:
    @pytest.fixture
    def pulse(self) -> Iterator[Pulse]:
        """Its process gets no time from the beginning."""
        others = children()
        with closing(Pulse.start(["ab"], HELLO_NS)) as pulse:
            (pid,) = children() - others
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
            yield pulse
        assert children() == others

    def test_keeps_nobody_from_leaving(self, pulse: Pulse) -> None:
        pulse.close()

    def test_has_ended_once_it_cannot_be_told_of_lines(self, pulse: Pulse) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            while not select.select([pulse], [], [], 0)[0]:
                pulse.sign("ab", b"", (line, ("127.0.0.1", 9)))
                pulse.sign("ab", b"", None)


def children() -> set[int]:
    """Of this process."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = each.read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.add(int(each.parent.name))
    return found


def test_a_router_whose_children_nobody_waits_for_leaves_like_any_other() -> None:
    """As where it was started by what ignores SIGCHLD."""
    code = (
        "from contextlib import closing; from router_agent.pulse import Pulse\n"
        f"with closing(Pulse.start(['ab'], {HELLO_NS})): pass"
    )
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n{code}",
        ],
        check=True,
        timeout=PATIENCE_S,
    )
