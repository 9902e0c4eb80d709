"""Listings as people ask for them, once and live, over real gRPC."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import Parse

from dgctl import main
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2
from tests.support.answers import TOPOLOGY
from tests.support.patience import PATIENCE_S

LINKS = [
    pb.LinkState(link_id="l1", up=True, ampacity_a=100, reserved_a_to_b_a=90),
    pb.LinkState(link_id="l2", up=True, ampacity_a=100, reserved_a_to_b_a=10, circuit_ids=[7, 8]),
    pb.LinkState(link_id="l3", ampacity_a=100),
]
DONE = pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone())


@pytest.fixture
def circuits(make_circuit: Any) -> list[pb.Circuit]:
    waiting = make_circuit(9, pb.CIRCUIT_STATE_WAITING, reason="held up by r1-r3")
    return [make_circuit(7), make_circuit(8, floor_w=5e5), waiting]


@pytest.fixture
def dgctl(controller: Any, circuits: list[pb.Circuit]) -> Callable[..., Result]:
    meters = [
        power_link_pb2.RouterMeters(router_id=each, converter_loss_mj=lost_mj)
        for each, lost_mj in (("r1", 1_000), ("r10", 3_000), ("r2", 2_000))
    ]
    controller.answers = {
        "ListCircuits": pb.ListCircuitsResponse(circuits=circuits),
        "GetTopology": pb.GetTopologyResponse(topology=pb.Topology(links=LINKS)),
        "ReadMeters": pb.ReadAllMetersResponse(meters=meters),
        "WatchCircuits": [*(pb.WatchCircuitsResponse(circuit=each) for each in circuits), DONE],
        "WatchTopology": [pb.WatchTopologyResponse(topology=pb.Topology(links=LINKS))],
    }

    def run(*words: str) -> Result:
        runner = CliRunner(env={"DGCTL_SERVER": controller.server})
        return runner.invoke(main, words, catch_exceptions=False)

    return run


def rows(table: str) -> list[str]:
    return [" ".join(line.split()) for line in table.splitlines()]


def test_circuits_are_listed_worst_first_and_as_asked_for(dgctl: Any) -> None:
    assert [row.split()[0] for row in rows(dgctl("list").stdout)[1:]] == ["9", "7", "8"]
    asked = dgctl("list", "--columns", "id,floor", "--sort", "-floor", "--filter", "state=active")
    assert rows(asked.stdout) == ["id floor", "8 500 kW", "7 0 W"]
    assert dgctl("list", "--filter", "sink=nobody").stdout == "no circuits\n"


def test_for_programs_the_order_is_that_of_ids_unless_they_ask_for_another(dgctl: Any) -> None:
    def ids(*words: str) -> list[int]:
        answer = Parse(dgctl("list", "-o", "json", *words).stdout, pb.ListCircuitsResponse())
        return [each.circuit_id for each in answer.circuits]

    assert ids() == [7, 8, 9]
    assert ids("--sort", "-id") == [9, 8, 7]
    assert ids("--filter", "state=waiting") == [9]


def test_one_kind_of_the_topology_is_listed_by_itself(dgctl: Any) -> None:
    asked = dgctl("topology", "links", "--columns", "id,used,count", "--sort", "-used")
    assert rows(asked.stdout) == ["id used count", "l1 90.00 % 0", "l2 10.00 % 2", "l3 0.00 % 0"]
    assert [row.split()[0] for row in rows(dgctl("topology", "links").stdout)[1:]] == [
        *("l3", "l1", "l2")
    ]
    told = json.loads(dgctl("topology", "links", "-o", "json", "--filter", "state=down").stdout)
    assert [each["linkId"] for each in told["links"]] == ["l3"]
    assert told["routers"] == []


def test_links_that_are_down_say_why_where_any_does(dgctl: Any, controller: Any) -> None:
    assert "why" not in rows(dgctl("topology", "links").stdout)[0].split()
    cut = pb.LinkState(link_id="l4", down_text="no carrier at r3")
    controller.answers["GetTopology"].topology.links.append(cut)
    told = rows(dgctl("topology", "links", "--columns", "id,why-down").stdout)
    assert told[:3] == ["id why", "l3", "l4 no carrier at r3"]
    assert "no carrier at r3" in dgctl("topology", "links").stdout


def test_meters_are_sorted_and_their_sum_is_of_those_that_are_shown(dgctl: Any) -> None:
    asked = dgctl("meters", "--columns", "router,converter-loss", "--sort", "-converter-loss")
    assert rows(asked.stdout) == ["router converter loss", "r10 3 J", "r2 2 J", "r1 1 J", "all 6 J"]
    some = dgctl("meters", "--columns", "router,converter-loss", "--filter", "converter-loss>=2J")
    assert rows(some.stdout)[1:] == ["r2 2 J", "r10 3 J", "all 5 J"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("list --columns id,colour", "circuits have no column 'colour'"),
        ("list -o json --columns id", "--columns is for tables"),
        ("list --sort=-size", "circuits have no column 'size'"),
        ("list --columns=", "a column of circuits needs a name"),
        ("list --sort=-", "a column of circuits needs a name"),
        ("topology --columns=", "say which, as in: dgctl topology links"),
        ("topology --sort used", "say which, as in: dgctl topology links"),
        ("meters --filter router>3", "has texts; compare by = or ~"),
    ],
)
def test_what_cannot_be_listed_is_a_usage_error_that_says_what_can(
    dgctl: Any, controller: Any, words: str, said: str
) -> None:
    result = dgctl(*words.split())
    assert (result.exit_code, controller.requests) == (2, [])
    assert said in result.stderr


def test_the_columns_that_there_are_can_be_asked_for(dgctl: Any, controller: Any) -> None:
    told = dgctl("topology", "links", "--columns", "?")
    assert (told.exit_code, controller.requests) == (0, [])
    assert told.stdout.startswith("columns of links: id, a, b, state, why-down, ")


def test_a_listing_is_watched_as_it_is_listed(dgctl: Any) -> None:
    words = ("--columns", "id,state", "--filter", "power=2MW", "--sort", "-id")
    assert dgctl("list", "--watch", *words).stdout == dgctl("list", *words).stdout
    assert dgctl("topology", "links", "--watch").stdout == dgctl("topology", "links").stdout
    told = dgctl("list", "--watch", "-o", "json").stdout
    assert told.count("\n") == 1
    assert json.loads(told) == json.loads(dgctl("list", "-o", "json").stdout)


def test_in_a_pipe_a_watch_writes_again_what_has_changed_and_only_that(
    dgctl: Any, controller: Any, make_circuit: Any
) -> None:
    def told() -> Iterator[pb.WatchCircuitsResponse]:
        yield pb.WatchCircuitsResponse(circuit=make_circuit(7))
        yield DONE
        yield pb.WatchCircuitsResponse(circuit=make_circuit(8))
        # One that ends is listed no more.
        yield pb.WatchCircuitsResponse(circuit=make_circuit(7, pb.CIRCUIT_STATE_WITHDRAWN))
        controller.answers["WatchCircuits"] = [
            *[pb.WatchCircuitsResponse(circuit=make_circuit(9)), DONE]
        ]
        raise ConnectionError("restarting")

    controller.answers["WatchCircuits"] = told()
    result = dgctl("list", "--watch", "--columns", "id")
    # What was known is forgotten where the watch begins anew.
    assert result.stdout.split()[-2:] == ["id", "9"]
    assert result.stdout.count("id") <= 3
    assert "connection lost" in result.stderr


@contextmanager
def on_terminal(controller: Any, *words: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """``dgctl`` at a terminal of twelve lines: what it writes there can be read, and keys be struck."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 100, 0, 0))
    program = "from dgctl import main; main()"
    command = [sys.executable, "-c", program, *words, "--server", controller.server]
    environment = {**os.environ, "TERM": "xterm", "XDG_CONFIG_HOME": os.devnull}
    environment.pop("COLUMNS", None)
    environment.pop("LINES", None)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment) as process:
        os.close(theirs)
        try:
            yield ours, process
        finally:
            process.kill()
            os.close(ours)


