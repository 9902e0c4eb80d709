"""Metrics: each documented, named and labelled as Prometheus advises, and with few series."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from controller.metrics.reference import LINK_METRICS, METRICS, PREFIX
from digitalgrid.metrics.reference import Kind, Metric, metrics_table
from router_agent.metrics.reference import METRICS as ROUTER_METRICS
from router_agent.metrics.reference import PREFIX as ROUTER_PREFIX
from tests.support.programs import require_program
from trading.exchange.metrics.reference import METRICS as EXCHANGE_METRICS
from trading.exchange.metrics.reference import PREFIX as EXCHANGE_PREFIX

ROOT = Path(__file__).resolve().parents[3]
# A label with one of these would have a series for each.
IDS = re.compile(r"(^|_)(id|circuit|request|router|link|line|source|load|client|peer|address)s?$")
# Of a router: itself, and what its configuration names.
OWN_PORTS = {"router", "link", "source", "load"}
UNITS = (
    "seconds",
    "bytes",
    "joules",
    "watts",
    "amperes",
    "ratio",
    "requests",
    "changes",
    "routers",
    "iterations",
)
# Counted where it happens, by name and cause, as it happens seldom.
SELDOM = [
    metric
    for metric in METRICS
    if "cause" in metric.labels and not metric.name.startswith(("circuit_", "link_", "reroute_"))
]


def test_the_documented_table_of_metrics_is_the_one_that_the_code_runs_on() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert metrics_table(PREFIX, METRICS) in page
    assert metrics_table(ROUTER_PREFIX, ROUTER_METRICS) in page
    assert metrics_table(EXCHANGE_PREFIX, EXCHANGE_METRICS) in page


@pytest.mark.parametrize(
    "metric", [*METRICS, *ROUTER_METRICS, *EXCHANGE_METRICS], ids=lambda metric: metric.name
)
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
        assert label in OWN_PORTS or not IDS.search(label)
    assert metric.meaning


def test_only_a_router_labels_and_only_by_what_its_own_configuration_names() -> None:
    assert (PREFIX, ROUTER_PREFIX) == ("dgc_", "dgr_")
    totals = {*METRICS, *EXCHANGE_METRICS} - set(LINK_METRICS)
    assert not OWN_PORTS & {label for metric in totals for label in metric.labels}


def test_each_metric_is_there_once_and_is_told_somewhere() -> None:
    for metrics in (METRICS, ROUTER_METRICS, EXCHANGE_METRICS):
        assert len({metric.name for metric in metrics}) == len(metrics)
    sources = [path.read_text() for path in (ROOT / "controller").rglob("*.py")]
    sources += [path.read_text() for path in (ROOT / "digitalgrid").glob("*.py")]
    told = "\n".join(sources).replace((ROOT / "controller/metrics/reference.py").read_text(), "")
    for metric in METRICS:
        named = metric.name.removesuffix("_total") if metric in SELDOM else metric.name
        assert f'"{named}"' in told, metric.name
    told = (ROOT / "router_agent" / "metrics" / "collecting.py").read_text()
    for metric in ROUTER_METRICS:
        assert metric.labels == ("cause",) or f'"{metric.name}"' in told, metric.name
    told = (ROOT / "trading" / "exchange" / "metrics" / "collecting.py").read_text()
    for metric in EXCHANGE_METRICS:
        assert metric.labels == ("cause",) or f'"{metric.name}"' in told, metric.name


def test_whatever_is_counted_seldom_is_documented() -> None:
    sources = [path.read_text() for path in (ROOT / "controller").rglob("*.py")]
    sources.append((ROOT / "digitalgrid" / "supervision.py").read_text())
    counted = {name for text in sources for name in re.findall(r'COUNTERS\.add\(\s*"(\w+)"', text)}
    assert {f"{name}_total" for name in counted} == {metric.name for metric in SELDOM}
    sources = [path.read_text() for path in (ROOT / "router_agent").rglob("*.py")]
    sources.append((ROOT / "digitalgrid" / "supervision.py").read_text())
    counted = {name for text in sources for name in re.findall(r'COUNTERS\.add\(\s*"(\w+)"', text)}
    told = {metric.name for metric in ROUTER_METRICS if metric.labels == ("cause",)}
    assert {f"{name}_total" for name in counted} == told
    sources = [path.read_text() for path in (ROOT / "trading").rglob("*.py")]
    sources.append((ROOT / "digitalgrid" / "supervision.py").read_text())
    counted = {name for text in sources for name in re.findall(r'COUNTERS\.add\(\s*"(\w+)"', text)}
    told = {metric.name for metric in EXCHANGE_METRICS if metric.labels == ("cause",)}
    assert {f"{name}_total" for name in counted} == told


def _exposition(prefix: str, metrics: Sequence[Metric]) -> Iterator[str]:
    """Each with one series, as Prometheus reads them."""
    for metric in metrics:
        name = prefix + metric.name
        yield f"# HELP {name} {metric.meaning}"
        yield f"# TYPE {name} {metric.kind}"
        labels = [f'{label}="a"' for label in metric.labels]
        if metric.kind is Kind.HISTOGRAM:
            within = ",".join([*labels, 'le="+Inf"'])
            yield f"{name}_bucket{{{within}}} 1"
            yield from (f"{name}_{each}{{{','.join(labels)}}} 1" for each in ("sum", "count"))
        else:
            yield f"{name}{{{','.join(labels)}}} 1"


@pytest.mark.parametrize(
    ("prefix", "metrics"), [(PREFIX, METRICS), (ROUTER_PREFIX, ROUTER_METRICS)]
)
def test_promtool_finds_nothing_wrong_with_any_name(prefix: str, metrics: Sequence[Metric]) -> None:
    program = require_program("promtool", "prometheus")
    looked = subprocess.run(
        [program, "check", "metrics"],
        input="\n".join(_exposition(prefix, metrics)) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (looked.returncode, looked.stdout + looked.stderr) == (0, "")
