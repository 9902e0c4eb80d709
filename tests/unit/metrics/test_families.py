"""The text that Prometheus reads, made here: a library reads it back, and the library's own is the same."""

from collections.abc import Iterator
from math import inf

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as TheirFamily
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from digitalgrid.metrics.families import Families, exposition, number
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.metrics.reference import Kind, Metric
from digitalgrid.metrics.server import MetricsServer

METRICS = (
    Metric("depth_meters", Kind.GAUGE, ("place", "side"), 'how "deep" \\ it is'),
    Metric("drops_total", Kind.COUNTER, (), "what fell"),
    Metric("fall_seconds", Kind.HISTOGRAM, ("place",), "how long it took"),
)
DEPTHS = ((("a", "left"), 3), (('b"\n\\', "right"), 2.5), (("c", ""), -inf))


def fallen() -> Histogram:
    histogram = Histogram((0.5, 1.0))
    for each in (0.25, 0.5, 2.0):
        histogram.observe(each)
    return histogram


def ours() -> str:
    families = Families("t_", METRICS)
    told = [
        families.of("depth_meters", DEPTHS),
        families.one("drops_total", True),
        families.histogram("fall_seconds", [(("a",), fallen())]),
    ]
    return exposition(told, openmetrics=False)


class Theirs:
    def collect(self) -> Iterator[TheirFamily]:
        depth = GaugeMetricFamily("t_depth_meters", METRICS[0].meaning, labels=METRICS[0].labels)
        for labels, each in DEPTHS:
            depth.add_metric(labels, each)
        yield depth
        yield CounterMetricFamily("t_drops_total", METRICS[1].meaning, value=1)
        took = HistogramMetricFamily("t_fall_seconds", METRICS[2].meaning, labels=["place"])
        took.add_metric(["a"], [("0.5", 2), ("1.0", 2), ("+Inf", 3)], 2.75)
        yield took


def test_it_says_what_the_librarys_own_text_says() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Theirs())
    theirs = text_string_to_metric_families(generate_latest(registry).decode())
    read = text_string_to_metric_families(ours())
    assert [(each.name, each.documentation, each.type, each.samples) for each in read] == [
        (each.name, each.documentation, each.type, each.samples) for each in theirs
    ]


@pytest.mark.parametrize("accepted", ["", "application/openmetrics-text;version=1.0.0"])
def test_all_of_it_is_of_the_format_that_was_asked_for(accepted: str) -> None:
    families = Families("t_", METRICS)
    server = MetricsServer(
        lambda: [
            families.one("drops_total", 7),
            families.histogram("fall_seconds", [(("a",), fallen())]),
        ]
    )
    type_, text = server.tell(accepted)
    assert type_ == choose_encoder(accepted)[1]
    parse = (
        openmetrics.text_string_to_metric_families if accepted else (text_string_to_metric_families)
    )
    found = {sample.name: sample.value for each in parse(text.decode()) for sample in each.samples}
    assert found["t_drops_total"] == 7
    assert found["t_fall_seconds_sum"] == 2.75
    assert found["process_resident_memory_bytes"] > 0


@pytest.mark.parametrize(
    ("figure", "said"), [(3, "3"), (True, "1.0"), (0.1, "0.1"), (inf, "+Inf"), (inf - inf, "NaN")]
)
def test_numbers_are_as_prometheus_writes_them(figure: float, said: str) -> None:
    assert number(figure) == said
