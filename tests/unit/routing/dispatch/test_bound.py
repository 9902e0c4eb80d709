"""What the solver cannot finish is given as far as it is feasible, with a gap that holds."""

from collections.abc import Callable

import numpy as np
import pytest

from controller.routing.dispatch import dispatch, service
from controller.routing.dispatch.bound import lower_bound
from controller.routing.dispatch.interior_point import Solution
from controller.routing.dispatch.interior_point import minimise as solve
from controller.routing.dispatch.ldl import Factor, Pattern
from controller.routing.dispatch.newton import Network
from tests.support.dispatch_cases import assert_physical, money, random_problem

SEEDS = range(40)


def stopping_early(error: float, seed: int) -> Callable[[Network, Pattern, Factor], Solution]:
    """A solver that ends with errors of this relative size, and says so."""

    def minimise(network: Network, pattern: Pattern, factor: Factor) -> Solution:
        found = solve(network, pattern, factor)
        rng = np.random.default_rng(seed)
        for values in found.point:
            values *= np.exp(error * rng.normal(size=len(values)))
        return found._replace(converged=False, residual=error)

    return minimise


@pytest.mark.parametrize("error", [1e-9, 1e-4, 1e-2])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_feasible_plan_is_within_its_gap(
    error: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = random_problem(seed)
    best = dispatch(problem)
    monkeypatch.setattr(service, "minimise", stopping_early(error, seed))
    answer = dispatch(problem)
    if answer.status == "not converged":
        assert not answer.served_w.any()
        return
    assert_physical(problem, answer)
    if answer.status == "optimal" or not best.exact:
        return
    assert answer.status == "feasible" and np.isfinite(answer.gap) and answer.gap >= 0.0
    if np.array_equal(answer.served_w, best.served_w):
        assert money(problem, answer) * (1.0 - answer.gap) <= money(problem, best) * (1.0 + 1e-6)


def test_nearly_right_prices_leave_a_small_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = random_problem(0)
    best = dispatch(problem)
    assert best.status == "optimal" and np.array_equal(best.served_w, problem.load_power_w)
    monkeypatch.setattr(service, "minimise", stopping_early(1e-9, 1))
    answer = dispatch(problem)
    assert answer.status == "feasible" and 0.0 <= answer.gap < 1e-4
    assert answer.served_w == pytest.approx(best.served_w)


def test_no_prices_give_a_bound_above_the_optimum() -> None:
    network = Network(
        efficiency=np.array([0.9, 0.8]),
        tail=np.array([0, 1], dtype=np.int32),
        head=np.array([1, 0], dtype=np.int32),
        linear=np.ones(2),
        square=np.array([0.1, 0.1]),
        arc_cost=np.zeros(2),
        link_of_arc=np.zeros(2, dtype=np.int32),
        first=np.zeros(1, dtype=np.int32),
        second=np.ones(1, dtype=np.int32),
        capacity=np.array([2.0]),
        place=np.zeros(1, dtype=np.int32),
        cell_node=np.array([0, 1], dtype=np.int32),
        cell_gain=np.array([0.9, -1.0]),
        cell_limit=np.array([5.0, 0.8]),
        cell_cost=np.array([1.0, -100.0]),
    )
    # A load of 0.8 takes 1 over the line, which 1.1 enter; so 1.1 / 0.9 are generated.
    optimum = 1.1 / 0.9 - 80.0
    # Prices of a watt put out: 1 / 0.9 at the source; at the load what the line's last watt and the router lose more.
    right = np.array([1.0 / 0.9, 1.0 / 0.9 * 1.2 / 0.8])
    assert lower_bound(network, right) == pytest.approx(optimum, rel=1e-12)
    rng = np.random.default_rng(5)
    for price in rng.exponential(2.0, (200, 2)):
        assert lower_bound(network, price) <= optimum + 1e-9
