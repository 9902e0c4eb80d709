"""OptimisationService over real gRPC, with the solver in its worker process."""

import asyncio

import grpc
import pytest

from digitalgrid.client import RequestRefused, dispatch_request, power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import Northbound, in_loop, northbound, until
from tests.support.there import newest


async def active(api: Northbound, circuits: list[pb.Circuit]) -> tuple[pb.Circuit, ...]:
    return await api.client.wait_until_active([circuit.circuit_id for circuit in circuits])


def circuits_of(answer: pb.DispatchResponse) -> list[pb.Circuit]:
    return [circuit for outcome in answer.outcomes for circuit in outcome.circuits]


@in_loop
async def test_all_loads_are_served_at_once_and_what_was_planned_is_reserved() -> None:
    async with northbound() as api:
        answer = await api.client.dispatch(
            dispatch_request({"town": 5e6, "works": 2e6, "pump": None})
        )
        circuits = await active(api, circuits_of(answer))
        assert {circuit.sink_id for circuit in circuits} == {"town", "works", "pump"}
        assert sum(circuit.power_w for circuit in circuits) == pytest.approx(8e6)
        assert answer.served_w == pytest.approx(8e6)
        injected_w = sum(circuit.injected_w for circuit in circuits)
        assert injected_w == pytest.approx(answer.generated_w, rel=1e-6)
        losses_w = answer.line_loss_w + answer.converter_loss_w
        assert answer.generated_w - answer.served_w == pytest.approx(losses_w)
        # The sun is free; gas costs 60 and is asked for what the sun cannot give.
        gas_w = sum(each.injected_w for each in circuits if each.source_id == "gas")
        assert answer.cost_per_h == pytest.approx(60 * gas_w / 1e6)
        assert not answer.unserved
        assert all(each.request_id.startswith(answer.request_id) for each in answer.outcomes)


@in_loop
async def test_a_dry_run_reserves_nothing() -> None:
    async with northbound() as api:
        answer = await api.client.dispatch(dispatch_request({"town": 5e6}, dry_run=True))
        assert sum(circuit.power_w for circuit in circuits_of(answer)) == pytest.approx(5e6)
        assert {circuit.circuit_id for circuit in circuits_of(answer)} == {0}
        assert api.reserved() == {}
        # What a MWh more would cost: at the town at least what it costs where gas is, with what is lost on the way.
        prices = {each.router_id: each.price_per_mwh for each in answer.prices}
        assert len(prices) == len(answer.prices) > 1
        assert all(0.0 <= price < 100.0 for price in prices.values())


@in_loop
async def test_all_or_nothing_refuses_what_cannot_be_served_whole_and_says_what_binds() -> None:
    async with northbound() as api:
        with pytest.raises(RequestRefused) as refused:
            await api.client.dispatch(dispatch_request())
        assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.value.reason == "NOT_ALL_SERVED"
        assert float(refused.value.metadata["unserved_w"]) > 5e6
        assert api.reserved() == {}


@in_loop
async def test_one_by_one_serves_what_can_be_served_by_priority() -> None:
    async with northbound() as api:
        answer = await api.client.dispatch(dispatch_request(one_by_one=True))
        await active(api, circuits_of(answer))
        served_w = {
            outcome.request_id.partition("/")[2]: sum(each.power_w for each in outcome.circuits)
            for outcome in answer.outcomes
        }
        assert served_w["pump"] == pytest.approx(1e6)
        missing_w = {demand.load_id: demand.power_w for demand in answer.unserved}
        assert missing_w["town"] + served_w["town"] == pytest.approx(12e6)
        assert answer.bottleneck_link_ids or answer.bottleneck_source_ids
        assert sum(served_w.values()) == pytest.approx(answer.served_w, rel=1e-6)


