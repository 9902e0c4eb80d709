"""Limits at the routers' door, with a real server: the silent are closed, and who says too much holds nobody up."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from controller.core.settings import CoreSettings
from controller.runtime.runtime import Runtime
from controller.southbound import service
from controller.southbound.service import SessionLimits, start_server
from controller.store.sqlite import SqliteStore
from digitalgrid.convert_lsa import lsa_to_pb
from digitalgrid.limits import MAX_ADVERTISED
from digitalgrid.model import LinkAdvertisement, RouterLsa
from digitalgrid.rpc.limits import ServerLimits
from digitalgrid.v1 import southbound_pb2 as pb
from tests.support.northbound import free_port
from tests.support.southbound import House, ScriptedRouter, connect, hello, lsa

_SESSIONS = SessionLimits(hello_s=0.5, lsa_per_s=20.0, routers=3)
_SERVER = ServerLimits(connections=10, streams=4, handshake_s=0.5, idle_s=1.0)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@asynccontextmanager
async def limited(path: Path, sessions: SessionLimits = _SESSIONS) -> AsyncIterator[House]:
    runtime = Runtime(CoreSettings())
    runtime.lead(SqliteStore(path / "store.sqlite"))
    address = f"127.0.0.1:{free_port()}"
    server, serving = await start_server(runtime, [address], sessions, _SERVER)
    try:
        yield House(runtime, serving, address)
    finally:
        await server.stop(None)
        runtime.close()


def run(
    path: Path, story: Callable[[House], Awaitable[None]], sessions: SessionLimits = _SESSIONS
) -> None:
    async def tell() -> None:
        async with limited(path, sessions) as here:
            await story(here)

    asyncio.run(tell())


async def closed_after_s(address: str, said: bytes) -> float:
    """How long the server keeps a connection that says this and then nothing."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    began_s = time.monotonic()
    writer.write(said)
    try:
        async with asyncio.timeout(5):
            while await reader.read(1 << 16):
                pass
    except ConnectionResetError:
        pass
    writer.close()
    return time.monotonic() - began_s


def test_an_address_that_is_taken_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        with pytest.raises(OSError, match=r"for routers: .*southbound\.listen") as error:
            await start_server(here.runtime, [here.address])
        assert here.address in str(error.value)

    run(tmp_path, story)


@pytest.mark.parametrize(
    "said",
    [b"", _PREFACE[:10], _PREFACE, _PREFACE + b"\0\0\0\x04\0\0\0\0\0", b"\x16\x03\x01\x02\0\x01"],
    ids=["silence", "half a preface", "a preface", "no call", "half a TLS hello"],
)
def test_whoever_connects_and_makes_no_call_is_closed(tmp_path: Path, said: bytes) -> None:
    async def story(here: House) -> None:
        assert await closed_after_s(here.address, said) < 3.0

    run(tmp_path, story)


def test_a_stream_without_a_hello_is_closed(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        router = ScriptedRouter(here.address)
        code, details = await router.end()
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert details == "no hello within 0.5 s"
        await router.close()

    run(tmp_path, story)


def test_beyond_the_most_connections_others_are_closed_and_those_that_stand_are_served(
    tmp_path: Path,
) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        host, port = here.address.split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(40)]
        await asyncio.sleep(0.2)
        closed = 0
        for each in silent:
            each.setblocking(False)
            try:
                while each.recv(1 << 16):
                    pass
                closed += 1
            except BlockingIOError:
                continue
            except ConnectionResetError:
                closed += 1
        assert closed >= 40 - _SERVER.connections
        await router.say(**lsa())
        await here.until(lambda: "r1" in here.runtime.view.routers)
        for each in silent:
            each.close()
        await router.close()

    run(tmp_path, story)


def test_one_connection_has_few_streams_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, most = 0, 0
    receive_hello = service._receive_hello

    async def count(context: service.Context) -> pb.RouterHello:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        try:
            return await receive_hello(context)
        finally:
            waiting -= 1

    monkeypatch.setattr(service, "_receive_hello", count)

    async def story(here: House) -> None:
        async with grpc.aio.insecure_channel(here.address) as channel:
            method = channel.stream_stream(
                "/digitalgrid.v1.SouthboundService/Session",
                pb.RouterMessage.SerializeToString,
                pb.ControllerMessage.FromString,
            )
            calls = [method() for _ in range(100)]
            await calls[0].code()
            for each in calls:
                each.cancel()

    run(tmp_path, story)
    assert most == _SERVER.streams


