"""Why a circuit is as it is, and why a request was refused, asked of a real controller over real gRPC."""

import asyncio
import json

from click.testing import CliRunner, Result

from controller.core.circuits.circuit import CircuitState
from dgctl import main
from digitalgrid.client import RequestRefused, power_request
from digitalgrid.units import format_power
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import Northbound, in_loop, northbound, until


async def explain(api: Northbound, *words: str) -> Result:
    runner = CliRunner(env={"DGCTL_SERVER": api.address})
    return await asyncio.to_thread(runner.invoke, main, ["explain", *words])


async def admit(
    api: Northbound, request_id: str, power_w: float = 2e6, sink_id: str = "town"
) -> int:
    request = power_request(sink_id, power_w, request_id=request_id)
    (circuit,) = (await api.client.request_power(request)).circuits
    await api.client.wait_until_active([circuit.circuit_id])
    return circuit.circuit_id


async def refuse(
    api: Northbound, request_id: str, power_w: float, *avoid_ids: str
) -> RequestRefused:
    request = power_request("town", power_w, request_id=request_id, avoid_ids=avoid_ids)
    try:
        await api.client.request_power(request)
    except RequestRefused as refusal:
        return refusal
    raise AssertionError("it was admitted")


def lines(result: Result) -> list[str]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


@in_loop
async def test_a_circuit_is_explained_hop_by_hop_with_the_next_best_and_its_life() -> None:
    async with northbound() as api:
        circuit_id = await admit(api, "lunch")
        circuit = await api.client.get_circuit(circuit_id)
        told = await explain(api, str(circuit_id))
        shown = lines(told)
        assert shown[0].startswith(f"circuit {circuit_id}, ACTIVE")
        assert "2 MW from" in shown[0] and "request lunch" in shown[0]
        hops = [line for line in shown if line.startswith(("router ", "line "))]
        assert [line.split()[1] for line in hops[::2]] == list(circuit.router_ids)
        assert [line.split()[1] for line in hops[1::2]] == [each.link_id for each in circuit.links]
        assert any(
            line.startswith("why this path: of those with room it loses least") for line in shown
        )
        assert any(line.startswith("fullest line: ") for line in shown)
        assert any(line.startswith("not protected: ") for line in shown)
        assert "not curtailed" in shown
        life = shown[shown.index("audit log") :]
        assert any(f"admitted: circuit {circuit_id} over" in line for line in life)
        # The same by the id of its request, and for programs.
        assert lines(await explain(api, "lunch")) == shown
        document = json.loads((await explain(api, str(circuit_id), "-o", "json")).stdout)
        assert document["circuit"]["circuitId"] == str(circuit_id)
        assert document["nextBest"]["sinkId"] == "town"
        assert document["audit"][0]["subject"] == "lunch"


@in_loop
async def test_the_next_best_is_told_also_where_a_circuit_has_all_that_its_load_takes() -> None:
    async with northbound() as api:
        asked = pb.ComputePathsRequest(request=power_request("works", 5e6), most_paths=2)
        best, second = (await api.client.compute_paths(asked)).circuits
        circuit_id = await admit(api, "all", 5e6, "works")
        (why,) = [
            line for line in lines(await explain(api, str(circuit_id))) if "next best" in line
        ]
        assert f"over {' > '.join(second.router_ids)}, would lose" in why
        more_w = second.injected_w - best.injected_w
        assert f"would lose {format_power(more_w)} more" in why


@in_loop
async def test_a_circuit_that_waits_is_explained_by_what_binds_now() -> None:
    async with northbound() as api:
        circuit_id = await admit(api, "lunch")
        for link_id in ("r2-r4", "r3-r4"):
            api.grid.cut(link_id)
        await until(lambda: api.runtime.questions.circuit(circuit_id).state is CircuitState.WAITING)
        shown = lines(await explain(api, str(circuit_id)))
        assert shown[0].startswith(f"circuit {circuit_id}, WAITING (")
        assert "2 MW to town, request lunch" in shown[0]
        assert shown[2].startswith("what binds now: ") and "r2-r4, r3-r4 being down" in shown[2]


@in_loop
async def test_what_a_circuit_loses_at_each_hop_is_all_that_it_loses() -> None:
    async with northbound() as api:
        circuit_id = await admit(api, "lunch")
        shown = lines(await explain(api, str(circuit_id)))
        all_of_it = next(line for line in shown if line.startswith("all of it"))
        assert all_of_it.split()[5:7] == ["2", "MW"]


@in_loop
async def test_a_refused_request_is_explained_by_what_bound_and_by_what_would_fit() -> None:
    async with northbound() as api:
        refusal = await refuse(api, "too-much", 8e6)
        await admit(api, "dinner", 2e6)
        shown = lines(await explain(api, "too-much"))
        assert shown[0].startswith("request too-much was refused at")
        assert shown[1].startswith("asked for: sink=town, power_w=8000000.0")
        assert shown[2] == f"what bound: {refusal.message}"
        assert shown[3].startswith(f"{refusal.reason}: ")
        assert any(line.startswith("it would still be refused (") for line in shown)
        assert any(line.startswith("what would fit") for line in shown)
        document = json.loads((await explain(api, "too-much", "-o", "json")).stdout)
        assert document["nowRefused"]["metadata"]
        assert document["refused"]["decided"] == "refused"


@in_loop
async def test_what_would_be_admitted_by_now_is_said_and_not_reserved() -> None:
    async with northbound() as api:
        circuit_id = await admit(api, "dinner", 3e6)
        await refuse(api, "later", 4e6, "r2")
        await api.client.release_circuit(circuit_id)
        await until(lambda: not api.reserved())
        shown = lines(await explain(api, "later"))
        assert "asked for: sink=town, power_w=4000000.0, avoid=r2" in shown
        assert "it would be admitted now:" in shown
        assert not api.reserved()


@in_loop
async def test_a_reason_is_explained_with_the_last_who_were_refused_so() -> None:
    async with northbound() as api:
        refusal = await refuse(api, "too-much", 8e6)
        shown = lines(await explain(api, refusal.reason.lower()))
        assert shown[0].startswith(refusal.reason)
        assert any("too-much" in line for line in shown)
        shown = lines(await explain(api, "NO_PAIR"))
        assert shown[-1].startswith("nobody was refused so")


@in_loop
async def test_what_nobody_knows_is_a_refusal_that_says_where_to_look() -> None:
    async with northbound() as api:
        told = await explain(api, "99")
        assert told.exit_code == 3
        assert "nothing is known of '99'" in told.stderr
        assert "dgctl list --all" in told.stderr
