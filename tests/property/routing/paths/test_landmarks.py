"""Searches that landmarks lead, against those that nothing leads, and bounds against what they bound."""

from math import inf, log
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.bounds import MAX_ACTIVE, begin, bounds_of, least_growth
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.landmarks import Landmarks
from tests.support.random_cases import examples
from tests.support.there import there

MOST = settings(max_examples=examples(100))


def random_graph(seed: int, nodes: int, links: int) -> PowerGraph:
    """Loaded and full links, some of no resistance, islands where links are few."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(nodes, size=(links, 2))
    ends = ends[ends[:, 0] != ends[:, 1]]
    links = len(ends)
    graph = graph_of_links(
        rng.uniform(0.9, 1.0, nodes),
        ends[:, 0],
        ends[:, 1],
        rng.choice([0.0, 0.1, 1.0, 3.0], links) * rng.random(links),
        np.full(links, 1000.0),
        rng.uniform(20.0, 100.0, links),
    )
    for arc in rng.choice(graph.arc_count, graph.arc_count // 2, replace=False):
        graph.set_load(int(arc), float(rng.uniform(0.0, 0.5) * graph.ampacity_a[arc]))
    return graph


GRAPHS = st.builds(
    random_graph,
    st.integers(0, 10_000),
    st.integers(2, 60),
    st.integers(1, 150),
)


def questions(graph: PowerGraph, seed: int) -> tuple[int, float, dict[int, float], dict[str, Any]]:
    rng = np.random.default_rng(seed)
    power_w = float(10 ** rng.uniform(1.0, 4.5))
    count = int(rng.choice([1, 1, 2, 5, 20]))
    nodes = rng.integers(graph.node_count, size=count)
    # Some sources cannot inject what the way to the sink loses.
    available_w = {int(node): float(power_w * rng.uniform(0.9, 3.0)) for node in nodes}
    limits = {
        "max_hops": [None, 2, 4, 8][rng.integers(4)],
        "max_injected_w": [inf, inf, power_w * 1.3][rng.integers(3)],
        "avoid_nodes": set(rng.integers(graph.node_count, size=rng.integers(2)).tolist()),
        "credit_a": {int(rng.integers(graph.arc_count)): 5.0} if graph.arc_count else {},
    }
    return int(rng.integers(graph.node_count)), power_w, available_w, limits


@MOST
@given(GRAPHS, st.integers(0, 10_000), st.sampled_from([1, 3, 16]))
def test_never_a_worse_path_than_without_them(graph: PowerGraph, seed: int, count: int) -> None:
    plain, led = PathSearch(graph), PathSearch(graph, Landmarks(graph, count))
    for offset in range(6):
        sink, power_w, available_w, limits = questions(graph, seed + offset)
        expected = plain.best(sink, power_w, available_w, **limits)
        path = led.best(sink, power_w, available_w, **limits)
        if expected is None:
            assert path is None
        else:
            assert there(path).injected_w == pytest.approx(expected.injected_w, rel=1e-9)


@MOST
@given(GRAPHS, st.integers(0, 10_000), st.floats(1.0, 1e6))
def test_what_is_called_least_growth_is_no_more_than_the_growth(
    graph: PowerGraph, seed: int, power_w: float
) -> None:
    graph.headroom_a[:] = inf
    landmarks = Landmarks(graph, 4, reference_power_w=50_000.0)
    bounds = bounds_of(landmarks)
    rng = np.random.default_rng(seed)
    sink, source = (int(each) for each in rng.integers(graph.node_count, size=2))
    sources = np.array([source], dtype=np.int32)
    sink_w = power_w / graph.efficiency[sink]
    reading = begin(bounds, sink, sources, sink_w)
    assert reading.how <= MAX_ACTIVE
    assert least_growth(bounds, reading, source) == pytest.approx(1.0)
    path = PathSearch(graph).best(sink, power_w, {source: inf})
    if path is None:
        return
    for node, entering_w in zip(path.nodes, path.entering_w, strict=True):
        bound = log(least_growth(bounds, reading, node))
        assert bound <= log(path.injected_w / entering_w) + 1e-12


@MOST
@given(GRAPHS, st.integers(0, 10_000))
def test_repaired_ones_are_those_made_anew(graph: PowerGraph, seed: int) -> None:
    if not graph.arc_count:
        return
    landmarks = Landmarks(graph, 3, reference_power_w=1000.0)
    rng = np.random.default_rng(seed)
    for _ in range(4):
        arc = int(rng.integers(graph.arc_count))
        graph.resistance_ohm[arc] = float(rng.choice([0.0, 5.0, 500.0]) * rng.random())
        landmarks.repair(arc)
    anew = Landmarks(graph, 3, reference_power_w=1000.0)
    if landmarks.nodes.tolist() == anew.nodes.tolist():
        assert np.array_equal(landmarks.tables, anew.tables)
    arc = int(rng.integers(graph.arc_count))
    before = landmarks.tables.copy()
    landmarks.repair(arc, absent=True)
    assert np.all(landmarks.tables >= before)
    landmarks.repair(arc)
    assert np.array_equal(landmarks.tables, before)


def test_they_stand_in_the_largest_island_and_apart() -> None:
    line = graph_of_links([0.9] * 9, range(6), range(1, 7), [1.0] * 6, [100.0] * 6, [9.0] * 6)
    assert sorted(Landmarks(line, 2, reference_power_w=1.0).nodes.tolist()) == [0, 6]


def test_figures_that_make_no_sense_are_refused() -> None:
    line = random_graph(1, 10, 20)
    with pytest.raises(ValueError, match="at least one landmark"):
        Landmarks(line, 0)
    with pytest.raises(ValueError, match="above 0 W"):
        Landmarks(line, 1, reference_power_w=0.0)