@in_loop
async def test_a_retry_of_a_dispatch_gets_the_same_circuits() -> None:
    async with northbound() as api:
        request = dispatch_request({"town": 2e6}, request_id="d-1")
        first = await api.client.dispatch(request)
        again = await api.client.dispatch(request)
        ids = [circuit.circuit_id for circuit in circuits_of(first)]
        assert [circuit.circuit_id for circuit in circuits_of(again)] == ids
        assert "retry" in again.note
        assert not again.prices


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.DispatchRequest(demands=[pb.Demand(load_id="nobody")]), "UNKNOWN_ID"),
        (pb.DispatchRequest(source_ids=["nobody"]), "UNKNOWN_ID"),
        (pb.DispatchRequest(demands=[pb.Demand(load_id="town")] * 2), "LOAD_TWICE"),
        (pb.DispatchRequest(demands=[pb.Demand(load_id="town", power_w=-1)]), "POWER_TOO_SMALL"),
        (
            pb.DispatchRequest(demands=[pb.Demand(load_id="pump", power_w=2e6)]),
            "LOAD_LIMIT_EXCEEDED",
        ),
        (pb.DispatchRequest(objective=pb.Objective(toll_share=-1)), "OBJECTIVE_OUT_OF_RANGE"),
    ],
)
def test_bad_dispatches_are_refused(request_: pb.DispatchRequest, reason: str) -> None:
    @in_loop
    async def refused() -> None:
        async with northbound() as api:
            with pytest.raises(RequestRefused) as refusal:
                await api.client.dispatch(request_)
            assert refusal.value.reason == reason
            assert api.reserved() == {}

    refused()


@in_loop
async def test_circuits_are_moved_to_better_paths_and_the_answer_tells_which() -> None:
    async with northbound() as api:
        nothing = await api.client.reoptimise(pb.ReoptimiseRequest())
        assert (list(nothing.moves), nothing.circuits) == ([], 0)
        api.grid.cut("r1-r2")
        request = power_request("town", 2e6, source_ids=["solar"])
        await active(api, list((await api.client.request_power(request)).circuits))
        api.grid.mend("r1-r2")
        planned = await api.client.reoptimise(pb.ReoptimiseRequest(dry_run=True))
        (move,) = planned.moves
        assert (move.moving, list(move.to_router_ids)) == (False, ["r1", "r2", "r4"])
        done = await api.client.reoptimise(pb.ReoptimiseRequest())
        (move,) = done.moves
        assert move.moving
        assert done.loss_before_w - done.loss_after_w == pytest.approx(move.gain_w, rel=1e-3)
        assert done.loss_bound_w <= done.loss_after_w * (1 + 1e-9)
        (circuit,) = await active(api, [pb.Circuit(circuit_id=move.circuit_id)])
        await until(lambda: len(api.runtime.questions.circuits[1].generations) == 1)
        assert list(circuit.router_ids) == ["r1", "r2", "r4"]


@in_loop
async def test_a_fraction_that_is_none_is_refused() -> None:
    async with northbound() as api:
        with pytest.raises(RequestRefused) as refusal:
            await api.client.reoptimise(pb.ReoptimiseRequest(least_gain_fraction=2.0))
        assert refusal.value.reason == "FRACTION_OUT_OF_RANGE"


@in_loop
async def test_paths_and_pairs_are_shown_and_nothing_is_reserved() -> None:
    async with northbound() as api:
        asked = power_request("town", 1e6, source_ids=["solar"])
        best = await api.client.compute_paths(pb.ComputePathsRequest(request=asked, most_paths=5))
        assert [list(each.router_ids) for each in best.circuits] == [
            ["r1", "r2", "r4"],
            ["r1", "r3", "r4"],
        ]
        pair = await api.client.compute_paths(
            pb.ComputePathsRequest(request=asked, disjointness=pb.DISJOINTNESS_ROUTER)
        )
        assert [each.links for each in pair.circuits] == [each.links for each in best.circuits]
        assert (list(pair.shared_ids), pair.proven) == ([], True)
        assert api.reserved() == {}
        with pytest.raises(RequestRefused) as refusal:
            too_many = pb.ComputePathsRequest(request=asked, most_paths=65)
            await api.client.compute_paths(too_many)
        assert refusal.value.reason == "TOO_MANY_PATHS"


@in_loop
async def test_circuits_move_by_themselves_where_that_is_configured() -> None:
    async with northbound() as api:
        api.grid.cut("r1-r2")
        request = power_request("town", 2e6, source_ids=["solar"])
        (circuit,) = (await api.client.request_power(request)).circuits
        await active(api, [circuit])
        api.grid.mend("r1-r2")
        rounds = asyncio.create_task(api.optimiser.reoptimise_every(0.01))
        try:
            moved = api.runtime.questions.circuits[circuit.circuit_id]
            await until(lambda: newest(moved).route.router_ids == ("r1", "r2", "r4"))
            await until(lambda: len(moved.generations) == 1)
            assert moved.interruptions == 0
        finally:
            rounds.cancel()
