"""The dashboard and the alerts that are shipped: of the metrics that there are, and each alert tried."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.metrics.dashboard import dashboard
from controller.metrics.network_map import EDGES, NODES
from controller.metrics.panel import Query
from controller.metrics.panels import ANNOTATIONS, ROWS, expressions
from controller.metrics.reference import BY_NAME, PREFIX
from controller.tallies import POWER_BOUNDS_S
from digitalgrid.metrics.reference import Kind, Metric
from router_agent.metrics.reference import BY_NAME as ROUTER_BY_NAME
from router_agent.metrics.reference import PREFIX as ROUTER_PREFIX
from tests.support.programs import require_program

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "docs" / "monitoring"
ALERTS = MONITORING / "alerts.yaml"
CASES = Path(__file__).parent / "alerts.test.yaml"
OF = {PREFIX: BY_NAME, ROUTER_PREFIX: ROUTER_BY_NAME}
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def metric_of(prefix: str, name: str) -> Metric:
    """By the name of a series, which a histogram has several of. KeyError where there is none."""
    by_name, plain = OF[prefix], re.sub(r"_(bucket|count|sum)$", "", name)
    known = by_name.get(plain)
    return known if known is not None and known.kind is Kind.HISTOGRAM else by_name[name]


def test_the_shipped_dashboard_is_the_one_that_the_code_makes() -> None:
    shipped = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    assert shipped == dashboard(), "python -m controller.metrics.dashboard > docs/monitoring/..."


def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_there_are() -> None:
    marks = [mark.expression for mark in ANNOTATIONS]
    for expression in [*expressions(), *marks, *(rule["expr"] for rule in RULES)]:
        for prefix, name in re.findall(r"(dgc_|dgr_)(\w+)", expression):
            assert metric_of(prefix, name), expression
        for prefix, name, inside in re.findall(r"(dgc_|dgr_)(\w+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", inside)) - {"job", "instance", "le"}
            assert labels <= set(metric_of(prefix, name).labels), expression


# By controller, each minute: one is elected, another takes over, the first is started again and leads anew.
TERMS = {"a": "0 4 4 0 0 6 6", "b": "0 0 0 5 5 0 0"}
LINES_DOWN = {"a": "0 0 1 1 2 2 0", "b": "0 0 1 1 2 2 0"}


@pytest.mark.parametrize(
    ("name", "series", "values", "marked"),
    [
        ("Leader changed", "dgc_term", TERMS, {1: ["a"], 3: ["b"], 5: ["a"]}),
        ("Line down", 'dgc_links{state="down"}', LINES_DOWN, {2: [""], 4: [""]}),
    ],
)
def test_annotations_mark_each_change_once(
    tmp_path: Path, name: str, series: str, values: dict[str, str], marked: dict[int, list[str]]
) -> None:
    (annotation,) = [each for each in ANNOTATIONS if each.name == name]
    expression = annotation.expression.replace("$job", ".*").replace("$instance", ".*")
    metric, _, labels = series.partition("{")
    asked = [
        {
            "expr": f"count by (instance) ({expression})",
            "eval_time": f"{minute}m",
            "exp_samples": [
                {"labels": f'{{instance="{each}"}}' if each else "{}", "value": 1}
                for each in marked.get(minute, [])
            ],
        }
        for minute in range(7)
    ]
    told = [
        {
            "series": f'{metric}{{job="dgc", instance="{each}", {labels or "}"}',
            "values": some,
        }
        for each, some in values.items()
    ]
    cases = tmp_path / "cases.yaml"
    tests = [{"interval": "1m", "input_series": told, "promql_expr_test": asked}]
    cases.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", cases)


def test_the_lead_of_a_controller_that_was_killed_and_started_again_is_a_change(
    tmp_path: Path,
) -> None:
    (query,) = next(
        panel.queries
        for row in ROWS
        for panel in row.panels
        if panel.title == "Changes of the lead"
    )
    expression = query.expression.replace("$__rate_interval", "90s").replace("$job", ".*")
    asked = [
        {
            "expr": expression.replace("$instance", ".*"),
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": '{instance="a"}', "value": changes}],
        }
        for minute, changes in ((1, 0), (3, 1), (4, 0))
    ]
    told = [{"series": 'dgc_term{job="dgc", instance="a"}', "values": "4 4 4 6 6"}]
    cases = tmp_path / "cases.yaml"
    tests = [{"interval": "1m", "input_series": told, "promql_expr_test": asked}]
    cases.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", cases)


# Told by two controllers alike. Of the lines one is down, and one router has no place.
MAPPED = {
    'dgc_link_up{link="a-b"}': 1,
    'dgc_link_up{link="b-c"}': 0,
    'dgc_link_ampacity_amperes{link="a-b"}': 100,
    'dgc_link_ampacity_amperes{link="b-c"}': 10,
    'dgc_link_reserved_amperes{link="a-b", router="a", to="b"}': 50,
    'dgc_link_reserved_amperes{link="a-b", router="b", to="a"}': 10,
    'dgc_link_reserved_amperes{link="b-c", router="b", to="c"}': 0,
    'dgc_link_reserved_amperes{link="b-c", router="c", to="b"}': 1,
    'dgc_router_coordinate{router="a", axis="x"}': 5,
    'dgc_router_coordinate{router="a", axis="y"}': -10,
    'dgc_router_coordinate{router="b", axis="x"}': 15,
    'dgc_router_coordinate{router="b", axis="y"}': 10,
}
# From the end that sends more; the columns that Grafana looks for, without what they are made of.
DRAWN_EDGES = [
    {"id": "a-b", "source": "a", "target": "b", "mainstat": "50 %", "thickness": "8"},
    {"id": "b-c", "source": "c", "target": "b", "mainstat": "10 %", "thickness": "1"}
    | {"color": "red"},
]
# b is half as far to the east as to the north, and that is 250 times the root of two.
DRAWN_NODES = [
    {"id": "a", "title": "a", "mainstat": "50 %", "fixedX": "0", "fixedY": "354"},
    {"id": "b", "title": "b", "mainstat": "10 %", "fixedX": "177", "fixedY": "0"},
    {"id": "c", "title": "c", "mainstat": "10 %"},
]


@pytest.mark.parametrize(
    ("query", "columns"), [(EDGES, DRAWN_EDGES), (NODES, DRAWN_NODES)], ids=["edges", "nodes"]
)
def test_the_network_is_drawn_as_it_is(
    tmp_path: Path, query: Query, columns: list[dict[str, str]]
) -> None:
    told = [
        {"series": f'{series[:-1]}, job="dgc", instance="{each}"}}', "values": str(value)}
        for series, value in MAPPED.items()
        for each in ("one", "another")
    ]
    samples = [
        {"labels": "{" + ", ".join(f'{name}="{value}"' for name, value in each.items()) + "}"}
        | {"value": 1}
        for each in columns
    ]
    expression = query.expression.replace("$job", ".*").replace("$instance", ".*")
    names = ", ".join(sorted(set().union(*columns)))
    asked = {"expr": f"max by ({names}) ({expression})", "eval_time": "0m", "exp_samples": samples}
    cases = tmp_path / "cases.yaml"
    tests = [{"interval": "1m", "input_series": told, "promql_expr_test": [asked]}]
    cases.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", cases)


def test_a_node_graph_has_the_tables_and_columns_that_grafana_goes_by() -> None:
    (graph,) = panels_of("nodeGraph")
    assert {each["refId"] for each in graph["targets"]} == {"nodes", "edges"}
    columns = {}
    for target in graph["targets"]:
        assert (target["format"], target["instant"], target["range"]) == ("table", True, False)
        made = re.findall(r'count_values by \([^)]*\) \("(\w+)"', target["expr"])
        copied = re.findall(r'"(\w+)", "[^"]*", "\w+", "[^"]*"\)', target["expr"])
        columns[target["refId"]] = {*made, *copied}
    assert columns["edges"] >= {"id", "source", "target", "mainstat", "thickness"}
    assert columns["nodes"] >= {"id", "title", "mainstat", "fixedX", "fixedY"}
    # By this name alone a table is one of edges.
    assert "source" not in columns["nodes"]
    (figures,) = graph["transformations"]
    converted = {each["targetField"] for each in figures["options"]["conversions"]}
    assert converted == {"thickness", "fixedX", "fixedY"}


def test_heat_maps_have_rows_whose_bounds_are_the_promises() -> None:
    reroutes, shares = panels_of("heatmap")
    for panel in (reroutes, shares):
        assert panel["options"]["calculate"] is False
        assert panel["options"]["rowsFrame"] == {"layout": "le"}
    (buckets,), (tenths,) = reroutes["targets"], shares["targets"]
    assert (buckets["format"], buckets["legendFormat"]) == ("heatmap", "{{le}}")
    # Grafana takes the difference of buckets, each of which counts all below; a tenth counts its own.
    assert (tenths["format"], tenths["legendFormat"]) == ("time_series", "{{share}}")
    lines = [
        [each["value"] for each in defaults["thresholds"]["steps"][1:]]
        for defaults in (panel["fieldConfig"]["defaults"] for panel in panels_of("timeseries"))
        if defaults["custom"]["thresholdsStyle"]["mode"] == "dashed"
    ]
    assert lines == [[0.25], [0.05, 0.25]]
    assert {0.05, 0.25} <= set(POWER_BOUNDS_S)


def panels_of(kind: str) -> list[Any]:
    panels = dashboard()["panels"]
    assert isinstance(panels, list)
    return [panel for panel in panels if panel["type"] == kind]


def promtool(*said: str | Path) -> None:
    program = require_program("promtool", "prometheus")
    done = subprocess.run(
        [program, *map(str, said)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_overlap_nowhere() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert isinstance(panels, list)
    assert len(panels) == sum(1 + len(row.panels) for row in ROWS)
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_each_alert_says_what_to_do_and_has_a_case() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    cases = CASES.read_text()
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"].endswith(".")
        assert f'alertname="{rule["alert"]}"' in cases


@pytest.mark.parametrize(
    "said", [["check", "rules", ALERTS], ["test", "rules", CASES]], ids=["check", "test"]
)
def test_promtool_finds_the_alerts_right(said: list[str | Path]) -> None:
    promtool(*said)
