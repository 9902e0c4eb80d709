"""The verbs of ``dgctl`` that look at more than one request or path."""

from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import Parse

from dgctl import main
from digitalgrid.v1 import northbound_pb2 as pb

MOVE = pb.Move(
    circuit_id=7,
    from_router_ids=["r1", "r2", "r3"],
    to_router_ids=["r1", "r3"],
    gain_w=1500.0,
    moving=True,
)


@pytest.fixture
def dgctl(controller: Any, make_circuit: Any) -> Any:
    circuit = make_circuit()
    refused = pb.BatchOutcome(
        code=8, reason="NOT_SERVED", message="nothing is left for load 'farm'"
    )
    controller.answers = {
        "ComputePaths": pb.ComputePathsResponse(circuits=[circuit], shared_ids=["r1-r3"]),
        "Dispatch": pb.DispatchResponse(
            request_id="d-1",
            served_w=2e6,
            generated_w=2.1e6,
            line_loss_w=30e3,
            converter_loss_w=70e3,
            cost_per_h=126.0,
            unserved=[pb.Demand(load_id="farm", power_w=1e6)],
            bottleneck_link_ids=["r1-r3"],
            outcomes=[pb.BatchOutcome(request_id="d-1/town", circuits=[circuit]), refused],
            note="a surplus was curtailed",
            prices=[
                pb.NodalPrice(router_id="r10", price_per_mwh=71.25),
                pb.NodalPrice(router_id="r9", price_per_mwh=60.5),
            ],
        ),
        "Reoptimise": pb.ReoptimiseResponse(
            moves=[MOVE], circuits=12, loss_before_w=9e3, loss_after_w=7.5e3, loss_bound_w=7.4e3
        ),
    }

    def run(*words: str) -> Result:
        runner = CliRunner(env={"DGCTL_SERVER": controller.server})
        return runner.invoke(main, words, catch_exceptions=False)

    return run


def rows(table: str) -> list[str]:
    return [" ".join(line.split()) for line in table.splitlines()]


def test_dispatch_sends_what_was_asked_for(dgctl: Any, controller: Any) -> None:
    words = "dispatch --load town=2MW --load farm --source pv1 --loss-price 50 --carbon-price 0.1"
    result = dgctl(*words.split(), "--toll-share", "0", "--one-by-one", "--request-id", "d-1")
    assert controller.requests == [
        pb.DispatchRequest(
            request_id="d-1",
            demands=[pb.Demand(load_id="town", power_w=2e6), pb.Demand(load_id="farm")],
            source_ids=["pv1"],
            objective=pb.Objective(loss_price_per_mwh=50, carbon_price_per_kg=0.1, toll_share=0.0),
            admission=pb.ADMISSION_MODE_ONE_BY_ONE,
        )
    ]
    # One load was refused.
    assert result.exit_code == 3
    shown = rows(result.stdout)
    assert "served 2 MW" in shown
    assert "cost per hour 126" in shown
    assert "7 ACTIVE pv1 town 2 MW 2.1 MW 4.76 % - r1 > r3" in shown
    assert "farm 1 MW" in shown
    assert "held up by r1-r3" in shown
    at = shown.index("router price of a MWh more")
    assert [each for each in shown[at + 1 :] if each][:2] == ["r9 60.5", "r10 71.25"]
    assert "a surplus was curtailed" in shown
    assert "refused (NOT_SERVED): nothing is left for load 'farm'" in shown


def test_dispatch_of_everything_is_idempotent_and_json(dgctl: Any, controller: Any) -> None:
    result = dgctl("dispatch", "--dry-run", "-o", "json")
    answer = Parse(result.stdout, pb.DispatchResponse())
    assert answer == controller.answers["Dispatch"]
    (request,) = controller.requests
    assert (request.dry_run, len(request.request_id)) == (True, 36)
    assert request.admission == pb.ADMISSION_MODE_ALL_OR_NONE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("dispatch --load town=2mW", "write MW for megawatt"),
        ("dispatch --load town=", "is not understood"),
        ("dispatch --load town --load town=1MW", "load 'town' is named twice"),
        ("reoptimise --least-gain much", "is not a fraction"),
        ("paths --sink town --power 1MW -k 2 --disjoint link", "-k goes with single paths"),
        ("paths --sink town --power 1MW -k 65", "is not in the range 1<=x<=64"),
    ],
)
def test_slips_are_explained(dgctl: Any, controller: Any, words: str, message: str) -> None:
    result = dgctl(*words.split())
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert controller.requests == []


def test_reoptimise_shows_moves_and_gains(dgctl: Any, controller: Any) -> None:
    result = dgctl("reoptimise", "--most-moves", "3", "--least-gain", "5%")
    assert controller.requests == [pb.ReoptimiseRequest(most_moves=3, least_gain_fraction=0.05)]
    shown = rows(result.stdout)
    assert "7 1.5 kW r1 > r2 > r3 r1 > r3 moving" in shown
    assert "loss of 12 circuits: 9 kW now, 7.5 kW at best found, 7.4 kW at least" in shown
    controller.answers["Reoptimise"] = pb.ReoptimiseResponse(circuits=12)
    assert "none of 12 circuits has a better path" in dgctl("reoptimise", "--dry-run").stdout


def test_paths_shows_several_or_a_pair(dgctl: Any, controller: Any) -> None:
    words = "paths --sink town --power 1MW --source pv1 --max-hops 4 --avoid r9"
    result = dgctl(*words.split(), "--disjoint", "risk-group")
    shown = rows(result.stdout)
    assert "both need r1-r3" in shown
    assert "a better pair may exist" in shown
    dgctl(*words.split(), "-k", "5")
    pair, several = controller.requests
    assert (pair.disjointness, several.disjointness) == (
        pb.DISJOINTNESS_RISK_GROUP,
        pb.DISJOINTNESS_UNSPECIFIED,
    )
    assert several.most_paths == 5
    assert several.request.constraints == pb.Constraints(max_hops=4, avoid_ids=["r9"])
