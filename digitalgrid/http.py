"""HTTP in the daemon's loop: the one way in which it is served, for the page and for metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler

from digitalgrid.addresses import Address

# What is under way gets this long (s) to end when the daemon stops.
_GRACE_S = 0.3
# A connection on which nothing is asked for so long (s), or not to its end, is closed; a browser makes another.
IDLE_S = 15.0
# Of a request's first line, and of each header.
_MOST_LINE_BYTES = 8190


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
