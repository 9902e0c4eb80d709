"""A router knows how late it has lately been, and forgets it."""

from router_agent.device.lateness import Lateness

MEMORY_NS = 1000


def test_remembers_the_worst() -> None:
    lateness = Lateness(MEMORY_NS, 0)
    assert lateness.recent_ns == 0
    for due_ns, now_ns in ((10, 12), (20, 70), (100, 101)):
        lateness.note(due_ns, now_ns)
    assert lateness.recent_ns == 50


def test_being_woken_early_is_not_late() -> None:
    lateness = Lateness(MEMORY_NS, 0)
    lateness.note(100, 40)
    assert lateness.recent_ns == 0


def test_forgets_after_twice_its_memory_at_the_latest() -> None:
    lateness = Lateness(MEMORY_NS, 0)
    lateness.note(0, 70)
    lateness.note(1005, 1005)
    assert lateness.recent_ns == 70
    lateness.note(2005, 2005)
    assert lateness.recent_ns == 0


def test_what_was_before_a_long_sleep_is_forgotten_but_not_the_sleep() -> None:
    lateness = Lateness(MEMORY_NS, 0)
    lateness.note(0, 70)
    lateness.note(5000, 5003)
    assert lateness.recent_ns == 3


def test_of_ticks_it_tells_how_late_all_but_one_of_a_hundred_were() -> None:
    lateness = Lateness(MEMORY_NS, 0)
    assert lateness.ticks_p99_ns == 0
    for number in range(1000):
        lateness.note_tick(number * 100, number * 100 + (50 if number % 200 == 0 else 1))
    assert lateness.ticks_p99_ns == 1
    for number in range(1000):
        lateness.note_tick(number * 100, number * 100 + (50 if number % 50 == 0 else 1))
    assert lateness.ticks_p99_ns == 50
