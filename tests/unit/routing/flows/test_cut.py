"""The minimum cut: exact without losses, an upper bound with them."""

import hypothesis.strategies as st
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings

from controller.routing.flows.cut import Cut, minimum_cut, minimum_cut_to_sinks
from controller.routing.graph import OUT_OF_SERVICE_A, PowerGraph, graph_of_links
from controller.routing.paths.cspf import PathSearch
from tests.support.graphs import graph_of_arcs
from tests.support.random_cases import examples

U = 1000.0
MOST = settings(max_examples=examples(150))


@st.composite
def networks(
    draw: st.DrawFn, *, lossless: bool, most_nodes: int = 6
) -> tuple[PowerGraph, int, dict[int, float]]:
    """Parallel lines, loops and islands may occur; the sink may have a source of its own."""
    nodes = draw(st.integers(1, most_nodes))
    node = st.integers(0, nodes - 1)
    ends = draw(st.lists(st.tuples(node, node), max_size=2 * most_nodes))
    efficiency = [1.0] * nodes if lossless else [draw(st.floats(0.8, 1.0)) for _ in range(nodes)]
    ohms = st.just(0.0) if lossless else st.floats(0.0, 3.0)
    graph = graph_of_arcs(efficiency, [(tail, head, draw(ohms), U) for tail, head in ends])
    graph.headroom_a[:] = [draw(st.integers(-1, 30)) for _ in ends]
    available_w = draw(st.dictionaries(node, st.integers(0, 40_000).map(float), min_size=1))
    return graph, draw(node), available_w


def most_w(graph: PowerGraph, wanted_w: dict[int, float], available_w: dict[int, float]) -> float:
    """What networkx finds without losses, in whole watts."""
    flow = nx.DiGraph()
    flow.add_nodes_from(["source", "sink"])
    for node, power_w in available_w.items():
        flow.add_edge("source", node, capacity=round(power_w))
    for node, power_w in wanted_w.items():
        limit = {} if np.isinf(power_w) else {"capacity": round(power_w)}
        flow.add_edge(node, "sink", **limit)
    for arc, (tail, head) in enumerate(zip(graph.tail, graph.head, strict=True)):
        capacity_w = round(max(graph.headroom_a[arc], 0.0) * U)
        if flow.has_edge(tail, head):
            capacity_w += flow[tail][head]["capacity"]
        flow.add_edge(tail, head, capacity=capacity_w)
    return float(nx.maximum_flow_value(flow, "source", "sink"))


def assert_binds(
    graph: PowerGraph, cut: Cut, wanted_w: dict[int, float], available_w: dict[int, float]
) -> None:
    """What the cut names adds up to what it says, and is all that leads from its near side to its far side."""
    near = cut.near_nodes
    ends = list(zip(graph.tail.tolist(), graph.head.tolist(), strict=True))
    assert cut.arcs == tuple(
        arc for arc, (tail, head) in enumerate(ends) if tail in near and head not in near
    )
    assert cut.source_nodes == tuple(node for node in available_w if node not in near)
    binding_w = sum(max(graph.headroom_a[arc], 0.0) * U for arc in cut.arcs)
    binding_w += sum(available_w[node] for node in cut.source_nodes)
    binding_w += sum(power_w for node, power_w in wanted_w.items() if node in near)
    assert cut.deliverable_w == pytest.approx(binding_w)


@MOST
@given(networks(lossless=True))
def test_without_losses_it_is_the_maximum_flow_and_the_cut_that_binds_it(
    network: tuple[PowerGraph, int, dict[int, float]],
) -> None:
    graph, sink, available_w = network
    cut = minimum_cut(graph, sink, available_w)
    assert cut.deliverable_w == pytest.approx(most_w(graph, {sink: np.inf}, available_w))
    assert sink not in cut.near_nodes
    assert_binds(graph, cut, {sink: np.inf}, available_w)


@MOST
@given(networks(lossless=True, most_nodes=12), st.data())
def test_several_sinks_get_the_maximum_flow_together(
    network: tuple[PowerGraph, int, dict[int, float]], data: st.DataObject
) -> None:
    graph, sink, available_w = network
    nodes = st.integers(0, graph.node_count - 1)
    powers = st.integers(0, 30_000).map(float)
    wanted_w = data.draw(st.dictionaries(nodes, powers, max_size=4)) | {sink: data.draw(powers)}
    cut = minimum_cut_to_sinks(graph, wanted_w, available_w)
    assert cut.deliverable_w == pytest.approx(most_w(graph, wanted_w, available_w))
    assert_binds(graph, cut, wanted_w, available_w)


