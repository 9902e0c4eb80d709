"""Repaired trees against trees grown anew, and those against scipy."""

from math import inf

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from controller.routing.paths.shortest_path_tree import ShortestPathTree, Ways, downstream, upstream
from tests.support.graphs import graph_of_arcs
from tests.support.random_cases import examples

MOST = settings(max_examples=examples(150))
WEIGHTS = st.sampled_from([0.0, 0.1, 1.0, inf]) | st.floats(0.0, 10.0)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Ways, list[float], int]:
    nodes = draw(st.integers(1, 12))
    node = st.integers(0, nodes - 1)
    ends = draw(st.lists(st.tuples(node, node), min_size=1, max_size=40))
    graph = graph_of_arcs([1.0] * nodes, [(tail, head, 1.0, 1.0) for tail, head in ends])
    ways = draw(st.sampled_from([downstream, upstream]))(graph)
    weights = draw(st.lists(WEIGHTS, min_size=len(ends), max_size=len(ends)))
    return ways, weights, draw(node)


def assert_is_tree(tree: ShortestPathTree) -> None:
    """Every router's parent explains its distance, and parents lead to the root."""
    ways = tree.ways
    for node, arc in enumerate(tree.parent.tolist()):
        if node == tree.root or tree.distance[node] == inf:
            assert arc == -1
            continue
        assert ways.far[arc] == node
        assert tree.distance[node] == tree.distance[ways.near[arc]] + tree.weight[arc]
        steps = 0
        while node != tree.root:
            node = int(ways.near[tree.parent[node]])
            steps += 1
            assert steps <= len(tree.parent)


@MOST
@given(networks(), st.lists(st.tuples(st.integers(0, 1000), WEIGHTS), max_size=12))
def test_repairs_are_exact_whatever_changes(
    network: tuple[Ways, list[float], int], changes: list[tuple[int, float]]
) -> None:
    ways, weights, root = network
    tree = ShortestPathTree(ways, np.array(weights), root)
    for which, new_weight in changes:
        arc = which % len(weights)
        weights[arc] = new_weight
        tree.repair(arc, new_weight)
        anew = ShortestPathTree(ways, np.array(weights), root)
        assert tree.distance.tolist() == anew.distance.tolist()
        assert_is_tree(tree)


@MOST
@given(networks())
def test_distances_are_those_of_scipy(network: tuple[Ways, list[float], int]) -> None:
    ways, weights, root = network
    count = len(ways.on_start) - 1
    least = np.full((count, count), inf)
    for near, far, weight in zip(ways.near, ways.far, weights, strict=True):
        least[near, far] = min(least[near, far], weight)
    # scipy takes a stored zero for an arc of no weight only where the matrix is sparse.
    near, far = np.nonzero(least < inf)
    matrix = csr_array((least[near, far], (near, far)), shape=least.shape)
    tree = ShortestPathTree(ways, np.array(weights), root)
    assert tree.distance == pytest.approx(dijkstra(matrix, indices=root), rel=1e-12)


def test_only_the_subtree_below_an_arc_is_looked_at() -> None:
    line = graph_of_arcs([1.0] * 100, [(node, node + 1, 1.0, 1.0) for node in range(99)])
    tree = ShortestPathTree(downstream(line), np.ones(99), 0)
    assert tree.repair(95, 2.0) <= 2 * 4
    assert tree.distance[99] == 100.0
    assert tree.repair(95, 1.0) == 4
    assert tree.repair(95, 1.0) == 0


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_weights_that_are_none_are_refused(weight: float) -> None:
    ways = downstream(graph_of_arcs([1.0] * 2, [(0, 1, 1.0, 1.0)]))
    with pytest.raises(ValueError, match="at least 0"):
        ShortestPathTree(ways, np.array([weight]), 0)
    tree = ShortestPathTree(ways, np.ones(1), 0)
    with pytest.raises(ValueError, match="at least 0"):
        tree.repair(0, weight)
    assert tree.distance.tolist() == [0.0, 1.0]
