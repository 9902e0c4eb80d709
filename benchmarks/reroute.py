"""A line fails that 2,000 active circuits cross: both of its ends say so, and all circuits are moved.

Routers are null routers in the controller's process, and its store is a SQLite file on a disk that is flushed for each
commit. ``reroute-2000`` is from the first advertisement until the last circuit is ACTIVE on its new path,
``reroute-2000-first`` until the first is. The peer ``bare-loop`` does the same by heart: in a loop without a core it
commits the same changes to a plain SQLite file and hands the same messages to routers that answer each at once. It
searches no path, and no message waits for an answer or for the disk. ``agree``: all of them were moved, none crosses
the line, and the reservations hold nothing of it.
"""

import asyncio
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import perf_counter

from benchmarks.bare import TABLES, BareGroupCommit
from benchmarks.durable_admit import flushes_per_s
from benchmarks.harness import Row
from benchmarks.null_routers import NullRouters, load_ids, mesh_lsas
from controller.computing.warm_up import warm_up_search
from controller.core.access import Action, Call, Principal
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.records import StateChange
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.core.messages import ToRouter
from controller.core.settings import CoreSettings
from controller.runtime.runtime import Runtime
from controller.store.records_codec import encode
from controller.store.sqlite import SqliteStore
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.model import RouterLsa

_CALL = Call(Principal("benchmark"), Action.REQUEST)

_SIZE = 1_000
_CIRCUITS = 2_000
_TOGETHER = 64
# So little that it makes no other path better.
_POWER_W = 1.0
# However slow a machine is, being slow fails nothing.
_LONGEST_S = 600.0


def rows(full: bool) -> Iterator[Row]:
    warm_up_search()
    freeze_loaded()
    for seed in (1, 2, 3) if full else (1,):
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".reroute-") as directory:
            yield from asyncio.run(_rows(seed, Path(directory)))


@dataclass(slots=True)
class _Recording:
    """What the controller let happen, in order, and how much of it until the first circuit had moved."""

    happened: list[StateChange | ToRouter] = field(default_factory=list)
    until_first: int = 0


class _RecordedStore(SqliteStore):
    def __init__(self, path: Path, recording: _Recording) -> None:
        super().__init__(path)
        self._recording = recording

    def submit(self, ticket: int, change: StateChange) -> None:
        self._recording.happened.append(change)
        super().submit(ticket, change)


class _RecordedRouters(NullRouters):
    def __init__(self, runtime: Runtime, lsas: Iterable[RouterLsa], recording: _Recording) -> None:
        super().__init__(runtime, lsas)
        self._recording = recording

    def take(self, router_id: str, message: ToRouter) -> None:
        self._recording.happened.append(message)
        super().take(router_id, message)


async def _rows(seed: int, directory: Path) -> list[Row]:
    runtime, recording = Runtime(CoreSettings()), _Recording()
    try:
        runtime.lead(_RecordedStore(directory / "store.sqlite", recording))
        lsas = mesh_lsas(_SIZE, seed)
        routers = _RecordedRouters(runtime, lsas, recording)
        routers.attach()
        link_id = await _load_a_link(runtime, lsas)
        recording.happened.clear()
        first_s, all_s, good = await _cut(runtime, routers, link_id, recording)
    finally:
        runtime.close()
    happened, until_first = recording.happened, recording.until_first
    instance = f"mesh n={_SIZE} seed={seed}, link {link_id}"
    counts = {
        "changes": sum(isinstance(each, StateChange) for each in happened),
        "messages": sum(not isinstance(each, StateChange) for each in happened),
        "flushes_per_s": flushes_per_s(directory),
    }
    return [
        Row(name, _SIZE, instance, ours_s, {"bare-loop": await _by_heart(path, some)}, good, counts)
        for name, ours_s, path, some in (
            (f"reroute-{_CIRCUITS}-first", first_s, directory / "first", happened[:until_first]),
            (f"reroute-{_CIRCUITS}", all_s, directory / "all", happened),
        )
    ]


