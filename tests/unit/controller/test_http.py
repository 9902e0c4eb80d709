"""HTTP in the daemon's loop: so many connections at a time, and the next one is told."""

import asyncio

from aiohttp import web

from digitalgrid.http import serving
from tests.support.northbound import in_loop

_ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


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
