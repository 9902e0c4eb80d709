"""Exponential backoff by key."""

from controller.core.programming.retries import Retries


def test_each_failure_in_a_row_waits_twice_as_long_up_to_the_longest() -> None:
    retries: Retries[str] = Retries(10, 35)
    now_ns = 0
    for wait_ns in (10, 20, 35, 35):
        retries.failed("a", now_ns)
        assert "a" in retries and retries.next_ns() == now_ns + wait_ns
        assert retries.take_due(now_ns + wait_ns - 1) == []
        now_ns += wait_ns
        assert retries.take_due(now_ns) == ["a"] and "a" not in retries
    retries.failed("a", now_ns)
    retries.succeeded("a")
    assert "a" in retries
    retries.failed("a", now_ns)
    assert retries.next_ns() == now_ns + 10


def test_nothing_is_left_of_what_is_dropped() -> None:
    retries: Retries[str] = Retries(10, 35)
    for key in ("a", "b"):
        retries.failed(key, 0)
    retries.drop("a")
    assert retries.take_due(100) == ["b"]
    retries.failed("a", 100)
    assert retries.next_ns() == 110
