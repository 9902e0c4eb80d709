"""Has every kernel compiled that the controller may call, so that no client waits for a compiler: results are kept.

The kernels fall in two halves that share next to nothing: ``python -m controller.computing.warm_up search`` compiles
those of the controller's loop, ``solver`` those of its worker process; without a name both, side by side.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from fcntl import LOCK_EX, flock
from itertools import count

import numpy as np

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.protection import Against
from controller.core.circuits.records import Counters, StoredState
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.errors import Refusal
from controller.core.optimising.question import DispatchOrder, answer
from controller.core.settings import CoreSettings
from controller.routing.alternatives.disjoint import Disjointness
from controller.routing.assignments.reoptimise import reoptimise
from controller.routing.assignments.standing import Choice, circuits_of, paths_of
from controller.routing.compiled import (
    Engine,
    KernelsUnreadable,
    are_kept,
    engine_in_use,
    forget,
    keep,
    load,
    use_engine,
)
from controller.routing.dispatch import DispatchProblem, dispatch
from controller.routing.dispatch.correction import corrected
from controller.routing.dispatch.newton import Network
from controller.routing.flows.linear_flow import linear_min_cost_flow
from controller.routing.graph import graph_of_links
from controller.routing.kernel_cache import HALF_NAMES, cache_dir
from controller.routing.warm_up import compile_kernels
from digitalgrid.capabilities import Capability
from digitalgrid.model import (
    LinkAdvertisement,
    LoadAdvertisement,
    RouterLsa,
    SourceAdvertisement,
)
from digitalgrid.processes import die_with_parent

_log = logging.getLogger(__name__)


_BACKGROUND = "--background"
# Whoever answers anybody comes first, the worker for long computations too.
_NICENESS = 15

_RING = ("r1", "r2", "r3")
# Over two lines side by side a request can be split that takes few hops.
_LINES = (("r1", "r2"), ("r1", "r2", "too"), ("r1", "r3"), ("r2", "r3"))


def warm_up_search() -> None:
    """Ask a controller of three routers everything that clients ask of one within its loop."""
    compile_kernels()
    core = _small_network()
    numbers = count()

    def request(power_w: float, **wanted: object) -> PowerRequest:
        return PowerRequest(f"r{next(numbers)}", "load", power_w, **wanted)  # type: ignore[arg-type]

    few_hops = Constraints(max_hops=1)
    core.request(request(1e3), 0)
    core.request(request(1e3, constraints=few_hops), 0)
    core.request(request(1e3, protect=Against.LINK), 0)
    core.request(request(1e3, protect=Against.LINK, dedicated=True), 0)
    core.request_batch([request(1e3), request(1e3)], 0)
    core.best_routes(request(1e3), 2, 0)
    core.disjoint(request(1e3), Disjointness.ROUTER, 0)
    core.disjoint(request(1e3), Disjointness.RISK_GROUP, 0)
    core.request(request(8e5, allow_split=True, constraints=few_hops), 0)
    core.request(request(8e5, allow_split=True), 0)
    try:
        core.request(request(5e6), 0)
    except Refusal as refusal:
        _log.debug("as expected: %s", refusal)


def warm_up_solver() -> None:
    """Solve a small dispatch and re-optimise a circuit, as the worker process does."""
    linear_min_cost_flow(2, [0], [1], [1.0], [1.0], [2.0, -2.0], unserved_demand=True)
    _correct_a_flow()
    unlossy = graph_of_links([1.0] * 2, [0], [1], [0.0], [1e3], [99.0])
    at_source, at_load = np.array([0]), np.array([1])
    dispatch(DispatchProblem(unlossy, at_source, np.array([9e3]), at_load, np.array([1e3])))
    answer(_small_network().ask_dispatch(DispatchOrder("warm-up"), 0))
    graph = graph_of_links([1.0] * 3, [0, 1, 0], [1, 2, 2], [1.0, 1.0, 9.0], [1e3] * 3, [99.0] * 3)
    direct = int(np.flatnonzero((graph.tail == 0) & (graph.head == 2))[0])
    graph.set_load(direct, 10.0)
    circuit = circuits_of(
        graph,
        sink=[2],
        power_w=[1e4],
        choice=[0],
        choices=[Choice((0,))],
        source_node=[0],
        source_limit_w=[9e4],
        paths=paths_of([0], [[direct]]),
        current_a=np.array([10.0]),
    )
    reoptimise(graph, circuit)


def _correct_a_flow() -> None:
    """What only the last digits of large dispatches need: a line from a source to a load, out of balance."""
    node, other, none = (np.array([each], dtype=np.int32) for each in (0, 1, -1))
    one, nothing = np.ones(1), np.zeros(1)
    network = Network(
        efficiency=np.ones(2),
        tail=node,
        head=other,
        linear=one,
        square=nothing,
        arc_cost=nothing,
        link_of_arc=node,
        first=node,
        second=none,
        capacity=one,
        place=node,
        cell_node=np.array([0, 1], dtype=np.int32),
        cell_gain=np.array([1.0, -1.0]),
        cell_limit=np.ones(2),
        cell_cost=np.zeros(2),
    )
    adjustable = np.array([True, False])
    corrected(network, np.array([0.4]), np.array([0.5, 0.5]), adjustable)


def _small_network() -> Controller:
    """Three routers in a ring, a source at one of them and a load at another, all connected; one line is double."""
    core = Controller(StoredState(1, (), Counters()), CoreSettings(), 0)
    for name in _RING:
        core.on_connected(name, 0, capabilities=frozenset(Capability))
        core.on_lsa(_advertisement(name), 0)
        core.on_sync_done(name, 0)
    return core


def _advertisement(name: str) -> RouterLsa:
    lines = [line for line in _LINES if name in line]
    return RouterLsa(
        name,
        boot_id=1,
        seq=1,
        efficiency=0.97,
        links=tuple(
            LinkAdvertisement(
                "-".join(line),
                line[1] if line[0] == name else line[0],
                0.5,
                2e4,
                30.0,
                # Ways from the source may fail together: who looks for a pair must look for another.
                risk_groups=("duct",) if "r1" in line else (),
            )
            for line in lines
        ),
        sources=(SourceAdvertisement("source", 1e7),) if name == "r1" else (),
        loads=(LoadAdvertisement("load", 1e7),) if name == "r2" else (),
    )


HALVES = dict(zip(HALF_NAMES, (warm_up_search, warm_up_solver), strict=True))


def compile_half(half: str) -> None:
    """Compile one half of the engine, unless that was done, or another process is at it: then wait for that."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / f"{half}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not are_kept(half):
            use_engine(Engine.COMPILED)
            HALVES[half]()
            keep(half)


