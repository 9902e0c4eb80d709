"""The page's stream over HTTP: each browser is written to at its own pace, and one that does not read is let go.

What it has not taken is not kept for it: it is a place in the journal, and goes on from there when it comes back.
"""

import asyncio
import logging
import socket
from contextlib import aclosing

from aiohttp import web

from controller.northbound.guard import CallFailed, failing
from controller.northbound.load_gate import LoadGate
from controller.tallies import Tallies
from controller.web.calls import caller, failure
from controller.web.feed import PageFeed
from controller.web.packing import BEGIN, packed

_log = logging.getLogger(__name__)

# What a browser may leave unread of what was written to it, in this process and as much in the kernel.
_MOST_UNREAD_BYTES = 256 * 1024
# How long (s) it may leave it so: laptops sleep, and come back by themselves.
STALL_S = 20.0
# How soon (ms) a browser comes back whose connection has ended.
_RETRY = b"retry: 500\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # Proxies are not to gather it.
    "X-Accel-Buffering": "no",
    "Vary": "Accept-Encoding",
}


class Streams:
    def __init__(self, feed: PageFeed, gate: LoadGate, tallies: Tallies) -> None:
        self._feed = feed
        self._gate = gate
        self._tallies = tallies
        self._open: set[asyncio.Transport] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """GET ``/api/v1/stream``."""
        try:
            with failing("the page's stream"), self._gate.watch(caller(request).peer()):
                return await self._write_to(request)
        except CallFailed as failed:
            return failure(failed.status)

    async def _write_to(self, request: web.Request) -> web.StreamResponse:
        gzip = "gzip" in request.headers.get("Accept-Encoding", "")
        response = web.StreamResponse(headers=_HEADERS)
        if gzip:
            response.headers["Content-Encoding"] = "gzip"
        response.enable_chunked_encoding()
        writer = await response.prepare(request)
        transport = request.transport
        if transport is None or writer is None:
            return response
        transport.set_write_buffer_limits(high=_MOST_UNREAD_BYTES)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_UNREAD_BYTES)
        self._open.add(transport)
        try:
            # The first write sends the headers along.
            await response.write(BEGIN + packed(_RETRY) if gzip else _RETRY)
            last = request.headers.get("Last-Event-ID", "")
            packing = packed if gzip else bytes
            async with aclosing(self._feed.events(last, packing)) as events:
                async for said in events:
                    if transport.is_closing():
                        break
                    # At once, without a way through more of a server than is needed: a hundred wait for the same.
                    transport.write(b"%x\r\n%b\r\n" % (len(said), said))
                    if transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
                        async with asyncio.timeout(STALL_S):
                            await writer.drain()
        except TimeoutError:
            self._tallies.web_stalls += 1
            _log.info("%s does not read the page's stream; it is let go", caller(request).peer())
            transport.abort()
        except ConnectionError:
            transport.abort()
        finally:
            self._open.discard(transport)
        return response

    async def close(self, _app: web.Application) -> None:
        """The daemon stops: browsers come back by themselves when it serves again."""
        for transport in list(self._open):
            transport.abort()
        self._feed.close()