def test_no_more_routers_are_known_than_the_limit_and_known_ones_always_come_in(
    tmp_path: Path,
) -> None:
    async def story(here: House) -> None:
        routers = []
        for number in range(1, 4):
            router = await connect(here, router_id=f"r{number}", instance_id=b"%d" % number)
            await router.say(lsa=lsa_to_pb(RouterLsa(f"r{number}", 1, 1, 0.97)))
            await router.say(sync_done=pb.SyncDone())
            await here.until(lambda number=number: here.usable(f"r{number}"))  # type: ignore[misc]
            routers.append(router)
        stranger = ScriptedRouter(here.address)
        await stranger.say(**hello("r4"))
        code, details = await stranger.end()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "limits.routers; `dgc forget-router` makes room" in details
        await routers[0].close()
        await here.until(lambda: not here.usable("r1"))
        again = await connect(here, router_id="r1", instance_id=b"1", session_no=2)
        for router in (*routers, stranger, again):
            await router.close()

    run(tmp_path, story)


def _large(seq: int) -> RouterLsa:
    """As many lines as are taken, other ones each time."""
    links = tuple(
        LinkAdvertisement(f"l{seq}-{number}", f"n{number}", 0.1, 20e3, 300.0)
        for number in range(MAX_ADVERTISED)
    )
    return RouterLsa("r1", 1, seq, 0.97, links)


async def _greeted_s(here: House, number: int) -> float:
    """How long a router waits from its dialling to its greeting."""
    began_s = time.monotonic()
    router = await connect(here, router_id="r2", instance_id=b"2", session_no=number)
    took_s = time.monotonic() - began_s
    await router.close()
    return took_s


def _high(samples: list[float]) -> float:
    return sorted(samples)[int(len(samples) * 0.98)]


@pytest.mark.parametrize("large", [True, False], ids=["large ones", "small ones"])
def test_a_flood_of_advertisements_holds_nobody_else_up_and_the_latest_counts(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(here: House) -> None:
        quiet = [await _greeted_s(here, number) for number in range(1, 41)]
        rogue = await connect(here)
        network, taken = here.runtime._core._network, []
        install = network.install

        def count(lsa: RouterLsa, now_ns: int) -> bool:
            taken.append(lsa.seq)
            return install(lsa, now_ns)

        monkeypatch.setattr(network, "install", count)
        said = [lsa_to_pb(_large(seq) if large else _small(seq)) for seq in range(1, 65)]

        async def flood() -> None:
            for seq in range(1, 1_000_000):
                message = said[seq % len(said)]
                message.seq = seq
                await rogue.say(lsa=message)

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(0.5)
        began_s, before = time.monotonic(), len(taken)
        loud = [await _greeted_s(here, number) for number in range(41, 241)]
        took_s = time.monotonic() - began_s
        flooding.cancel()
        applied = len(taken) - before
        cost = 1 + (MAX_ADVERTISED // 32 if large else 0)
        assert applied <= 2 + _SESSIONS.lsa_per_s * took_s / cost + 1
        assert taken == sorted(taken)
        assert len(taken) >= 2
        assert _high(loud) < 3 * _high(quiet) + 0.06
        await rogue.close()

    run(tmp_path, story)


def _small(seq: int) -> RouterLsa:
    return RouterLsa("r1", 1, seq, 0.9 + seq % 7 / 100)


def test_of_advertisements_beyond_the_rate_the_latest_is_taken_and_before_what_follows(
    tmp_path: Path,
) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        for seq in range(1, 101):
            await router.say(lsa=lsa_to_pb(RouterLsa("r1", 1, seq, seq / 100)))
        await router.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        assert here.runtime.view.routers["r1"].efficiency == 1.0
        await router.close()

    run(tmp_path, story)


def test_nonsense_that_had_to_wait_ends_the_session_too(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        for seq in range(1, 41):
            await router.say(lsa=lsa_to_pb(RouterLsa("r1", 1, seq, 0.97)))
        await router.say(lsa=lsa_to_pb(RouterLsa("r1", 1, 99, 7.0)))
        code, details = await router.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "efficiency must be 1 or less" in details
        await router.close()

    run(tmp_path, story)
