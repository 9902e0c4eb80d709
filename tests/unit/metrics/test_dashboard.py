"""The dashboard and the alerts that are shipped: of the metrics that there are, and each alert tried."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from controller.metrics.dashboard import dashboard
from controller.metrics.panels import ROWS, expressions
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
    for expression in [*expressions(), *(rule["expr"] for rule in RULES)]:
        for name in metrics_in(expression):
            assert name in BY_NAME, (name, expression)
        for name, inside in re.findall(rf"{PREFIX}(\w+)\{{([^}}]*)\}}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", inside)) - {"job", "instance", "le"}
            plain = re.sub(r"_(bucket|count|sum)$", "", name)
            metric = BY_NAME.get(name) or BY_NAME[plain]
            assert labels <= set(metric.labels), expression


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
    program = require_program("promtool", "prometheus")
    done = subprocess.run(
        [program, *map(str, said)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
