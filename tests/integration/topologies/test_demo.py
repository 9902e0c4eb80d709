"""The demonstration on the local backend, shortened: what it says must be exact; how fast is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.northbound import free_port

_SHORT = ("--cuts", "1", "--cycles", "8")


def test_faults_cost_no_promise_and_no_millijoule(tmp_path: Path) -> None:
    told = subprocess.run(
        [
            *(sys.executable, "-m", "topologies.demo", "--backend", "local", *_SHORT),
            *("--run-dir", str(tmp_path / "run"), "--output", str(tmp_path / "demo.json")),
            *("--northbound", f"127.0.0.1:{free_port()}", "--southbound-port", str(free_port())),
        ],
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert told.stdout, told.stderr
    figures = json.loads(told.stdout.splitlines()[-1])
    assert figures == json.loads((tmp_path / "demo.json").read_text())
    assert figures["backend"] == "local"
    assert figures["requested_w"] == 30e6
    assert abs(figures["delivered_w"] - 30e6) < 0.005 * 30e6, told.stderr
    assert figures["generated_w"] < 32.95e6
    for name in (
        "circuits_lost",
        "oversubscribed_instants",
        "conservation_error_mj",
        "lost_in_transit_mj",
    ):
        assert figures[name] == 0, f"{name}: {told.stderr}"
    assert figures["max_formula_deviation_mj"] <= 1
    assert figures["undisturbed"] is True, figures["disturbances"]
    assert figures["cuts"] == {"carrier": 1, "silent": 1}
    assert figures["drained"], told.stderr
    assert figures["cycles"] == 8
