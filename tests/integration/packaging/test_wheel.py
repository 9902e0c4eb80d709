"""What is installed: a wheel built from this tree serves by itself, and what is shipped beside it fits."""

import configparser
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest

from controller.config import load_config
from dgc.cli import main as dgc
from digitalgrid.client import PowerClient
from digitalgrid.client.errors import ControllerUnreachable
from router_agent.main import dgr
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.programs import require_program
from topologies.emulator.ports import free_ports
from trading.cli import main as dgm

ROOT = Path(__file__).resolve().parents[3]
PACKAGING = ROOT / "packaging"
# Where the programs of an installation begin.
_PROGRAMS = {"dgc": "dgc.cli", "dgctl": "dgctl", "dgr": "router_agent.main", "dgm": "trading.cli"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment that has the wheel, and what it needs from ours."""
    directory = tmp_path_factory.mktemp("wheel")
    source = _copied(directory / "source")
    tool, pages = ROOT / "tools" / "manpages.py", source / "build" / "man"
    subprocess.run([sys.executable, str(tool), str(pages)], check=True, cwd=ROOT)
    _pip(["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, source])
    (wheel,) = directory.glob("*.whl")
    shipped = {Path(name).name for name in ZipFile(wheel).namelist() if "/share/man/man1/" in name}
    assert shipped == {"dgc.1", "dgctl.1", "dgm.1", "dgr.1"}
    environment = directory / "environment"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    _pip(["install", "--no-deps", "--no-index", "--target", packages, wheel])
    # Behind its own: ours are seen where it has none.
    others = [each for each in sys.path if each.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    python = environment / "bin" / "python"
    for name, program in _PROGRAMS.items():
        script = environment / "bin" / name
        script.write_text(f"#!{python}\nfrom {program} import main\nmain()\n")
        script.chmod(0o755)
    return environment / "bin"


def _copied(to: Path) -> Path:
    """The tree without what else lies there: setuptools builds where the source is, and takes along what it finds."""
    rooms = {line.strip("* ") for line in _listed("options.packages.find", "include")}
    for room in sorted(rooms):
        shutil.copytree(ROOT / room, to / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
    return to


def _listed(section: str, key: str) -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup[section][key].split()


def _pip(said: Sequence[str | Path]) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *map(str, said)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_installed_controller_serves_clients_and_its_page(
    installed: Path, tmp_path: Path
) -> None:
    north, south, page = free_ports(3)
    config = tmp_path / "controller.yaml"
    config.write_text(
        f'northbound: {{listen: "127.0.0.1:{north}"}}\n'
        f'southbound: {{listen: ["127.0.0.1:{south}"]}}\n'
        f'web: {{listen: "127.0.0.1:{page}"}}\n'
        "openflow: {enabled: false}\nengine: interpreted\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    daemon = subprocess.Popen(
        [installed / "dgc", "serve", "--config", config], cwd=tmp_path, env=environment
    )
    try:
        with PowerClient(f"127.0.0.1:{north}", timeout_s=PATIENCE_S) as client:
            wait_for(lambda: _answers(client) or daemon.poll() is not None)
        # It is loaded while the API is served already.
        wait_for(lambda: _is_open(page) or daemon.poll() is not None)
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/", timeout=PATIENCE_S) as answer:
            shown = answer.read().decode()
        for asset in re.findall(r'"(/page/[^"]+)"', shown):
            urllib.request.urlopen(f"http://127.0.0.1:{page}{asset}", timeout=PATIENCE_S).close()
        asked = [str(installed / "dgctl"), "--server", f"127.0.0.1:{north}", "--version"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert re.search(r"\d+\.\d+\.\d+", told.stdout)
    finally:
        daemon.terminate()
        assert daemon.wait(PATIENCE_S) == 0


def test_a_plug_in_is_installed_beside_the_controller_and_found(
    installed: Path, tmp_path: Path
) -> None:
    source = tmp_path / "greedy"
    shutil.copytree(ROOT / "examples" / "plugins" / "greedy", source)
    said = ["install", "--no-deps", "--no-build-isolation", "--no-index"]
    _pip([*said, "--target", tmp_path / "site", source])
    listed = subprocess.run(
        [installed / "dgc", "plugins"],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (row,) = [line for line in listed.splitlines() if "greedy" in line]
    assert "digitalgrid-greedy 0.1.0" in row
    assert row.rstrip().endswith("fine")


def _answers(client: PowerClient) -> bool:
    try:
        client.get_topology()
    except ControllerUnreachable:
        return False
    return True


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    "unit", sorted((PACKAGING / "systemd").iterdir()), ids=lambda unit: unit.name
)
def test_units_start_verbs_that_there_are(unit: Path) -> None:
    parsed = _unit(unit)
    program, verb, *_ = parsed["Service"]["ExecStart"].split()
    assert verb in {"dgc": dgc, "dgm": dgm, "dgr": dgr}[Path(program).name].commands
    assert parsed["Service"]["Restart"] == "always"
    # Else five starts within ten seconds are the last ones.
    assert parsed["Unit"]["StartLimitIntervalSec"] == "0"
    wrong = subprocess.run(
        [sys.executable, "-c", f"from {_PROGRAMS[Path(program).name]} import main; main()", verb]
        + (["--config"] if "--config" in parsed["Service"]["ExecStart"] else [])
        + ["/nothing.yaml"],
        capture_output=True,
        check=False,
    )
    assert str(wrong.returncode) == parsed["Service"]["RestartPreventExitStatus"], wrong.stderr


def _unit(file: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(file)
    return parsed


def test_no_unit_keeps_its_state_below_that_of_another() -> None:
    """systemd gives a state directory, with all below it, to the unit's own user, which is another each time."""
    units = [_unit(each) for each in (PACKAGING / "systemd").iterdir()]
    kept = [Path(each["Service"]["StateDirectory"]) for each in units]
    assert len(kept) == 3
    for here in kept:
        assert not any(here in other.parents for other in kept)


def test_the_container_is_built_of_all_that_the_wheel_has_and_of_nothing_that_lies_beside() -> None:
    lines = (ROOT / ".containerignore").read_text().splitlines()
    assert lines[1] == "*"
    taken = {line.removeprefix("!") for line in lines if line.startswith("!")}
    rooms = {line.strip("* ") for line in _listed("options.packages.find", "include")}
    files = {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"}
    assert taken == rooms | files | {"proto", "packaging"}


def test_the_configuration_of_the_container_is_taken() -> None:
    config = load_config(PACKAGING / "container.yaml")
    text = (PACKAGING / "Containerfile").read_text()
    for address in (config.northbound.listen, *config.southbound.listen, config.metrics.listen):
        assert address.rpartition(":")[2] in text
    assert "packaging/container.yaml" in text


def test_the_changelog_begins_with_the_version_that_is_built() -> None:
    (first, *_) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert [first] == _listed("metadata", "version")


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    """Every key and value, as systemd itself reads them; the programs are those of this environment."""
    program = require_program("systemd-analyze", "systemd")
    for unit in (PACKAGING / "systemd").iterdir():
        text = unit.read_text().replace("/opt/digitalgrid/bin", str(Path(sys.executable).parent))
        (tmp_path / unit.name.replace("@", "@r1")).write_text(text)
    units = sorted(tmp_path.iterdir())
    looked = subprocess.run(
        [program, "--man=no", "verify", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in looked.stderr.splitlines() if str(tmp_path) in line]
    assert (looked.returncode, about_ours) == (0, []), looked.stderr
