"""Dispatch of random networks against an independent convex program, and against the laws of physics."""

import pickle

import cvxpy as cp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from controller.routing.dispatch import DispatchProblem, dispatch
from tests.support.convex_dispatch import ConvexDispatch
from tests.support.dispatch_cases import assert_physical, money, random_problem, service_tiers
from tests.support.random_cases import examples

# CVXPY tells of digits that Clarabel could not reach; what it did reach is compared with a tolerance.
pytestmark = pytest.mark.filterwarnings("ignore:Solution may be inaccurate:UserWarning")

MOST = settings(max_examples=examples(150))


@MOST
@given(st.integers(0, 10**6))
def test_free_energy_is_impossible(seed: int) -> None:
    for problem in (random_problem(seed + part) for part in range(5)):
        answer = dispatch(problem)
        assert answer.status == "optimal"
        assert_physical(problem, answer)


@MOST
@given(st.integers(0, 10**6))
def test_serves_and_costs_as_a_convex_program_says(seed: int) -> None:
    problem = random_problem(seed)
    answer = dispatch(problem)
    reference = ConvexDispatch(problem)
    asked_w = problem.load_power_w.sum()
    floors: list[tuple[np.ndarray, float]] = []
    for weights in service_tiers(problem):
        served_w = float(weights @ answer.served_w)
        most_w = reference.most(weights, *floors)
        assert served_w >= most_w * (1 - 1e-6) - 1e-6 * asked_w
        floors.append((weights, min(most_w, served_w)))
    if not answer.exact:
        return
    # Where service binds, it is flat at its greatest: the last digits of it are worth a lot of money.
    all_served = np.array_equal(answer.served_w, problem.load_power_w)
    tolerance = 1e-5 if all_served else 1e-2
    least = reference.least(reference.cost, *floors)
    assert money(problem, answer) <= least + tolerance * abs(least) + 1e-6 * max(asked_w, 1.0)


@MOST
@given(st.integers(0, 10**6))
@example(5329)
def test_cost_comes_first_and_then_loss(seed: int) -> None:
    problem = random_problem(seed)
    answer = dispatch(problem)
    if not (answer.exact and np.array_equal(answer.served_w, problem.load_power_w)):
        return
    reference = ConvexDispatch(problem)
    spent = money(problem, answer)
    least_loss = cp.Problem(
        cp.Minimize(reference.generation),
        [
            *reference.constraints,
            reference.served >= problem.load_power_w / reference.unit,
            # For the same money: with a millionth more, it could buy less loss than this test allows.
            reference.cost <= (spent + 1e-7 * abs(spent)) / reference.unit,
        ],
    )
    least_loss.solve(solver=cp.CLARABEL)
    if least_loss.status == "optimal":
        most_w = least_loss.value * reference.unit * (1 + 1e-3)
        assert answer.generated_w.sum() <= most_w + 1e-6 * problem.load_power_w.sum()


@MOST
@given(st.integers(0, 10**6))
def test_problems_and_answers_travel_between_processes(seed: int) -> None:
    problem = random_problem(seed)
    copied: DispatchProblem = pickle.loads(pickle.dumps(problem))
    here, there = dispatch(problem), pickle.loads(pickle.dumps(dispatch(copied)))
    np.testing.assert_array_equal(here.received_w, there.received_w)
