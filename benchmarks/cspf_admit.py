"""One route request after another, each admitted before the next: the loads that it adds are what the next one meets.

The network carries circuits already. A request is for a random router and a random power; its source is a named one,
or whichever injects least (``cspf-admit-any``). Ours is one compiled call for all requests of a turn, exact in power;
``one_by_one_s`` is a call for each. The hierarchy that leads the searches is made beforehand, in ``hierarchy_s``, for
the loads that stand, as the controller does while loads only grow; ``landmarks_s`` is a request led by landmarks that
are made for no load, ``unled_s`` one that nothing leads.

Of each turn's requests a peer answers the first, as many as it can in a reasonable time, keeps its own loads and
costs, and is told what we admitted, so that all meet the same loads. All figures are seconds a request, the median of
turns. ``agree``: evaluated exactly, on the loads that it met, none of our routes injects more than a peer's.
"""

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.cspf_peers import PEERS, Peer
from benchmarks.harness import Row, seconds_of
from benchmarks.instances import Mesh, mesh
from controller.routing.graph import PowerGraph
from controller.routing.paths.batch import (
    ADMITTED,
    Admissions,
    Ends,
    Requests,
    admit_batch,
    ends,
    requests,
)
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.landmarks import Landmarks
from controller.routing.warm_up import compile_kernels
from digitalgrid.physics import sent_w

_SOURCE_SHARE = 0.1
_MIN_W, _MAX_W = 10e3, 100e3
_STANDING = 500
_TURNS = 3
# Nothing but lines limits anybody.
_PLENTY_W = 1e12


@dataclass(frozen=True, slots=True)
class _Size:
    seeds: Sequence[int]
    a_turn: int
    answered: dict[str, int]


_SIZES = {
    1_000: _Size((1, 2), 200, {"networkx": 40, "rustworkx": 100, "igraph": 100, "scipy": 100}),
    10_000: _Size((1, 2), 100, {"networkx": 40, "rustworkx": 100, "igraph": 100, "scipy": 100}),
    100_000: _Size((1, 2), 30, {"networkx": 30, "rustworkx": 30, "igraph": 30, "scipy": 30}),
}


def rows(full: bool) -> Iterator[Row]:
    compile_kernels()
    for size, each in _SIZES.items():
        if full or size <= 10_000:
            for seed in (*each.seeds, 3, 4, 5) if full else each.seeds:
                for named in (True, False):
                    yield _row(size, seed, each, named)


@dataclass
class _Ours:
    """One of our ways to answer, on a graph of its own."""

    search: PathSearch
    ends: Ends
    seconds: list[float] = field(default_factory=list)
    settled: list[float] = field(default_factory=list)

    def answer(self, asked: Requests, *, at_once: bool) -> Admissions | None:
        """All requests of a turn; what became of them, if they were answered in one call."""
        parts = [asked] if at_once else [_some(asked, i, i + 1) for i in range(len(asked.load))]
        taken_s, done = seconds_of(
            lambda: [admit_batch(self.search, self.ends, each) for each in parts]
        )
        self.seconds.append(taken_s / len(asked.load))
        self.settled.append(sum(each.settled for each in done) / len(asked.load))
        return done[0] if at_once else None


def _row(size: int, seed: int, how: _Size, named: bool) -> Row:
    grid = mesh(size, seed, _SOURCE_SHARE)
    rng = np.random.default_rng([size, seed])
    graph = grid.graph()
    admit_batch(PathSearch(graph), _ends(grid), _asked(grid, rng, _STANDING, named=True))
    hierarchy_s, hierarchy = seconds_of(lambda: Hierarchy(graph, graph.load_a))
    ours, apart, unled, landmarked = (
        _Ours(PathSearch(own, guide), _ends(grid))
        for own, guide in (
            (graph.snapshot(), hierarchy),
            (graph.snapshot(), hierarchy),
            (graph.snapshot(), None),
            (graph.snapshot(), Landmarks(graph)),
        )
    )
    peers = {name: peer(graph, grid.source_nodes) for name, peer in PEERS.items()}
    taken_s: dict[str, list[float]] = {name: [] for name in peers}
    agree = True
    for turn in range(_TURNS + 1):
        asked = _asked(grid, rng, how.a_turn, named=named)
        done = ours.answer(asked, at_once=True)
        assert done is not None
        apart.answer(asked, at_once=False)
        few = _some(asked, 0, min(len(asked.load), how.answered["scipy"]))
        for each in (unled, landmarked):
            each.answer(few, at_once=True)
        for name, peer in peers.items():
            seconds, good = _turn_of(peer, asked, done, grid, how.answered[name])
            taken_s[name].append(seconds)
            agree &= good
        if turn == 0:
            # The first turn loads what is compiled, and is not counted.
            for figures in (
                *taken_s.values(),
                *(e.seconds for e in (ours, apart, unled, landmarked)),
            ):
                figures.clear()
    extra: dict[str, Any] = {
        "one_by_one_s": median(apart.seconds),
        "unled_s": median(unled.seconds),
        "landmarks_s": median(landmarked.seconds),
        "hierarchy_s": hierarchy_s,
        "settled": median(ours.settled),
        "settled_landmarks": median(landmarked.settled),
        "settled_unled": median(unled.settled),
    }
    return Row(
        "cspf-admit" if named else "cspf-admit-any",
        size,
        f"{grid.name} standing={_STANDING} power={_MIN_W:g}..{_MAX_W:g} W",
        median(ours.seconds),
        {name: median(each) for name, each in taken_s.items()},
        agree,
        extra,
    )


