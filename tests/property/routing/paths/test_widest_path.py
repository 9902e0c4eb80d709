"""The widest path against searches: what it says fits, and hardly more does."""

from math import inf

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from controller.routing.graph import PowerGraph
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.widest_path import widest_w
from tests.property.routing.paths.test_raising import tight_lattice
from tests.support.graphs import graph_of_arcs
from tests.support.random_cases import examples

GRAPHS = st.builds(tight_lattice, st.integers(0, 100_000), st.integers(2, 9), st.integers(2, 9))


@settings(max_examples=examples(150))
@given(GRAPHS, st.integers(0, 100_000))
def test_what_the_widest_path_delivers_fits_and_a_thousandth_more_does_not(
    graph: PowerGraph, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    if seed % 2:
        closed = rng.choice(graph.arc_count, graph.arc_count // 5, replace=False)
        for arc in closed.tolist():
            graph.take_out_of_service(arc)
    nodes = rng.choice(graph.node_count, int(rng.integers(1, 4)), replace=False).tolist()
    available_w = {node: float(rng.choice([inf, 0.0, 2e4, 1e5])) for node in nodes}
    sink = int(rng.integers(graph.node_count))
    avoid_nodes = {int(rng.integers(graph.node_count))}
    avoid_arcs = set(rng.integers(graph.arc_count, size=3).tolist())
    most_w = widest_w(graph, sink, available_w, avoid_nodes=avoid_nodes, avoid_arcs=avoid_arcs)
    search = PathSearch(graph)

    def fits(power_w: float) -> bool:
        found = search.best(
            sink, power_w, available_w, avoid_nodes=avoid_nodes, avoid_arcs=avoid_arcs
        )
        return found is not None

    if most_w > 1.0:
        assert fits(most_w * (1.0 - 1e-9))
    if most_w < 1e12:
        assert not fits(max(1e-3, most_w * 1.001))


def test_nothing_arrives_where_no_way_leads() -> None:
    graph = graph_of_arcs([0.9, 0.9, 0.9], [(0, 1, 0.1, 1e3)], ampacity_a=10.0)
    assert widest_w(graph, 2, {0: 1e6}) == 0.0
    assert widest_w(graph, 0, {0: 1e3}) == 900.0
    assert widest_w(graph, 1, {0: 1e6}) == 9_000.0
    assert widest_w(graph, 1, {0: 1e6}, avoid_nodes=[1]) == 0.0
