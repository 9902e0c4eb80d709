"""The minimum cut: exact without losses, an upper bound with them."""

import hypothesis.strategies as st
import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings

from controller.routing.cspf import cspf
from controller.routing.cut import minimum_cut
from controller.routing.graph import Arc, ArcGraph

U = 1000.0
MOST = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@st.composite
def networks(draw: st.DrawFn, *, lossless: bool) -> tuple[ArcGraph, int, dict[int, float]]:
    nodes = draw(st.integers(2, 6))
    node = st.integers(0, nodes - 1)
    ends = draw(
        st.lists(
            st.tuples(node, node).filter(lambda e: e[0] != e[1]),
            min_size=1,
            max_size=9,
            unique=True,
        )
    )
    efficiency = [1.0] * nodes if lossless else [draw(st.floats(0.8, 1.0)) for _ in range(nodes)]
    ohms = st.just(0.0) if lossless else st.floats(0.0, 3.0)
    graph = ArcGraph(efficiency, [Arc(tail, head, draw(ohms), U) for tail, head in ends])
    graph.headroom_a = [float(draw(st.integers(0, 30))) for _ in ends]
    available_w = draw(st.dictionaries(node, st.integers(0, 40_000).map(float), min_size=1))
    return graph, draw(node), available_w


@MOST
@given(networks(lossless=True))
def test_without_losses_it_is_the_maximum_flow_and_the_cut_that_binds_it(network) -> None:
    graph, sink, available_w = network
    flow = nx.DiGraph()
    flow.add_edge(sink, "sink")
    for node, power_w in available_w.items():
        flow.add_edge("source", node, capacity=power_w)
    for arc, (tail, head) in enumerate(zip(graph.tail, graph.head, strict=True)):
        flow.add_edge(tail, head, capacity=graph.headroom_a[arc] * U)
    cut = minimum_cut(graph, sink, available_w)
    assert cut.deliverable_w == pytest.approx(nx.maximum_flow_value(flow, "source", "sink"))
    binding_w = sum(graph.headroom_a[arc] * U for arc in cut.arcs)
    binding_w += sum(available_w[node] for node in cut.source_nodes)
    assert cut.deliverable_w == pytest.approx(binding_w)


@MOST
@given(networks(lossless=False), st.floats(10.0, 40_000.0))
def test_nothing_that_can_be_routed_is_beyond_it(network, power_w: float) -> None:
    graph, sink, available_w = network
    if cspf(graph, sink, power_w, available_w) is not None:
        # Whole milliwatts, and the tolerance of the search.
        assert power_w <= minimum_cut(graph, sink, available_w).deliverable_w * (1 + 2e-9) + 0.01


def test_names_the_links_and_the_sources_that_bind() -> None:
    graph = ArcGraph([1.0] * 3, [Arc(0, 1, 0.0, U), Arc(1, 2, 0.0, U), Arc(0, 2, 0.0, U)])
    graph.headroom_a = [9.0, 2.0, 3.0]
    cut = minimum_cut(graph, 2, {0: 100_000.0})
    assert (cut.deliverable_w, set(cut.arcs), cut.source_nodes) == (5000.0, {1, 2}, ())
    cut = minimum_cut(graph, 2, {0: 1000.0})
    assert (cut.deliverable_w, cut.arcs, cut.source_nodes) == (1000.0, (), (0,))


def test_parallel_links_count_together_and_full_ones_not_at_all() -> None:
    graph = ArcGraph([1.0, 0.9], [Arc(0, 1, 0.0, U), Arc(0, 1, 0.0, U), Arc(0, 1, 0.0, U)])
    graph.headroom_a = [2.0, 3.0, -1.0]
    cut = minimum_cut(graph, 1, {0: 1e6})
    assert cut.deliverable_w == pytest.approx(4500.0)
    assert set(cut.arcs) == {0, 1, 2}


def test_nothing_arrives_where_no_way_leads() -> None:
    graph = ArcGraph([1.0, 1.0], [])
    assert minimum_cut(graph, 1, {0: 1e6}).deliverable_w == 0.0
    assert minimum_cut(graph, 1, {}).deliverable_w == 0.0
    assert minimum_cut(graph, 1, {1: 1e3}).deliverable_w == 1e3
