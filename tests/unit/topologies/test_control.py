import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from digitalgrid.gridfile import Link
from topologies.emulator.control import ControlServer, obey, send_command
from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import BadCommand, EmulationError, UnknownId
from topologies.emulator.plan import RunFiles
from topologies.generated import ring_grid


class PlayedEmulation(Emulation):
    """Writes down what is done to it."""

    backend = "played"

    def __init__(self) -> None:
        super().__init__(ring_grid(3))
        self.done: list[str] = []
        self.agents = self  # type: ignore[assignment]
        self.controller = self  # type: ignore[assignment]
        self.process_id = None

    def start(self) -> None:
        self.done.append("start")

    def stop(self) -> None:
        self.done.append("stop")

    def kill(self, router_id: str = "controller") -> None:
        self.done.append(f"kill {router_id}")

    def restart(self, router_id: str) -> None:
        self.done.append(f"restart {router_id}")

    def running(self) -> dict[str, int]:
        return {"r1": 11}

    def limit_sources(self, router_id: str, limits_w: Mapping[str, float]) -> None:
        self.done.append(f"{router_id} {dict(limits_w)}")

    def limit_loads(self, router_id: str, shares: Mapping[str, float]) -> None:
        self.done.append(f"{router_id} {dict(shares)}")

    def _set_line(self, link: Link, *, carrier: bool, silent: bool) -> None:
        self.done.append(f"{link.id} {carrier=} {silent=}")


@contextmanager
def serving(emulation: Emulation, run_dir: Path) -> Iterator[None]:
    """The server in a thread of its own, as it is in a process of its own."""
    ended = threading.Event()
    with closing(ControlServer(emulation, RunFiles.under(run_dir).control_socket)) as server:

        def serve() -> None:
            while not ended.is_set():
                server.serve(0.02)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def test_commands_are_obeyed_and_answered(tmp_path: Path) -> None:
    emulation = PlayedEmulation()
    with serving(emulation, tmp_path):
        assert send_command(tmp_path, "cut", "r1-r2") == "cut r1-r2: done"
        send_command(tmp_path, "silence", "r1-r2")
        send_command(tmp_path, "restore", "r1-r2")
        send_command(tmp_path, "heal", "r1-r2")
        send_command(tmp_path, "kill", "r2")
        send_command(tmp_path, "restart", "r2")
        send_command(tmp_path, "kill-controller")
        send_command(tmp_path, "restart-controller")
        send_command(tmp_path, "silence", "r2-r3")
        status = json.loads(send_command(tmp_path, "status"))
    assert emulation.done == [
        "r1-r2 carrier=False silent=False",
        "r1-r2 carrier=False silent=True",
        "r1-r2 carrier=True silent=True",
        "r1-r2 carrier=True silent=False",
        "kill r2",
        "restart r2",
        "kill controller",
        "start",
        "r2-r3 carrier=True silent=True",
    ]
    assert status == {
        "backend": "played",
        "controller_pid": None,
        "router_pids": {"r1": 11},
        "cut_links": [],
        "silent_links": ["r2-r3"],
        "clouds": {},
        "unplugged_loads": [],
    }


def test_a_load_takes_nothing_until_it_is_plugged_in_again() -> None:
    emulation = PlayedEmulation()
    load = emulation.grid.loads[0]
    obey(emulation, "unplug", load.id)
    assert emulation.status().unplugged_loads == [load.id]
    obey(emulation, "plug", load.id)
    assert emulation.status().unplugged_loads == []
    assert emulation.done[-2:] == [f"{load.router} {{{load.id!r}: 0.0}}", f"{load.router} {{}}"]
    with pytest.raises(UnknownId, match="load 'pv1' is not in grid"):
        obey(emulation, "unplug", "pv1")


def test_a_cloud_stays_until_it_is_cleared(tmp_path: Path) -> None:
    emulation = PlayedEmulation()
    source = emulation.grid.sources[0]
    with serving(emulation, tmp_path):
        said = send_command(tmp_path, "cloud", source.id, 0.6)
        assert json.loads(send_command(tmp_path, "status"))["clouds"] == {source.id: 0.6}
        assert emulation.let_clouds_pass() is None
        send_command(tmp_path, "clear", source.id)
    assert said == f"cloud {source.id}: 60 % of its rating is left"
    assert emulation.done == [
        f"{source.router} { ({source.id: 0.6 * source.max_power_w}) }",
        f"{source.router} {{}}",
    ]


