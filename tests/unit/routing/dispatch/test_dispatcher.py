"""Dispatch: published optima, priorities and values, costs, and input that is awkward."""

from typing import Any

import numpy as np
import pytest

from controller.routing.dispatch import Prices, dispatch
from controller.routing.graph import PowerGraph, graph_of_links
from tests.support.dispatch_cases import assert_physical, problem_of

VOLTAGE_V = 1000.0


def line(
    resistance_ohm: float = 1.0, ampacity_a: float = 100.0, efficiency: float = 1.0
) -> PowerGraph:
    """Two routers and one line."""
    return graph_of_links([efficiency] * 2, [0], [1], [resistance_ohm], [VOLTAGE_V], [ampacity_a])


def test_one_line_by_hand() -> None:
    answer = dispatch(problem_of(line(efficiency=0.9), [0], [1e6], [1], [9e3]))
    # 9 kW need 10 kW to enter router 1: 10 A, which lose 100 W; 10.1 kW leave router 0.
    assert answer.served_w == pytest.approx([9e3])
    assert answer.received_w.max() == pytest.approx(10e3)
    assert answer.sent_w.max() == pytest.approx(10.1e3)
    assert answer.generated_w == pytest.approx([10.1e3 / 0.9])


def test_what_stands_makes_newcomers_pay() -> None:
    graph = line()
    graph.set_load(int(np.flatnonzero(graph.tail == 0)[0]), 20.0)
    answer = dispatch(problem_of(graph, [0], [1e6], [1], [10e3]))
    assert answer.generated_w == pytest.approx([10e3 + 10.0 * (2 * 20.0 + 10.0)])
    full = dispatch(problem_of(graph, [0], [1e6], [1], [90e3]))
    assert full.served_w == pytest.approx([80e3])


def test_a_source_and_a_load_at_one_router_make_no_flow() -> None:
    graph = graph_of_links([0.8], [], [], [], [], [])
    answer = dispatch(problem_of(graph, [0], [1e3], [0], [400.0]))
    assert answer.generated_w == pytest.approx([500.0])


def test_priority_is_strict_and_value_decides_within_one() -> None:
    graph = line(resistance_ohm=0.0, ampacity_a=10.0)
    answer = dispatch(
        problem_of(
            graph,
            [0],
            [1e6],
            [1, 1, 1, 1],
            [4e3, 5e3, 3e3, 2e3],
            load_priority=[2, 1, 1, 0],
            load_value_per_mwh=[0.0, 10.0, 20.0, 1e9],
        )
    )
    assert answer.served_w == pytest.approx([4e3, 3e3, 3e3, 0.0], abs=1e-3)


def test_loads_without_value_take_what_the_valued_leave() -> None:
    graph = line(resistance_ohm=0.0, ampacity_a=10.0)
    answer = dispatch(
        problem_of(
            graph, [0], [1e6], [1, 1, 1], [4e3, 9e3, 2e3], load_value_per_mwh=[5.0, 0.0, 3.0]
        )
    )
    assert answer.served_w == pytest.approx([4e3, 4e3, 2e3], abs=1e-3)


def test_a_lower_priority_never_costs_a_higher_one_a_watt() -> None:
    # The far load loses half its power on the way; 1000 near ones would be served instead.
    graph = graph_of_links(
        [1.0, 1.0, 1.0], [0, 0], [1, 2], [240.0, 0.0], [VOLTAGE_V] * 2, [100.0, 100.0]
    )
    answer = dispatch(
        problem_of(
            graph, [0], [1500.0], [1, 2], [1e3, 1e3], load_priority=[1, 0], source_cost_per_mwh=[9]
        )
    )
    assert answer.served_w == pytest.approx([1e3, 260.0], rel=1e-6)


def test_many_priorities() -> None:
    graph = line(resistance_ohm=0.1, ampacity_a=10.0)
    loads = 40
    priority = np.random.default_rng(3).permutation(loads)
    answer = dispatch(
        problem_of(graph, [0], [1e6], [1] * loads, [1e3] * loads, load_priority=priority.tolist())
    )
    expected = np.where(priority >= loads - 10, 1e3, 0.0)
    assert answer.served_w == pytest.approx(expected, abs=1e-3)


def test_cheap_sources_first_then_losses() -> None:
    graph = graph_of_links(
        [1.0] * 4, [0, 1, 2], [3, 3, 3], [5.0, 1.0, 0.1], [VOLTAGE_V] * 3, [100.0] * 3
    )
    problem = problem_of(
        graph, [0, 1, 2], [1e5] * 3, [3], [6e3], source_cost_per_mwh=[10.0, 10.0, 90.0]
    )
    answer = dispatch(problem)
    assert answer.generated_w[2] == pytest.approx(0.0, abs=1e-3)
    # Equal marginal losses: currents in inverse proportion to resistance.
    assert answer.received_w.max() == pytest.approx(5e3, rel=1e-4)
    dear_loss = problem_of(
        graph,
        [0, 1, 2],
        [1e5] * 3,
        [3],
        [6e3],
        source_cost_per_mwh=[10.0, 10.0, 90.0],
        prices=Prices(loss_per_mwh=1e6),
    )
    assert dispatch(dear_loss).generated_w[2] > 5e3


