"""Many small circuits on few routers: how quickly they are set up, and whether anything moves that no fault concerns.

The network is whole: a daemon, and each router a process of its own, on this machine (backend ``local``, no root).
``overload`` sets up 1,000 circuits of 10 W beside one of 1 MW on four routers, in batches of 250, and then lets them
stand; ``overload-busy`` does so beside a process that spins on each core. ``ours_per_s`` are circuits a second, from
the first request until the last of them is ACTIVE. ``moved`` counts new generations of circuits, and ``lines_down`` the
times that a line was not up, though nothing was ever cut, ``lost_mj`` energy that was lost on the way: ``agree`` where
these are 0 and every circuit has its power.
``standing`` has 5,000 circuits on nine routers, which then stand for longer than ticks are remembered. A crowd is set
up at the pace at which it gets its power: no more than 1,000 wait at a time. Whoever asks a controller that is too busy
to answer asks again, which sets up nothing twice. How far it is, is said on stderr.
``ticks_late_p99_ms`` is how late ticks began, of the router where that was most, over the last 100 s or since it
started: 99 of 100 were no later.
``cut`` and ``cut-protected`` cut the one line that 100 of 5,000 circuits cross: ``missing_ms_p50`` and ``_max`` are the
energy that those lack afterwards, in milliseconds of their power, and ``moved`` counts the others; ``left_before`` of
the 100 had left that line before it was cut, though all lines were up, and ``set_up_per_s`` is the pace of the others.
"""

import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.harness import Row
from digitalgrid.client import ControllerUnreachable, PowerClient, power_request
from digitalgrid.client.calls import Protect
from digitalgrid.gridfile import Grid, load_grid, loads_grid
from digitalgrid.units import NS_PER_MS
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.emulator.health import wait_healthy
from topologies.emulator.local_backend import LocalEmulation
from topologies.emulator.ports import options_on_free_ports

T = TypeVar("T")

_FOUR_ROUTERS = """
name: four
defaults: {voltage_v: 20000, efficiency: 0.97, ampacity_a: 300, resistance_ohm: 0.5}
routers: [{id: a}, {id: b}, {id: c}, {id: d}]
links:
  - {id: ab, a: a, b: b}
  - {id: ab2, a: a, b: b, resistance_ohm: 0.9}
  - {id: bc, a: b, b: c}
  - {id: ac, a: a, b: c, resistance_ohm: 2}
  - {id: cd, a: c, b: d, ampacity_a: 55}
  - {id: bd, a: b, b: d}
sources: [{id: s, router: a, max_power_w: 9e6}, {id: s2, router: c, max_power_w: 1e6}]
loads:
  - {id: lb, router: b, power_w: 3e6}
  - {id: lc, router: c, power_w: 3e6}
"""
_SMALL_W = 10.0
_BATCH = 250
# With more that wait for their power the next batch waits too: beyond 4,096 a controller refuses.
_WAITING_AT_MOST = 1_000
# However slow a machine is, being slow fails nothing.
_LONGEST_S = 600.0
# How long all must stand as they are, once they are there; and for as long as routers remember their ticks.
_STANDS_S = 30.0
_REMEMBERED_S = 110.0
# Circuits, and those of a line besides that nobody else crosses: they may not go where the others come to that load.
_AMONG = 4_900
_CROSSING = 100
_CROSSED, _AVOIDED, _SINK = "r4-r9", "r2-r4", "load4"
# Within which the last of what is missing after a cut is told.
_TOLD_S = 20.0
_POLL_S = 0.1
# A look at thousands of circuits costs the controller that is measured: it takes no more than so much of the time.
_LOOKS_SHARE = 0.1
_LOOKS_APART_S = 5.0
_PROGRESS_S = 10.0


def rows(full: bool) -> Iterator[Row]:
    four = loads_grid(_FOUR_ROUTERS, "four")
    yield _measured("overload", four, _Crowd(1_000, ("lb",), beside="lc"))
    yield _measured("overload-busy", four, _Crowd(1_000, ("lb",), beside="lc", busy=True))
    nine = load_grid("topologies/elan9.grid.yaml")
    loads = tuple(load.id for load in nine.loads)
    yield _measured("standing", nine, _Crowd(5_000, loads, stands_s=_REMEMBERED_S))
    yield _cut("cut", nine, _Crowd(_AMONG, loads), protect=None)
    yield _cut("cut-protected", nine, _Crowd(_AMONG, loads), protect="link")


