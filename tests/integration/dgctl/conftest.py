"""dgctl as people run it, against the test's controller."""

from typing import Any

import pytest
from click.testing import CliRunner, Result

from dgctl import main
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.answers import DRAINING, METERS, TOPOLOGY, WHAT_IF
from tests.support.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def as_patient_as_tests_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGCTL_TIMEOUT", str(PATIENCE_S))


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