def _ends(grid: Mesh) -> Ends:
    nodes, sources = len(grid.efficiency), len(grid.source_nodes)
    return ends(
        nodes,
        grid.source_nodes,
        np.full(sources, _PLENTY_W),
        np.arange(nodes),
        np.full(nodes, _PLENTY_W),
    )


def _asked(grid: Mesh, rng: np.random.Generator, count: int, *, named: bool) -> Requests:
    sinks = rng.integers(len(grid.efficiency), size=count)
    sources = rng.integers(len(grid.source_nodes), size=count)
    candidates = [[int(source)] for source in sources] if named else None
    return requests(sinks, rng.uniform(_MIN_W, _MAX_W, count), candidates=candidates)


def _some(asked: Requests, first: int, end: int) -> Requests:
    """Some of the requests: a view, so that it costs a single call nothing to be given one."""
    each = slice(first, end)
    return asked._replace(
        load=asked.load[each],
        power_w=asked.power_w[each],
        max_injected_w=asked.max_injected_w[each],
        most_hops=asked.most_hops[each],
        candidates_start=asked.candidates_start[first : end + 1],
    )


def _turn_of(
    peer: Peer, asked: Requests, done: Admissions, grid: Mesh, count: int
) -> tuple[float, bool]:
    """Seconds a request of the first ``count``, and whether none of its routes was better than ours."""
    taken_s, good = 0.0, True
    gc.collect()
    for i in range(len(asked.load)):
        hops = slice(int(done.start[i]), int(done.start[i + 1]))
        arcs = done.arcs[hops]
        added_a = done.received_w[hops] / peer.graph.voltage_v[arcs]
        if i < count:
            sink, source = int(asked.load[i]), peer.anywhere
            if len(asked.candidates):
                source = int(grid.source_nodes[asked.candidates[asked.candidates_start[i]]])
            begin_s = perf_counter()
            nodes = peer.nodes(sink, source, float(asked.power_w[i]))
            taken_s += perf_counter() - begin_s
            theirs_w = _injected_w(peer.graph, nodes, peer.anywhere, float(asked.power_w[i]))
            ours_w = done.injected_w[i] if done.status[i] == ADMITTED else inf
            good = good and bool(ours_w <= theirs_w * (1.0 + 1e-9))
        begin_s = perf_counter()
        peer.admit(arcs, added_a)
        if i < count:
            taken_s += perf_counter() - begin_s
    return taken_s / count, good


def _injected_w(graph: PowerGraph, nodes: Sequence[int], anywhere: int, power_w: float) -> float:
    """What a path takes exactly, by the formula of the physics; infinite where there is none, or it does not fit."""
    routers = [node for node in nodes if node != anywhere]
    if not routers:
        return inf
    entering_w = power_w / float(graph.efficiency[routers[0]])
    for head, tail in pairwise(routers):
        entering = range(graph.start[head], graph.start[head + 1])
        arc = next(arc for arc in entering if graph.tail[arc] == tail)
        voltage_v = float(graph.voltage_v[arc])
        if entering_w / voltage_v > graph.headroom_a[arc] * (1.0 + 1e-9):
            return inf
        sent = sent_w(
            entering_w, float(graph.resistance_ohm[arc]), voltage_v, float(graph.load_a[arc])
        )
        entering_w = sent / float(graph.efficiency[tail])
    return entering_w
