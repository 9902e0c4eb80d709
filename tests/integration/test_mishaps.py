"""Every verb of every program against what goes wrong at a terminal: a message of a few lines, and no traceback.

Verbs and their parameters are those that click knows: a new one fails here until it has an example.
"""

import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

import benchmarks.__main__
import dgc.cli
import dgctl
import router_agent.main
import topologies.demo.__main__
import topologies.demo.mesh
import trading.cli
from controller.routing.compiled import ENGINE_VARIABLE
from controller.store.sqlite import SqliteStore
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.exchanges import market_file
from tests.support.ledgers import KEY, Clock
from tests.support.loaded_programs import LoadedPrograms, loaded_programs
from tests.support.log_files import copy
from tests.support.patience import PATIENCE_S
from topologies.emulator.ports import free_ports
from trading.ledger.key_files import write_new_key
from trading.ledger.ledger import Ledger
from trading.ledger.sqlite_storage import SqliteStorage

BIN = Path(sys.executable).parent
GRID = Path(topologies.__path__[0]) / "line3.grid.yaml"
ROOT = str(Path(__file__).parents[2])
MAX_LINES = 12

PROGRAMS: dict[str, tuple[click.Command, list[str]]] = {
    "dgc": (dgc.cli.main, [str(BIN / "dgc")]),
    "dgctl": (dgctl.main, [str(BIN / "dgctl")]),
    "dgr": (router_agent.main.dgr, [str(BIN / "dgr")]),
    "dgm": (trading.cli.main, [str(BIN / "dgm")]),
    "demo": (topologies.demo.__main__.main, [sys.executable, "-m", "topologies.demo"]),
    "mesh": (topologies.demo.mesh.main, [sys.executable, "-m", "topologies.demo.mesh"]),
    "benchmarks": (benchmarks.__main__.main, [sys.executable, "-m", "benchmarks"]),
}

