"""What loads lack in a study is counted by load and cause, and energy promised is delivered or missing."""

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.support.study_cases import VOLTAGE_V, study_case
from topologies.study.case import StudyCase
from topologies.study.evaluation import Evaluation, StepResult
from topologies.study.missing import Cause, from_text, supplies, to_text, total
from topologies.study.summary import supplies_of

ENDLESS_W = 1e9
MJ_PER_W = 900_000
PREFIXES = ("operated", "routers")


def evaluated(
    case: StudyCase, load_w: list[float], local_w: list[float], external_w: float = ENDLESS_W
) -> StepResult:
    (result,) = Evaluation(case).evaluate(
        [0], np.array([load_w]), np.array([[*local_w, external_w]])
    )
    return result


def lacked_mj(text: str) -> dict[tuple[int, Cause], int]:
    return {(each.load, each.cause): each.missing_mj for each in from_text(text)}


def test_what_no_line_feeds_until_a_tie_is_a_router_is_missing_only_as_operated() -> None:
    case = study_case([(0, 1, 0.1, 1e3), (1, 2, 0.1, 1e3)], [1, 2], ties=[1])
    result = evaluated(case, [1e6, 2e6], [])
    assert lacked_mj(result.operated_missing) == {(1, Cause.UNFED): round(2e6 * MJ_PER_W)}
    assert result.routers_missing == ""


def test_what_a_full_line_keeps_from_its_loads_is_missing_at_each_by_what_it_asked() -> None:
    most_w = 100.0 * VOLTAGE_V
    case = study_case([(0, 1, 1e-3, 100.0)], [1, 1])
    result = evaluated(case, [1e6, 3e6], [])
    found = lacked_mj(result.operated_missing)
    assert set(found) == {(0, Cause.LINES), (1, Cause.LINES)}
    assert sum(found.values()) == pytest.approx((4e6 - most_w) * MJ_PER_W, rel=1e-4)
    assert found[1, Cause.LINES] == pytest.approx(3 * found[0, Cause.LINES], rel=1e-9)
    assert lacked_mj(result.routers_missing).keys() == found.keys()


def test_what_sources_have_not_is_missing_for_lack_of_sources() -> None:
    case = study_case([(0, 1, 1e-3, 1e3)], [1], [1])
    result = evaluated(case, [3e6], [0.5e6], external_w=1.5e6)
    found = lacked_mj(result.routers_missing)
    assert set(found) == {(0, Cause.SOURCES)}
    assert sum(found.values()) == pytest.approx(1e6 * MJ_PER_W, rel=1e-3)


POWERS_W = st.floats(0.0, 5e6, allow_subnormal=False).map(lambda watts: round(watts, 3))


@settings(max_examples=40, deadline=None)
@given(
    load_w=st.lists(POWERS_W, min_size=4, max_size=4),
    local_w=POWERS_W,
    ampere=st.sampled_from([20.0, 100.0, 1e3]),
    external_w=st.sampled_from([1e6, 4e6, ENDLESS_W]),
    every=st.sampled_from([1, 4]),
)
def test_energy_promised_is_delivered_or_missing_to_the_millijoule(
    load_w: list[float], local_w: float, ampere: float, external_w: float, every: int
) -> None:
    links = [(0, 1, 0.1, ampere), (1, 2, 0.2, ampere), (0, 3, 0.1, ampere), (3, 4, 0.2, 1e3)]
    case = study_case([*links, (4, 2, 0.1, 1e3)], [1, 2, 4, 4], [2], ties=[3, 4])
    result = evaluated(case, load_w, [local_w], external_w)
    for prefix in PREFIXES:
        of_loads = supplies_of([result], np.array([load_w]), prefix, every)
        for asked_w, each in zip(load_w, of_loads, strict=True):
            assert each.promised_mj == every * round(asked_w * MJ_PER_W)
            assert each.promised_mj == each.delivered_mj + each.missing_mj
            assert each.missing_mj == each.unfed_mj + each.sources_mj + each.lines_mj
            assert 0 <= each.missing_mj <= each.promised_mj
        unserved_w = getattr(result, f"{prefix}_unserved_w")
        if np.isfinite(unserved_w):
            # Each load's is rounded to whole millijoules.
            assert total(of_loads).missing_mj == pytest.approx(
                every * unserved_w * MJ_PER_W, rel=1e-9, abs=every * 4
            )


def test_a_year_of_a_large_network_is_added_up_exactly() -> None:
    """Beyond what 64 bits hold."""
    steps = 35_136
    missing = [each for _ in range(steps) for each in from_text("1 lines 7; 1 unfed 2")]
    one, other = supplies(np.full((steps, 2), 2e9), missing, every=1)
    assert one.promised_mj == steps * 1_800_000_000_000_000 == one.delivered_mj > 2**63
    assert (other.lines_mj, other.unfed_mj, other.sources_mj) == (7 * steps, 2 * steps, 0)
    assert other.delivered_mj == other.promised_mj - 9 * steps


def test_what_is_written_is_read_and_named_for_readers() -> None:
    text = "0 unfed 12; 3 lines 900000"
    assert to_text(from_text(text)) == text
    assert to_text(from_text(text), ["a", "b", "c", "d"]) == "a unfed 12; d lines 900000"
    assert from_text("") == ()
    assert Counter(each.cause for each in from_text(text)) == {Cause.UNFED: 1, Cause.LINES: 1}