def test_tolls_and_carbon_count() -> None:
    graph = graph_of_links([1.0] * 2, [0, 0], [1, 1], [0.1, 0.1], [VOLTAGE_V] * 2, [100.0, 100.0])
    tolled = dispatch(problem_of(graph, [0], [1e5], [1], [5e3], toll_per_mwh=[50.0, 0.0]))
    assert tolled.received_w[graph.link == 0] == pytest.approx([0.0, 0.0], abs=1e-3)
    clean = dispatch(
        problem_of(
            graph,
            [0, 0],
            [1e5, 1e5],
            [1],
            [5e3],
            source_cost_per_mwh=[1.0, 2.0],
            source_carbon_kg_per_mwh=[800.0, 0.0],
            prices=Prices(carbon_per_kg=0.1),
        )
    )
    assert clean.generated_w[0] == pytest.approx(0.0, abs=1e-3)


def test_surplus_that_must_run_is_curtailed_and_said() -> None:
    problem = problem_of(line(), [0], [50e3], [1], [10e3], source_cost_per_mwh=[-5.0])
    answer = dispatch(problem)
    assert not answer.exact
    assert answer.surplus_w == pytest.approx(50e3 - 10.1e3, rel=1e-6)
    assert "negative cost" in answer.note
    assert answer.generated_w == pytest.approx([10.1e3])
    assert_physical(problem, answer)


def test_a_negative_cost_that_the_network_can_use_is_exact() -> None:
    problem = problem_of(line(), [0, 1], [5e3, 1e6], [1], [10e3], source_cost_per_mwh=[-5.0, 40.0])
    answer = dispatch(problem)
    assert answer.exact
    assert answer.generated_w[0] == pytest.approx(5e3)


def test_islands_are_dispatched_apart() -> None:
    graph = graph_of_links([1.0] * 4, [0, 2], [1, 3], [1.0, 1.0], [VOLTAGE_V] * 2, [100.0] * 2)
    answer = dispatch(problem_of(graph, [0], [1e6], [1, 3], [10e3, 10e3]))
    assert answer.served_w == pytest.approx([10e3, 0.0])
    assert answer.price_per_mwh[2:] == pytest.approx([0.0, 0.0])


def test_nothing_to_serve_and_nothing_to_serve_it_with() -> None:
    assert dispatch(problem_of(line(), [], [], [1], [10.0])).served_w == pytest.approx([0.0])
    assert dispatch(problem_of(line(), [0], [5.0], [], [])).generated_w == pytest.approx([0.0])
    assert dispatch(problem_of(line(), [0], [0.0], [1], [9.0])).served_w == pytest.approx([0])


def test_lines_out_of_service_carry_nothing() -> None:
    graph = line()
    graph.take_out_of_service(0)
    graph.take_out_of_service(1)
    assert dispatch(problem_of(graph, [0], [1e6], [1], [9.0])).served_w == pytest.approx([0])


def test_a_millionth_of_a_watt_beside_a_gigawatt() -> None:
    graph = graph_of_links([0.99] * 4, [0, 1, 1], [1, 2, 3], [1e-3] * 3, [1e6] * 3, [1e5, 1e5, 1e5])
    problem = problem_of(
        graph, [0, 3], [2e9, 1e-6], [2, 3, 1], [1e9, 1e-6, 1e-6], source_cost_per_mwh=[20.0, 1.0]
    )
    answer = dispatch(problem)
    assert answer.status == "optimal"
    assert answer.served_w == pytest.approx([1e9, 1e-6, 1e-6], rel=1e-12)
    assert_physical(problem, answer)


@pytest.mark.parametrize("efficiency", [0.1, 0.02])
def test_converters_that_lose_nearly_all(efficiency: float) -> None:
    graph = line(efficiency=efficiency, ampacity_a=1e9, resistance_ohm=0.0)
    problem = problem_of(graph, [0], [1e15], [1], [1.0])
    answer = dispatch(problem)
    assert answer.generated_w == pytest.approx([efficiency**-2])
    assert_physical(problem, answer)


@pytest.mark.parametrize("efficiency", [5e-3, 1e-6])
def test_loads_that_nearly_nothing_would_reach_are_out_of_reach(efficiency: float) -> None:
    graph = line(efficiency=efficiency, ampacity_a=1e9, resistance_ohm=0.0)
    problem = problem_of(graph, [0, 0], [1e15, 1e15], [0, 1], [1.0, 1.0])
    answer = dispatch(problem)
    if efficiency == 1e-6:
        assert answer.served_w.tolist() == [0.0, 0.0]
    else:
        assert answer.served_w == pytest.approx([1.0, 0.0])
        assert answer.generated_w.sum() == pytest.approx(1.0 / efficiency)
    assert_physical(problem, answer)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"source_node": [2]}, "beyond the 2"),
        ({"source_max_w": [-1.0]}, "source_max_w must be at least 0"),
        ({"load_power_w": [np.nan]}, "load_power_w must be finite"),
        ({"load_power_w": [1.0, 2.0]}, "load_power_w has 2 entries instead of 1"),
        ({"toll_per_mwh": [-1.0]}, "toll_per_mwh must be at least 0"),
        ({"source_cost_per_mwh": [np.inf]}, "source_cost_per_mwh must be finite"),
    ],
)
def test_figures_that_cannot_be_are_refused(wrong: dict[str, Any], words: str) -> None:
    right: dict[str, Any] = {
        "source_node": [0],
        "source_max_w": [1.0],
        "load_node": [1],
        "load_power_w": [1.0],
    }
    with pytest.raises(ValueError, match=words):
        problem_of(line(), **(right | wrong))


def test_negative_prices_of_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="loss_per_mwh is -1"):
        Prices(loss_per_mwh=-1.0)
