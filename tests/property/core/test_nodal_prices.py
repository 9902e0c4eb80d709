"""Nodal prices of random dispatches against what a little more really costs."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from controller.core.optimising.nodal_prices import nodal_prices
from controller.routing.dispatch import Dispatch, DispatchProblem, Prices, dispatch
from controller.routing.graph import PowerGraph, graph_of_links
from tests.support.dispatch_cases import money, problem_of, random_problem
from tests.support.random_cases import examples

# Of the largest load: so much more is asked for.
_LITTLE = 1e-2
# The solver's own accuracy, relative to the money that all of it costs.
_EXACT = 1e-6
# Of the dearest source or toll: the solver breaks ties by a price of loss far below what anything costs.
_TIE_BREAK = 1e-4


def line(
    resistance_ohm: float = 1.0, ampacity_a: float = 100.0, efficiency: float = 0.9
) -> PowerGraph:
    """Two routers and one line of 1 kV."""
    return graph_of_links([efficiency] * 2, [0], [1], [resistance_ohm], [1e3], [ampacity_a])


def with_more(problem: DispatchProblem, node: int, power_w: float) -> DispatchProblem:
    """A load more, after which no other asks less."""
    last = int(problem.load_priority.min(initial=0)) - 1
    return replace(
        problem,
        load_node=np.append(problem.load_node, np.int32(node)),
        load_power_w=np.append(problem.load_power_w, power_w),
        load_priority=np.append(problem.load_priority, np.int32(last)),
        load_value_per_mwh=np.append(problem.load_value_per_mwh, 0.0),
    )


def serves_it_too(before: Dispatch, after: Dispatch, power_w: float) -> bool:
    others = np.allclose(after.served_w[:-1], before.served_w, rtol=1e-9, atol=1e-6 * power_w)
    return others and bool(after.served_w[-1] == power_w)


@settings(max_examples=examples(25))
@given(st.integers(0, 10**6))
@example(3)
def test_a_little_more_costs_its_price_and_the_next_no_less(seed: int) -> None:
    problem = random_problem(seed)
    found = dispatch(problem)
    prices = nodal_prices(problem, found)
    more_w = _LITTLE * float(problem.load_power_w.max())
    for node in range(problem.graph.node_count):
        after = dispatch(with_more(problem, node, more_w))
        served = serves_it_too(found, after, more_w)
        if node not in prices:
            # Out of reach, or behind what binds; else the solver priced nothing there.
            assert not (served and prices and found.price_per_mwh[node] != 0.0)
            continue
        then = nodal_prices(with_more(problem, node, more_w), after)
        if not served or node not in then:
            continue
        dearer = money(problem, after) - money(problem, found)
        costs = np.concatenate([problem.source_price_per_mwh, problem.arc_toll_per_mwh])
        slack = _EXACT * abs(money(problem, after)) + _TIE_BREAK * more_w * np.abs(costs).max()
        # The optimum is convex in what is asked for.
        low, high = prices[node] * more_w, then[node] * more_w
        assert low - slack - 1e-3 * abs(low) <= dearer <= high + slack + 1e-3 * abs(high)


def test_a_price_is_that_of_the_source_with_its_losses_and_the_tolls_on_the_way() -> None:
    graph = line(efficiency=0.9, resistance_ohm=0.0)
    problem = problem_of(
        graph, [0], [1e6], [1], [10e3], source_cost_per_mwh=[45.0], toll_per_mwh=[2.0]
    )
    prices = nodal_prices(problem, dispatch(problem))
    # Each router converts once; the toll is on what arrives before the second conversion.
    assert prices == pytest.approx({0: 45 / 0.9, 1: (45 / 0.9 + 2) / 0.9}, rel=1e-4)


def test_a_price_of_loss_prices_what_is_lost_and_not_what_is_delivered() -> None:
    problem = problem_of(
        line(efficiency=0.8, resistance_ohm=0.0), [0], [1e6], [0], [10e3],
        prices=Prices(loss_per_mwh=40.0),
    )  # fmt: skip
    # A MWh delivered takes 1.25, of which a quarter is lost.
    assert nodal_prices(problem, dispatch(problem))[0] == pytest.approx(10.0, rel=1e-4)


def test_behind_a_full_line_nothing_has_a_price_and_before_it_there_is_one() -> None:
    problem = problem_of(
        line(ampacity_a=5.0), [0], [1e6], [0, 1], [1e3, 90e3], source_cost_per_mwh=[30.0]
    )
    found = dispatch(problem)
    assert found.served_w[1] < 90e3
    prices = nodal_prices(problem, found)
    assert set(prices) == {0}
    assert prices[0] == pytest.approx(30.0 / problem.graph.efficiency[0], rel=1e-4)


def test_nothing_has_a_price_once_every_source_gives_all_it_can() -> None:
    problem = problem_of(line(), [0], [1e3], [1], [9e3], source_cost_per_mwh=[30.0])
    assert nodal_prices(problem, dispatch(problem)) == {}


def test_where_nothing_costs_anything_more_is_free() -> None:
    problem = problem_of(line(), [0], [1e6], [1], [9e3])
    assert nodal_prices(problem, dispatch(problem)) == {0: 0.0, 1: 0.0}


def test_a_converter_that_is_full_has_no_price_behind_it() -> None:
    graph = line()
    graph.through_w[1] = 5e3
    problem = problem_of(graph, [0], [1e6], [1], [9e3], source_cost_per_mwh=[30.0])
    found = dispatch(problem)
    assert 0.0 < found.served_w[0] < 9e3
    assert set(nodal_prices(problem, found)) == {0}
