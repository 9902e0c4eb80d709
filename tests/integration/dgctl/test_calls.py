import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import Parse, ParseDict
from ruamel.yaml import YAML

from dgctl import main
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2

TOPOLOGY = pb.Topology(
    lsdb_version=3,
    routers=[
        pb.RouterState(router_id="r1", connected=True, efficiency=0.97),
        pb.RouterState(router_id="r3"),
    ],
    links=[
        pb.LinkState(
            link_id="r1-r3",
            a_router_id="r1",
            b_router_id="r3",
            up=True,
            resistance_ohm=0.48,
            voltage_v=20e3,
            ampacity_a=300,
            reserved_a_to_b_a=101,
            circuit_ids=[7],
        )
    ],
    sources=[pb.SourceState(source_id="pv1", router_id="r1", max_power_w=15e6, reserved_w=2.1e6)],
    loads=[pb.LoadState(load_id="town", router_id="r3", max_power_w=5e6, reserved_w=2e6)],
)
DRAINING = pb.AdminWord(
    state=pb.ADMIN_STATE_DRAINING,
    since_unix_ns=1_800_000_000 * 10**9,
    give_up_unix_ns=1_800_000_600 * 10**9,
    blocks=[pb.DrainBlock(circuit_id=7, text="no other path has room now")],
    block_count=3,
)
WHAT_IF = pb.WhatIfResponse(
    consequences=[
        pb.Consequence(
            circuit_id=7,
            sink_id="town",
            power_w=2e6,
            outcome=pb.OUTCOME_MOVES,
            from_router_ids=["r1", "r3"],
            to_router_ids=["r1", "r2", "r3"],
            loss_before=0.05,
            loss_after=0.07,
        ),
        pb.Consequence(
            circuit_id=8,
            sink_id="mill",
            power_w=1e6,
            outcome=pb.OUTCOME_WAITS,
            from_router_ids=["r1", "r3"],
            loss_before=0.05,
            text="held up by r2-r3",
        ),
    ],
    circuits=5,
)
METERS = pb.ReadAllMetersResponse(
    meters=[
        power_link_pb2.RouterMeters(
            router_id="r1",
            converter_loss_mj=63_000_000,
            sources=[power_link_pb2.SourceMeter(source_id="pv1", injected_mj=2_100_000_000)],
        ),
        power_link_pb2.RouterMeters(
            router_id="r3",
            loads=[
                power_link_pb2.LoadMeter(load_id="town", delivered_mj=1_500_000_000),
                power_link_pb2.LoadMeter(load_id="moved", delivered_mj=500_000_000, former=True),
            ],
        ),
    ],
    missing_router_ids=["r4"],
)


@pytest.fixture
def dgctl(controller: Any, make_circuit: Any) -> Any:
    """Runs dgctl against the test's controller, which knows circuit 7."""
    circuit = make_circuit()
    controller.answers = {
        "RequestPower": pb.RequestPowerResponse(request_id="req-1", circuits=[circuit]),
        "ComputePower": pb.ComputePowerResponse(circuits=[circuit]),
        "ChangeCircuit": pb.ChangeCircuitResponse(circuit=circuit),
        "ReleaseCircuit": pb.ReleaseCircuitResponse(circuit=circuit),
        "ActivateCircuit": pb.ActivateCircuitResponse(circuit=circuit),
        "GetCircuit": pb.GetCircuitResponse(circuit=circuit),
        "ListCircuits": pb.ListCircuitsResponse(circuits=[circuit]),
        "GetTopology": pb.GetTopologyResponse(topology=TOPOLOGY),
        "ReadMeters": METERS,
        "Drain": pb.DrainResponse(changed=True, word=DRAINING),
        "Undrain": pb.UndrainResponse(),
        "WhatIf": WHAT_IF,
        "WatchCircuits": [
            pb.WatchCircuitsResponse(circuit=circuit),
            pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone()),
        ],
        "WatchTopology": [pb.WatchTopologyResponse(topology=TOPOLOGY)],
    }

    def run(*words: str, stdin: str | None = None) -> Result:
        runner = CliRunner(env={"DGCTL_SERVER": controller.server})
        return runner.invoke(main, words, input=stdin, catch_exceptions=False)

    return run


def rows(table: str) -> list[str]:
    """A table's lines, without the space between its columns."""
    return [" ".join(line.split()) for line in table.splitlines()]


