"""Loads (and at first compiles) the kernels that the controller's loop calls, so that no client waits for that.

``python -m controller.computing.warm_up`` does it ahead of time, for those of the solver too; results are kept on disk.
"""

import logging
from itertools import count

import numpy as np

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import Counters, StoredState
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.errors import Refusal
from controller.core.optimising.question import DispatchOrder, answer
from controller.core.settings import CoreSettings
from controller.routing.alternatives.disjoint import Disjointness
from controller.routing.assignments.reoptimise import reoptimise
from controller.routing.assignments.standing import Choice, circuits_of, paths_of
from controller.routing.dispatch import DispatchProblem, dispatch
from controller.routing.graph import graph_of_links
from controller.routing.warm_up import compile_kernels
from digitalgrid.model import (
    LinkAdvertisement,
    LoadAdvertisement,
    RouterLsa,
    SourceAdvertisement,
)

_log = logging.getLogger(__name__)


_RING = ("r1", "r2", "r3")


def warm_up() -> None:
    """Ask a controller of three routers everything that clients ask of one within its loop."""
    compile_kernels()
    core = _small_network()
    numbers = count()

    def request(power_w: float, **wanted: object) -> PowerRequest:
        return PowerRequest(f"r{next(numbers)}", "load", power_w, **wanted)  # type: ignore[arg-type]

    core.request(request(1e3), 0)
    core.request(request(1e3, constraints=Constraints(max_hops=2)), 0)
    core.request(request(8e5, allow_split=True), 0)
    core.request_batch([request(1e3), request(1e3)], 0)
    core.best_routes(request(1e3), 2, 0)
    core.disjoint(request(1e3), Disjointness.ROUTER, 0)
    core.disjoint(request(1e3), Disjointness.RISK_GROUP, 0)
    try:
        core.request(request(9e6), 0)
    except Refusal as refusal:
        _log.debug("as expected: %s", refusal)


def warm_up_solver() -> None:
    """Solve a small dispatch and re-optimise a circuit, as the worker process does."""
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


def _small_network() -> Controller:
    """Three routers in a ring, a source at one of them and a load at another, all connected."""
    core = Controller(StoredState(1, (), Counters()), CoreSettings(), 0)
    for name in _RING:
        core.on_connected(name, 0)
        core.on_lsa(_advertisement(name), 0)
        core.on_sync_done(name, 0)
    return core


def _advertisement(name: str) -> RouterLsa:
    others = [other for other in _RING if other != name]
    return RouterLsa(
        name,
        boot_id=1,
        seq=1,
        efficiency=0.97,
        links=tuple(
            LinkAdvertisement("-".join(sorted((name, other))), other, 0.5, 2e4, 30.0)
            for other in others
        ),
        sources=(SourceAdvertisement("source", 1e6),) if name == "r1" else (),
        loads=(LoadAdvertisement("load", 1e7),) if name == "r2" else (),
    )


if __name__ == "__main__":
    warm_up()
    warm_up_solver()
