"""A loopback line obeys whoever knows its key, and nobody else; of what it drops the log has little."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from digitalgrid.rate_limit import LimitedLog
from router_agent import transport
from router_agent.config import LinkConfig, RouterConfig
from router_agent.device.line import Line
from router_agent.device.meters import LinkBooks
from router_agent.device.remark import Remark
from router_agent.transport import LineCarrier, Lines, LoopbackTransport, carrier_command
from tests.support.patience import PATIENCE_S
from topologies.emulator.ports import free_ports

KEY = "0123456789abcdef"


class Heard:
    """What the line tells."""

    def __init__(self) -> None:
        self.carriers: list[bool] = []
        self.datagrams: list[bytes] = []
        self.news = asyncio.Event()

    def datagram_received(self, link_id: str, datagram: bytes) -> None:
        self.datagrams.append(datagram)
        self.news.set()

    def carrier_changed(self, link_id: str, carrier: bool) -> None:
        self.carriers.append(carrier)
        self.news.set()


Say = Callable[[bytes], None]


def play(key: str, story: Callable[[Heard, Say, Say], Awaitable[None]]) -> None:
    """A line with that key, and how its far end and a stranger on this machine say something to it."""
    mine, far = free_ports(2, socket.SOCK_DGRAM)

    async def run() -> None:
        heard = Heard()
        link = LinkConfig(
            "ab", "b", local=f"127.0.0.1:{mine}", remote=f"127.0.0.1:{far}", carrier_key=key
        )
        line = LoopbackTransport(asyncio.get_running_loop(), link, heard)
        with (
            socket.socket(type=socket.SOCK_DGRAM) as far_end,
            socket.socket(type=socket.SOCK_DGRAM) as stranger,
        ):
            far_end.bind(("127.0.0.1", far))
            for each in (far_end, stranger):
                each.connect(("127.0.0.1", mine))
            async with asyncio.timeout(PATIENCE_S):
                await heard.news.wait()
                await story(
                    heard,
                    lambda data: void(far_end.send(data)),
                    lambda data: void(stranger.send(data)),
                )
        line.close()

    asyncio.run(run())


def void(_sent: int) -> None: ...


async def until_heard(heard: Heard, datagram: bytes) -> None:
    while datagram not in heard.datagrams:
        heard.news.clear()
        await heard.news.wait()


def test_whoever_has_the_key_sets_the_carrier() -> None:
    async def story(heard: Heard, far_end: Say, stranger: Say) -> None:
        stranger(carrier_command(LineCarrier.DOWN, KEY))
        stranger(carrier_command(LineCarrier.UP, KEY))
        far_end(b"a frame")
        await until_heard(heard, b"a frame")
        assert heard.carriers == [True, False, True]

    play(KEY, story)


@pytest.mark.parametrize("key", ["", KEY])
def test_whoever_has_no_key_is_a_stranger(key: str) -> None:
    async def story(heard: Heard, far_end: Say, stranger: Say) -> None:
        for guess in ("", "0" * 16, KEY[:-1]):
            stranger(carrier_command(LineCarrier.DOWN, guess))
        stranger(b"digitalgrid carrier down")
        stranger(b"a frame of a stranger")
        far_end(b"a frame")
        await until_heard(heard, b"a frame")
        assert heard.carriers == [True] and heard.datagrams == [b"a frame"]

    play(key, story)


def test_energy_that_comes_while_the_router_is_late_waits_for_it() -> None:
    """The usual room of a socket is full after a hundred frames, and what comes then is lost."""
    frames = [number.to_bytes(2) + bytes(1_400) for number in range(2_000)]

    async def story(heard: Heard, far_end: Say, _: Say) -> None:
        # The loop has no turn meanwhile, as where a tick takes long.
        for frame in frames:
            far_end(frame)
        await until_heard(heard, frames[-1])
        assert heard.datagrams == frames

    if os.geteuid():
        pytest.skip("only root is given more room than net.core.rmem_max")
    play(KEY, story)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOPROTOOPT, errno.EINVAL])
def test_where_the_kernel_grants_no_more_room_a_line_takes_what_there_is_and_says_so(
    number: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to it, and in sandboxes that know no such option."""
    monkeypatch.setattr(transport, "_limited", LimitedLog(logging.getLogger("room")))

    class Refusing(socket.socket):
        def setsockopt(self, level: int, option: int, value: Any) -> None:  # type: ignore[override]
            if option == transport._SO_RCVBUFFORCE:
                raise OSError(number, os.strerror(number))
            super().setsockopt(level, option, min(value, 1 << 17))

    with Refusing(type=socket.SOCK_DGRAM) as line, caplog.at_level(logging.INFO, "room"):
        transport._make_room(line)
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 << 17
    (said,) = caplog.records
    assert "has room for 131072 bytes" in said.getMessage()


def test_a_flood_of_junk_makes_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """As ``dgr -v`` shows it: the device tells of each, its edge logs one in ten seconds."""
    remarks: list[Remark] = []
    link = LinkConfig("ab", "b", interface="ab")
    line = Line(link, RouterConfig("a", links=(link,)), 1, LinkBooks(), 0, remarks.append)
    line.set_carrier(True)
    limited = LimitedLog(logging.getLogger("flood"))
    with caplog.at_level(logging.DEBUG, "flood"):
        for number in range(1000):
            line.receive(b"junk %d" % number, 0)
        for remark in remarks:
            limited.log(0, remark.level, remark.kind, "%s", remark.text)
    assert line.books.frames_dropped == len(remarks) == 1000
    assert [each.getMessage() for each in caplog.records] == [
        "link ab dropped a datagram: 6 bytes are too short for a frame"
    ]


def test_where_one_line_cannot_be_opened_the_others_tell_nothing() -> None:
    free, taken, far = free_ports(3, socket.SOCK_DGRAM)

    async def run() -> None:
        heard = Heard()
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", taken))
            links = tuple(
                LinkConfig(name, "b", local=f"127.0.0.1:{port}", remote=f"127.0.0.1:{far}")
                for name, port in (("ab", free), ("ac", taken))
            )
            with pytest.raises(OSError, match="link ac: cannot bind"):
                Lines(asyncio.get_running_loop(), links, heard)
        await asyncio.sleep(0)
        assert heard.carriers == []

    asyncio.run(run())