def test_request_sends_all_that_was_asked_for(dgctl: Any, controller: Any) -> None:
    words = "request --sink town --power 2MW --source pv1 --source pv2 --split --max-hops 4"
    result = dgctl(*words.split(), "--max-loss", "10%", "--avoid", "r9", "--request-id", "req-1")
    assert result.exit_code == 0
    assert controller.requests == [
        pb.RequestPowerRequest(
            request=pb.PowerRequest(
                request_id="req-1",
                sink_id="town",
                power_w=2e6,
                source_ids=["pv1", "pv2"],
                allow_split=True,
                constraints=pb.Constraints(max_loss_fraction=0.1, max_hops=4, avoid_ids=["r9"]),
            )
        )
    ]
    assert "request req-1" in result.stdout
    assert "7 ACTIVE pv1 town 2 MW 2.1 MW 4.76 % - r1 > r3" in rows(result.stdout)


@pytest.mark.parametrize("options", [[], ["--wait"], ["-o", "json"]])
@pytest.mark.parametrize(
    ("state", "words"),
    [
        (pb.CIRCUIT_STATE_WITHDRAWN, "was released"),
        (pb.CIRCUIT_STATE_WITHDRAWING, "is being released"),
        (pb.CIRCUIT_STATE_FAILED, "has failed"),
    ],
)
def test_a_request_that_was_made_before_and_has_ended_is_a_refusal(
    dgctl: Any, controller: Any, make_circuit: Any, options: list[str], state: int, words: str
) -> None:
    circuits = [make_circuit(7, state)]
    controller.answers["RequestPower"] = pb.RequestPowerResponse(
        request_id="again", circuits=circuits
    )
    asked = ["request", "--sink", "town", "--power", "1MW", "--request-id", "again"]
    result = dgctl(*asked, *options)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "the request 'again' was made before" in result.stderr
    assert f"its circuit 7 {words}; use a new id" in result.stderr


def test_a_request_of_which_a_part_goes_on_is_shown(
    dgctl: Any, controller: Any, make_circuit: Any
) -> None:
    circuits = [make_circuit(7, pb.CIRCUIT_STATE_WITHDRAWN), make_circuit(8)]
    controller.answers["RequestPower"] = pb.RequestPowerResponse(circuits=circuits)
    result = dgctl("request", "--sink", "town", "--power", "1MW")
    assert result.exit_code == 0
    assert rows(result.stdout)[3].startswith("8 ACTIVE")


def test_request_can_wait_for_the_power(dgctl: Any, controller: Any, make_circuit: Any) -> None:
    staging = make_circuit(7, pb.CIRCUIT_STATE_STAGING)
    controller.answers["RequestPower"] = pb.RequestPowerResponse(circuits=[staging])
    result = dgctl("request", "--sink", "town", "--power", "2MW", "--wait", "-o", "json")
    answer = Parse(result.stdout, pb.RequestPowerResponse())
    assert answer.circuits[0].state == pb.CIRCUIT_STATE_ACTIVE


def test_a_wait_in_vain_is_a_refusal(dgctl: Any, controller: Any, make_circuit: Any) -> None:
    failed = make_circuit(7, pb.CIRCUIT_STATE_FAILED, reason="commit refused")
    controller.answers["WatchCircuits"] = [pb.WatchCircuitsResponse(circuit=failed)]
    result = dgctl("request", "--sink", "town", "--power", "2MW", "--wait")
    assert result.exit_code == 3
    assert "ended before power arrived" in result.stderr
    assert "commit refused" in result.stderr


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ("change 7 --power 350kW", pb.ChangeCircuitRequest(circuit_id=7, power_w=350e3)),
        ("release 7", pb.ReleaseCircuitRequest(circuit_id=7)),
        ("activate 7", pb.ActivateCircuitRequest(circuit_id=7)),
        ("get 7", pb.GetCircuitRequest(circuit_id=7)),
    ],
)
def test_verbs_on_one_circuit(
    dgctl: Any, controller: Any, make_circuit: Any, words: str, sent: Any
) -> None:
    result = dgctl(*words.split())
    assert result.exit_code == 0
    assert controller.requests == [sent]
    assert "r1-r3" in result.stdout
    machine = dgctl(*words.split(), "-o", "json")
    assert Parse(machine.stdout, pb.Circuit()) == make_circuit()


def test_compute_reserves_nothing(dgctl: Any, controller: Any) -> None:
    assert dgctl("compute", "--sink", "town", "--power", "2e6").exit_code == 0
    assert isinstance(controller.requests[0], pb.ComputePowerRequest)


def test_list_narrows_and_says_when_there_is_nothing(dgctl: Any, controller: Any) -> None:
    assert "pv1" in dgctl("list", "--request-id", "req-1", "--all").stdout
    assert controller.requests == [pb.ListCircuitsRequest(request_id="req-1", include_ended=True)]
    controller.answers["ListCircuits"] = pb.ListCircuitsResponse()
    assert dgctl("list").stdout == "no circuits\n"


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


def test_options_may_stand_before_the_verb(dgctl: Any) -> None:
    result = dgctl("-o", "json", "topology")
    assert ParseDict(json.loads(result.stdout), pb.Topology()) == TOPOLOGY


