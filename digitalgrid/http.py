"""HTTP in a daemon's loop: the one way in which it is served, for the page and for metrics.

A name that is pointed at this machine (DNS rebinding) makes a stranger's page look like ours, so what listens on
loopback answers to loopback's own names alone. A browser always says by which it asks.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

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


def _check_host(request: web.Request, ours: frozenset[str]) -> None:
    said = request.headers.get("Host")
    name = "localhost" if said is None else _hostname(said)
    if name not in ours and not _is_loopback(name):
        raise web.HTTPForbidden(
            text=f"this is at loopback, and is not called {request.host[:100]!r}; ask http://localhost or"
            " http://127.0.0.1, with its port (of a page that has another name here, web.names says it)\n"
        )


def _hostname(host: str) -> str:
    """Empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(hostname: str) -> bool:
    try:
        return ip_address(hostname).is_loopback
    except ValueError:
        return hostname == "localhost" or hostname.endswith(".localhost")


@asynccontextmanager
async def serving(
    app: web.Application,
    listen: str,
    what: str,
    most_connections: int,
    names: Iterable[str] = (),
) -> AsyncIterator[int]:
    """Serve on ``listen`` (host:port), which is ``what``'s in the configuration; yields the port. OSError, which says
    what to do, where that is taken. Who comes while there are too many is told so, and closed. ``names`` are ours
    beside those of loopback, where that is listened on.
    """
    address = Address.of(listen)
    ours = frozenset(each.lower() for each in names)
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
        if address.is_loopback:
            _check_host(request, ours)
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
