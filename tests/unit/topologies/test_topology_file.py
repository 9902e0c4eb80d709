from pathlib import Path

import pytest

from digitalgrid.config_file import ConfigError
from topologies.emulator.errors import EmulationError
from topologies.emulator.network_file import load_network

TOPOLOGIES = Path(__file__).parents[3] / "topologies"


@pytest.mark.parametrize(
    ("file", "name", "routers"),
    [
        ("elan9.py", "elan9", 9),
        ("elan9.grid.yaml", "elan9", 9),
        ("village.grid.yaml", "village", 5),
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
        ("missing.py", "missing.py cannot be read: No such file"),
        ("generated.py", "generated.py exports no topos; .*grid.py shows how"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_why(
    file: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DGC_GRID", raising=False)
    with pytest.raises(EmulationError, match=message):
        load_network(str(TOPOLOGIES / file))


_STOCK = """
from mininet.topo import Topo
class Two(Topo):
    def build(self): self.addLink(self.addHost("h1"), self.addHost("h2"))
topos = {"two": Two}
"""
_OURS = """
from topologies.emulator.topology_file import TopologyFile, bundled_grid
topos = {name: TopologyFile(name, MAKE) for name in NAMES}
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (_STOCK, "no sources, loads or resistances"),
        ("topos = {}", "none of digital grid routers"),
        ("topos = 3", "exports no topos"),
        ("raise OverflowError('too hot')", r"OverflowError: too hot \(.*custom.py:1\)"),
        ("1 / 0", r"ZeroDivisionError: division by zero \(.*custom.py:1\)"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import absent_module", "No module named 'absent_module'"),
        ("def f(:", "SyntaxError: "),
        (
            _OURS.replace("MAKE", "bundled_grid").replace("NAMES", '["a", "b"]'),
            r"2 networks \(a, b\)",
        ),
        (_OURS.replace("MAKE", "lambda: 1 / 0").replace("NAMES", '["a"]'), "division by zero"),
        (_OURS.replace("MAKE", "lambda: 'x'").replace("NAMES", '["a"]'), "makes a str"),
    ],
)
def test_a_file_for_mininet_that_is_none_for_us_is_an_error_that_says_why(
    tmp_path: Path, code: str, message: str
) -> None:
    path = tmp_path / "custom.py"
    path.write_text(code)
    with pytest.raises(EmulationError, match=message):
        load_network(str(path))


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