# What writes something and then ends. Of the others (daemons, and what takes minutes) the help is read instead.
EXAMPLES = {
    "dgc check-config": "{config}",
    "dgc emulate": "--help",
    "dgc fault": "--help",
    "dgc forget-router": "r1 --server {server}",
    "dgc import": "--help",
    "dgc plan": "{grid}",
    "dgc plugins": "",
    "dgc reconcile": "--server {server}",
    "dgc serve": "--help",
    "dgc stop": "--help",
    "dgc store audit": "--path {store}",
    "dgc store backup": "--help",
    "dgc store export": "--path {store}",
    "dgc store import": "--help",
    "dgc store verify": "--path {store}",
    "dgc study": "--help",
    "dgctl apply": "-f {declared} --yes",
    "dgctl batch": "{batch}",
    "dgctl change": "7 --power 1MW",
    "dgctl completion": "bash",
    "dgctl compute": "--sink town --power 1MW",
    "dgctl diff": "-f {declared}",
    "dgctl dispatch": "",
    "dgctl drain": "r1-r3",
    "dgctl events": "",
    "dgctl explain": "7",
    "dgctl get": "7",
    "dgctl list": "",
    "dgctl market balance": "ann",
    "dgctl market book": "",
    "dgctl market cancel": "o3",
    "dgctl market clear": "--dry-run",
    "dgctl market clearings": "",
    "dgctl market compare": "{log} {log}",
    "dgctl market deposit": "ann 12.50",
    "dgctl market dispute": "t1 --line energy",
    "dgctl market explain": "t1",
    "dgctl market forecast": "--energy 700Wh --meter m2",
    "dgctl market log": "--help",
    "dgctl market meter register": "m1 --meter-key {key}",
    "dgctl market meter release": "m1 --meter-key {key}",
    "dgctl market meter show": "m1",
    "dgctl market position": "",
    "dgctl market receipt": "t1",
    "dgctl market refund": "t1",
    "dgctl market resolve": "t1 --because 'as meters say'",
    "dgctl market rotate-key": "--id monday",
    "dgctl market settle": "t1",
    "dgctl market status": "",
    "dgctl market tender buy": "--energy 700Wh --limit 0.22",
    "dgctl market tender sell": "--energy 700Wh --limit 0.22 --meter m2",
    "dgctl market tenders": "",
    "dgctl market trades": "",
    "dgctl market verify": "{log}",
    "dgctl market withdraw": "ann 12.50",
    "dgctl market witness": "{scratch}/seen.json --key {key}",
    "dgctl meters": "",
    "dgctl paths": "--sink town --power 1MW",
    "dgctl registers": "7",
    "dgctl release": "7",
    "dgctl activate": "7",
    "dgctl reoptimise": "",
    "dgctl request": "--sink town --power 1MW",
    "dgctl top": "--help",
    "dgctl topology": "",
    "dgctl undrain": "r1-r3",
    "dgctl what-if cut": "r1-r3 r1",
    "dgctl what-if drain": "r1-r3",
    "dgctl watch": "",
    "dgr check-config": "{router}",
    "dgr run": "--help",
    "dgm check-config": "{exchange}",
    "dgm keygen": "--help",
    "dgm run": "--help",
    "dgm store verify": "{state}",
    "demo": "--help",
    "mesh": "--help",
    "benchmarks": "--help",
}
# With these, a verb reads a file that is given in place of {}, and gets no further where it cannot.
READS = {
    "dgc check-config": "{}",
    "dgc emulate": "--backend local {}",
    "dgc import": "-o {scratch}/x.grid.yaml {}.json",
    "dgc plan": "{}",
    "dgc serve": "--config {}",
    "dgc store audit": "--path {}",
    "dgc store backup": "--path {} {scratch}/backup",
    "dgc store export": "--path {}",
    "dgc store import": "--path {scratch}/new.sqlite {}",
    "dgc store verify": "--path {}",
    "dgc study": "-o {scratch}/study {}.json",
    "dgctl apply": "-f {} --yes",
    "dgctl batch": "{}",
    "dgctl diff": "-f {}",
    "dgctl market compare": "{} {log}",
    "dgctl market meter register": "m1 --meter-key {}",
    "dgctl market meter register --released": "{} m1 --meter-key {key}",
    "dgctl market meter release": "m1 --meter-key {}",
    "dgctl market tender buy": "--energy 700Wh --limit 0.22 --key {}",
    "dgctl market verify": "{}",
    "dgctl market verify --witnessed": "{} {log}",
    "dgctl market witness": "{scratch}/seen.json --key {}",
    "dgr check-config": "{}",
    "dgr run": "{}",
    "dgm check-config": "{}",
    "dgm run": "--config {}",
    "demo": "--grid {}",
}
# Here a verb writes a file, or makes a folder, in place of {}.
WRITES = {
    "dgc store backup": "--path {store} {}",
    "dgc store export": "--path {store} {}",
    "dgc emulate": "--backend local --run-dir {} {grid}",
    "dgc import": "-o {} pandapower:case9",
    "dgctl market log": "{}",
    "dgctl market meter release": "m1 --meter-key {key} --proof {}",
    "dgctl market meter show": "m1 --proof {}",
    "dgctl market witness": "{} --key {key}",
    "dgm keygen": "{}",
    "demo": "--output {}",
    "mesh": "--output {}",
    "benchmarks": "--output {}",
}
# Texts that are no ids of anything are refused before they are sent.
TEXTS = {
    "dgc fault": "cut {} --run-dir {scratch}",
    "dgc forget-router": "{} --server {server}",
    "dgc plan": "{}",
    "dgc store audit": "--path {store} --since {}",
    "dgctl list": "--request-id x{}y --server 127.0.0.1:9",
    "dgctl registers": "--request-id x{}y --server 127.0.0.1:9",
    "dgctl request": "--power 1MW --sink {}",
    "dgctl dispatch": "--load {}",
    "dgctl drain": "{}",
    "dgctl market balance": "{} --server 127.0.0.1:9",
    "dgctl market cancel": "{} --server 127.0.0.1:9",
    "dgctl market deposit": "ann {} --server 127.0.0.1:9",
    "dgctl market explain": "{} --server 127.0.0.1:9",
    "dgctl market meter show": "{} --server 127.0.0.1:9",
    "dgctl market tender sell": "--energy {} --limit 0.22 --meter m2",
    "dgctl paths": "--power 1MW --sink town --avoid {}",
    "dgr check-config": "{}",
    "demo": "--grid {}",
}


