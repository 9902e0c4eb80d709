"""A controller starts with 100,000 circuits that it has promised: it reads its store, and its core takes them over.

The store is a SQLite file, opened as a daemon opens it. Routes are those of requests that name no source. ``ours_s``
is all of it, ``read_s`` the store's part of it. The peer ``bare-read`` reads the same rows of the same file, and has
msgspec decode them, with neither checksum nor sense; a turn of its own after each of ours, both the best of a few.
``agree``: every circuit is there, and the loads hold what the records say.
"""

import asyncio
import gc
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np

from benchmarks.harness import Row, seconds_of
from benchmarks.null_routers import load_ids, mesh_lsas
from controller.computing.warm_up import warm_up_search
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import CircuitRecord, Counters, GenerationRecord, StoredState
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.controller import Controller
from controller.core.questions import Questions
from controller.core.settings import CoreSettings
from controller.runtime.runtime import Runtime
from controller.store.protocol import StoreContents
from controller.store.records_codec import garbage_collection_paused
from controller.store.sqlite import SqliteAccess, SqliteStore
from controller.store.sqlite.schema import SCHEMA_VERSION
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.model import RouterLsa

_SIZE = 1_000
_CIRCUITS = 100_000
_TIMES = 3


def rows(full: bool) -> Iterator[Row]:
    warm_up_search()
    freeze_loaded()
    lsas = mesh_lsas(_SIZE, 1)
    stored = _stored(lsas)
    taken_s, bare_s = [], []
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".core-load-") as directory:
        path = Path(directory) / "store.sqlite"
        SqliteAccess(path).fill(
            StoreContents(SCHEMA_VERSION, 1, 1, stored.counters, iter(stored.circuits), iter(()))
        )
        for _ in range(_TIMES):
            gc.collect()
            known, read_s, all_s = asyncio.run(_start(path))
            taken_s.append((all_s, read_s))
            bare_s.append(seconds_of(partial(_bare_read, path))[0])
            held_w = sum(known.reserved_at_load_w(each) for each in load_ids(lsas))
    promised_w = sum(each.power_w for each in stored.circuits)
    hops = np.mean([len(each.generations[0].route.links) for each in stored.circuits])
    all_s, read_s = min(taken_s)
    yield Row(
        "core-load",
        _SIZE,
        f"{_CIRCUITS} circuits of {hops:.1f} links in the mean, mesh n={_SIZE} seed=1",
        all_s,
        {"bare-read": min(bare_s)},
        len(known.standing) == _CIRCUITS and abs(held_w - promised_w) <= 1e-9 * promised_w,
        {"read_s": read_s},
    )


def _bare_read(path: Path) -> int:
    decoder = msgspec.msgpack.Decoder(CircuitRecord)
    with closing(sqlite3.connect(path)) as connection, garbage_collection_paused():
        rows = connection.execute("SELECT circuit_id, record FROM circuits")
        # Before the record stands its checksum.
        return len([decoder.decode(memoryview(record)[4:]) for _, record in rows])


async def _start(path: Path) -> tuple[Questions, float, float]:
    """What a core knows with what is in the store, the seconds that reading took, and until it leads."""
    runtime, read_s = Runtime(CoreSettings()), 0.0

    class Timed(SqliteStore):
        def load(self) -> StoredState:
            nonlocal read_s
            begin_s = perf_counter()
            try:
                return super().load()
            finally:
                read_s = perf_counter() - begin_s

    begin_s = perf_counter()
    runtime.lead(Timed(path))
    all_s = perf_counter() - begin_s
    known = runtime.questions
    runtime.close()
    return known, read_s, all_s


def _stored(lsas: Sequence[RouterLsa]) -> StoredState:
    routes = _routes(lsas)
    circuits = tuple(
        CircuitRecord(
            circuit_id=number + 1,
            request_id=f"request-{number}",
            request_fingerprint=f"{number:064x}",
            sink_id=routes[number % len(routes)].sink_id,
            source_ids=(),
            constraints=Constraints(),
            power_w=routes[number % len(routes)].power_w,
            priority=0,
            admin_up=True,
            last_generation=1,
            ended_as="",
            generations=(
                GenerationRecord(1, number + 1, routes[number % len(routes)], retiring=False),
            ),
        )
        for number in range(_CIRCUITS)
    )
    return StoredState(1, circuits, Counters(_CIRCUITS + 1, _CIRCUITS + 1))


def _routes(lsas: Sequence[RouterLsa]) -> list[Route]:
    """To each load, from the source that injects least."""
    core = Controller(StoredState(1, (), Counters()), CoreSettings(), 0)
    for lsa in lsas:
        core.on_connected(lsa.router_id, 0)
        core.on_lsa(lsa, 0)
        core.on_sync_done(lsa.router_id, 0)
    return [
        core.compute(PowerRequest(f"r{sink_id}", sink_id, 50.0), 0)[0] for sink_id in load_ids(lsas)
    ]
