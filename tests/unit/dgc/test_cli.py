from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from controller.config import ControllerConfig
from dgc.cli import main
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.emulator.plan import EmulationOptions


def test_check_config_says_good_or_where_not(tmp_path: Path) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text("lease_ms: 3000\n")
    good = CliRunner().invoke(main, ["check-config", str(path)])
    assert (good.exit_code, good.output) == (0, f"{path}: fine\n")

    path.write_text("log_level: info\nlease: 3000\n")
    bad = CliRunner().invoke(main, ["check-config", str(path)])
    assert bad.exit_code == 2
    assert bad.stderr == f"{path}:2: unknown key 'lease'; did you mean 'lease_ms'?\n"


def test_serve_runs_the_daemon_and_ends_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text("log_level: debug\n")
    ran: list[ControllerConfig] = []

    def run(config: ControllerConfig) -> int:
        ran.append(config)
        return 7

    monkeypatch.setattr("controller.daemon.run", run)
    assert CliRunner().invoke(main, ["serve", "--config", str(path)]).exit_code == 7
    assert CliRunner().invoke(main, ["serve"]).exit_code == 7
    assert [config.log_level for config in ran] == ["debug", "info"]


def test_serve_refuses_a_bad_configuration(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--config", str(tmp_path / "absent.yaml")])
    assert result.exit_code == 2
    assert "absent.yaml: cannot be read" in result.stderr


@pytest.mark.parametrize(("uid", "backend"), [(0, "mininet"), (1000, "local")])
def test_emulate_runs_in_mininet_where_it_can(
    monkeypatch: pytest.MonkeyPatch, uid: int, backend: str
) -> None:
    calls: list[tuple[str, str, EmulationOptions]] = []

    def run(*what: Any) -> None:
        calls.append(what)

    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr("topologies.emulator.run", run)
    words = ["emulate", "elan9.grid.yaml", "--run-dir", "here", "--control-switches", "3"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0
    options = EmulationOptions(run_dir=Path("here"), control_switches=3)
    assert calls == [("elan9.grid.yaml", backend, options)]
    assert ("not root" in result.stderr) == (backend == "local")


def test_emulate_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.grid.yaml"
    path.write_text("name: bad\nrouters:\n  - {id: r1}\n")
    result = CliRunner().invoke(main, ["emulate", str(path), "--backend", "local"])
    assert result.exit_code == 2
    assert f"{path}:3: 'efficiency' is missing" in result.stderr


def test_a_fault_without_an_emulation_is_explained(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["fault", "cut", "r1-r3", "--run-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "no emulation answers" in result.stderr


def test_fault_prints_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "topologies.emulator.send_command",
        lambda _, verb, target, share, for_s: f"{verb} {target}: done, {share} {for_s}",
    )
    result = CliRunner().invoke(main, ["fault", "cut", "r1-r3"])
    assert (result.exit_code, result.output) == (0, "cut r1-r3: done, None None\n")
    result = CliRunner().invoke(main, ["fault", "cloud", "pv1", "60%", "--for", "2min"])
    assert (result.exit_code, result.output) == (0, "cloud pv1: done, 0.6 120.0\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explode"], "unknown verb 'explode'; one of cut, restore"),
        (["cut"], "cut: say which link, source, load or router"),
        (["status", "r1"], "takes no id"),
        (["cloud", "pv1"], "say which source and what is left of it"),
        (["cloud", "pv1", "160%"], "'160%' is no share; write it like 60% or 0.6"),
        (["cloud", "pv1", "60%", "--for", "3"], "time '3' is not understood; write it like 30s"),
        (["cut", "r1-r3", "60%"], "neither a share nor a time"),
    ],
)
def test_a_fault_that_makes_no_sense_is_a_usage_error(
    tmp_path: Path, words: list[str], said: str
) -> None:
    result = CliRunner().invoke(main, ["fault", *words, "--run-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert said in result.stderr


@pytest.mark.parametrize(
    ("options", "ending"), [([], ""), (["--run-dir", "a run"], " --run-dir 'a run'")]
)
def test_what_to_try_can_be_typed_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, options: list[str], ending: str
) -> None:
    network = pb.Topology(
        links=[pb.LinkState(link_id="r1-r2")],
        loads=[
            pb.LoadState(load_id="resting"),
            pb.LoadState(load_id="town", max_power_w=5e6),
        ],
    )
    monkeypatch.setattr("topologies.emulator.start_in_background", lambda *_, **__: 0)
    monkeypatch.setattr("digitalgrid.client.PowerClient.get_topology", lambda _: network)
    monkeypatch.setattr("sys.argv", ["/opt/grid programs/dgc"])
    monkeypatch.delenv("SUDO_USER", raising=False)
    words = ["emulate", "x.grid.yaml", "--backend", "local", "--detach", *options]
    quiet = CliRunner().invoke(main, [*words, "--quiet"])
    assert (quiet.exit_code, quiet.stdout) == (0, "")
    result = CliRunner().invoke(main, words)
    assert [line.strip() for line in result.stdout.splitlines()[2:]] == [
        "'/opt/grid programs/dgctl' topology",
        "'/opt/grid programs/dgctl' request --sink town --power 2.5MW --wait",
        "'/opt/grid programs/dgctl' list",
        f"'/opt/grid programs/dgc' fault cut r1-r2{ending}",
        f"'/opt/grid programs/dgc' fault restore r1-r2{ending}",
        "'/opt/grid programs/dgctl' meters",
        f"'/opt/grid programs/dgc' stop{ending}",
    ]


def test_stop_stops_the_emulation_of_its_run_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[Path] = []
    monkeypatch.setattr("topologies.emulator.stop", stopped.append)
    assert CliRunner().invoke(main, ["stop", "--run-dir", "here"]).exit_code == 0
    assert stopped == [Path("here")]
