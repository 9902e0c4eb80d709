"""Distances in a hierarchy against those of a shortest-path tree, and searches that it leads against unled ones."""

from math import inf
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from controller.routing.alternatives.pair_bounds import (
    begin_to_sink,
    end_to_sink,
    growth_onward,
    pair_bounds_of,
)
from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.batch import admit_batch, ends, requests
from controller.routing.paths.bounds import begin, bounds_of, end, least_growth
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.hierarchy import Hierarchy, TooEntangled
from controller.routing.paths.shortest_path_tree import ShortestPathTree, downstream, upstream
from tests.support.random_cases import examples
from tests.support.there import there

MOST = settings(max_examples=examples(100))


def random_graph(seed: int, nodes: int, links: int) -> PowerGraph:
    """One-way and parallel links, some of no resistance, loaded and full ones; islands where links are few."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(nodes, size=(links, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    count = len(pairs)
    both = graph_of_links(
        np.where(rng.random(nodes) < 0.2, 1.0, rng.uniform(0.9, 1.0, nodes)),
        pairs[:, 0],
        pairs[:, 1],
        rng.choice([0.0, 0.1, 1.0, 3.0], count) * rng.random(count),
        np.full(count, 1000.0),
        rng.uniform(20.0, 100.0, count),
    )
    kept = np.flatnonzero(rng.random(both.arc_count) < 0.9)
    graph = PowerGraph(
        both.efficiency,
        both.tail[kept],
        both.head[kept],
        both.link[kept],
        both.resistance_ohm[kept],
        both.voltage_v[kept],
        both.ampacity_a[kept],
    )
    for arc in range(graph.arc_count):
        if rng.random() < 0.5:
            graph.set_load(arc, float(rng.uniform(0.0, 0.5) * graph.ampacity_a[arc]))
    return graph


GRAPHS = st.builds(random_graph, st.integers(0, 100_000), st.integers(2, 60), st.integers(1, 150))


@MOST
@given(GRAPHS, st.integers(0, 1000), st.booleans())
def test_for_little_power_distances_are_those_of_a_tree(
    graph: PowerGraph, seed: int, loaded: bool
) -> None:
    standing_a = graph.load_a if loaded else np.zeros(graph.arc_count)
    hierarchy = Hierarchy(graph, standing_a, reference_power_w=1e5)
    source = int(np.random.default_rng(seed).integers(graph.node_count))
    sources = np.array([source], dtype=np.int32)
    beside = 2.0 * graph.resistance_ohm * standing_a / graph.voltage_v
    weight = np.log1p(beside) - np.log(graph.efficiency[graph.tail])
    distance = ShortestPathTree(downstream(graph), np.maximum(weight, 0.0), source).distance
    bounds = bounds_of(hierarchy)
    reading = begin(bounds, source, sources, 1e-9)
    growth = [least_growth(bounds, reading, node) for node in range(graph.node_count)]
    end(bounds, reading, sources)
    assert growth == pytest.approx(np.exp(distance), rel=1e-9)


@MOST
@given(GRAPHS, st.integers(0, 1000), st.booleans())
def test_towards_the_sink_of_a_pair_distances_are_those_of_a_tree(
    graph: PowerGraph, seed: int, loaded: bool
) -> None:
    hierarchy = Hierarchy(graph, graph.load_a if loaded else None)
    bounds = pair_bounds_of(AdditiveHierarchy(hierarchy))
    weight = np.log(hierarchy.growth_at_no_power())
    sources = np.zeros(0, dtype=np.int32)
    for sink in np.random.default_rng(seed).integers(graph.node_count, size=2).tolist():
        distance = ShortestPathTree(upstream(graph), weight, sink).distance
        how = begin_to_sink(bounds, sink, sources, 1.0)
        growth = [growth_onward(bounds, how, node, 1.0) for node in range(graph.node_count)]
        end_to_sink(bounds, how)
        assert growth == pytest.approx(np.exp(distance), rel=1e-9)


@MOST
@given(GRAPHS, st.integers(0, 100_000), st.booleans())
def test_no_bound_exceeds_the_growth(graph: PowerGraph, seed: int, loaded: bool) -> None:
    """Whatever router a label leads to: bounds times labels never exceed what a source must inject for it."""
    hierarchy = Hierarchy(graph, graph.load_a if loaded else None, reference_power_w=1e5)
    graph.headroom_a[:] = inf
    plain, bounds = PathSearch(graph), bounds_of(hierarchy)
    rng = np.random.default_rng(seed)
    available_w = dict.fromkeys(
        rng.integers(graph.node_count, size=rng.integers(1, 4)).tolist(), inf
    )
    sources = np.array(list(available_w), dtype=np.int32)
    sink, power_w = int(rng.integers(graph.node_count)), float(10 ** rng.uniform(1.0, 6.0))
    reading = begin(bounds, sink, sources, power_w / graph.efficiency[sink])
    assert [least_growth(bounds, reading, each) for each in sources] == pytest.approx(
        [1.0] * len(sources)
    )
    for node in rng.integers(graph.node_count, size=8).tolist():
        label = plain.best(sink, power_w, {node: inf})
        if label is None:
            continue
        label_w = label.injected_w
        way = plain.best(node, label_w * graph.efficiency[node], available_w)
        injected_w = inf if way is None else way.injected_w
        assert label_w * least_growth(bounds, reading, node) <= injected_w * (1.0 + 1e-12)
    end(bounds, reading, sources)


@MOST
@given(GRAPHS, st.integers(0, 100_000), st.booleans())
def test_never_a_worse_path_than_without_it(graph: PowerGraph, seed: int, loaded: bool) -> None:
    plain = PathSearch(graph)
    led = PathSearch(graph, Hierarchy(graph, graph.load_a if loaded else None))
    rng = np.random.default_rng(seed)
    for _ in range(6):
        power_w = float(10 ** rng.uniform(1.0, 5.0))
        nodes = rng.integers(graph.node_count, size=rng.choice([1, 1, 2]))
        # Some sources cannot inject what the way to the sink loses.
        available_w = {int(node): float(power_w * rng.uniform(0.9, 3.0)) for node in nodes}
        sink = int(rng.integers(graph.node_count))
        limits: dict[str, Any] = {
            "max_hops": [None, 2, 4, 8][rng.integers(4)],
            "max_injected_w": [inf, inf, power_w * 1.3][rng.integers(3)],
            "avoid_nodes": set(rng.integers(graph.node_count, size=rng.integers(2)).tolist()),
        }
        expected = plain.best(sink, power_w, available_w, **limits)
        path = led.best(sink, power_w, available_w, **limits)
        if expected is None:
            assert path is None
        else:
            assert there(path).injected_w == pytest.approx(expected.injected_w, rel=1e-9)


def grid(side: int) -> PowerGraph:
    """A square grid of routers."""
    node = np.arange(side * side).reshape(side, side)
    a = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])
    b = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])
    rng = np.random.default_rng(1)
    ohms, amps = rng.uniform(0.01, 0.2, len(a)), np.full(len(a), 200.0)
    return graph_of_links(
        rng.uniform(0.98, 0.999, side * side), a, b, ohms, np.full(len(a), 1e4), amps
    )


@pytest.mark.large
@pytest.mark.parametrize("power_w", [1e3, 1e4, 1e5])
def test_it_leads_straight_where_power_grows_manifold(power_w: float) -> None:
    graph = grid(60)
    led = PathSearch(graph, Hierarchy(graph))
    path = led.best(3599, power_w, {0: inf})
    assert path is not None
    assert path.injected_w > 2.0 * power_w
    assert led.settled < 1.2 * len(path.nodes)


def test_it_leads_straight_to_the_source_and_keeps_to_it_while_load_is_added() -> None:
    graph, other = grid(30), grid(30)
    led, plain = PathSearch(graph, Hierarchy(graph)), PathSearch(other)
    rng = np.random.default_rng(2)
    places = [ends(900, [0, 450], [1e9, 1e9], range(900), [1e9] * 900) for _ in range(2)]
    asked = requests(
        rng.integers(900, size=50),
        rng.uniform(1e2, 1e3, 50),
        candidates=[[int(each)] for each in rng.integers(2, size=50)],
    )
    done, expected = admit_batch(led, places[0], asked), admit_batch(plain, places[1], asked)
    assert done.injected_w == pytest.approx(expected.injected_w, rel=1e-9)
    assert done.settled < expected.settled / 3


@pytest.mark.large
def test_graphs_that_are_too_entangled_are_refused_early() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.integers(3000, size=(15_000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    ones = np.ones(len(pairs))
    graph = graph_of_links(np.full(3000, 0.9), pairs[:, 0], pairs[:, 1], ones, ones, ones)
    with pytest.raises(TooEntangled):
        Hierarchy(graph)
    with pytest.raises(ValueError, match="above 0 W"):
        Hierarchy(grid(3), reference_power_w=0.0)
