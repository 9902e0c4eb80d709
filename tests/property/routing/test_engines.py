"""Compiled and interpreted kernels answer alike; the interpreted ones are looked at, so what none may read is found.

The networks have lines that lead one way only, islands, parallel lines and lines out of service.
"""

from collections.abc import Callable
from math import nan
from typing import TypeVar

import numpy as np
import pytest

from controller.routing.alternatives.disjoint import Disjointness, PairSearch
from controller.routing.alternatives.k_best import k_best
from controller.routing.assignments.reoptimise import reoptimise
from controller.routing.dispatch import dispatch
from controller.routing.flows.cut import minimum_cut
from controller.routing.flows.linear_flow import linear_min_cost_flow
from controller.routing.graph import PowerGraph
from controller.routing.paths.batch import admit_batch, ends, requests
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.landmarks import Landmarks
from tests.support.checked_kernels import checked_kernels
from tests.support.dispatch_cases import random_problem
from tests.support.standing_circuits import random_standing

pytestmark = pytest.mark.engines
T = TypeVar("T")
SEEDS = range(25)


def one_way_graph(rng: np.random.Generator, most_nodes: int = 12) -> PowerGraph:
    """Of each line either both directions, or one of them alone."""
    nodes = int(rng.integers(2, most_nodes + 1))
    lines = int(rng.integers(1, 3 * nodes))
    tail, head = rng.integers(0, nodes, (2, lines))
    link = np.arange(lines)
    both = rng.random(lines) < 0.5
    tail, head = np.concatenate([tail, head[both]]), np.concatenate([head, tail[both]])
    link = np.concatenate([link, link[both]])
    order = np.argsort(head, kind="stable")
    ohm, amps = rng.uniform(0.0, 2.0, lines), rng.uniform(1.0, 60.0, lines)
    link = link[order]
    efficiency = rng.uniform(0.8, 1.0, nodes)
    volts = np.full(len(link), 1e3)
    graph = PowerGraph(efficiency, tail[order], head[order], link, ohm[link], volts, amps[link])
    for arc in np.flatnonzero(rng.random(graph.arc_count) < 0.3).tolist():
        graph.set_load(arc, float(rng.uniform(0.0, graph.ampacity_a[arc] / 2)))
    for arc in np.flatnonzero(rng.random(graph.arc_count) < 0.1).tolist():
        graph.take_out_of_service(arc)
    return graph


def by_both(question: Callable[[], T]) -> tuple[T, T]:
    """The answers of the compiled and of the interpreted engine."""
    compiled = question()
    with checked_kernels():
        return compiled, question()


def available(rng: np.random.Generator, graph: PowerGraph) -> dict[int, float]:
    sources = rng.integers(0, graph.node_count, int(rng.integers(1, 4))).tolist()
    return {source: float(rng.uniform(1e3, 8e4)) for source in sources}


def unled(graph: PowerGraph) -> None:
    """A search that nothing leads."""


def by_landmarks(graph: PowerGraph) -> Landmarks:
    return Landmarks(graph, 2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("guide", [unled, by_landmarks, Hierarchy])
@pytest.mark.parametrize("max_hops", [None, 3])
def test_single_paths(
    seed: int,
    guide: Callable[[PowerGraph], Landmarks | Hierarchy | None],
    max_hops: int | None,
) -> None:
    rng = np.random.default_rng(seed)
    graph, sink = one_way_graph(rng), 0
    available_w, power_w = available(rng, graph), float(rng.uniform(1e2, 2e4))

    def question() -> float:
        search = PathSearch(graph, guide(graph))
        path = search.best(sink, power_w, available_w, max_hops=max_hops)
        return nan if path is None else path.injected_w

    one, other = by_both(question)
    assert one == pytest.approx(other, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_batches(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = one_way_graph(rng)
    loads = rng.integers(0, graph.node_count, 6).tolist()
    power_w = rng.uniform(1e2, 1e4, 6).tolist()
    asked = requests(list(range(6)), power_w, candidates=[[0, 1]] * 6)

    def question() -> tuple[list[int], list[float]]:
        own = graph.snapshot()
        where = ends(graph.node_count, [0, 1], [5e4, 5e4], loads, [1e4] * 6)
        done = admit_batch(PathSearch(own), where, asked)
        return done.status.tolist(), done.injected_w.tolist()

    (status, injected_w), (other_status, other_w) = by_both(question)
    assert status == other_status
    assert injected_w == pytest.approx(other_w, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("disjointness", Disjointness)
def test_pairs(seed: int, disjointness: Disjointness) -> None:
    rng = np.random.default_rng(seed)
    graph = one_way_graph(rng)
    sources = list(available(rng, graph))

    def question() -> tuple[float, bool]:
        answer = PairSearch(graph).best(graph.node_count - 1, 1e3, sources, disjointness)
        return (nan if answer.pair is None else answer.pair.cost), answer.proven

    (cost, proven), (other_cost, other_proven) = by_both(question)
    assert proven == other_proven
    assert cost == pytest.approx(other_cost, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_several_paths_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = one_way_graph(rng)
    available_w = available(rng, graph)

    def question() -> list[float]:
        found = k_best(graph, graph.node_count - 1, 1e3, available_w, 5)
        return [path.injected_w for path in found]

    one, other = by_both(question)
    assert one == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("seed", range(100))
def test_maximum_flows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = one_way_graph(rng)
    available_w = available(rng, graph)
    one, other = by_both(lambda: minimum_cut(graph, graph.node_count - 1, available_w))
    assert one.deliverable_w == pytest.approx(other.deliverable_w, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spare", [False, True])
def test_linear_flows(seed: int, spare: bool) -> None:
    rng = np.random.default_rng(seed)
    graph = one_way_graph(rng)
    supply = rng.integers(-9, 10, graph.node_count).astype(float)
    cost = rng.integers(-2, 9, graph.arc_count)
    arcs = (graph.tail, graph.head, graph.ampacity_a, cost)

    def question() -> tuple[str, float]:
        flow = linear_min_cost_flow(
            graph.node_count, *arcs, supply, spare_supply=spare, unserved_demand=True
        )
        return flow.status.value, flow.cost

    (status, least), (other_status, other_least) = by_both(question)
    assert status == other_status
    assert least == pytest.approx(other_least, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_dispatches(seed: int) -> None:
    problem = random_problem(seed)
    one, other = by_both(lambda: dispatch(problem))
    assert one.status == other.status
    assert one.served_w.sum() == pytest.approx(other.served_w.sum(), rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_moves_of_standing_circuits(seed: int) -> None:
    graph, circuits = random_standing(seed)
    one, other = by_both(lambda: reoptimise(graph.snapshot(), circuits))
    assert len(one.moves) == len(other.moves)
    assert one.bound_w == pytest.approx(other.bound_w, rel=1e-6, abs=1e-6)
