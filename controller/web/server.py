"""The HTTP server of the operator's page, in the daemon's loop."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from controller.northbound.services import Services
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook
from controller.web.about import About
from controller.web.assets import Assets
from controller.web.calls import Calls
from controller.web.emulation import EmulationFaults
from controller.web.feed import LINGER_S, PageFeed
from controller.web.history import History
from controller.web.market import MarketLook
from controller.web.stream import Streams
from controller.web.trust import Trust
from digitalgrid.addresses import Address
from digitalgrid.http import serving

# A browser has one for its stream, and some more while it begins.
MOST_CONNECTIONS = 500
# Of what a call may ask at once: some thousand requests.
_MOST_BODY_BYTES = 512 * 1024
# Nothing is fetched from elsewhere, and nothing in a file or an id becomes a script.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@asynccontextmanager
async def serving_page(
    services: Services,
    gate: Gate,
    meters: MeterLook,
    about: About,
    listen: str,
    most_connections: int = MOST_CONNECTIONS,
    names: Iterable[str] = (),
    token_file: Path | None = None,
    linger_s: float = LINGER_S,
) -> AsyncIterator[str]:
    """Serve it on ``listen`` (host:port); yields its address for a browser. OSError, which says what to do, where that
    is taken, or the token in its file is no secret. What was told is kept for ``linger_s`` after the last browser.
    """
    trust = Trust(listen, token_file)
    history = History(services.runtime, services.marks)
    feed = PageFeed(services, gate, meters, about, history, linger_s)
    app = _application(services, feed, history, trust)
    if about.emulation is not None:
        faults = EmulationFaults(about.emulation)
        app.router.add_post("/api/v1/emulation/{verb}", faults.answer)
    if about.market:
        look = MarketLook(about.market)
        app.router.add_post("/api/v1/market/{service}/{method}", look.answer)
        app.on_cleanup.append(look.close)
    with history.kept():
        async with serving(app, listen, "web", most_connections, names) as port:
            address = Address(Address.of(listen).host, port)
            yield f"http://{address}/" + (f"#token={trust.token}" if trust.token else "")


def _application(
    services: Services, feed: PageFeed, history: History, trust: Trust
) -> web.Application:
    assets, calls = Assets(), Calls(services)
    streams = Streams(feed, services.guard.gate, services.runtime.tallies)

    async def told(_request: web.Request) -> web.Response:
        """GET ``/api/v1/history``: the map as it was."""
        headers = {"Cache-Control": "no-store", "Content-Encoding": "gzip"}
        return web.Response(
            body=await history.told(), content_type="application/json", headers=headers
        )

    @web.middleware
    async def trusted(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/api/"):
            check = trust.check_reader if request.method == "GET" else trust.check_writer
            check(request)
        return await handler(request)

    app = web.Application(middlewares=[trusted], client_max_size=_MOST_BODY_BYTES)
    app.router.add_get("/", assets.index)
    app.router.add_get("/page/{name:.+}", assets.file)
    app.router.add_get("/api/v1/stream", streams.answer)
    app.router.add_get("/api/v1/history", told)
    app.router.add_post("/api/v1/call/{service}/{method}", calls.answer)
    app.router.add_post("/api/v1/places", calls.place)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(streams.close)
    return app


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