def verbs(command: click.Command, words: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield " ".join(words)
        return
    for name, verb in command.commands.items():
        yield from verbs(verb, (*words, name))


ALL_VERBS = [verb for name, (command, _) in PROGRAMS.items() for verb in verbs(command, (name,))]


@dataclass
class Shell:
    """Runs verbs as processes; ``places`` are what stands in braces in the examples."""

    places: dict[str, str]
    loaded: LoadedPrograms

    def command(self, verb: str, words: str, given: str = "") -> list[str]:
        program, *rest = verb.split()
        placed = [word.replace("{}", given).format(**self.places) for word in shlex.split(words)]
        return [*PROGRAMS[program][1], *rest, *placed]

    @property
    def known(self) -> dict[str, str]:
        return {
            "DGCTL_SERVER": self.places["server"],
            "DGM_SERVER": self.places["market"],
            "DGM_PARTY": "ann",
            "DGM_KEY": self.places["key"],
            # Benchmarks are no part of what is installed.
            "PYTHONPATH": ROOT,
        }

    def run(
        self, command: list[str], redirected: str = "", **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        line = [os.fsencode(shlex.quote(word)) for word in command]
        return subprocess.run(
            ["bash", "-c", b" ".join([*line, redirected.encode()])],
            env=os.environ | self.known | env,
            cwd=self.places["scratch"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def run_loaded(
        self, command: list[str], stdout: str = ""
    ) -> subprocess.CompletedProcess[bytes]:
        """The same in a fifth of the time, where nothing depends on how the interpreter begins."""
        if command[0] == sys.executable:
            return self.run(command, stdout and f">{stdout}")
        env = os.environ | self.known
        return self.loaded.run(command, env, self.places["scratch"], stdout)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedPrograms]:
    with loaded_programs(tmp_path_factory.mktemp("loaded")) as programs:
        yield programs


@pytest.fixture
def shell(
    controller: Any,
    market: Any,
    make_circuit: Callable[..., pb.Circuit],
    tmp_path: Path,
    loaded: LoadedPrograms,
) -> Shell:
    circuit = make_circuit(reason="an id of another's: \x1b[2J")
    circuits = [circuit]
    controller.answers = {
        "RequestPower": pb.RequestPowerResponse(request_id="req-1", circuits=circuits),
        "BatchRequestPower": pb.BatchRequestPowerResponse(
            outcomes=[pb.BatchOutcome(request_id="a", circuits=circuits)]
        ),
        "ComputePower": pb.ComputePowerResponse(circuits=circuits),
        "ComputePaths": pb.ComputePathsResponse(circuits=circuits),
        "Dispatch": pb.DispatchResponse(request_id="req-1"),
        "Reoptimise": pb.ReoptimiseResponse(),
        "ChangeCircuit": pb.ChangeCircuitResponse(circuit=circuit),
        "ReleaseCircuit": pb.ReleaseCircuitResponse(circuit=circuit),
        "ActivateCircuit": pb.ActivateCircuitResponse(circuit=circuit),
        "GetCircuit": pb.GetCircuitResponse(circuit=circuit),
        "ListCircuits": pb.ListCircuitsResponse(circuits=circuits),
        "ListRegisters": pb.ListRegistersResponse(registers=[pb.FinalRegister(circuit_id=7)]),
        "GetTopology": pb.GetTopologyResponse(),
        "ReadMeters": pb.ReadAllMetersResponse(missing_router_ids=["r4"]),
        "Reconcile": pb.ReconcileResponse(silent_router_ids=["r4"]),
        "ForgetRouter": pb.ForgetRouterResponse(),
        "Drain": pb.DrainResponse(),
        "Undrain": pb.UndrainResponse(),
        "PlaceRouters": pb.PlaceRoutersResponse(),
        "ReadAudit": pb.ReadAuditResponse(),
        "WatchEvents": [pb.WatchEventsResponse()],
        "WhatIf": pb.WhatIfResponse(),
        "WatchCircuits": [pb.WatchCircuitsResponse(circuit=circuit)],
        "WatchTopology": [pb.WatchTopologyResponse()],
    }
    store = tmp_path / "store.sqlite"
    SqliteStore(store).close()
    north, south, openflow, page, market_port = free_ports(5)
    (tmp_path / "dgc.yaml").write_text(
        f'northbound: {{listen: "127.0.0.1:{north}"}}\n'
        f'southbound: {{listen: ["127.0.0.1:{south}"]}}\n'
        f'openflow: {{listen: "127.0.0.1:{openflow}"}}\n'
        f'web: {{listen: "127.0.0.1:{page}"}}\n'
    )
    (tmp_path / "market.yaml").write_text(
        market_file(listen=f"127.0.0.1:{market_port}", state_dir=str(tmp_path / "new"))
    )
    (tmp_path / "state").mkdir()
    Ledger(SqliteStorage(tmp_path / "state" / "ledger.sqlite"), KEY, Clock(), "test").close()
    (tmp_path / "router.yaml").write_text("router_id: r1\n")
    (tmp_path / "declared.yaml").write_text(
        "circuits: [{request_id: a, sink_id: town, power_w: 1e6}]\n"
    )
    (tmp_path / "batch.yaml").write_text("requests: [{sink_id: town, power_w: 1e6}]\n")
    market.answers["GetMeter"].standing.public_key = write_new_key(tmp_path / "key").public_key
    copy(tmp_path / "log")
    return Shell(
        {
            "server": controller.server,
            "market": market.server,
            "key": str(tmp_path / "key"),
            "log": str(tmp_path / "log"),
            "store": str(store),
            "grid": str(GRID),
            "config": str(tmp_path / "dgc.yaml"),
            "router": str(tmp_path / "router.yaml"),
            "exchange": str(tmp_path / "market.yaml"),
            "state": str(tmp_path / "state"),
            "declared": str(tmp_path / "declared.yaml"),
            "batch": str(tmp_path / "batch.yaml"),
            "scratch": str(tmp_path),
        },
        loaded,
    )


def check(done: subprocess.CompletedProcess[bytes], *, failed: bool = True) -> None:
    said = done.stderr.decode(errors="replace")
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    assert "a defect of the program" not in said, said
    assert len(said.splitlines()) <= MAX_LINES, said
    assert len(said) < 4096, said
    assert "\x1b" not in said
    if failed:
        assert done.returncode != 0, done
        assert said or done.stdout, done


def options_of(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    if isinstance(command, click.Group):
        for verb in command.commands.values():
            yield from options_of(verb)


def test_no_range_takes_a_number_that_is_none() -> None:
    for name, (command, _) in PROGRAMS.items():
        for option in options_of(command):
            if isinstance(option.type, click.FloatRange):
                for said in (math.nan, math.inf, -math.inf):
                    with pytest.raises(click.BadParameter):
                        option.type.convert(said, option, None)
                        pytest.fail(f"{name} {option.opts} takes {said}")


def test_each_verb_has_an_example() -> None:
    assert sorted(ALL_VERBS) == sorted(EXAMPLES)


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_output_that_cannot_be_written_is_said_in_a_line(shell: Shell, verb: str) -> None:
    command = shell.command(verb, EXAMPLES[verb])
    full = shell.run_loaded(command, "/dev/full")
    check(full)
    assert b"cannot write the output: No space left on device" in full.stderr
    closed = shell.run(command, ">&-")
    check(closed)
    assert b"cannot write the output: Bad file descriptor" in closed.stderr


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_a_terminal_of_plain_characters_gets_those(shell: Shell, verb: str) -> None:
    command = shell.command(verb, EXAMPLES[verb])
    usual = shell.run_loaded(command)
    for env in (
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ):
        done = shell.run(command, **env)
        check(done, failed=False)
        assert done.returncode == usual.returncode
        assert done.stdout.isascii()
        assert done.stderr.isascii()


def test_who_reads_only_the_beginning_hears_no_complaint(shell: Shell, controller: Any) -> None:
    many = [pb.Circuit(circuit_id=id_, sink_id="town") for id_ in range(1, 20_001)]
    controller.answers["ListCircuits"] = pb.ListCircuitsResponse(circuits=many)
    for words in ("", "-o json", "-o yaml"):
        done = shell.run(shell.command("dgctl list", words), "| head -1")
        assert (done.stderr, len(done.stdout.splitlines())) == (b"", 1)


@pytest.mark.parametrize("verb", READS)
@pytest.mark.parametrize(
    "what", ["absent", "a folder", "a pipe", "empty", "noise", "nested", "unreadable"]
)
def test_a_file_that_is_none_is_refused_in_words(
    shell: Shell, tmp_path: Path, verb: str, what: str
) -> None:
    path = tmp_path / "given"
    match what:
        case "a folder":
            path.mkdir()
            (tmp_path / "given.json").mkdir()
        case "a pipe":
            # Nobody ever writes to it.
            os.mkfifo(path)
            os.mkfifo(tmp_path / "given.json")
        case "empty":
            path.touch()
            (tmp_path / "given.json").touch()
        case "noise":
            path.write_bytes(bytes(range(256)) * 8)
            (tmp_path / "given.json").write_bytes(bytes(range(256)) * 8)
        case "nested":
            path.write_text("name: x\nlinks: " + "[" * 5000)
            (tmp_path / "given.json").write_text("[" * 5000)
        case "unreadable":
            # To read it at its beginning is an error, for root too.
            path = Path("/proc/self/mem")
    if what == "empty" and verb == "dgc serve":
        # An empty configuration is a good one: the daemon would run.
        verb = "dgc check-config"
    fine_when_empty = what == "empty" and verb in (
        "dgc check-config",
        "dgc store audit",
        "dgc store backup",
        "dgc store export",
        "dgc store verify",
    )
    done = shell.run_loaded(shell.command(verb, READS[verb], str(path)))
    check(done, failed=not fine_when_empty)


@pytest.mark.parametrize("verb", WRITES)
def test_a_place_where_nothing_can_be_written_is_named(
    shell: Shell, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "file").touch()
    for place in ("file/below", "/proc/absent"):
        done = shell.run_loaded(shell.command(verb, WRITES[verb], place))
        check(done)
        # Either the file, or the folder that is none.
        assert place.rpartition("/")[0].encode() in done.stderr


@pytest.mark.parametrize("verb", TEXTS)
@pytest.mark.parametrize("text", ["\udcff", "\x1b]0;x\x07", "x" * 100_000, "\n", ""])
def test_a_text_that_nothing_is_called_is_refused_in_words(
    shell: Shell, verb: str, text: str
) -> None:
    check(shell.run_loaded(shell.command(verb, TEXTS[verb], text)))


def test_an_engine_that_there_is_not_is_named_with_those_that_there_are() -> None:
    done = subprocess.run(
        [BIN / "dgc", "plan", GRID],
        env=os.environ | {ENGINE_VARIABLE: "compield"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"dgc: {ENGINE_VARIABLE} is 'compield', which is no engine, and no configuration makes up for that; "
        "set it to compiled, interpreted or auto, or not at all\n"
    )


@pytest.mark.parametrize("engine", ["auto", "interpreted"])
def test_a_configuration_is_not_fine_where_the_environment_stops_the_daemon(
    tmp_path: Path, engine: str
) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text(f"engine: {engine}\n")
    environment = os.environ | {ENGINE_VARIABLE: "compield"}
    for words in (["check-config", str(path)], ["serve", "--config", str(path)]):
        done = subprocess.run(
            [BIN / "dgc", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode in (1, 2)
        assert f"{ENGINE_VARIABLE} is 'compield', which is no engine" in done.stderr


def test_an_interrupt_is_a_quiet_end(tmp_path: Path) -> None:
    program = (
        "import os, signal, click\n"
        "from digitalgrid.command_line import Tool\n"
        "@click.command('tool', cls=Tool)\n"
        "def tool():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "tool()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, b"")


def test_a_defect_is_told_from_a_mistake_and_its_traceback_can_be_had() -> None:
    program = (
        "import click\n"
        "from digitalgrid.command_line import Tool\n"
        "@click.command('tool', cls=Tool)\n"
        "def tool():\n"
        "    [][1]\n"
        "tool()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tool: a defect of the program: IndexError: list index")
    env = os.environ | {"DIGITALGRID_TRACEBACK": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, check=False
    )
    assert shown.stderr.startswith("Traceback")
