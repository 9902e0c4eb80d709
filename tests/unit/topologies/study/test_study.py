import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from topologies.study import workers

pytest.importorskip("pandapower")
pytest.importorskip("simbench")
pytest.importorskip("matplotlib")

from rich.console import Console

from tests.support.pandapower_networks import feeder
from topologies.importers.errors import NetworkError
from topologies.importers.specification import load_network
from topologies.study import study
from topologies.study.evaluation import StepResult
from topologies.study.records import StudyError
from topologies.study.study import StudyInterrupted, run_study

NETWORK = "simbench:1-LV-rural1--0-sw"


@pytest.fixture(scope="module")
def net() -> Any:
    return load_network(NETWORK)


@pytest.fixture(autouse=True)
def read_once(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "load_network", lambda _: net)


def silent() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_a_day_is_written_as_table_summary_and_plot(tmp_path: Path) -> None:
    console = silent()
    summary = run_study(NETWORK, tmp_path, day=20, every=2, ac_samples=8, console=console)
    assert (summary.steps, summary.failed_steps, summary.hours) == (48, 0, 24.0)
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(19 * 96, 20 * 96, 2))
    assert rows[1]["time"] == "20.01.2016 00:30"
    loss_wh = sum(float(row["operated_loss_w"]) for row in rows) * 0.5
    assert summary.operated.loss_wh == pytest.approx(loss_wh)
    # Without a tie nothing can be routed: both variants lose the same.
    assert summary.tie_routers == 0
    assert summary.with_routers.loss_wh == pytest.approx(loss_wh, rel=1e-4)
    # Voltage drops and reactive power apart, the AC power flow loses what we say, iron included.
    assert sum(bool(row["ac_loss_w"]) for row in rows) == 8
    assert summary.ac.operated_to_ac == pytest.approx(1.0, abs=0.1)
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written["operated"]["loss_wh"] > 0.0
    assert all(row["operated_missing"] == "" for row in rows)
    promised_mj = sum(each["operated"]["promised_mj"] for each in written["loads"])
    assert promised_mj == written["operated"]["supply"]["delivered_mj"]
    assert promised_mj / 3.6e6 == pytest.approx(summary.load_wh)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "missing at loads" in printed
    assert "as operated" in printed and "no power router at a tie" in printed


def test_an_interrupted_study_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"day": 5, "every": 8, "ac_samples": 0}
    whole = run_study(NETWORK, tmp_path / "whole", console=silent(), **arguments)

    def interrupted(*given: Any) -> Iterator[list[StepResult]]:
        yield next(evaluate_all(*given))
        raise KeyboardInterrupt

    evaluate_all = workers.evaluate_all
    monkeypatch.setattr(study, "evaluate_all", interrupted)
    with pytest.raises(StudyInterrupted, match="run the same command again"):
        run_study(NETWORK, tmp_path / "parts", console=silent(), **arguments)
    asked: list[list[int]] = []

    def noted(case: Any, profiles: Any, steps: list[int], workers: int) -> Any:
        asked.append(steps)
        return evaluate_all(case, profiles, steps, workers)

    monkeypatch.setattr(study, "evaluate_all", noted)
    console = silent()
    parts = run_study(NETWORK, tmp_path / "parts", console=console, **arguments)
    assert "going on: 1 of 12 steps are done" in console.file.getvalue()  # type: ignore[attr-defined]
    assert [len(steps) for steps in asked] == [11]
    assert parts == whole
    with pytest.raises(StudyError, match="every was 8 and is 4"):
        run_study(NETWORK, tmp_path / "parts", console=silent(), **arguments | {"every": 4})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"period": "week"}, "write day or year"),
        ({"day": 0}, "counted from 1"),
        ({"day": 367}, "there is no day 367"),
        ({"day": 3, "period": "year"}, "goes with the period day"),
        ({"every": 0}, "at least 1"),
        ({"workers": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        run_study(NETWORK, tmp_path, console=silent(), **arguments)


def test_a_network_without_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "load_network", lambda _: feeder())
    with pytest.raises(NetworkError, match="has no time series"):
        run_study("feeder.json", tmp_path, console=silent())
