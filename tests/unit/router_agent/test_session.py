"""When a router dials again that has lost its controller."""

import itertools

from router_agent.session import Backoff


def dials_s(*, until_s: float) -> list[float]:
    """Of a router whose controller was lost at 0 and does not come back."""
    backoff, now_s = Backoff(0.0), 0.0
    dials: list[float] = []
    while now_s < until_s:
        now_s += backoff.pause_s(now_s)
        dials.append(now_s)
    return dials


def longest_gap_s(dials: list[float]) -> float:
    return max(later - sooner for sooner, later in itertools.pairwise(dials))


def test_a_controller_that_is_started_again_waits_for_no_router() -> None:
    dials = dials_s(until_s=4.0)
    assert dials[0] <= 0.1
    assert longest_gap_s(dials) <= 0.251


def test_a_controller_that_stays_away_is_dialled_once_a_second() -> None:
    late = [at_s for at_s in dials_s(until_s=60.0) if at_s > 10.0]
    assert 0.99 <= longest_gap_s(late) <= 1.001
    assert len(late) <= 52
