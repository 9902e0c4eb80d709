"""Splits against a convex programme solved independently, and against admission of their parts, one by one."""

from dataclasses import dataclass, field
from math import fsum
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from controller.routing.assignments.split import SplitPlan, split
from controller.routing.assignments.split_greedily import MAX_PARTS, MIN_PART_W
from controller.routing.graph import PowerGraph, graph_of_links
from tests.support.convex_split import least_injected_w
from tests.support.random_cases import examples

MOST = settings(max_examples=examples(150))


@dataclass
class Case:
    """A loaded graph, and a request."""

    graph: PowerGraph
    sink: int
    power_w: float
    source_node: list[int]
    available_w: list[float]
    limits: dict[str, Any] = field(default_factory=dict)

    def ask(self) -> SplitPlan:
        return split(
            self.graph,
            self.sink,
            self.power_w,
            self.source_node,
            self.available_w,
            **self.limits,
        )


@st.composite
def cases(draw: st.DrawFn, limited: bool = False) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 8))
    links = draw(st.integers(n - 1, 3 * n))
    a = rng.integers(0, n, links)
    b = (a + rng.integers(1, n, links)) % n
    ohms = rng.uniform(0.0, 10.0 ** draw(st.integers(-2, 1)), links)
    graph = graph_of_links(
        rng.uniform(0.8, 1.0, n),
        a,
        b,
        np.where(rng.random(links) < 0.1, 0.0, ohms),
        rng.choice([400.0, 1000.0], links),
        rng.uniform(5.0, 60.0, links),
    )
    for arc in np.flatnonzero(rng.random(graph.arc_count) < 0.3).tolist():
        graph.set_load(arc, float(rng.uniform(0.0, 0.8) * max(0.0, graph.headroom_a[arc])))
    for arc in np.flatnonzero(rng.random(graph.arc_count) < 0.05).tolist():
        graph.take_out_of_service(arc)
    sources = draw(st.integers(1, 5))
    limits: dict[str, Any] = {}
    if limited:
        limits = {
            "max_loss_fraction": draw(st.none() | st.floats(0.1, 0.6)),
            "max_hops": draw(st.none() | st.integers(0, 4)),
            "avoid_nodes": draw(st.sets(st.integers(0, n - 1), max_size=1)),
            "avoid_arcs": draw(st.sets(st.integers(0, graph.arc_count - 1), max_size=2)),
        }
    return Case(
        graph,
        draw(st.integers(0, n - 1)),
        10.0 ** draw(st.floats(0.0, 5.0)),
        rng.integers(0, n, sources).tolist(),
        rng.uniform(1e3, 4e4, sources).tolist(),
        limits,
    )


def admit(case: Case, plan: SplitPlan) -> None:
    """Reserve one part after the other, as a controller would; fails where one does not fit, or is said wrongly."""
    graph = case.graph
    load_a, headroom_a = graph.load_a.copy(), graph.headroom_a.copy()
    left_w = list(case.available_w)
    for part in plan.parts:
        node = case.sink
        entering_w = part.power_w / graph.efficiency[node]
        for arc in reversed(part.arcs):
            assert graph.head[arc] == node
            added_a = entering_w / graph.voltage_v[arc]
            assert added_a <= headroom_a[arc] + 2e-9 * graph.ampacity_a[arc]
            loss_w = graph.resistance_ohm[arc] * ((load_a[arc] + added_a) ** 2 - load_a[arc] ** 2)
            load_a[arc] += added_a
            headroom_a[arc] -= added_a
            if graph.twin[arc] >= 0:
                headroom_a[graph.twin[arc]] -= added_a
            node = int(graph.tail[arc])
            entering_w = (entering_w + loss_w) / graph.efficiency[node]
        assert node == case.source_node[part.source]
        np.testing.assert_allclose(part.injected_w, entering_w, rtol=1e-9)
        assert entering_w <= left_w[part.source] + 2e-9 * case.available_w[part.source]
        left_w[part.source] -= entering_w


@MOST
@given(cases())
def test_nearly_the_least_is_injected_and_served_is_what_can_be(case: Case) -> None:
    plan = case.ask()
    ends = (case.graph, case.sink, case.power_w, case.source_node, case.available_w)
    if plan.missing_w == 0.0:
        least_w = least_injected_w(*ends)
        assert least_w is not None
        assert least_w * (1 - 1e-5) <= plan.injected_w <= least_w * 1.001
    else:
        assert least_injected_w(*ends, share_of_limits=0.999) is None


@MOST
@given(cases(limited=True))
def test_parts_can_be_admitted_in_their_order_and_keep_all_limits(case: Case) -> None:
    load_a = case.graph.load_a.copy()
    plan = case.ask()
    assert np.array_equal(case.graph.load_a, load_a)
    admit(case, plan)
    assert len(plan.parts) <= MAX_PARTS
    delivered_w = fsum(part.power_w for part in plan.parts)
    np.testing.assert_allclose(delivered_w + plan.missing_w, case.power_w, rtol=1e-9)
    np.testing.assert_allclose(plan.injected_w, fsum(part.injected_w for part in plan.parts))
    for part in plan.parts:
        assert part.power_w >= min(MIN_PART_W, case.power_w) * (1 - 1e-9)
        assert not set(part.arcs) & case.limits["avoid_arcs"]
        nodes = {case.sink, *case.graph.tail[list(part.arcs)].tolist()}
        assert not nodes & case.limits["avoid_nodes"]
        most_hops, most_loss = case.limits["max_hops"], case.limits["max_loss_fraction"]
        assert most_hops is None or len(part.arcs) <= most_hops
        if most_loss is not None:
            assert part.injected_w * (1.0 - most_loss) <= part.power_w * (1 + 2e-9)
