"""Limits of what may enter a router's converter, in every search: against linear programs and all simple paths."""

from collections.abc import Iterator
from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog

from controller.routing.assignments.split import split
from controller.routing.dispatch import DispatchProblem, binding_cut, decompose, dispatch
from controller.routing.flows.cut import minimum_cut
from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.given_path import along
from tests.support.random_cases import examples

MOST = settings(max_examples=examples(100))
U = 1000.0


@dataclass
class Case:
    """A loaded graph of which some converters are limited; one sink that may have a source beside it."""

    graph: PowerGraph
    sink: int
    source_node: list[int]
    available_w: list[float]

    def entering_w(self, received_w: np.ndarray, generated_w: np.ndarray) -> np.ndarray:
        entering = np.bincount(self.graph.head, received_w, self.graph.node_count)
        np.add.at(entering, self.source_node, generated_w)
        return entering


@st.composite
def cases(draw: st.DrawFn, *, lossless: bool = False) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 7))
    links = draw(st.integers(n - 1, 3 * n))
    a = rng.integers(0, n, links)
    b = (a + rng.integers(1, n, links)) % n
    graph = graph_of_links(
        np.ones(n) if lossless else rng.uniform(0.85, 1.0, n),
        a,
        b,
        np.zeros(links) if lossless else rng.uniform(0.0, 1.0, links),
        np.full(links, U),
        rng.uniform(5.0, 60.0, links),
    )
    for arc in rng.integers(0, graph.arc_count, n).tolist():
        graph.set_load(arc, float(rng.uniform(0.0, 2.0)))
    limited = rng.choice(n, draw(st.integers(1, n)), replace=False)
    graph.through_w = {int(node): float(rng.uniform(1e3, 60e3)) for node in limited}
    for arc in range(graph.arc_count):
        graph.limit_headroom(arc)
    sources = draw(st.integers(1, 3))
    return Case(
        graph,
        int(rng.integers(0, n)),
        rng.integers(0, n, sources).tolist(),
        rng.uniform(1e3, 80e3, sources).tolist(),
    )


def most_served_w(case: Case) -> float:
    """Without losses, by a linear program in which nodes have limits of their own."""
    graph, sources = case.graph, len(case.source_node)
    arcs = graph.arc_count
    # Flows of arcs, of sources, and what is served.
    balance = np.zeros((graph.node_count, arcs + sources + 1))
    entering = np.zeros((len(graph.through_w), arcs + sources + 1))
    rows = {node: row for row, node in enumerate(graph.through_w)}
    for arc in range(arcs):
        balance[graph.head[arc], arc] += 1.0
        balance[graph.tail[arc], arc] -= 1.0
        if int(graph.head[arc]) in rows:
            entering[rows[int(graph.head[arc])], arc] += 1.0
    for source, node in enumerate(case.source_node):
        balance[node, arcs + source] += 1.0
        if node in rows:
            entering[rows[node], arcs + source] += 1.0
    balance[case.sink, -1] = -1.0
    limits_w = [max(0.0, graph.room_of_line_a(arc)) * U for arc in range(arcs)]
    # Both directions of a line share its ampacity; going to and fro gains nothing.
    found = linprog(
        np.r_[np.zeros(arcs + sources), -1.0],
        entering,
        list(graph.through_w.values()),
        balance,
        np.zeros(graph.node_count),
        [(0.0, each) for each in (*limits_w, *case.available_w)] + [(0.0, None)],
    )
    assert found.status == 0
    return float(-found.fun)


@MOST
@given(cases(lossless=True))
def test_a_cut_counts_what_converters_let_through_and_names_those_that_bind(case: Case) -> None:
    offered: dict[int, float] = {}
    for node, power_w in zip(case.source_node, case.available_w, strict=True):
        offered[node] = offered.get(node, 0.0) + power_w
    cut = minimum_cut(case.graph, case.sink, offered)
    assert cut.deliverable_w == pytest.approx(most_served_w(case), rel=1e-6, abs=1e-3)
    assert set(cut.converters) <= case.graph.through_w.keys()
    passing_w = sum(max(0.0, case.graph.room_of_line_a(arc)) * U for arc in cut.arcs)
    passing_w += sum(case.graph.through_w[node] for node in cut.converters)
    passing_w += sum(offered[node] for node in cut.source_nodes)
    assert passing_w == pytest.approx(cut.deliverable_w, rel=1e-6, abs=1e-3)


