import random

from controller.tallies import POWER_BOUNDS_S
from digitalgrid.metrics.histogram import Histogram


def test_many_observations_at_once_are_those_of_each() -> None:
    drawn = random.Random(1)
    values = [drawn.choice((0.0, 0.018, 0.0181, 3.0, 10.0, 11.0)) for _ in range(50)]
    one_by_one, at_once = Histogram(POWER_BOUNDS_S), Histogram(POWER_BOUNDS_S)
    for value in values:
        one_by_one.observe(value)
    at_once.observe_all(values)
    at_once.observe_all([])
    assert at_once.counts == one_by_one.counts
    assert at_once.total == sum(values)


def test_a_value_at_an_edge_counts_below_it() -> None:
    histogram = Histogram((0.018, 0.25))
    for value in (0.018, 0.0181, 0.25, 0.3):
        histogram.observe(value)
    assert histogram.counts == [1, 2, 1]