@dataclass(frozen=True, slots=True)
class _Crowd:
    """So many small circuits to these loads by turns, ``beside`` one of 1 MW to another."""

    circuits: int
    sink_ids: tuple[str, ...]
    beside: str = ""
    busy: bool = False
    stands_s: float = _STANDS_S


def _measured(name: str, grid: Grid, crowd: _Crowd) -> Row:
    with ExitStack() as undo:
        _, address, client = _running(grid, undo)
        if crowd.beside:
            large = client.request_power(power_request(crowd.beside, 1e6)).circuits[0]
            client.wait_until_active([large.circuit_id], timeout_s=_LONGEST_S)
        watch = undo.enter_context(_watched(address))
        if crowd.busy:
            undo.enter_context(_spinning(os.cpu_count() or 1))
        active_s = _set_up(client, crowd)
        time.sleep(crowd.stands_s)
        circuits = _circuits(client)
        meters = _insist(client.read_meters).meters
    moved = sum(each.generation - 1 for each in circuits)
    active = sum(each.state == pb.CIRCUIT_STATE_ACTIVE for each in circuits)
    lost_mj = sum(link.lost_in_transit_mj for each in meters for link in each.links)
    wanted = crowd.circuits + bool(crowd.beside)
    return Row(
        name,
        crowd.circuits,
        f"{len(grid.routers)} routers, {crowd.circuits} circuits of {_SMALL_W:g} W"
        + (" beside one of 1 MW" if crowd.beside else "")
        + (f", {os.cpu_count()} spinning processes" if crowd.busy else ""),
        active_s / crowd.circuits,
        {},
        moved == 0 and watch.lines_down == 0 and lost_mj == 0 and active == wanted,
        {
            "ours_per_s": crowd.circuits / active_s,
            "moved": moved,
            "lines_down": watch.lines_down,
            "lost_mj": lost_mj,
            "active": active,
            "ticks_late_p99_ms": max(each.ticks_late_p99_ns for each in meters) / NS_PER_MS,
        },
    )


def _cut(name: str, grid: Grid, crowd: _Crowd, protect: Protect | None) -> Row:
    """Of many circuits that stand some lose their line."""
    with ExitStack() as undo:
        emulation, _, client = _running(grid, undo)
        set_up_s = _set_up(client, crowd)
        ids = _set_up_crossing(client, protect)
        time.sleep(_STANDS_S)
        before = {each.circuit_id: each for each in _circuits(client)}
        emulation.cut(_CROSSED)
        time.sleep(_TOLD_S)
        after = {each.circuit_id: each for each in _circuits(client)}
    crosses = {
        each.circuit_id
        for each in before.values()
        if any(link.link_id == _CROSSED for link in each.links)
    }
    missing_ms = sorted(_lacks_ms(before[each], after[each]) for each in ids)
    moved = sum(after[each].generation - before[each].generation for each in before.keys() - ids)
    served = sum(each.state == pb.CIRCUIT_STATE_ACTIVE for each in after.values())
    return Row(
        name,
        len(before),
        f"{len(grid.routers)} routers, {len(before)} circuits of {_SMALL_W:g} W,"
        f" {len(ids)} over the line that is cut",
        statistics.median(missing_ms) / 1e3,
        {},
        crosses == ids and moved == 0 and served == len(after),
        {
            "missing_ms_p50": statistics.median(missing_ms),
            "missing_ms_max": missing_ms[-1],
            "left_before": len(ids - crosses),
            "set_up_per_s": crowd.circuits / set_up_s,
            "moved": moved,
            "active": served,
        },
    )


def _running(grid: Grid, undo: ExitStack) -> tuple[LocalEmulation, str, PowerClient]:
    """The network, where its daemon listens, and a client of it, until ``undo`` ends them."""
    directory = undo.enter_context(tempfile.TemporaryDirectory(prefix="overload-"))
    options = options_on_free_ports(Path(directory) / "run")
    emulation = LocalEmulation(grid, options)
    undo.callback(emulation.stop)
    emulation.start()
    wait_healthy(emulation, options.northbound, 60.0)
    client = undo.enter_context(PowerClient(options.northbound, timeout_s=_LONGEST_S))
    return emulation, options.northbound, client


