"""The dashboard and the alerts that are shipped: of the metrics that there are, and each alert tried."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from controller.metrics.dashboard import dashboard
from controller.metrics.panels import ANNOTATIONS, ROWS, expressions
from controller.metrics.reference import BY_NAME, PREFIX
from digitalgrid.metrics.reference import Kind
from tests.support.programs import require_program

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "docs" / "monitoring"
ALERTS = MONITORING / "alerts.yaml"
CASES = Path(__file__).parent / "alerts.test.yaml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    """Of ours, without what a histogram's series end with."""
    found = set()
    for name in re.findall(rf"{PREFIX}(\w+)", expression):
        plain = re.sub(r"_(bucket|count|sum)$", "", name)
        found.add(plain if plain in BY_NAME and BY_NAME[plain].kind is Kind.HISTOGRAM else name)
    return found


def test_the_shipped_dashboard_is_the_one_that_the_code_makes() -> None:
    shipped = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    assert shipped == dashboard(), "python -m controller.metrics.dashboard > docs/monitoring/..."


def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_there_are() -> None:
    marks = [mark.expression for mark in ANNOTATIONS]
    for expression in [*expressions(), *marks, *(rule["expr"] for rule in RULES)]:
        for name in metrics_in(expression):
            assert name in BY_NAME, (name, expression)
        for name, inside in re.findall(rf"{PREFIX}(\w+)\{{([^}}]*)\}}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", inside)) - {"job", "instance", "le"}
            plain = re.sub(r"_(bucket|count|sum)$", "", name)
            metric = BY_NAME.get(name) or BY_NAME[plain]
            assert labels <= set(metric.labels), expression


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
