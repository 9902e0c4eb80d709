"""HTTP in the daemon's loop: the one way in which it is served, for the page and for metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from digitalgrid.addresses import Address

# What is under way gets this long (s) to end when the daemon stops.
_GRACE_S = 0.3
# Of a request's first line, and of each header.
_MOST_LINE_BYTES = 8190


@asynccontextmanager
async def serving(app: web.Application, listen: str, key: str) -> AsyncIterator[int]:
    """Serve on ``listen`` (host:port); yields the port. OSError, which names the ``key`` of the configuration, where
    that is taken.
    """
    address = Address.of(listen)
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_GRACE_S,
        max_line_size=_MOST_LINE_BYTES,
        max_field_size=_MOST_LINE_BYTES,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port, reuse_port=False)
        try:
            await site.start()
        except OSError as error:
            message = (
                f"cannot listen on {listen}: {error.strerror or error};"
                f" stop what uses it, or set {key} to another"
            )
            raise OSError(error.errno, message) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