async def _by_heart(path: Path, happened: Sequence[StateChange | ToRouter]) -> float:
    """Seconds of a loop that lets the same happen, and decides nothing."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for statement in TABLES:
        connection.execute(statement)

    def write(changes: Sequence[StateChange]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        rows = ((each.circuit_id, encode(each)) for change in changes for each in change.circuits)
        connection.executemany("INSERT OR REPLACE INTO circuits VALUES (?, ?)", rows)
        entries = ((each.seq, encode(each)) for change in changes for each in change.audit)
        connection.executemany("INSERT INTO audit VALUES (?, ?)", entries)
        connection.execute("COMMIT")

    loop, answered = asyncio.get_running_loop(), 0

    def answer(message: ToRouter) -> None:
        nonlocal answered
        answered += message is not None

    committing = BareGroupCommit(write)
    begin_s = perf_counter()
    commits = []
    for each in happened:
        if isinstance(each, StateChange):
            commits.append(asyncio.ensure_future(committing.commit(each)))
            await asyncio.sleep(0)
        else:
            loop.call_soon(answer, each)
    await asyncio.gather(*commits)
    taken_s = perf_counter() - begin_s
    committing.close()
    connection.close()
    assert answered + len(commits) == len(happened)
    return taken_s


async def _load_a_link(runtime: Runtime, lsas: Sequence[RouterLsa]) -> str:
    """2,000 circuits over the line that most paths cross; no other circuit."""
    numbers = count()

    def requests(sinks: Sequence[str]) -> list[PowerRequest]:
        return [PowerRequest(f"r{next(numbers)}", sink, _POWER_W) for sink in sinks]

    crossing: dict[str, list[str]] = {}
    for sink in load_ids(lsas):
        (wanted,) = requests([sink])
        for route in _compute(runtime, wanted):
            for link in route.links:
                crossing.setdefault(link.link_id, []).append(sink)
    link_id = max(crossing, key=lambda each: len(crossing[each]))
    sinks = crossing[link_id] * (_CIRCUITS // len(crossing[link_id]) + 1)
    for first in range(0, _CIRCUITS, _TOGETHER):
        _admit(runtime, requests(sinks[first : min(first + _TOGETHER, _CIRCUITS)]))
        await runtime.durable()
    await _until(lambda: _states(runtime) == {CircuitState.ACTIVE: _CIRCUITS})
    return link_id


def _compute(runtime: Runtime, wanted: PowerRequest) -> list[Route]:
    return runtime.handle(_CALL, lambda core, now_ns: core.compute(wanted, now_ns))


def _admit(runtime: Runtime, asked: list[PowerRequest]) -> None:
    for decision in runtime.handle_requests([(_CALL, each) for each in asked]):
        if isinstance(decision, Refusal):
            raise decision


async def _cut(
    runtime: Runtime, routers: NullRouters, link_id: str, recording: _Recording
) -> tuple[float, float, bool]:
    """Seconds until the first circuit has moved, and the last; and whether all of them did."""
    circuits = runtime.questions.circuits
    before = {
        key: each.last_generation for key, each in circuits.items() if _crosses(each, link_id)
    }
    moved_s: dict[int, float] = {}

    def note(circuit_id: int) -> None:
        circuit = circuits[circuit_id]
        moved = circuit.last_generation > before.get(circuit_id, circuit.last_generation)
        if moved and circuit.state is CircuitState.ACTIVE:
            recording.until_first = recording.until_first or len(recording.happened)
            moved_s.setdefault(circuit_id, perf_counter() - begin_s)

    runtime.feeds.circuits.subscribe(note)
    begin_s = perf_counter()
    routers.cut(link_id)
    await _until(lambda: len(moved_s) == len(before))
    runtime.feeds.circuits.unsubscribe(note)
    await _until(lambda: not runtime.questions.circuits_over([link_id]))
    good = len(before) == _CIRCUITS and not any(_crosses(e, link_id) for e in circuits.values())
    return min(moved_s.values()), max(moved_s.values()), good


def _crosses(circuit: Circuit, link_id: str) -> bool:
    newest = circuit.newest()
    return newest is not None and any(link.link_id == link_id for link in newest.route.links)


def _states(runtime: Runtime) -> Counter[CircuitState]:
    return Counter(each.state for each in runtime.questions.circuits.values())


async def _until(condition: Callable[[], bool]) -> None:
    deadline_s = perf_counter() + _LONGEST_S
    while not condition():
        if perf_counter() > deadline_s:
            raise TimeoutError("circuits are not where they should be")
        await asyncio.sleep(0.002)