def test_batch_decides_each_request_by_itself(
    dgctl: Any, controller: Any, make_circuit: Any, tmp_path: Path
) -> None:
    controller.answers["BatchRequestPower"] = pb.BatchRequestPowerResponse(
        outcomes=[
            pb.BatchOutcome(request_id="a", circuits=[make_circuit()]),
            pb.BatchOutcome(
                request_id="b",
                code=8,
                message="links r1-r3 are full",
                reason="INSUFFICIENT_CAPACITY",
                field="power_w",
                metadata={"bottleneck_links": "r1-r3", "missing_w": "1200000.0"},
            ),
        ]
    )
    file = tmp_path / "batch.yaml"
    file.write_text(
        "requests:\n"
        "  - {sink_id: town, power_w: 2e6, request_id: a, max_loss_fraction: 0.1}\n"
        "  - {sink_id: mill, power_w: 1e6, request_id: b, source_ids: [pv1], allow_split: true,\n"
        "     setup_priority: -1, hold_priority: 2, floor_w: 3e5}\n"
    )
    result = dgctl("batch", str(file))
    assert result.exit_code == 3
    assert rows(result.stdout)[2:] == [
        "2 b 0 W refused (INSUFFICIENT_CAPACITY): links r1-r3 are full",
        "field power_w",
        "bottleneck_links: r1-r3",
        "missing_w: 1.2 MW",
    ]
    machine = json.loads(dgctl("batch", str(file), "-o", "json").stdout)
    assert machine["outcomes"][1]["reason"] == "INSUFFICIENT_CAPACITY"
    assert machine["outcomes"][1]["metadata"]["missing_w"] == "1200000.0"
    first, second = controller.requests[0].requests
    assert (first.sink_id, first.power_w, first.constraints.max_loss_fraction) == ("town", 2e6, 0.1)
    assert (list(second.source_ids), second.allow_split) == (["pv1"], True)
    assert not first.HasField("setup_priority") and not first.HasField("hold_priority")
    assert (second.setup_priority, second.hold_priority, second.floor_w) == (-1, 2, 3e5)

    del controller.answers["BatchRequestPower"].outcomes[1]
    assert dgctl("batch", "-", stdin=file.read_text()).exit_code == 0


def test_priorities_and_a_floor_are_asked_for_and_shown(
    dgctl: Any, controller: Any, make_circuit: Any
) -> None:
    words = ("request", "--sink", "town", "--power", "2MW")
    dgctl(*words, "--setup", "1", "--hold", "2", "--floor", "300kW")
    asked = controller.requests[-1].request
    assert (asked.setup_priority, asked.hold_priority, asked.floor_w) == (1, 2, 3e5)
    circuit = make_circuit()
    circuit.setup_priority, circuit.hold_priority, circuit.floor_w = 1, 2, 3e5
    circuit.curtailed.CopyFrom(
        pb.Curtailment(by="source pv1", since_unix_ns=125_000_000, asked_w=2e6, granted_w=5e5)
    )
    controller.answers["GetCircuit"] = pb.GetCircuitResponse(circuit=circuit)
    assert {
        "priority setup 1, hold 2",
        "floor 300 kW",
        "curtailed by source pv1 since 1970-01-01 00:00:00.125 UTC: 500 kW of 2 MW",
    } < set(rows(dgctl("get", "7").stdout))


def test_a_hold_is_asked_for_and_shown_with_its_owner(
    dgctl: Any, controller: Any, make_circuit: Any
) -> None:
    words = ("request", "--sink", "town", "--power", "2MW")
    dgctl(*words)
    assert not controller.requests[-1].request.HasField("hold")
    dgctl(*words, "--hold-for", "1.5m")
    assert controller.requests[-1].request.hold.ttl_ms == 90_000
    circuit = make_circuit()
    circuit.owner = "ann@home trade.py"
    circuit.hold.state = pb.HOLD_STATE_EXPIRED
    circuit.hold.until_unix_ns = 125_000_000
    controller.answers["GetCircuit"] = pb.GetCircuitResponse(circuit=circuit)
    until = "1970-01-01 00:00:00.125 UTC"
    assert {
        "owner ann@home trade.py",
        f"hold expired; kept until {until} unless activated",
    } < set(rows(dgctl("get", "7").stdout))
    dgctl(*words, "--over", "r1-r2", "--over", "r2-r3")
    assert controller.requests[-1].request.explicit_route.link_ids == ["r1-r2", "r2-r3"]
    in_vain = dgctl(*words, "--hold-for", "30s", "--wait")
    assert in_vain.exit_code == 2 and "--wait" in in_vain.stderr


