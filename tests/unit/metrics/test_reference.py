"""Metrics: each documented, named and labelled as Prometheus advises, and with few series."""

import re
from pathlib import Path

import pytest

from controller.metrics.reference import METRICS, PREFIX, Kind, Metric, metrics_table

ROOT = Path(__file__).resolve().parents[3]
# A label with one of these would have a series for each.
IDS = re.compile(r"(^|_)(id|circuit|request|router|link|line|source|load|client|peer|address)s?$")
UNITS = ("seconds", "bytes", "joules", "watts", "amperes", "ratio")
# Counted where it happens, by name and cause, as it happens seldom.
SELDOM = [
    metric
    for metric in METRICS
    if "cause" in metric.labels and not metric.name.startswith("circuit_")
]


def test_the_documented_table_of_metrics_is_the_one_that_the_code_runs_on() -> None:
    assert metrics_table() in (ROOT / "docs" / "metrics.md").read_text()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_and_labels_are_as_prometheus_advises(metric: Metric) -> None:
    words = metric.name.split("_")
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)
    assert (words[-1] == "total") == (metric.kind is Kind.COUNTER)
    assert not {"count", "sum", "bucket", "info"} & set(words) or metric.name == "build_info"
    assert not {"ms", "us", "ns", "s", "secs", "milliseconds", "kw", "mw"} & set(words)
    if metric.kind is Kind.HISTOGRAM:
        assert words[-1] in UNITS
    for label in metric.labels:
        assert re.fullmatch(r"[a-z]+", label)
        assert not IDS.search(label)
    assert metric.meaning
    assert PREFIX == "dgc_"


def test_each_metric_is_there_once_and_is_told_somewhere() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    sources = [path.read_text() for path in (ROOT / "controller").rglob("*.py")]
    sources += [path.read_text() for path in (ROOT / "digitalgrid").glob("*.py")]
    told = "\n".join(sources).replace((ROOT / "controller/metrics/reference.py").read_text(), "")
    for metric in METRICS:
        named = metric.name.removesuffix("_total") if metric in SELDOM else metric.name
        assert f'"{named}"' in told, metric.name


def test_whatever_the_controller_counts_seldom_is_documented() -> None:
    sources = [path.read_text() for path in (ROOT / "controller").rglob("*.py")]
    sources.append((ROOT / "digitalgrid" / "supervision.py").read_text())
    counted = {name for text in sources for name in re.findall(r'COUNTERS\.add\(\s*"(\w+)"', text)}
    assert {f"{name}_total" for name in counted} == {metric.name for metric in SELDOM}