def forty_circuits(make_circuit: Any, changed: threading.Event) -> Iterator[Any]:
    """Of which the last waits once ``changed`` is set; then nothing more happens until it is set again."""
    for circuit_id in range(1, 41):
        yield pb.WatchCircuitsResponse(circuit=make_circuit(circuit_id))
    yield DONE
    changed.wait(PATIENCE_S)
    changed.clear()
    waiting = make_circuit(40, pb.CIRCUIT_STATE_WAITING, reason="held up by r1-r3")
    yield pb.WatchCircuitsResponse(circuit=waiting)
    changed.wait(PATIENCE_S)


def topologies(topology: pb.Topology, left: threading.Event) -> Iterator[pb.WatchTopologyResponse]:
    """One, and no other until ``left`` is set."""
    yield pb.WatchTopologyResponse(topology=topology)
    left.wait(PATIENCE_S)


def test_on_a_terminal_a_watch_is_a_screen_of_its_own_that_is_drawn_anew(
    controller: Any, make_circuit: Any
) -> None:
    changed = threading.Event()
    controller.answers["WatchCircuits"] = forty_circuits(make_circuit, changed)
    with on_terminal(controller, "list", "--watch") as (terminal, watch):
        shown = read_until(terminal, b"31 more")
        assert b"\x1b[?1049h" in shown and b"WAITING" not in shown
        changed.set()
        shown = read_until(terminal, b"31 more")
        assert shown.index(b"WAITING") < shown.index(b"ACTIVE")
        watch.send_signal(signal.SIGINT)
        read_until(terminal, b"\x1b[?1049l")
        assert watch.wait(PATIENCE_S) == 0
        changed.set()


