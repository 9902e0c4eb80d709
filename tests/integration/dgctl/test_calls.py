import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse, ParseDict

from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.answers import TOPOLOGY, rows


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
    circuit.hold.state, circuit.state = pb.HOLD_STATE_EXPIRED, pb.CIRCUIT_STATE_WITHDRAWN
    circuit.hold.until_unix_ns = 125_000_000
    controller.answers["GetCircuit"] = pb.GetCircuitResponse(circuit=circuit)
    until = "1970-01-01 00:00:00.125 UTC"
    assert {
        "owner ann@home trade.py",
        f"hold expired at {until}; nobody had activated it",
    } < set(rows(dgctl("get", "7").stdout))
    dgctl(*words, "--over", "r1-r2", "--over", "r2-r3")
    assert controller.requests[-1].request.explicit_route.link_ids == ["r1-r2", "r2-r3"]
    in_vain = dgctl(*words, "--hold-for", "30s", "--wait")
    assert in_vain.exit_code == 2 and "--wait" in in_vain.stderr


def test_a_hold_says_what_became_of_it(dgctl: Any, controller: Any, make_circuit: Any) -> None:
    until = "1970-01-01 00:00:00.125 UTC"
    held, activated = pb.HOLD_STATE_HELD, pb.HOLD_STATE_ACTIVATED
    reserved, withdrawn = pb.CIRCUIT_STATE_RESERVED, pb.CIRCUIT_STATE_WITHDRAWN
    released = "hold released before anybody activated it"
    for hold, state, admin_up, words in (
        (held, reserved, True, f"hold held; kept until {until} unless activated"),
        (held, reserved, False, released),
        (held, withdrawn, False, released),
        (activated, pb.CIRCUIT_STATE_ACTIVE, True, "hold activated"),
    ):
        circuit = make_circuit()
        circuit.state, circuit.admin_up = state, admin_up
        circuit.hold.state, circuit.hold.until_unix_ns = hold, 125_000_000
        controller.answers["GetCircuit"] = pb.GetCircuitResponse(circuit=circuit)
        assert words in rows(dgctl("get", "7").stdout)


def test_an_end_is_asked_for_as_a_time_and_shown(
    dgctl: Any, controller: Any, make_circuit: Any
) -> None:
    words = ("request", "--sink", "town", "--power", "2MW")
    dgctl(*words)
    assert not controller.requests[-1].request.HasField("until_unix_ns")
    for text in ("2033-05-18T03:33:20+00:00", "2000000000"):
        dgctl(*words, "--until", text)
        assert controller.requests[-1].request.until_unix_ns == 2 * 10**18
    began_unix_ns = time.time_ns()
    dgctl(*words, "--until", "10m")
    in_ten_minutes = controller.requests[-1].request.until_unix_ns - 600 * NS_PER_S
    assert began_unix_ns < in_ten_minutes < time.time_ns()
    dgctl("batch", "-", stdin="requests:\n  - {sink_id: town, power_w: 1e6, until_unix_ns: 7}\n")
    assert controller.requests[-1].requests[0].until_unix_ns == 7
    for text in ("tomorrow", "0", "-5", "9" * 30, "2033-13-01"):
        in_vain = dgctl(*words, "--until", text)
        assert in_vain.exit_code == 2 and "is no time" in in_vain.stderr, text
    circuit = make_circuit()
    circuit.until_unix_ns = 2 * 10**18
    controller.answers["GetCircuit"] = pb.GetCircuitResponse(circuit=circuit)
    ends = "until 2033-05-18 03:33:20.000 UTC; then it ends by itself"
    assert ends in rows(dgctl("get", "7").stdout)


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
