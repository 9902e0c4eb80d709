"""Led searches find what searches that nothing leads find, whatever comes, goes and changes."""

from functools import partial

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths import hierarchy
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.guided_search import GuidedSearch
from controller.routing.paths.landmarks import Landmarks
from tests.support.random_cases import examples

SIDE = 6
NODES = SIDE * SIDE


def grid(seed: int) -> PowerGraph:
    """A square of routers, and some lines across it."""
    rng = np.random.default_rng(seed)
    node = np.arange(NODES).reshape(SIDE, SIDE)
    across = rng.integers(NODES, size=(3, 2))
    across = across[across[:, 0] != across[:, 1]]
    a = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel(), across[:, 0]])
    b = np.concatenate([node[:, 1:].ravel(), node[1:].ravel(), across[:, 1]])
    ohms, amps = rng.uniform(0.0, 2.0, len(a)), rng.uniform(50.0, 200.0, len(a))
    efficiency = rng.uniform(0.97, 1.0, NODES)
    return graph_of_links(efficiency, a, b, ohms, np.full(len(a), 1e3), amps)


@settings(max_examples=examples(40))
@given(st.integers(0, 9), st.data())
def test_led_and_unled_searches_agree(seed: int, data: st.DataObject) -> None:
    graph = grid(seed)
    guided = GuidedSearch(graph, lead_from=1)
    arc = st.integers(0, graph.arc_count - 1)
    for _ in range(data.draw(st.integers(1, 12))):
        what = data.draw(st.sampled_from(["load", "load", "release", "figures", "cut"]))
        if what == "load":
            arcs = data.draw(st.lists(arc, min_size=1, max_size=9))
            for each in arcs:
                graph.set_load(each, graph.load_a[each] + data.draw(st.floats(0.0, 40.0)))
            guided.loads_changed(len(arcs))
        elif what == "release":
            each = data.draw(arc)
            graph.set_load(each, graph.load_a[each] * data.draw(st.floats(0.0, 0.99)))
            guided.loads_changed(1)
        elif what == "figures":
            each = data.draw(arc)
            graph.set_figures(each, data.draw(st.floats(0.0, 9.0)), 1e3, 150.0)
            graph.set_load(each, graph.load_a[each])
            guided.figures_changed([each])
        else:
            graph.take_out_of_service(data.draw(arc))
        sink, source = data.draw(st.tuples(*[st.integers(0, NODES - 1)] * 2))
        power_w = data.draw(st.sampled_from([1e2, 1e4, 6e4]))
        credit_a = data.draw(
            st.none()
            | st.dictionaries(arc, st.just(1.0), max_size=5).map(
                lambda some: {each: float(graph.load_a[each]) for each in some}
            )
        )
        led = guided.search.best(sink, power_w, {source: 1e9}, credit_a=credit_a)
        plain = PathSearch(graph).best(sink, power_w, {source: 1e9}, credit_a=credit_a)
        assert (led is None) == (plain is None)
        if led and plain:
            assert led.injected_w == pytest.approx(plain.injected_w, rel=1e-9)


def test_pairs_get_a_guide_that_is_kept_true_and_small_graphs_none() -> None:
    graph = grid(1)
    assert GuidedSearch(graph).pair_guide is None
    guided = GuidedSearch(graph, lead_from=1)
    unloaded = guided.pair_guide
    assert isinstance(unloaded, AdditiveHierarchy)
    assert guided.pair_guide is unloaded

    def is_for_no_loads() -> bool:
        guide = guided.pair_guide
        assert isinstance(guide, AdditiveHierarchy)
        return np.array_equal(guide.down.weight, unloaded.down.weight)

    for untrue in (partial(guided.loads_changed, 1), partial(guided.figures_changed, [0])):
        graph.set_load(0, 20.0)
        guided.loads_changed(graph.arc_count)
        assert not is_for_no_loads()
        graph.set_load(0, 0.0)
        untrue()
        assert is_for_no_loads()


def test_landmarks_are_repaired_where_a_graph_is_too_entangled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hierarchy, "MAX_PAIRS", 0)
    graph = grid(1)
    guided = GuidedSearch(graph, lead_from=1)
    landmarks = guided.pair_guide
    assert isinstance(landmarks, Landmarks)
    before = landmarks.tables.copy()
    graph.set_figures(0, 0.0, 1e4, 200.0)
    guided.figures_changed([0])
    assert not np.array_equal(landmarks.tables, before)
