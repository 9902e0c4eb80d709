"""The HTTP server of ``/metrics``: in the daemon's loop, since only there the core may be read.

It answers GET alone, a connection each, and makes what it tells at most once in half a second.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from controller.metrics.circuit_tallies import CircuitTallies
from controller.metrics.collecting import Metrics
from controller.runtime.runtime import Runtime
from controller.tallies import LATENESS_BOUNDS_S, Histogram
from controller.watching.gate import Gate
from digitalgrid.addresses import Address
from digitalgrid.supervision import start_task

_log = logging.getLogger(__name__)

# How long (s) what was told is told again: whoever asks in a loop costs no more than a few milliseconds each time.
_FRESH_S = 0.5
# For a request, which is a few hundred bytes; who says nothing is closed.
_PATIENCE_S = 5.0
_MOST_BYTES = 16 * 1024
_MOST_CONNECTIONS = 16
# How often (s) the loop's lateness is looked at.
_LOOK_S = 0.1
# How often (s) circuits that changed are looked at, between scrapes too: they are forgotten some time after their end.
_SWEEP_S = 1.0


class MetricsServer:
    def __init__(self, metrics: Metrics) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(metrics)
        ProcessCollector(registry=self._registry)
        # By what is accepted: when it was made, of which type, and what.
        self._made: dict[str, tuple[float, str, bytes]] = {}
        self._connections = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of one connection."""
        self._connections += 1
        try:
            if self._connections > _MOST_CONNECTIONS:
                writer.write(_response("503 Service Unavailable", b"too many ask at once\n"))
            else:
                async with asyncio.timeout(_PATIENCE_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head.decode("latin-1").split("\r\n")))
                    await writer.drain()
        except asyncio.LimitOverrunError:
            writer.write(_response("431 Request Header Fields Too Large", b"too long\n"))
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            _log.debug("somebody connected for metrics and asked for nothing")
        finally:
            self._connections -= 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, lines: list[str]) -> bytes:
        method, _, rest = lines[0].partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path != "/metrics":
            return _response("404 Not Found", b"metrics are at /metrics\n")
        if method != "GET":
            return _response("405 Method Not Allowed", b"metrics can only be read\n")
        headers = [line.partition(":") for line in lines[1:]]
        accepted = next((value for key, _, value in headers if key.lower() == "accept"), "")
        type_, text = self._metrics(accepted.strip()[:1024])
        return _response("200 OK", text, type_)

    def _metrics(self, accepted: str) -> tuple[str, bytes]:
        encode, type_ = choose_encoder(accepted)
        now_s = asyncio.get_running_loop().time()
        made = self._made.get(type_)
        if made is None or now_s - made[0] > _FRESH_S:
            made = self._made[type_] = (now_s, type_, encode(self._registry))
        return made[1:]


def _response(status: str, body: bytes, type_: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {type_}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body


@asynccontextmanager
async def serving_metrics(runtime: Runtime, gate: Gate, listen: str) -> AsyncIterator[int]:
    """Serve on ``listen`` (host:port); yields the port. OSError, which says what to do, where that is taken."""
    address, lateness_s = Address.of(listen), Histogram(LATENESS_BOUNDS_S)
    circuits = CircuitTallies(runtime)
    server = MetricsServer(Metrics(runtime, gate, circuits, lateness_s))
    try:
        listening = await asyncio.start_server(
            server.answer, address.host, address.port, limit=_MOST_BYTES
        )
    except OSError as error:
        message = (
            f"cannot listen on {listen} for metrics: {error.strerror or error};"
            " stop what uses it, or set metrics.listen to another"
        )
        raise OSError(error.errno, message) from error
    unsubscribe = circuits.subscribed()
    tasks = [
        start_task("loop-lateness", lambda: _look_at_lateness(lateness_s)),
        start_task("circuit-tallies", lambda: _sweep(circuits)),
    ]
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        for task in tasks:
            task.cancel()
        unsubscribe()
        listening.close()


async def _look_at_lateness(lateness_s: Histogram) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + _LOOK_S
        await asyncio.sleep(_LOOK_S)
        lateness_s.observe(max(0.0, loop.time() - due_s))


async def _sweep(circuits: CircuitTallies) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        circuits.sweep()
