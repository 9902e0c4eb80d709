from pathlib import Path

import pytest

from digitalgrid.yaml_schema import ConfigError
from topologies.emulator.errors import EmulationError
from topologies.emulator.topology_file import load_network

TOPOLOGIES = Path(__file__).parents[3] / "topologies"


@pytest.mark.parametrize(
    ("file", "name", "routers"),
    [
        ("elan9.py", "elan9", 9),
        ("elan9.grid.yaml", "elan9", 9),
        ("line3.py", "line3", 3),
        ("ring.py", "ring", 6),
        ("ring.py,8", "ring8", 8),
        ("mesh.py", "mesh100-1", 100),
        ("mesh.py,12,seed=3", "mesh12-3", 12),
        (f"grid.py,{TOPOLOGIES}/ring.grid.yaml", "ring", 6),
    ],
)
def test_grid_files_and_topology_files_are_read(file: str, name: str, routers: int) -> None:
    grid = load_network(str(TOPOLOGIES / file))
    assert (grid.name, len(grid.routers)) == (name, routers)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("mesh.py,2", "at least 5 routers, not 2"),
        ("elan9.py,3", "elan9.py,3: "),
        ("grid.py", "set DGC_GRID"),
        ("missing.py", "missing.py is not a topology file"),
        ("generated.py", "generated.py is not a topology file"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_why(
    file: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DGC_GRID", raising=False)
    with pytest.raises(EmulationError, match=message):
        load_network(str(TOPOLOGIES / file))


def test_a_grid_file_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGC_GRID", str(TOPOLOGIES / "line3.grid.yaml"))
    assert load_network(str(TOPOLOGIES / "grid.py")).name == "line3"


def test_a_wrong_grid_file_is_an_error_with_its_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.grid.yaml"
    wrong.write_text("name: wrong\nrouters:\n  - {id: r1, efficiency: 1.5}\n")
    with pytest.raises(ConfigError, match=r"wrong\.grid\.yaml:3"):
        load_network(str(wrong))


def test_standing_flows_are_not_silently_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "standing.grid.yaml"
    text = (TOPOLOGIES / "line3.grid.yaml").read_text()
    grid = load_network(str(TOPOLOGIES / "line3.grid.yaml"))
    link = grid.links[0]
    path.write_text(f"{text}\nstanding: [{{from: {link.a}, to: {link.b}, power_w: 1e3}}]\n")
    assert load_network(str(path)).standing[0].power_w == 1e3
    assert "standing flows are for plans" in caplog.text
