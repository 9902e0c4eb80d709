"""dgctl shows the network, its meters, what is drained and what would be, and follows what changes."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from dgctl import main
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2
from tests.support.answers import DRAINING, TOPOLOGY, rows


def test_watch_writes_one_line_an_event(dgctl: Any) -> None:
    lines = dgctl("watch").stdout.splitlines()
    assert lines[0] == "circuit 7 ACTIVE  pv1 -> town  2 MW  r1 > r3"
    assert len(lines) == 2
    events = [json.loads(line) for line in dgctl("watch", "-o", "json").stdout.splitlines()]
    assert events[0]["circuit"]["circuitId"] == "7"
    assert "snapshotDone" in events[1]
    documents = list(YAML(typ="safe").load_all(dgctl("watch", "-o", "yaml").stdout))
    assert documents == events


def test_interrupting_a_watch_is_a_quiet_end(controller: Any, make_circuit: Any) -> None:
    interrupted = threading.Event()

    def events() -> Iterator[pb.WatchCircuitsResponse]:
        yield pb.WatchCircuitsResponse(circuit=make_circuit())
        interrupted.wait(10)

    controller.answers["WatchCircuits"] = events()
    program = "from dgctl import main; main()"
    command = [sys.executable, "-c", program, "watch", "--server", controller.server]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().startswith("circuit 7 ACTIVE")
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=20)
    interrupted.set()
    assert (watch.returncode, errors) == (0, "")


def test_a_watch_goes_on_when_the_controller_is_back(
    dgctl: Any, controller: Any, make_circuit: Any
) -> None:
    def first() -> Iterator[pb.WatchCircuitsResponse]:
        yield pb.WatchCircuitsResponse(circuit=make_circuit())
        controller.answers["WatchCircuits"] = [pb.WatchCircuitsResponse(circuit=make_circuit(8))]
        raise ConnectionError("restarting")

    controller.answers["WatchCircuits"] = first()
    result = dgctl("watch", "-o", "json")
    assert result.exit_code == 0
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["circuit"]["circuitId"] for event in events] == ["7", "8"]
    assert result.stderr.splitlines() == [
        "dgctl: connection lost (UNAVAILABLE: restarting); waiting for it",
        "dgctl: connected again; everything follows anew",
    ]


def test_topology_shows_every_part_with_its_load(dgctl: Any) -> None:
    shown = dgctl("topology").stdout
    assert {
        "r1 yes 97.00 % 0",
        "r1-r3 r1 r3 up 101 A 0 A 300 A 33.67 % 20 kV 0.48 7",
        "pv1 r1 2.1 MW 15 MW 0 no",
        "town r3 2 MW 5 MW 0 0",
    } < set(rows(shown))
    assert dgctl("topology", "--watch").stdout == shown


def test_topology_shows_profiles_where_any_router_is_special(dgctl: Any, controller: Any) -> None:
    topology = pb.Topology(routers=TOPOLOGY.routers)
    small = power_link_pb2.DeviceProfile(
        profile_id="small", max_through_w=14.5e3, max_ports=3, max_voltage_v=400, addressed=True
    )
    topology.routers.append(
        pb.RouterState(router_id="r2", connected=True, profile=small, reserved_through_w=2e3)
    )
    controller.answers["GetTopology"] = pb.GetTopologyResponse(topology=topology)
    shown = rows(dgctl("topology").stdout)
    assert "r2 yes 0.00 % 0 small 2 kW 14.5 kW 3 ports, up to 400 V, no packets" in shown


def test_meters_are_summed_and_the_silent_named(dgctl: Any) -> None:
    lines = rows(dgctl("meters").stdout)
    assert lines[1].startswith("r1 2.1 MJ 0 J 0 J 63 kJ")
    assert lines[3].startswith("all 2.1 MJ 2 MJ 0 J 63 kJ")
    assert lines[4] == "did not answer in time: r4"
    assert lines[5] == (
        "r3: its figures include what moved carried here before; other routers have them by now"
    )


@pytest.mark.parametrize("words", ["list", "topology", "meters", "get 7"])
def test_yaml_says_what_json_says(dgctl: Any, words: str) -> None:
    machine = json.loads(dgctl(*words.split(), "-o", "json").stdout)
    assert YAML(typ="safe").load(dgctl(*words.split(), "-o", "yaml").stdout) == machine


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(dgctl: Any, shell: str) -> None:
    assert "_DGCTL_COMPLETE" in dgctl("completion", shell).stdout


def test_completion_knows_the_ids_of_the_network(controller: Any, dgctl: Any) -> None:
    def complete(words: str) -> str:
        env = {
            "DGCTL_SERVER": controller.server,
            "_DGCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": f"dgctl {words}",
            "COMP_CWORD": str(len(words.split(" "))),
        }
        return CliRunner(env=env).invoke(main, prog_name="dgctl").stdout

    assert complete("request --sink ") == "plain,town\n"
    assert complete("request --source p") == "plain,pv1\n"
    assert complete("request --avoid r") == "plain,r1\nplain,r3\nplain,r1-r3\n"
    assert complete("get ") == "plain,7\n"


def test_drain_sends_what_was_asked_for_and_shows_who_is_in_the_way(
    dgctl: Any, controller: Any
) -> None:
    result = dgctl("drain", "r1-r3", "--give-up", "90s", "--emergency-use")
    assert result.exit_code == 0
    assert controller.requests == [
        pb.DrainRequest(id="r1-r3", give_up_after_ns=90 * 10**9, emergency_use=True)
    ]
    assert "being drained; given up at 2027-01-15 08:10:00.000 UTC" in result.stdout
    assert "7 no other path has room now" in rows(result.stdout)
    assert "and 2 more" in rows(result.stdout)
    controller.answers["Drain"] = pb.DrainResponse(word=pb.AdminWord(state=pb.ADMIN_STATE_DRAINED))
    result = dgctl("drain", "r1-r3", "--keep", "--curtail")
    assert controller.requests[-1] == pb.DrainRequest(id="r1-r3", keep=True, curtail=True)
    assert result.stdout == "drained: no router holds a hop there\n"
    assert "r1-r3 was taken out of service before; this changes nothing" in result.stderr
    result = dgctl("undrain", "r1-r3")
    assert controller.requests[-1] == pb.UndrainRequest(id="r1-r3")
    assert result.stdout == "in service; nothing moves back by itself\n"


@pytest.mark.parametrize(
    "options",
    [["--give-up", "10"], ["--give-up", "-1s"], ["--give-up", "0s"], ["--give-up", "1s", "--keep"]],
)
def test_a_drain_that_cannot_be_meant_is_not_sent(
    dgctl: Any, controller: Any, options: list[str]
) -> None:
    result = dgctl("drain", "r1-r3", *options)
    assert (result.exit_code, controller.requests) == (2, [])


def test_drain_waits_until_it_is_drained_or_says_why_it_is_not(dgctl: Any, controller: Any) -> None:
    def told(word: pb.AdminWord) -> list[pb.WatchTopologyResponse]:
        view = pb.Topology(routers=[pb.RouterState(router_id="r1", admin=word)])
        return [pb.WatchTopologyResponse(topology=view)]

    drained = pb.AdminWord(state=pb.ADMIN_STATE_DRAINED)
    controller.answers["WatchTopology"] = told(DRAINING) + told(drained)
    result = dgctl("drain", "r1", "--wait")
    assert (result.exit_code, result.stdout) == (0, "drained: no router holds a hop there\n")
    controller.answers["WatchTopology"] = told(pb.AdminWord())
    result = dgctl("drain", "r1", "--wait")
    assert result.exit_code == 3
    assert "r1 is in service: its drain was given up, or undone" in result.stderr


def test_topology_shows_what_is_taken_out_of_service_and_who_is_in_the_way(
    dgctl: Any, controller: Any
) -> None:
    shown = pb.Topology()
    shown.CopyFrom(TOPOLOGY)
    shown.links[0].admin.CopyFrom(DRAINING)
    shown.routers[1].admin.state = pb.ADMIN_STATE_DRAINED
    controller.answers["GetTopology"] = pb.GetTopologyResponse(topology=shown)
    lines = rows(dgctl("topology").stdout)
    assert "r1-r3 r1 r3 up, draining 101 A 0 A 300 A 33.67 % 20 kV 0.48 7" in lines
    assert "r3 no, drained 0.00 % 0" in lines
    assert "r1-r3 is being drained; given up at 2027-01-15 08:10:00.000 UTC" in lines


def test_what_if_shows_who_would_move_and_who_would_wait(dgctl: Any, controller: Any) -> None:
    result = dgctl("what-if", "cut", "r1-r3", "solar")
    assert controller.requests == [pb.WhatIfRequest(cut_ids=["r1-r3", "solar"])]
    lines = rows(result.stdout)
    assert "7 town 2 MW moves r1 > r3 r1 > r2 > r3 5.00 % 7.00 %" in lines
    assert "8 mill 1 MW waits r1 > r3 5.00 % - held up by r2-r3" in lines
    assert "2 of 5 circuits are concerned" in lines
    dgctl("what-if", "drain", "r1", "r3")
    dgctl("drain", "r1", "--dry-run")
    assert controller.requests[1:] == [
        pb.WhatIfRequest(drain_ids=["r1", "r3"]),
        pb.WhatIfRequest(drain_ids=["r1"]),
    ]
    controller.answers["WhatIf"] = pb.WhatIfResponse(circuits=5)
    assert dgctl("what-if", "cut", "r9").stdout == "none of 5 circuits is concerned\n"