def test_protection_is_asked_for_and_both_paths_and_the_second_word_are_shown(
    dgctl: Any, controller: Any, make_circuit: Any
) -> None:
    dgctl("request", "--sink", "town", "--power", "2MW", "--protect", "router")
    assert controller.requests[-1].request.protect == pb.PROTECT_ROUTER
    dgctl("batch", "-", stdin="requests:\n  - {sink_id: town, power_w: 1e6, protect: risk}\n")
    assert controller.requests[-1].requests[0].protect == pb.PROTECT_RISK
    plain = make_circuit()
    controller.answers["ListCircuits"] = pb.ListCircuitsResponse(circuits=[plain])
    assert "protection" not in dgctl("list").stdout
    circuit = make_circuit()
    circuit.protect, circuit.protection = pb.PROTECT_ROUTER, pb.PROTECTION_LOST
    circuit.protection_reason = "no second way to load 'town' avoids r3"
    circuit.standby.generation, circuit.standby.source_id = 2, "pv2"
    circuit.standby.router_ids.extend(["r1", "r9", "r2"])
    controller.answers["ListCircuits"] = pb.ListCircuitsResponse(circuits=[circuit])
    header, row, *_ = dgctl("list").stdout.splitlines()
    assert {"protection", "standby"} < set(header.split())
    assert "lost" in row and "r1 > r9 > r2" in row and "avoids r3" in row
    controller.answers["GetCircuit"] = pb.GetCircuitResponse(circuit=circuit)
    assert {
        "protected against the loss of a router",
        "standby generation 2, pv2, r1 > r9 > r2",
    } < set(rows(dgctl("get", "7").stdout))


def test_a_bad_batch_file_is_named_with_its_line(dgctl: Any, controller: Any) -> None:
    result = dgctl("batch", "-", stdin="requests:\n  - {sink_id: town, power_w: 2MW}\n")
    assert result.exit_code == 2
    assert "<stdin>:2: 'power_w' must be a number; it is '2MW'" in result.stderr
    assert controller.requests == []


def test_refusals_show_field_bottleneck_and_missing_power(
    dgctl: Any, controller: Any, refusal: Any
) -> None:
    controller.refusal = refusal
    result = dgctl("request", "--sink", "town", "--power", "2MW")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "dgctl: refused (RESOURCE_EXHAUSTED, INSUFFICIENT_CAPACITY): links r1-r3 are full",
        "  field power_w: more than the network can carry",
        "  bottleneck_links: r1-r3",
        "  missing_w: 1.2 MW",
    ]
    machine = dgctl("request", "--sink", "town", "--power", "2MW", "-o", "json")
    assert machine.exit_code == 3
    assert json.loads(machine.stderr)["metadata"]["missing_w"] == "1200000.0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["request", "--sink", "town", "--power", "2mW"], "likely a slip"),
        (["request", "--sink", "town", "--power=-2MW"], "negative"),
        (["request", "--sink", "town", "--power", "2MW", "--max-loss", "much"], "like 0.05 or 5%"),
        (["request", "--power", "2MW"], "Missing option '--sink'"),
        (["request", "--sink", "town", "--power", "２MW"], "not understood"),
        (["request", "--sink", "town", "--power", "2MW", "--max-loss", "１%"], "like 0.05 or 5%"),
        (["request", "--sink", "town", "--power", "2MW", "--max-loss", "nan"], "like 0.05 or 5%"),
        (["get", "seven"], "not a valid int"),
        (["get", "--", "-1"], "-1 is not in the range"),
        (["get", "0"], "0 is not in the range"),
        (["get", "99999999999999999999"], "is not in the range"),
        (["release", "--", "-1"], "-1 is not in the range"),
        (["change", "18446744073709551616", "--power", "2MW"], "is not in the range"),
        (["--server", "", "list"], "'' is no address; write HOST:PORT"),
        (["list", "--server", "somewhere"], "'somewhere' is no address"),
        (["list", "--server", "somewhere:0"], "is no address"),
        (["list", "--server", "dns://somewhere:50051"], "is no address"),
        (["list", "-o", "xml"], "'xml' is not one of"),
        (["list", "--timeout", "0"], "0"),
        (["reserve"], "No such command"),
    ],
)
def test_usage_errors(dgctl: Any, controller: Any, words: list[str], said: str) -> None:
    result = dgctl(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert controller.requests == []


def test_an_unreachable_controller_has_an_exit_code_of_its_own(unreachable_server: str) -> None:
    program = "from dgctl import main; main()"
    command = [sys.executable, "-c", program, "list", "--server", unreachable_server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 4
    assert done.stdout == ""
    assert "controller unreachable (UNAVAILABLE)" in done.stderr
    assert "--server HOST:PORT" in done.stderr
    assert "Traceback" not in done.stderr


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
