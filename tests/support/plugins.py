"""Packages with plug-ins, installed as pip leaves them: modules, and beside them metadata with entry points."""

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

from digitalgrid.gridfile import Grid, loads_grid

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "plugins"

# Two ways of which the one that seems better loses more: its resistance is where power has grown.
GROWING = """
name: growing
defaults: {voltage_v: 20000, efficiency: 0.8, ampacity_a: 900}
routers: [{id: r1}, {id: r2}, {id: r3}, {id: r4}]
links:
  - {id: r1-r2, a: r1, b: r2, resistance_ohm: 8}
  - {id: r2-r4, a: r2, b: r4, resistance_ohm: 0.01}
  - {id: r1-r3, a: r1, b: r3, resistance_ohm: 4.1}
  - {id: r3-r4, a: r3, b: r4, resistance_ohm: 4.1}
sources: [{id: plant, router: r1, max_power_w: 20e6}]
loads: [{id: town, router: r4, power_w: 4e6}]
"""
GREEDY_WAY, BEST_WAY = ["r1", "r2", "r4"], ["r1", "r3", "r4"]


def growing() -> Grid:
    return loads_grid(GROWING, "growing")


def install(
    directory: Path,
    package: str,
    entries: Mapping[str, Mapping[str, str]],
    modules: Mapping[str, str],
    version: str = "1.0",
) -> None:
    """``entries`` are by group and name, ``modules`` the text of each by its name."""
    for name, text in modules.items():
        (directory / f"{name}.py").write_text(text)
    metadata = directory / f"{package.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    )
    text = ""
    for group, named in entries.items():
        text += f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
    (metadata / "entry_points.txt").write_text(text)


def install_example(directory: Path, name: str) -> None:
    """One of the worked examples, by what its own pyproject.toml says."""
    source = EXAMPLES / name
    told = tomllib.loads((source / "pyproject.toml").read_text())
    for package in told["tool"]["setuptools"]["packages"]:
        shutil.copytree(source / package, directory / package)
    project = told["project"]
    install(directory, project["name"], project["entry-points"], {}, project["version"])