@MOST
@given(cases(lossless=True))
def test_a_dispatch_serves_as_much_as_converters_let_through(case: Case) -> None:
    most_w = most_served_w(case)
    asked_w = 1.5 * most_w + 1e3
    problem = DispatchProblem(
        case.graph,
        source_node=np.array(case.source_node),
        source_max_w=np.array(case.available_w),
        load_node=np.array([case.sink]),
        load_power_w=np.array([asked_w]),
    )
    answer = dispatch(problem)
    assert answer.status == "optimal"
    assert answer.served_w[0] == pytest.approx(most_w, rel=1e-5, abs=1.0)
    cut = binding_cut(problem, answer, [0])
    assert cut.links or cut.sources or cut.converters or most_w == 0.0
    entering = case.entering_w(answer.received_w, answer.generated_w)
    for node in cut.converters:
        assert entering[node] == pytest.approx(case.graph.through_w[node], rel=1e-4)


@MOST
@given(cases(), st.floats(0.1, 1.2))
def test_neither_a_dispatch_nor_its_circuits_exceed_what_a_converter_takes(
    case: Case, share: float
) -> None:
    problem = DispatchProblem(
        case.graph,
        source_node=np.array(case.source_node),
        source_max_w=np.array(case.available_w),
        load_node=np.array([case.sink]),
        load_power_w=np.array([share * sum(case.available_w)]),
    )
    answer = dispatch(problem)
    entering = case.entering_w(answer.received_w, answer.generated_w)
    for node, limit_w in case.graph.through_w.items():
        assert entering[node] <= limit_w * (1 + 1e-6) + 1e-6
    generated_w = sum(each.injected_w for each in decompose(problem, answer))
    assert generated_w == pytest.approx(answer.generated_w.sum(), rel=1e-6, abs=1.0)


@MOST
@given(cases(), st.floats(0.05, 0.9))
def test_parts_of_a_split_fit_into_converters_together(case: Case, share: float) -> None:
    offered = dict(zip(case.source_node, case.available_w, strict=True))
    power_w = share * minimum_cut(case.graph, case.sink, offered).deliverable_w
    if power_w < 10.0:
        return
    plan = split(case.graph, case.sink, power_w, case.source_node, case.available_w)
    beside = case.graph.snapshot()
    left_w = dict(case.graph.through_w)
    for part in plan.parts:
        path = along(beside, part.arcs, case.sink, part.power_w)
        assert path is not None
        for node, entering_w in zip(path.nodes, path.entering_w, strict=True):
            if node in left_w:
                left_w[node] -= entering_w
        for arc, entering_w in zip(path.arcs, path.entering_w[1:], strict=True):
            beside.set_load(arc, float(beside.load_a[arc] + entering_w / U))
    for node, limit_w in case.graph.through_w.items():
        assert left_w[node] >= -1e-6 * limit_w


def simple_paths(graph: PowerGraph, sink: int) -> Iterator[tuple[int, ...]]:
    """All of them that end at the sink, as arcs, source first."""

    def extend(arcs: tuple[int, ...], node: int, seen: frozenset[int]) -> Iterator[tuple[int, ...]]:
        yield arcs
        for arc in range(graph.start[node], graph.start[node + 1]):
            tail = int(graph.tail[arc])
            if tail not in seen:
                yield from extend((arc, *arcs), tail, seen | {tail})

    yield from extend((), sink, frozenset({sink}))


@MOST
@given(cases(), st.floats(0.01, 0.9))
def test_the_best_path_is_the_best_of_all_that_converters_can_take(
    case: Case, share: float
) -> None:
    graph, sink = case.graph, case.sink
    power_w = share * max(case.available_w)
    available = dict(zip(case.source_node, case.available_w, strict=True))
    # Who asks looks at the sink's own converter.
    if power_w / graph.efficiency[sink] > graph.through_w.get(sink, np.inf):
        return
    of_lines = graph.snapshot()
    for arc in range(graph.arc_count):
        of_lines.headroom_a[arc] = graph.room_of_line_a(arc)
    least_w = np.inf
    for arcs in simple_paths(graph, sink):
        begin = int(graph.tail[arcs[0]]) if arcs else sink
        path = along(of_lines, arcs, sink, power_w, available.get(begin, -1.0))
        if path is not None and all(
            entering_w <= graph.through_w.get(node, np.inf)
            for node, entering_w in zip(path.nodes, path.entering_w, strict=True)
        ):
            least_w = min(least_w, path.injected_w)
    found = PathSearch(graph).best(sink, power_w, available)
    assert (found.injected_w if found else np.inf) == pytest.approx(least_w, rel=1e-9)
