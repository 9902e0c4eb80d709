"""What OpenTelemetry costs those who ask for power: the controller's processor time of an admission.

``tracing-off`` is a controller that is told to trace, of whose calls none is chosen (``sample_ratio`` 0);
``tracing-most`` one whose calls are all to be traced, and which traces as many a second as it allows itself. Each has
for its peer the same controller without tracing, by turns in changing order: figures are seconds of processor time of
the whole process an admission, spans made and sent to a collector that takes and forgets them in another process, each
the mean of the quieter half of its rounds. Single calls, 64 in flight: each is a trace of its own. Before a round
begins, as many calls as may be traced at once have been. ``busy`` is how many processes the machine
would run just then.
"""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import grpc

from benchmarks.durable_admit import Ask, Client, controller_on
from benchmarks.harness import Row, busyness, quieter
from benchmarks.null_routers import load_ids, networks
from benchmarks.watching import release_all
from controller.computing.warm_up import warm_up_search
from controller.tracing.tracing import Tracing
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.model import RouterLsa
from digitalgrid.tracing.extra import open_spans

_ROUNDS = 7
_ASK = Ask(1, 64, 3_840, "untraced", _ROUNDS)
_BEFORE = Ask(1, 64, 256, "", 1)
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RATIOS = {"tracing-off": 0.0, "tracing-most": 1.0}


def rows(full: bool) -> Iterator[Row]:
    warm_up_search()
    freeze_loaded()
    for name, (size, lsas) in networks(full).items():
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".tracing-") as directory:
            yield from asyncio.run(_rows(name, size, lsas, Path(directory)))


async def _rows(name: str, size: int, lsas: Sequence[RouterLsa], directory: Path) -> list[Row]:
    taken_s: dict[str, list[float]] = {each: [] for each in ("untraced", *_RATIOS)}
    admitted = True
    with ExitStack() as undo:
        endpoint = undo.enter_context(_Collector()).address
        client = Client(load_ids(lsas))
        undo.callback(client.close)
        for number in range(_ROUNDS + 1):
            order = list(taken_s)
            for kind in order[number % 3 :] + order[: number % 3]:
                tracing = None
                if kind in _RATIOS:
                    spans = open_spans(endpoint, "dgc")
                    tracing = Tracing(spans, _RATIOS[kind])
                place = directory / f"{kind}-{number}"
                place.mkdir()
                async with controller_on(lsas, place, tracing=tracing) as (runtime, _, address):
                    await client.ask(address, _BEFORE)
                    begun_s = time.process_time()
                    answered = await client.ask(address, _ASK)
                    used_s = time.process_time() - begun_s
                    admitted &= answered.admitted == _ASK.admissions
                    await release_all(runtime)
                if tracing is not None:
                    spans.close()
                # The first of each has loaded what it needs.
                if number:
                    taken_s[kind].append(used_s / _ASK.admissions)
    return [_row(kind, name, size, taken_s, admitted) for kind in _RATIOS]


def _row(kind: str, name: str, size: int, taken_s: dict[str, list[float]], admitted: bool) -> Row:
    ours_s, untraced_s = quieter(taken_s[kind]), quieter(taken_s["untraced"])
    return Row(kind, size, name, ours_s, {"untraced": untraced_s}, admitted, {"busy": busyness()})


class _Collector:
    """Takes spans, and forgets them: in a process of its own, so that its work is nobody's here."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_collect, args=(theirs,), daemon=True)
        self._process.start()
        self.address: str = self._pipe.recv()

    def __enter__(self) -> "_Collector":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self._process.join()


def _collect(pipe: Connection) -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    take = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
    service, _, method = _EXPORT[1:].partition("/")
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: take}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pipe.send(f"127.0.0.1:{port}")
    pipe.recv()
    server.stop(None)
