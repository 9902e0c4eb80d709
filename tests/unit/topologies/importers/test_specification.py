import sys
from pathlib import Path

import pytest

pytest.importorskip("pandapower")
pytest.importorskip("simbench")

import pandapower as pp

from digitalgrid.gridfile import load_grid
from tests.support.pandapower_networks import feeder
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Options
from topologies.importers.optional import MissingLibrary, require
from topologies.importers.specification import import_network, import_to_file, load_network


def test_a_network_becomes_a_grid_file(tmp_path: Path) -> None:
    path = tmp_path / "case14.grid.yaml"
    imported = import_to_file("pandapower:case14", path)
    assert load_grid(path) == imported.grid
    assert imported.grid.name == "case14"
    assert imported.warnings


def test_arguments_of_a_network() -> None:
    net = load_network("pandapower:create_cigre_network_mv?with_der=pv_wind")
    assert len(net.sgen) == 9


def test_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    pp.to_json(feeder(3), str(path))
    imported = import_network(str(path), Options())
    assert (imported.grid.name, len(imported.grid.loads)) == ("mine", 2)


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("case118", "names no network; write pandapower:NAME"),
        ("matpower:case118", "names no network"),
        ("pandapower:case117", "did you mean .*case118"),
        ("pandapower:create_bus", "has no 'create_bus'"),
        ("pandapower:case14?colour=red", "unexpected keyword argument 'colour'"),
        ("pandapower:case14?colour", "gives no value"),
        ("simbench:1-MV-rural--7-sw", "did you mean .*1-MV-rural--"),
        ("/nowhere/net.json", "is no file"),
    ],
)
def test_what_there_is_not(specification: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        load_network(specification)


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[]"])
def test_a_json_file_with_something_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(NetworkError, match=r"other\.json"):
        load_network(str(path))


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="cannot be written"):
        import_to_file("pandapower:case9", tmp_path / "no" / "such" / "directory.yaml")


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandapower", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'digitalgrid\[study\]'"):
        require("pandapower")
