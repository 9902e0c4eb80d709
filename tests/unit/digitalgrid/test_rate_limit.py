"""Rate limits: what is let through, how long to wait, and what of a flood is logged."""

import logging

import pytest

from digitalgrid.rate_limit import LimitedLog, TokenBucket
from digitalgrid.units import NS_PER_S


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    bucket = TokenBucket(rate_per_s=20, burst=5)
    assert [bucket.take(0) for _ in range(7)] == [True] * 5 + [False] * 2
    taken = sum(bucket.take(now_ns) for now_ns in range(0, 10 * NS_PER_S, NS_PER_S // 1000))
    assert taken == pytest.approx(200, abs=1)


def test_whoever_waits_as_long_as_told_is_let_through() -> None:
    bucket, now_ns = TokenBucket(rate_per_s=3, burst=1), 0
    for _ in range(100):
        now_ns += bucket.wait_ns(now_ns)
        assert bucket.take(now_ns)
    assert now_ns == pytest.approx(33 * NS_PER_S, rel=1e-6)


def test_a_quiet_time_gives_no_more_than_the_burst() -> None:
    bucket = TokenBucket(rate_per_s=1000, burst=2)
    assert bucket.take(0)
    assert [bucket.take(1000 * NS_PER_S) for _ in range(3)] == [True, True, False]


def test_of_a_flood_one_line_is_logged_with_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = LimitedLog(logging.getLogger("flood"))
    for now_ns in range(0, 25 * NS_PER_S, NS_PER_S // 10):
        log.warning(now_ns, "junk", "dropped %d %%", 5)
        log.warning(now_ns, f"junk {now_ns > 20 * NS_PER_S}", "other")
    lines = [each.getMessage() for each in caplog.records]
    assert [each for each in lines if each.startswith("dropped")] == [
        "dropped 5 %",
        "dropped 5 % (99 like it were not logged)",
        "dropped 5 % (99 like it were not logged)",
    ]
    assert len(lines) == 3 + 3 + 1


def test_kinds_made_by_peers_do_not_pile_up() -> None:
    log = LimitedLog(logging.getLogger("flood"))
    log._logger.disabled = True
    for number in range(5000):
        log.warning(0, f"kind {number}", "x")
    assert len(log._next_ns) <= 1000
    log._logger.disabled = False