def compile_all() -> None:
    """Compile both halves, each in a process of its own. Raises CalledProcessError where that fails."""
    command = [sys.executable, "-m", "controller.computing.warm_up"]
    missing = [half for half in HALVES if not are_kept(half)]
    started = [subprocess.Popen([*command, half]) for half in missing]
    for process in started:
        if status := process.wait():
            raise subprocess.CalledProcessError(status, process.args)


def warm_up_worker() -> None:
    """As :func:`warm_up_solver`, in the worker: what is kept and does not load is compiled anew there."""
    if engine_in_use() is Engine.INTERPRETED or not are_kept("solver"):
        warm_up_solver()
        return
    try:
        load("solver")
    except KernelsUnreadable as error:
        _log.warning("engine: what is kept does not load, so it is compiled anew: %s", error)
        forget()
        compile_half("solver")
    else:
        warm_up_solver()


def compile_and_load(half: str) -> None:
    """Compile everything that is not kept, and load a half; what is kept and does not load is compiled anew."""
    compile_all()
    try:
        load(half)
    except KernelsUnreadable as error:
        _log.warning("engine: what is kept does not load, so all is compiled anew: %s", error)
        forget()
        compile_all()
        load(half)


def main(arguments: Sequence[str]) -> None:
    """``[--background] [HALF]...``: all halves, if none is named."""
    halves = [each for each in arguments if each in HALVES]
    if _BACKGROUND in arguments:
        os.nice(_NICENESS)
        die_with_parent(os.getppid())
    for half in halves:
        compile_half(half)
    if not halves:
        compile_all()


if __name__ == "__main__":
    main(sys.argv[1:])
