"""Whatever happens, and however slowly somebody reads: every watcher ends in the state of the core."""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol

import pytest

from controller.computing.optimiser import Optimiser
from controller.computing.solver import Solver
from controller.core.access import Action, Call, Principal
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.optimising.moves import ReoptimiseLimits
from controller.core.settings import CoreSettings
from controller.northbound.circuit_feed import CircuitFeed
from controller.northbound.codec import circuit_to_pb
from controller.northbound.services import Services
from controller.northbound.topology_codec import keys_of, pictures, topology_to_pb
from controller.northbound.topology_feed import TopologyFeed
from controller.runtime.runtime import Runtime
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook
from controller.watching.thread_times import ThreadTimes
from controller.web.about import About
from controller.web.feed import PageFeed
from controller.web.history import History
from controller.web.rows import COLUMNS, TABLES, circuit_row, picture_row
from digitalgrid.client.topology_view import TopologyView
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.attached_grid import AttachedGrid, MemoryStore
from tests.support.grids import mesh
from tests.support.northbound import in_loop, read_meters, until
from tests.support.page import Mirror, events_of

STEPS = 120
ANYBODY = Principal("anybody")
LINKS = ("r1-r2", "r2-r3", "r3-r4", "r4-r5", "r5-r6", "r6-r1", "r2-r5", "r3-r6")
LOADS = ("town", "works", "clinic", "farm")


class Watcher(Protocol):
    """One that has read ``answers`` so far."""

    def take(self, answer: bytes) -> None: ...

    def has(self, runtime: Runtime) -> bool: ...


class Circuits:
    def __init__(self) -> None:
        self.known: dict[int, pb.Circuit] = {}

    def take(self, answer: bytes) -> None:
        said = pb.WatchCircuitsResponse.FromString(answer)
        for circuit in (*said.circuits, *([said.circuit] if said.HasField("circuit") else [])):
            self.known[circuit.circuit_id] = circuit

    def has(self, runtime: Runtime) -> bool:
        """Of what ended, whoever came later need not know."""
        circuits = runtime.questions.circuits
        return all(
            self.known.get(key, pb.Circuit()) == circuit_to_pb(each)
            for key, each in circuits.items()
            if not each.state.ended or key in self.known
        )


class Topology:
    def __init__(self) -> None:
        self.view = TopologyView()
        self.known = pb.Topology()

    def take(self, answer: bytes) -> None:
        self.known = self.view.take(pb.WatchTopologyResponse.FromString(answer))

    def has(self, runtime: Runtime) -> bool:
        return self.known == runtime.look(topology_to_pb)


class Page:
    """As a browser shows it."""

    def __init__(self) -> None:
        self.mirror = Mirror()

    def take(self, answer: bytes) -> None:
        for event in events_of(answer):
            self.mirror.take(event)

    def has(self, runtime: Runtime) -> bool:
        known = runtime.questions
        told: dict[str, dict[object, object]] = {table: {} for table in COLUMNS}
        for (kind, id_), picture in runtime.look(partial(pictures, keys=keys_of(known.view))):
            assert picture is not None
            told[TABLES[kind]][id_] = json.loads(picture_row(picture))
        for circuit_id, circuit in known.circuits.items():
            if circuit.state is not CircuitState.WITHDRAWN:
                told["circuits"][circuit_id] = json.loads(circuit_row(circuit))
        shown = {
            table: {id_: list(row.values()) for id_, row in rows.items()}
            for table, rows in self.mirror.tables.items()
        }
        return shown == told


class Reader:
    """Reads an answer at a time, with a rest after each that is its own."""

    def __init__(self, answers: AsyncGenerator[bytes], watcher: Watcher, rest_s: float) -> None:
        self.watcher = watcher
        self._answers = answers
        self._rest_s = rest_s
        self._task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for answer in self._answers:
            self.watcher.take(answer)
            await asyncio.sleep(self._rest_s)

    async def end(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._answers.aclose()


class Story:
    """A network to which things happen at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.runtime = Runtime(CoreSettings())
        self.runtime.lead(MemoryStore())
        self.grid = AttachedGrid(self.runtime, mesh())
        self.grid.connect()
        # A busy loop, as far as watchers know: they get their share, and no more.
        self.gate = Gate(Budget(times=lambda: ThreadTimes(time.monotonic(), 0.0)))
        self.circuits = CircuitFeed(self.runtime, self.gate)
        self.solver = Solver()
        optimiser = Optimiser(self.runtime, self.solver, ReoptimiseLimits())
        self.services = Services(self.runtime, optimiser, self.gate, read_meters)
        self.topology = TopologyFeed(self.services.looks, self.gate)
        meters = MeterLook(read_meters, lambda: self.runtime.view)
        about = About(self.runtime, "", "", "")
        history = History(self.runtime, self.services.marks)
        self.page = PageFeed(self.services, self.gate, meters, about, history)
        self.cut: set[str] = set()
        self.requests = 0

    def step(self) -> None:
        self.random.choice((self.request, self.request, self.release, self.turn_line))()

    def request(self) -> None:
        self.requests += 1
        name = f"request-{self.requests}"
        request = PowerRequest(name, self.random.choice(LOADS), self.random.uniform(1e4, 2e6))
        self._handle(
            Call(ANYBODY, Action.REQUEST, name), lambda core, now_ns: core.request(request, now_ns)
        )

    def release(self) -> None:
        standing: list[Circuit] = list(self.runtime.questions.standing)
        if standing:
            id_ = self.random.choice(standing).circuit_id
            self._handle(
                Call(ANYBODY, Action.RELEASE, str(id_)),
                lambda core, now_ns: core.release(id_, now_ns),
            )

    def turn_line(self) -> None:
        link_id = self.random.choice(LINKS)
        (self.grid.mend if link_id in self.cut else self.grid.cut)(link_id)
        self.cut ^= {link_id}

    def _handle(self, call: Call, event: Callable[[Any, int], Any]) -> None:
        # Refusals are a part of life.
        with suppress(Refusal):
            self.runtime.handle(call, event)

    def reader(self) -> Reader:
        rest_s = self.random.choice((0.0, 0.0, 0.002, 0.05))
        kind = self.random.random()
        if kind < 0.4:
            answers = self.circuits.watch(together=self.random.random() < 0.6)
            return Reader(answers, Circuits(), rest_s)
        if kind < 0.7:
            return Reader(self.page.events(), Page(), rest_s)
        answers = self.topology.watch(changes_only=self.random.random() < 0.7)
        return Reader(answers, Topology(), rest_s)


@contextmanager
def story(seed: int) -> Iterator[Story]:
    told = Story(seed)
    try:
        yield told
    finally:
        told.solver.close()
        told.runtime.close()


@pytest.mark.parametrize("seed", range(6))
def test_every_watcher_ends_in_the_state_of_the_core(seed: int) -> None:
    in_loop(partial(_run, seed))()


async def _run(seed: int) -> None:
    with story(seed) as told:
        readers = [told.reader() for _ in range(4)]
        for _ in range(STEPS):
            told.step()
            if told.random.random() < 0.05:
                readers.append(told.reader())
            if told.random.random() < 0.03:
                await readers.pop(0).end()
            if told.random.random() < 0.5:
                await asyncio.sleep(told.random.choice((0.0, 0.0, 0.001)))
        assert told.requests > STEPS / 4
        await until(lambda: all(each.watcher.has(told.runtime) for each in readers))
        for each in readers:
            await each.end()
        told.page.close()
        told.services.close()
        feeds = told.runtime.feeds
        assert not any((feeds.circuits, feeds.topology))
