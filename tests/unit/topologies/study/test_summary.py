import math
from dataclasses import replace

import pytest

from topologies.study.evaluation import CURTAILED, StepResult
from topologies.study.summary import ac_check, compared, energy_wh, shed_steps, variant_of

RESULT = StepResult(0, 1e6, 0.0, 2e3, 0.0, 0.0, "kirchhoff", 1e3, 0.0, 0.0, "optimal")


def test_a_step_is_a_quarter_of_an_hour_and_stands_for_those_left_out() -> None:
    assert energy_wh([4e3, 8e3], 1) == pytest.approx(3e3)
    assert energy_wh([4e3, 8e3], 4) == pytest.approx(12e3)


def test_both_variants_add_up() -> None:
    results = [RESULT, replace(RESULT, step=1, operated_loss_w=6e3, operated_unserved_w=4e3)]
    operated = variant_of(results, [], "operated", 1)
    routers = variant_of(results, [], "routers", 1)
    assert (operated.loss_wh, operated.unserved_wh, operated.worst_loss_w) == (2e3, 1e3, 6e3)
    assert (routers.loss_wh, routers.worst_loss_w) == (500.0, 1e3)


def test_steps_without_an_answer_are_not_compared() -> None:
    assert compared(RESULT)
    assert not compared(replace(RESULT, routing="not converged"))
    assert not compared(replace(RESULT, operation="not converged"))


def test_the_ac_check_leaves_out_what_was_shed_or_has_no_answer() -> None:
    shed = replace(RESULT, step=1, operation=CURTAILED)
    results = [RESULT, shed, replace(RESULT, step=2), replace(RESULT, step=3)]
    check = ac_check(results, {0: 4e3, 1: 9e9, 2: math.nan}, fixed_losses_w=1e3, every=1)
    assert (check.samples, check.not_converged) == (3, 1)
    assert check.operated_to_ac == pytest.approx((2e3 + 1e3) / 4e3)
    assert shed_steps(results) == 1
    assert ac_check(results, {}, 0.0, 1).operated_to_ac is None
