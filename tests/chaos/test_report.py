"""What a run of chaos keeps of a scenario that does not come to its end."""

import asyncio

import pytest
from rich.progress import Progress as Bars

from tests.chaos.__main__ import run
from tests.chaos.report import Report
from tests.chaos.scenarios import Scenario


async def _fails_and_breaks_off(rounds: int, seed: int, report: Report) -> None:
    report.figures["earlier"] = {"rounds": 1}
    report.fail("broken", 1, seed, ["a circuit was lost"])
    report.missed.append("late")
    report.progress(1, "lost one")
    raise TimeoutError("the daemon did not come back")


def test_what_a_scenario_found_before_it_broke_off_is_kept() -> None:
    together = Report()
    with Bars(disable=True) as bars, pytest.raises(TimeoutError):
        asyncio.run(run([Scenario("broken", 2, _fails_and_breaks_off)], None, 7, bars, together))
    assert together.failures == ["broken, round 1, seed 7: a circuit was lost"]
    assert (together.figures, together.missed) == ({"earlier": {"rounds": 1}}, ["late"])
