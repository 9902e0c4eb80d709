"""Searches whose bounds are raised all the time, against unled ones. Lines are tight, and many questions in vain."""

from math import inf

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, PathSearch, best_path_raising
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.search_arrays import NOTHING_AVAILABLE_W, Ask
from tests.support.random_cases import examples

MOST = settings(max_examples=examples(100))
_VOLTAGE_V = 1000.0


def tight_lattice(seed: int, width: int, height: int) -> PowerGraph:
    """Routers on a lattice with some lines missing. What a line can carry, and does already, differs widely."""
    rng = np.random.default_rng(seed)
    node = np.arange(width * height).reshape(height, width)
    a = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])
    b = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])
    kept = rng.random(len(a)) < 0.9
    count = int(kept.sum())
    graph = graph_of_links(
        rng.uniform(0.95, 1.0, node.size),
        a[kept],
        b[kept],
        rng.uniform(0.0, 0.5, count),
        np.full(count, _VOLTAGE_V),
        10.0 ** rng.uniform(1.0, 2.5, count),
    )
    for arc in range(graph.arc_count):
        if rng.random() < 0.3:
            graph.set_load(arc, float(rng.uniform(0.0, 0.6) * graph.ampacity_a[arc]))
    return graph


GRAPHS = st.builds(tight_lattice, st.integers(0, 100_000), st.integers(4, 16), st.integers(4, 16))


@MOST
@given(GRAPHS, st.integers(0, 100_000), st.booleans(), st.sampled_from([1, 3]))
def test_raised_bounds_lead_to_the_same_power(
    graph: PowerGraph, seed: int, loaded: bool, raise_from: int
) -> None:
    rng = np.random.default_rng(seed)
    hierarchy = Hierarchy(graph, graph.load_a if loaded else None)
    plain, led = PathSearch(graph), PathSearch(graph, hierarchy)
    # One question after another in the same room: nothing of the one before is left.
    for _ in range(12):
        count = int(rng.integers(1, 1 + max(1, int(np.sqrt(graph.node_count / 16)))))
        sources = rng.choice(graph.node_count, count, replace=False).astype(np.int32)
        available_w = rng.choice([inf, 3e4, 1e5], count)
        sink, power_w = int(rng.integers(graph.node_count)), float(10.0 ** rng.uniform(3.0, 5.5))
        limit_w = float(rng.choice([inf, 2.0 * power_w]))
        most_hops = int(rng.choice([-1, -1, 8]))
        expected = plain.best(
            sink,
            power_w,
            dict(zip(sources.tolist(), available_w.tolist(), strict=True)),
            max_injected_w=limit_w,
            max_hops=None if most_hops < 0 else most_hops,
        )
        ask = Ask(
            sink,
            power_w,
            min(limit_w, float(available_w.max())) * (1.0 + RELATIVE_TOLERANCE),
            most_hops,
            False,
        )
        led.room.nodes["available_w"][sources] = available_w
        length, _ = best_path_raising(led.arcs, led.room, led.bounds, ask, sources, raise_from)
        led.room.nodes["available_w"][sources] = NOTHING_AVAILABLE_W
        if expected is None:
            assert length < 0
        else:
            assert length >= 0
            assert led.room.path_w[0] == pytest.approx(expected.injected_w, rel=1e-9)
    assert np.all(led.room.nodes["label_w"] == inf)
