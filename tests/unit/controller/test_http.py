"""HTTP in the daemon's loop: so many connections at a time, and what strangers send is no fault of ours."""

import asyncio
import logging

import pytest
from aiohttp import web

from digitalgrid.http import serving
from tests.support.northbound import in_loop

_ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@in_loop
async def test_one_connection_too_many_is_told_so_and_closed_and_its_place_is_free_again() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", answer)
    async with serving(app, "127.0.0.1:0", "web", 2) as port:
        writers = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_ASK)
            assert b"200 OK" in await reader.readuntil(b"here")
            writers.append(writer)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(_ASK)
        refused = await reader.read()
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"too many" in refused
        for writer in writers:
            writer.close()
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_ASK)
            line = await reader.readline()
            writer.close()
            if b"200 OK" in line:
                break


@pytest.mark.parametrize(
    "said",
    [
        b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\na: " + b"a" * 10_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_and_a_line_of_the_log(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    @in_loop
    async def story() -> None:
        async with serving(web.Application(), "127.0.0.1:0", "web", 2) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            assert (await reader.read()).startswith(b"HTTP/1.0 400")
            writer.close()

    caplog.set_level(logging.INFO)
    story()
    (record,) = [each for each in caplog.records if each.name.startswith("digitalgrid.http")]
    assert record.levelno == logging.INFO
    assert record.exc_info is None
    assert len(record.getMessage()) < 400


@in_loop
async def test_what_goes_wrong_here_is_told_whole(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(_request: web.Request) -> web.Response:
        raise LookupError("ours")

    app = web.Application()
    app.router.add_get("/", answer)
    async with serving(app, "127.0.0.1:0", "web", 2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_ASK)
        assert (await reader.readline()).startswith(b"HTTP/1.1 500")
        writer.close()
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.exc_info is not None
