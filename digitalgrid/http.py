"""HTTP in the daemon's loop: the one way in which it is served, for the page and for metrics."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from digitalgrid.addresses import Address

_log = logging.getLogger(__name__)

# What is under way gets this long (s) to end when the daemon stops.
_GRACE_S = 0.3
# A connection on which nothing is asked for so long (s), or not to its end, is closed; a browser makes another.
IDLE_S = 15.0
# Of a request's first line, and of each header.
_MOST_LINE_BYTES = 8190
# Of what is wrong with what a stranger sends, in the log.
_MOST_SAID = 200


class _OwnFaults(logging.Filter):
    """Lets through what went wrong here. What a stranger sends that is no HTTP is answered, and is a line of the log,
    not a traceback: whoever can connect could fill a disk with those.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | web.RequestPayloadError):
            return True
        said = " ".join(str(error).split())[:_MOST_SAID]
        _log.info("%s: %s", record.getMessage(), said)
        return False


_server_log = logging.getLogger(f"{__name__}.server")
_server_log.addFilter(_OwnFaults())


async def body_of(request: web.Request) -> bytes:
    """All that was sent. What never comes to its end, or cannot be read, is told so."""
    try:
        async with asyncio.timeout(IDLE_S):
            return await request.read()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the message did not come to its end\n") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        said = str(error)[:_MOST_SAID]
        raise web.HTTPBadRequest(text=f"the message cannot be read: {said}\n") from error


@asynccontextmanager
async def serving(
    app: web.Application, listen: str, what: str, most_connections: int
) -> AsyncIterator[int]:
    """Serve on ``listen`` (host:port), which is ``what``'s in the configuration; yields the port. OSError, which says
    what to do, where that is taken. Who comes while there are too many is told so, and closed.
    """
    address = Address.of(listen)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_server_log,
        handle_signals=False,
        keepalive_timeout=IDLE_S,
        shutdown_timeout=_GRACE_S,
        max_line_size=_MOST_LINE_BYTES,
        max_field_size=_MOST_LINE_BYTES,
    )

    @web.middleware
    async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
        server = runner.server
        if server is not None and len(server.connections) > most_connections:
            answer = web.Response(status=503, text="too many ask at once\n")
            answer.force_close()
            return answer
        return await handler(request)

    app.middlewares.insert(0, bounded)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port, reuse_port=False)
        try:
            await site.start()
        except OSError as error:
            message = (
                f"cannot listen on {listen} for {what}: {error.strerror or error};"
                f" stop what uses it, or set {what}.listen to another"
            )
            raise OSError(error.errno, message) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
