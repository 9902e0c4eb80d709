from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tests.support.study_cases import VOLTAGE_V, study_case
from topologies.study.case import StudyCase
from topologies.study.evaluation import CURTAILED, KIRCHHOFF, Evaluation
from topologies.study.with_routers import Answer, Dispatcher

ENDLESS_W = 1e9


def solve(case: StudyCase, load_w: list[float], local_w: list[float]) -> Answer:
    every = np.ones(len(case.link_a), dtype=np.bool_)
    return Dispatcher(case, every, case.efficiency).solve(
        np.array(load_w), np.array([*local_w, ENDLESS_W])
    )


def ring(efficiency: float) -> StudyCase:
    """0-1-2 heavily loaded, 0-3 lightly; a power router, 4, between 2 and 3."""
    links = [
        (0, 1, 0.8, 1e3),
        (1, 2, 0.9, 1e3),
        (0, 3, 0.5, 1e3),
        (3, 4, 0.7, 1e3),
        (4, 2, 0.0, 1e3),
    ]
    return study_case(links, [1, 2, 3], ties=[3, 4], efficiency={4: efficiency})


def line_loss_w(ohm: float, received_w: float) -> float:
    return ohm * (received_w / VOLTAGE_V) ** 2


def ring_loss_w(efficiency: float) -> Callable[[float], float]:
    """All losses when the tie gives router 2 so much power; by hand."""

    def loss_w(tie_w: float) -> float:
        into_tie_w = tie_w / efficiency
        lost = into_tie_w - tie_w
        lost += (third := line_loss_w(0.7, into_tie_w))
        lost += line_loss_w(0.5, 1e6 + into_tie_w + third)
        second_w = 4e6 - tie_w
        lost += (second := line_loss_w(0.9, second_w))
        return lost + line_loss_w(0.8, 3e6 + second_w + second)

    return loss_w


@pytest.mark.parametrize("efficiency", [1.0, 0.999, 0.995])
def test_the_tie_carries_what_costs_the_least(efficiency: float) -> None:
    best = minimize_scalar(
        ring_loss_w(efficiency), bounds=(0.0, 4e6), method="bounded", options={"xatol": 1.0}
    )
    answer = solve(ring(efficiency), [3e6, 4e6, 1e6], [])
    assert answer.converged
    assert answer.loss_w == pytest.approx(best.fun, rel=1e-5)
    assert answer.unserved_w == answer.curtailed_w == 0.0


def test_a_tie_that_loses_more_than_it_saves_stays_idle() -> None:
    case = ring(0.9)
    answer = solve(case, [3e6, 4e6, 1e6], [])
    assert answer.loss_w == pytest.approx(ring_loss_w(0.9)(0.0), rel=1e-6)


def test_surplus_goes_out_and_is_not_burned() -> None:
    case = study_case([(0, 1, 2.0, 1e3)], [1], [1])
    answer = solve(case, [1e6], [4e6])
    # 3 MW are sent out: received + loss = 3 MW.
    square = 2.0 / VOLTAGE_V**2
    received_w = (np.sqrt(1 + 4 * square * 3e6) - 1) / (2 * square)
    assert answer.loss_w == pytest.approx(3e6 - received_w, rel=1e-5)
    assert answer.curtailed_w == 0.0


def test_surplus_beyond_the_line_is_curtailed() -> None:
    case = study_case([(0, 1, 2.0, 50.0)], [1], [1])
    answer = solve(case, [1e6], [4e6])
    sent_w = 50.0 * VOLTAGE_V + 2.0 * 50.0**2
    assert answer.curtailed_w == pytest.approx(3e6 - sent_w, rel=1e-4)
    assert answer.unserved_w == 0.0


def test_a_tie_serves_what_would_be_shed() -> None:
    """120 A asked behind a line of 100 A; the tie brings the rest from elsewhere."""
    links = [(0, 1, 0.5, 100.0), (0, 2, 0.5, 100.0), (2, 3, 0.5, 100.0), (3, 1, 0.0, 100.0)]
    case = study_case(links, [1, 2], ties=[2, 3], efficiency={3: 0.97})
    asked_w = 120.0 * VOLTAGE_V
    load_w, source_w = np.array([[asked_w, 1e5]]), np.array([[ENDLESS_W]])
    (result,) = Evaluation(case).evaluate([7], load_w, source_w)
    assert (result.step, result.operation, result.routing) == (7, CURTAILED, "optimal")
    assert result.operated_unserved_w == pytest.approx(20.0 * VOLTAGE_V, rel=1e-4)
    assert result.routers_unserved_w == 0.0
    assert result.load_w == pytest.approx(asked_w + 1e5)


def test_dark_islands_are_unserved_and_curtailed_in_both() -> None:
    case = study_case([(0, 1, 0.5, 1e3), (2, 3, 0.5, 1e3)], [1, 3], [2])
    load_w, source_w = np.array([[1e6, 2e5]]), np.array([[3e5, ENDLESS_W]])
    (result,) = Evaluation(case).evaluate([0], load_w, source_w)
    assert result.operation == KIRCHHOFF
    assert result.operated_unserved_w == result.routers_unserved_w == pytest.approx(2e5)
    assert result.operated_curtailed_w == result.routers_curtailed_w == pytest.approx(3e5)
    assert result.routers_loss_w == pytest.approx(result.operated_loss_w, rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_without_ties_both_are_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = 25
    links = [(int(rng.integers(0, v)), v, float(rng.uniform(0, 1)), 1e5) for v in range(1, nodes)]
    case = study_case(links, list(range(1, nodes)), list(range(1, nodes, 3)))
    load_w = rng.uniform(0, 2e5, (4, nodes - 1))
    source_w = rng.uniform(0, 1e6, (4, len(case.source_node))) * rng.integers(0, 2, (4, 1))
    source_w[:, -1] = ENDLESS_W
    for result in Evaluation(case).evaluate([0, 1, 2, 3], load_w, source_w):
        assert (result.operation, result.routing) == (KIRCHHOFF, "optimal")
        assert result.routers_loss_w == pytest.approx(result.operated_loss_w, rel=1e-5)
