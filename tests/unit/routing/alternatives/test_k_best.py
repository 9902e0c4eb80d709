"""The k best paths against brute force over all simple paths."""

from dataclasses import dataclass, field
from math import inf
from typing import Any

import hypothesis.strategies as st
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings

from controller.routing.alternatives.k_best import PathRanking, k_best
from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, PathSearch
from controller.routing.paths.given_path import along
from tests.support.random_cases import examples
from tests.support.there import there

MOST = settings(max_examples=examples(200))


@dataclass
class Case:
    graph: PowerGraph
    sink: int
    power_w: float
    available_w: dict[int, float]
    count: int
    limits: dict[str, Any] = field(default_factory=dict)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Small networks with parallel links, self-loops, islands, lines without loss and lines that are full."""
    nodes = draw(st.integers(1, 6))
    node = st.integers(0, nodes - 1)
    ends = draw(st.lists(st.tuples(node, node), max_size=9))
    links = len(ends)
    ohms = st.just(0.0) | st.floats(0.0, 5.0)
    graph = graph_of_links(
        draw(st.lists(st.just(1.0) | st.floats(0.8, 1.0), min_size=nodes, max_size=nodes)),
        [a for a, _ in ends],
        [b for _, b in ends],
        [draw(ohms) for _ in ends],
        [draw(st.sampled_from([400.0, 1000.0])) for _ in ends],
        [draw(st.floats(1.0, 40.0)) for _ in ends],
    )
    for arc in range(graph.arc_count):
        if draw(st.booleans()):
            graph.set_load(arc, draw(st.floats(0.0, 20.0)))
    if links and draw(st.booleans()):
        graph.take_out_of_service(draw(st.integers(0, 2 * links - 1)))
    power_w = draw(st.floats(100.0, 10_000.0))
    arc_sets = st.sets(st.integers(0, 2 * links - 1), max_size=2) if links else st.just(set())
    limits = {
        "max_injected_w": draw(st.just(inf) | st.floats(1.0, 2.5).map(lambda f: f * power_w)),
        "avoid_nodes": draw(st.sets(node, max_size=1)),
        "avoid_arcs": draw(arc_sets),
    }
    available_w = draw(st.dictionaries(node, st.just(inf) | st.floats(0.0, 20_000.0), max_size=3))
    return Case(graph, draw(node), power_w, available_w, draw(st.integers(1, 40)), limits)


def injected_by_all_simple_paths(case: Case) -> list[float]:
    """What the source of each injects, ascending."""
    graph, limits = case.graph, case.limits
    network = nx.MultiDiGraph()
    network.add_nodes_from(range(graph.node_count))
    for arc, (tail, head) in enumerate(zip(graph.tail, graph.head, strict=True)):
        if arc not in limits.get("avoid_arcs", ()):
            network.add_edge(int(tail), int(head), arc)
    network.remove_nodes_from(limits.get("avoid_nodes", ()))
    injected_w = []
    for source, available_w in case.available_w.items():
        if source not in network or case.sink not in network:
            continue
        most_w = min(available_w, limits.get("max_injected_w", inf))
        ways = [[]] if source == case.sink else nx.all_simple_edge_paths(network, source, case.sink)
        for way in ways:
            path = along(graph, [arc for _, _, arc in way], case.sink, case.power_w, most_w)
            if path is not None:
                injected_w.append(path.injected_w)
    return sorted(injected_w)


@MOST
@given(cases())
def test_they_are_the_best_of_all_paths_in_order_and_none_twice(case: Case) -> None:
    found = k_best(case.graph, case.sink, case.power_w, case.available_w, case.count, **case.limits)
    expected_w = injected_by_all_simple_paths(case)[: case.count]
    assert [path.injected_w for path in found] == pytest.approx(expected_w, rel=1e-9)
    assert len({(path.nodes[0], path.arcs) for path in found}) == len(found)
    for path in found:
        assert len(set(path.nodes)) == len(path.nodes)
        most_w = min(case.available_w[path.nodes[0]], case.limits["max_injected_w"])
        assert path.injected_w <= most_w * (1 + RELATIVE_TOLERANCE)
        assert path == along(case.graph, path.arcs, case.sink, case.power_w)
        assert not case.limits["avoid_nodes"] & set(path.nodes)
        assert not case.limits["avoid_arcs"] & set(path.arcs)


def ladder(length: int, seed: int) -> PowerGraph:
    """Two rows of routers, joined by rungs: paths by the power of two."""
    rng = np.random.default_rng(seed)
    rows = [(2 * k + side, 2 * k + 2 + side) for k in range(length - 1) for side in (0, 1)]
    links = rows + [(2 * k, 2 * k + 1) for k in range(length)]
    a, b = zip(*links, strict=True)
    return graph_of_links(
        rng.uniform(0.97, 1.0, 2 * length),
        a,
        b,
        rng.uniform(0.0, 2.0, len(a)),
        np.full(len(a), 1000.0),
        np.full(len(a), 100.0),
    )


def test_of_very_many_paths_the_best_are_found_again_when_more_are_asked_for() -> None:
    graph = ladder(60, 3)
    ranking = PathRanking(graph)
    more = ranking.best(118, 5_000.0, {0: inf}, 64)
    assert len(more) == 64
    assert ranking.best(118, 5_000.0, {0: inf}, 7) == more[:7]
    assert [path.injected_w for path in more] == sorted(path.injected_w for path in more)
    assert more[0].injected_w == there(PathSearch(graph).best(118, 5_000.0, {0: inf})).injected_w


def test_loads_that_change_between_rankings_count() -> None:
    graph = ladder(5, 1)
    ranking = PathRanking(graph)
    before = ranking.best(9, 1_000.0, {0: inf}, 5)
    graph.set_load(before[0].arcs[0], 99.5)
    after = ranking.best(9, 1_000.0, {0: inf}, 5)
    assert after == k_best(graph, 9, 1_000.0, {0: inf}, 5)
    assert before[0] not in after


def test_nothing_is_found_where_no_way_leads() -> None:
    graph = graph_of_links([1.0] * 3, [0], [1], [0.1], [400.0], [10.0])
    assert k_best(graph, 2, 100.0, {0: inf}, 3) == []
    assert k_best(graph, 1, 100.0, {}, 3) == []
    assert k_best(graph, 1, 100.0, {0: 99.0}, 3) == []
    assert k_best(graph, 1, 4_001.0, {0: inf}, 3) == []


def test_a_source_at_the_sinks_router_needs_no_path() -> None:
    graph = graph_of_links([0.5, 1.0], [0], [1], [0.0], [400.0], [10.0])
    found = k_best(graph, 0, 100.0, {0: 200.0, 1: inf}, 5)
    assert [(path.nodes, path.injected_w) for path in found] == [((0,), 200.0), ((1, 0), 200.0)]


@pytest.mark.parametrize("power_w", [0.0, -1.0, inf, float("nan")])
def test_refuses_what_is_no_power(power_w: float) -> None:
    with pytest.raises(ValueError, match="above 0 W"):
        k_best(ladder(2, 0), 3, power_w, {0: inf}, 1)


def test_refuses_to_look_for_no_path() -> None:
    with pytest.raises(ValueError, match="at least one path"):
        k_best(ladder(2, 0), 3, 1.0, {0: inf}, 0)


def test_refuses_routers_and_arcs_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="router numbers go from 0 to 3"):
        k_best(ladder(2, 0), 3, 1.0, {4: inf}, 1)
    with pytest.raises(ValueError, match="arc numbers go from 0 to 7"):
        k_best(ladder(2, 0), 3, 1.0, {0: inf}, 1, avoid_arcs=[8])
