"""``dgc import``, ``plan`` and ``study`` as a person types them."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dgc.cli import main
from digitalgrid.gridfile import load_grid
from tests.support.patience import PATIENCE_S
from tests.support.terminals import at_terminal

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
RURAL = "simbench:1-LV-rural1--0-sw"


def dgc(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def test_a_plan_is_one_json_object_whose_figures_add_up() -> None:
    result = dgc("plan", TOPOLOGIES / "elan9.grid.yaml", "-o", "json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    keys = "status served_w generated_w loss_w line_loss_w converter_loss_w unserved flows circuits"
    assert set(keys.split()) | {"solve_s"} <= found.keys()
    assert found["status"] == "optimal"
    assert found["served_w"] == pytest.approx(30e6)
    assert found["generated_w"] == pytest.approx(32.7944e6, rel=1e-5)
    assert found["generated_w"] - found["served_w"] == pytest.approx(found["loss_w"])
    injected_w = sum(circuit["injected_w"] for circuit in found["circuits"])
    assert injected_w == pytest.approx(found["generated_w"], rel=1e-9)


def test_a_terminal_is_shown_what_is_being_done_and_a_pipe_is_not() -> None:
    words = ["plan", str(TOPOLOGIES / "ring.grid.yaml"), "-o", "json"]
    program = str(Path(sys.executable).with_name("dgc"))
    shown, said = at_terminal([program, *words], PATIENCE_S)
    assert shown.returncode == 0, said
    assert "planning 6 routers" in said and json.loads(shown.stdout)
    assert dgc(*words).stderr == ""


def test_a_plan_is_a_table_for_people_and_prices_are_theirs() -> None:
    result = dgc("plan", TOPOLOGIES / "elan9-300a.grid.yaml", "--loss-price", 20)
    assert result.exit_code == 0
    assert "23.08 MW" in result.stdout
    assert "load5" in result.stdout
    assert dgc("plan", TOPOLOGIES / "ring.grid.yaml", "--toll-share", -1).exit_code == 2


def test_bad_grids_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.grid.yaml"
    path.write_text("name: bad\nrouters:\n  - {id: r1, efficiency: 0}\n")
    result = dgc("plan", path)
    assert result.exit_code == 2
    assert "bad.grid.yaml:3: 'efficiency'" in result.stderr or "must be above 0" in result.stderr
    assert "cannot be read" in dgc("plan", tmp_path / "absent.yaml").stderr


def test_a_published_network_becomes_a_grid_that_can_be_planned(tmp_path: Path) -> None:
    path = tmp_path / "rural.grid.yaml"
    result = dgc("import", RURAL, "-o", path)
    assert result.exit_code == 0
    assert "15 routers, 14 links" in result.stdout
    assert "note: " in result.stderr
    assert len(load_grid(path).routers) == 15
    found = json.loads(dgc("plan", path, "-o", "json").stdout)
    assert (found["status"], found["unserved"]) == ("optimal", {})


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("pandapower:cse14", "did you mean case14"),
        ("simbench:1-LV-rurl1--0-sw", "did you mean 1-LV-rural1--0-sw"),
        ("nothing", "names no network"),
        ("absent.json", "is no file"),
    ],
)
def test_a_network_that_is_not_there_is_said(tmp_path: Path, network: str, message: str) -> None:
    result = dgc("import", network, "-o", tmp_path / "x.grid.yaml")
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_study_writes_its_results_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    words = ("study", RURAL, "-o", tmp_path, "--every", 24, "--ac-samples", 1, "--workers", 1)
    first = dgc(*words)
    assert first.exit_code == 0
    assert {"results.csv", "summary.json", "plot.png"} <= {each.name for each in tmp_path.iterdir()}
    again = dgc(*words)
    assert "going on: 4 of 4 steps are done" in again.stdout
    other = dgc(*words[:-1], 1, "--every", 12)
    assert other.exit_code == 2
    assert "holds another study" in other.stderr