@MOST
@given(networks(lossless=False), st.floats(10.0, 40_000.0))
def test_nothing_that_can_be_routed_is_beyond_it(
    network: tuple[PowerGraph, int, dict[int, float]], power_w: float
) -> None:
    graph, sink, available_w = network
    if PathSearch(graph).best(sink, power_w, available_w) is not None:
        # The tolerance of the search.
        assert power_w <= minimum_cut(graph, sink, available_w).deliverable_w * (1 + 2e-9)


def test_names_the_links_and_the_sources_that_bind() -> None:
    graph = graph_of_arcs([1.0] * 3, [(0, 1, 0.0, U), (1, 2, 0.0, U), (0, 2, 0.0, U)])
    graph.headroom_a[:] = [9.0, 2.0, 3.0]
    cut = minimum_cut(graph, 2, {0: 100_000.0})
    assert (cut.deliverable_w, set(cut.arcs), cut.source_nodes) == (5000.0, {1, 2}, ())
    cut = minimum_cut(graph, 2, {0: 1000.0})
    assert (cut.deliverable_w, cut.arcs, cut.source_nodes) == (1000.0, (), (0,))


def test_parallel_links_count_together_and_full_ones_not_at_all() -> None:
    graph = graph_of_arcs([1.0, 0.9], [(0, 1, 0.0, U)] * 4)
    graph.headroom_a[:] = [2.0, 3.0, -1.0, OUT_OF_SERVICE_A]
    cut = minimum_cut(graph, 1, {0: 1e6})
    assert cut.deliverable_w == pytest.approx(4500.0)
    assert set(cut.arcs) == {0, 1, 2, 3}


def test_nothing_arrives_where_no_way_leads() -> None:
    graph = graph_of_arcs([1.0, 1.0], [])
    assert minimum_cut(graph, 1, {0: 1e6}).deliverable_w == 0.0
    assert minimum_cut(graph, 1, {}).deliverable_w == 0.0
    assert minimum_cut(graph, 1, {1: 1e3}).deliverable_w == 1e3


def test_sinks_that_get_all_they_want_are_near() -> None:
    """Loads at 1 and 2, one behind the other; only the second line is too small."""
    graph = graph_of_arcs([1.0, 1.0, 0.5], [(0, 1, 0.0, U), (1, 2, 0.0, U)])
    graph.headroom_a[:] = [50.0, 4.0]
    cut = minimum_cut_to_sinks(graph, {1: 3000.0, 2: 9000.0}, {0: 1e6})
    assert (cut.arcs, cut.near_nodes) == ((1,), frozenset({0, 1}))
    # Half of what passes is lost in the converter of the second.
    assert cut.deliverable_w == 3000.0 + 2000.0
    cut = minimum_cut_to_sinks(graph, {1: 3000.0, 2: 2000.0}, {0: 1e6})
    assert cut == Cut(5000.0, (), (), frozenset({0, 1, 2}))


def test_microwatts_beside_gigawatts() -> None:
    graph = graph_of_arcs([1.0] * 3, [(0, 1, 0.0, U), (1, 2, 0.0, U)])
    graph.headroom_a[:] = [1e6, 1e-9]
    assert minimum_cut(graph, 2, {0: 1e9}).deliverable_w == pytest.approx(1e-6, rel=1e-12)
    assert minimum_cut(graph, 1, {0: np.inf}).deliverable_w == 1e9


@pytest.mark.parametrize("seed", range(8))
def test_large_meshes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 200
    a = np.r_[np.arange(n), rng.integers(0, n, 150)]
    b = np.r_[(np.arange(n) + 1) % n, rng.integers(0, n, 150)]
    graph = graph_of_links(
        np.ones(n), a, b, np.zeros(len(a)), np.full(len(a), U), rng.integers(0, 30, len(a))
    )
    available_w = {int(node): 1e3 * float(rng.integers(0, 90)) for node in rng.choice(n, 20)}
    wanted_w = {int(node): 1e3 * float(rng.integers(0, 40)) for node in rng.choice(n, 60)}
    cut = minimum_cut_to_sinks(graph, wanted_w, available_w)
    assert cut.deliverable_w == pytest.approx(most_w(graph, wanted_w, available_w))
    assert_binds(graph, cut, wanted_w, available_w)
