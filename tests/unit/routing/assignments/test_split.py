"""Splits whose answer is known."""

import pytest

from controller.routing.assignments.split import split
from controller.routing.graph import graph_of_links
from tests.support.graphs import graph_of_arcs


def test_two_equal_lines_share_the_power_evenly() -> None:
    graph = graph_of_arcs([1.0, 1.0], [(0, 1, 2.0, 100.0), (0, 1, 2.0, 100.0)], 50.0)
    plan = split(graph, 1, 1000.0, [0], [5000.0])
    assert [part.power_w for part in plan.parts] == pytest.approx([500.0, 500.0], rel=1e-3)
    # R x² twice, at half the current.
    assert plan.injected_w == pytest.approx(1000.0 + 2 * 2.0 * 5.0**2, rel=1e-6)
    assert plan.missing_w == 0.0


def test_a_line_with_load_gets_less() -> None:
    graph = graph_of_arcs([1.0, 1.0], [(0, 1, 2.0, 100.0), (0, 1, 2.0, 100.0)], 50.0)
    graph.set_load(0, 4.0)
    plan = split(graph, 1, 1000.0, [0], [5000.0])
    power_w = {part.arcs[0]: part.power_w for part in plan.parts}
    # Equal currents in all: 4 A and 3 A beside 7 A.
    assert power_w == pytest.approx({0: 300.0, 1: 700.0}, rel=1e-2)


def test_sources_at_one_router_are_apart() -> None:
    graph = graph_of_arcs([0.5], [])
    plan = split(graph, 0, 100.0, [0, 0], [150.0, 80.0])
    assert plan.missing_w == 0.0
    assert plan.injected_w == pytest.approx(200.0)
    injected_w = {part.source: part.injected_w for part in plan.parts}
    assert injected_w[0] <= 150.0 * (1 + 1e-9) and injected_w[1] <= 80.0 * (1 + 1e-9)


def test_both_directions_share_a_link() -> None:
    # Power from 0 to 2 takes the link 0-1 one way; what stands takes it the other way.
    graph = graph_of_links([1.0] * 3, [0, 1], [1, 2], [0.0] * 2, [100.0] * 2, [10.0, 50.0])
    graph.set_load(int(next(k for k in range(4) if graph.tail[k] == 1 and graph.head[k] == 0)), 6.0)
    plan = split(graph, 2, 1000.0, [0], [5000.0])
    assert plan.missing_w == pytest.approx(600.0, rel=1e-2)
    assert sum(part.power_w for part in plan.parts) == pytest.approx(400.0, rel=1e-2)


def test_the_request_is_left_whole_where_one_part_is_as_good() -> None:
    graph = graph_of_arcs([1.0, 1.0], [(0, 1, 0.0, 100.0), (0, 1, 1.0, 100.0)], 50.0)
    plan = split(graph, 1, 1000.0, [0], [5000.0])
    assert [part.arcs for part in plan.parts] == [(0,)]
    assert plan.parts[0].power_w == 1000.0


def test_an_island_gets_nothing() -> None:
    graph = graph_of_arcs([1.0] * 3, [(0, 1, 1.0, 100.0)], 50.0)
    plan = split(graph, 2, 10.0, [0], [100.0])
    assert plan.parts == ()
    assert plan.missing_w == 10.0


def test_there_are_never_more_than_sixteen_parts() -> None:
    lines = [(0, 1, 0.1, 100.0)] * 20
    plan = split(graph_of_arcs([1.0, 1.0], lines, 1.0), 1, 2000.0, [0], [5000.0])
    assert len(plan.parts) == 16
    assert plan.missing_w == pytest.approx(400.0, rel=1e-3)


@pytest.mark.parametrize("power_w", [1e-6, 1e9])
def test_powers_of_all_sizes(power_w: float) -> None:
    voltage_v = 1e6
    graph = graph_of_arcs([0.9, 0.9], [(0, 1, 1.0, voltage_v), (0, 1, 2.0, voltage_v)], 1e4)
    plan = split(graph, 1, power_w, [0, 0], [1e-6, 1e10])
    assert plan.missing_w == 0.0
    assert sum(part.power_w for part in plan.parts) == pytest.approx(power_w, rel=1e-9)


@pytest.mark.parametrize("power_w", [0.0, -1.0, float("nan"), float("inf")])
def test_a_power_must_be_one(power_w: float) -> None:
    with pytest.raises(ValueError, match="above 0 W"):
        split(graph_of_arcs([1.0], []), 0, power_w, [0], [1.0])


def test_a_loss_fraction_must_be_one() -> None:
    with pytest.raises(ValueError, match="share"):
        split(graph_of_arcs([1.0], []), 0, 1.0, [0], [1.0], max_loss_fraction=1.0)