def test_top_shows_what_the_feeds_tell_and_obeys_keys(controller: Any, make_circuit: Any) -> None:
    changed, left = threading.Event(), threading.Event()
    controller.answers["WatchCircuits"] = forty_circuits(make_circuit, changed)
    controller.answers["WatchTopology"] = topologies(pb.Topology(links=LINKS), left)
    with on_terminal(controller, "top") as (terminal, top):
        shown = read_until(terminal, b"? keys")
        assert b"circuits 40:" in shown and b"lines 3: " in shown
        os.write(terminal, b"/id=40\n")
        read_until(terminal, b"1 circuits of 40 with id=40")
        changed.set()
        read_until(terminal, b"WAITING")
        os.write(terminal, b"q")
        read_until(terminal, b"\x1b[?1049l")
        assert top.wait(PATIENCE_S) == 0
        changed.set()
        left.set()


def test_top_shows_a_tree_of_what_hangs_on_a_source_and_filters_it(
    controller: Any, make_circuit: Any
) -> None:
    left = threading.Event()
    controller.answers["WatchCircuits"] = forty_circuits(make_circuit, left)
    controller.answers["WatchTopology"] = topologies(TOPOLOGY, left)
    with on_terminal(controller, "top") as (terminal, top):
        read_until(terminal, b"x tree")
        os.write(terminal, b"x")
        shown = read_until(terminal, b"over r1-r3")
        assert b"pv1 at r1" in shown and b"33.67 %" in shown
        os.write(terminal, b"/id=40\n")
        read_until(terminal, b"40 to town")
        os.write(terminal, b"xq")
        read_until(terminal, b"\x1b[?1049l")
        assert top.wait(PATIENCE_S) == 0
        left.set()


def test_top_shows_the_columns_that_a_file_names_and_refuses_one_that_cannot_be(
    controller: Any, make_circuit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = threading.Event()
    controller.answers["WatchCircuits"] = forty_circuits(make_circuit, left)
    controller.answers["WatchTopology"] = topologies(pb.Topology(links=LINKS), left)
    path = tmp_path / "mine.yaml"
    path.write_text("circuits: [owner, id]\nsort: -id\n", encoding="utf-8")
    monkeypatch.setenv("DGCTL_TOP", str(path))
    with on_terminal(controller, "top") as (terminal, top):
        read_until(terminal, b"40 circuits, by id")
        os.write(terminal, b"q")
        read_until(terminal, b"\x1b[?1049l")
        assert top.wait(PATIENCE_S) == 0
    left.set()
    path.write_text("circuits: [size]\n", encoding="utf-8")
    with on_terminal(controller, "top") as (_, top):
        assert top.wait(PATIENCE_S) == 2


def test_top_needs_a_terminal(dgctl: Any, controller: Any) -> None:
    for words in (["top"], ["top", "-o", "json"]):
        result = dgctl(*words)
        assert (result.exit_code, controller.requests) == (2, [])
        assert "dgctl watch" in result.stderr


def read_until(terminal: int, wanted: bytes) -> bytes:
    shown = b""
    while wanted not in shown:
        shown += os.read(terminal, 65536)
    return shown
