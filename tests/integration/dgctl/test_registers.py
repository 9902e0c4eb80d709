"""``dgctl registers``: what generations had metered when they ended, and what was never heard of them."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dgctl import main
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb

ENDED_UNIX_NS = 1_700_000_000_125_000_000


@pytest.fixture
def dgctl(controller: Any) -> Any:
    first = pb.FinalRegister(
        circuit_id=7,
        generation=1,
        request_id="lunch",
        source_id="pv1",
        sink_id="town",
        injected_mj=5_000_000,
        delivered_mj=4_500_000,
        ended_unix_ns=ENDED_UNIX_NS,
    )
    second = pb.FinalRegister(
        circuit_id=7, generation=2, request_id="lunch", injected_mj=1_000_000, standby=True
    )
    controller.answers = {"ListRegisters": pb.ListRegistersResponse(registers=[first, second])}

    def run(*words: str) -> Result:
        runner = CliRunner(env={"DGCTL_SERVER": controller.server})
        return runner.invoke(main, ("registers", *words), catch_exceptions=False)

    return run


def test_generations_are_summed_and_what_was_never_heard_is_no_zero(
    dgctl: Any, controller: Any
) -> None:
    shown = [
        " ".join(line.split()) for line in dgctl("7", "--request-id", "lunch").stdout.splitlines()
    ]
    assert "7 1 lunch pv1 town 5 kJ 4.5 kJ 2023-11-14 22:13:20.125 UTC" in shown
    assert any(line.startswith("7 2 lunch 1 kJ - ") and line.endswith("standby") for line in shown)
    assert shown[-1] == (
        "in all: injected 6 kJ, delivered 4.5 kJ; 1 of 4 registers were never heard, and are not in it"
    )
    (asked,) = controller.requests
    assert asked == pb.ListRegistersRequest(circuit_id=7, request_id="lunch")


def test_programs_see_which_registers_there_are(dgctl: Any, controller: Any) -> None:
    before_ns = time.time_ns()
    first, second = json.loads(dgctl("--since", "1m", "-o", "json").stdout)["registers"]
    assert (first["injectedMj"], first["deliveredMj"]) == ("5000000", "4500000")
    assert "deliveredMj" not in second
    (asked,) = controller.requests
    assert abs(asked.since_unix_ns - (before_ns - 60 * NS_PER_S)) < 30 * NS_PER_S


def test_registers_are_listed_as_people_ask_for_them(dgctl: Any) -> None:
    def shown(*words: str) -> list[str]:
        return [" ".join(line.split()) for line in dgctl(*words).stdout.splitlines()]

    assert shown("--columns", "generation,delivered", "--sort", "-generation")[:3] == [
        "generation delivered",
        "2 -",
        "1 4.5 kJ",
    ]
    assert shown("--filter", "injected>=2kJ", "--columns", "generation")[1:] == [
        "1",
        "in all: injected 5 kJ, delivered 4.5 kJ",
    ]
    assert "registers have no column 'what'" in dgctl("--sort", "what").stderr


def test_a_watch_asks_again_only_for_what_has_ended_since(controller: Any, dgctl: Any) -> None:
    program = "from dgctl import main; main()"
    words = [sys.executable, "-c", program, "--server", controller.server]
    words += ["registers", "--watch", "-o", "json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watch:
        try:
            assert watch.stdout is not None
            first = json.loads(watch.stdout.readline())
            assert [each["generation"] for each in first["registers"]] == ["1", "2"]
            third = pb.FinalRegister(circuit_id=7, generation=3)
            controller.answers["ListRegisters"] = pb.ListRegistersResponse(registers=[third])
            later = json.loads(watch.stdout.readline())
            assert [each["generation"] for each in later["registers"]] == ["1", "2", "3"]
        finally:
            watch.kill()
    first_asked, *others = controller.requests
    assert first_asked == pb.ListRegistersRequest()
    assert all(each.since_unix_ns > 0 for each in others)


def test_where_nothing_has_ended_that_is_said(dgctl: Any, controller: Any) -> None:
    controller.answers["ListRegisters"] = pb.ListRegistersResponse()
    assert "no generation has ended that is asked for" in dgctl().stdout


def test_a_time_has_two_ends_and_they_stand_in_order(dgctl: Any, controller: Any) -> None:
    dgctl("--since", "2h", "--until", "1h")
    (asked,) = controller.requests
    assert asked.until_unix_ns - asked.since_unix_ns == 3600 * NS_PER_S
    refused = dgctl("--since", "1h", "--until", "1h")
    assert refused.exit_code == 2
    assert "--since must be longer ago than --until" in refused.stderr
    assert len(controller.requests) == 1
    dgctl("--since", "1999999999", "--until", "2033-05-18T03:33:20+00:00")
    asked = controller.requests[-1]
    assert (asked.since_unix_ns, asked.until_unix_ns) == (1_999_999_999 * NS_PER_S, 2 * 10**18)