def _set_up_crossing(client: PowerClient, protect: Protect | None) -> set[int]:
    """Circuits over the line that is to be cut, which have their power, and their standbys where they are protected."""
    wanted = [
        power_request(
            _SINK,
            _SMALL_W,
            avoid_ids=(_AVOIDED,),
            protect=protect,
            request_id=f"crossing-{number}",
        )
        for number in range(_CROSSING)
    ]
    answer = _insist(partial(client.batch_request_power, wanted))
    ids = {each.circuit_id for outcome in answer.outcomes for each in outcome.circuits}
    began_s = time.monotonic()
    _look_until(client, began_s, "have no power", lambda each: not _has_power(each), at_most=0)
    if protect is not None:
        _look_until(
            client,
            began_s,
            "are not protected",
            lambda each: each.circuit_id in ids and not _is_protected(each),
            at_most=0,
        )
    return ids


def _lacks_ms(before: pb.Circuit, after: pb.Circuit) -> float:
    """Milliseconds of its power that a circuit has lacked between two looks, for whatever cause."""
    return (_missing_mj(after) - _missing_mj(before)) / _SMALL_W


def _missing_mj(circuit: pb.Circuit) -> int:
    missing = circuit.missing
    return missing.fault_mj + missing.move_mj + missing.curtailment_mj + missing.start_mj


def _set_up(client: PowerClient, crowd: _Crowd) -> float:
    """Seconds until all circuits have their power."""
    began_s = time.monotonic()
    for first in range(0, crowd.circuits, _BATCH):
        wanted = [
            power_request(
                crowd.sink_ids[number % len(crowd.sink_ids)],
                _SMALL_W,
                request_id=f"small-{number}",
            )
            for number in range(first, min(first + _BATCH, crowd.circuits))
        ]
        _insist(partial(client.batch_request_power, wanted))
        if first + _BATCH >= _WAITING_AT_MOST:
            _wait_for_power(client, began_s, at_most=_WAITING_AT_MOST - _BATCH)
    return _wait_for_power(client, began_s, at_most=0)


def _wait_for_power(client: PowerClient, began_s: float, at_most: int) -> float:
    """Seconds until no more than so many circuits wait for their power."""
    waits = "have no power"
    return _look_until(client, began_s, waits, lambda each: not _has_power(each), at_most)


def _has_power(circuit: pb.Circuit) -> bool:
    return circuit.state == pb.CIRCUIT_STATE_ACTIVE


def _is_protected(circuit: pb.Circuit) -> bool:
    return circuit.protection == pb.PROTECTION_PROTECTED


def _look_until(
    client: PowerClient,
    began_s: float,
    what: str,
    waits: Callable[[pb.Circuit], bool],
    at_most: int,
) -> float:
    """Seconds until of no more than so many circuits that is true, or until it has taken too long."""
    told_s = time.monotonic()
    while True:
        looked_s = time.monotonic()
        circuits = _circuits(client)
        waiting = sum(map(waits, circuits))
        now_s = time.monotonic()
        if waiting <= at_most or now_s - began_s > _LONGEST_S:
            return now_s - began_s
        if now_s - told_s > _PROGRESS_S:
            told_s = now_s
            _tell(f"{now_s - began_s:.0f} s: {waiting} of {len(circuits)} circuits {what}")
        pause_s = min((now_s - looked_s) / _LOOKS_SHARE, _LOOKS_APART_S)
        time.sleep(max(_POLL_S, pause_s))


def _tell(progress: str) -> None:
    sys.stderr.write(f"{progress}\n")
    sys.stderr.flush()


def _circuits(client: PowerClient) -> list[pb.Circuit]:
    return list(_insist(client.list_circuits).circuits)


def _insist(call: Callable[[], T]) -> T:
    """What is asked may be asked again: the controller may be too busy to keep a connection."""
    began_s = time.monotonic()
    while True:
        try:
            return call()
        except ControllerUnreachable as error:
            if time.monotonic() - began_s > _LONGEST_S:
                raise
            _tell(f"asked again: {error}")
            time.sleep(_POLL_S)


class _Watch:
    """Counts how often a line is seen not to be up."""

    def __init__(self, address: str) -> None:
        self.lines_down = 0
        self._client = PowerClient(address)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        down: set[str] = set()
        while not self._over.wait(_POLL_S):
            topology = _insist(self._client.get_topology)
            now_down = {each.link_id for each in topology.links if not each.up}
            self.lines_down += len(now_down - down)
            down = now_down

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()


@contextmanager
def _watched(address: str) -> Iterator[_Watch]:
    watch = _Watch(address)
    try:
        yield watch
    finally:
        watch.close()


@contextmanager
def _spinning(count: int) -> Iterator[None]:
    """A process that never rests, for each core."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, daemon=True) for _ in range(count)]
    for each in processes:
        each.start()
    try:
        yield
    finally:
        for each in processes:
            each.kill()
            each.join()


def _spin() -> None:
    while True:
        pass