def test_a_cloud_with_a_time_passes_by_itself() -> None:
    emulation = PlayedEmulation()
    source = emulation.grid.sources[0]
    obey(emulation, "cloud", source.id, 0.0, 1e-9)
    assert emulation.let_clouds_pass() is None
    assert emulation.done[-1] == f"{source.router} {{}}"
    obey(emulation, "cloud", source.id, 0.0, 3600.0)
    left_s = emulation.let_clouds_pass()
    assert left_s is not None and 3590.0 < left_s <= 3600.0
    # Another cloud comes in its place, and stays.
    obey(emulation, "cloud", source.id, 0.5)
    assert emulation.let_clouds_pass() is None


@pytest.mark.parametrize(
    ("verb", "target", "message"),
    [
        ("cut", "r1-r9", "link 'r1-r9' is not in grid 'ring3'"),
        ("kill", "r1-r2", "router 'r1-r2' is not in grid 'ring3'"),
        ("clear", "r1", "source 'r1' is not in grid 'ring3'"),
    ],
)
def test_what_cannot_be_done_is_refused(verb: str, target: str | None, message: str) -> None:
    emulation = PlayedEmulation()
    with pytest.raises(EmulationError, match=message):
        obey(emulation, verb, target)
    assert emulation.done == []


@pytest.mark.parametrize(
    ("verb", "target", "message"),
    [
        ("cut", None, "say which"),
        ("kill", "", "say which"),
        ("kill-controller", "r1", "takes no id"),
        ("cloud", "pv1", "say which source and what is left of it"),
        ("explode", None, "unknown verb 'explode'; one of cut, "),
    ],
)
def test_a_command_that_makes_no_sense_needs_no_emulation_to_be_refused(
    tmp_path: Path, verb: str, target: str | None, message: str
) -> None:
    emulation = PlayedEmulation()
    with pytest.raises(BadCommand, match=message):
        obey(emulation, verb, target)
    with pytest.raises(BadCommand, match=message):
        send_command(tmp_path, verb, target)
    assert emulation.done == []


@pytest.mark.parametrize(
    ("share", "for_s", "message"),
    [(1.5, None, "between 0 % and 100 %"), (0.5, 0.0, "more than 0 s"), (0.5, 1e9, "not for ever")],
)
def test_an_impossible_cloud_is_refused(share: float, for_s: float | None, message: str) -> None:
    emulation = PlayedEmulation()
    with pytest.raises(BadCommand, match=message):
        obey(emulation, "cloud", emulation.grid.sources[0].id, share, for_s)
    with pytest.raises(BadCommand, match="neither a share nor a time"):
        obey(emulation, "cut", "r1-r2", 0.5)
    assert emulation.done == []


def test_refusals_reach_the_client(tmp_path: Path) -> None:
    with (
        serving(PlayedEmulation(), tmp_path),
        pytest.raises(EmulationError, match="link 'x' is not in grid"),
    ):
        send_command(tmp_path, "cut", "x")


def test_nobody_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(EmulationError, match="no emulation answers"):
        send_command(tmp_path, "status")
    with pytest.raises(EmulationError, match="no emulation answers"):
        send_command(tmp_path / "nowhere", "status")


def test_noise_is_answered_and_others_are_still_served(tmp_path: Path) -> None:
    with serving(PlayedEmulation(), tmp_path), socket.socket(socket.AF_UNIX) as noisy:
        noisy.connect(str(tmp_path / "control.sock"))
        noisy.sendall(b'not json\n[]\n{"verb"')
        lines = noisy.makefile("rb")
        assert b"not a command" in lines.readline()
        assert b"not a command" in lines.readline()
        assert "played" in send_command(tmp_path, "status")
        noisy.sendall(b': "status"}\n')
        assert b"played" in lines.readline()


def test_a_long_run_directory_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with serving(PlayedEmulation(), deep):
        assert "played" in send_command(deep, "status")
