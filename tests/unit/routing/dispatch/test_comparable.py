"""Figures of very different size: one odd thing must not keep the rest from being planned."""

import pytest

from controller.planning.plan import plan
from digitalgrid.gridfile import loads_grid

GRID = """
name: odd
defaults: {{voltage_v: 20000, efficiency: 0.97, ampacity_a: 3000}}
routers: [{{id: a}}, {{id: b}}, {{id: c}}]
links:
  - {{id: good, a: a, b: b, resistance_ohm: 0.2}}
  - {{id: odd, a: a, b: c, resistance_ohm: {ohm}, ampacity_a: {ampere}}}
sources: [{{id: s, router: a, max_power_w: {supply}}}, {{id: t, router: a, max_power_w: 5e6}}]
loads: [{{id: easy, router: b, power_w: {easy}}}, {{id: hard, router: c, power_w: {hard}}}]
"""


@pytest.mark.parametrize("ampere", [1e-3, 1e-5, 1e-7])
def test_a_line_that_carries_next_to_nothing_harms_nobody_else(ampere: float) -> None:
    found = plan(loads_grid(GRID.format(ohm=0.2, ampere=ampere, supply=50e6, easy=3e6, hard=3e6)))
    assert found["status"] == "optimal"
    assert found["unserved"].keys() == {"hard"}
    assert found["served_w"] == pytest.approx(3e6, rel=1e-5)


@pytest.mark.parametrize("supply", [20e6, 1e9, 1e12])
@pytest.mark.parametrize("easy", [1e2, 9e3, 1e4, 1e6])
def test_sources_may_have_far_more_than_is_asked_for(supply: float, easy: float) -> None:
    text = GRID.format(ohm=0.3, ampere=300, supply=supply, easy=easy, hard=0)
    found = plan(loads_grid(text))
    assert (found["status"], found["unserved"]) == ("optimal", {})
    current_a = easy / 0.97 / 20e3
    least_w = (easy / 0.97 + 0.2 * current_a**2) / 0.97
    assert found["generated_w"] == pytest.approx(least_w, rel=1e-9)


def test_a_microwatt_beside_a_gigawatt() -> None:
    text = GRID.format(ohm=0.2, ampere=300, supply=1e12, easy=1e9, hard=1e-6)
    found = plan(loads_grid(text.replace("20000", "2e6")))
    assert found["status"] == "optimal"
    assert found["served_w"] == pytest.approx(1e9, rel=1e-9)
    assert found["generated_w"] - found["served_w"] == pytest.approx(found["loss_w"])


def test_a_watt_for_a_load_of_megawatts() -> None:
    text = GRID.format(ohm=0.2, ampere=300, supply=1, easy=5e6, hard=0)
    found = plan(
        loads_grid(
            text.replace("5e6}}]\nloads", "0}}]\nloads").replace(
                "max_power_w: 5e6", "max_power_w: 0"
            )
        )
    )
    assert found["status"] == "optimal"
    assert found["served_w"] == pytest.approx(0.97**2, rel=1e-6)
