"""More than can be answered in time is told so at once, and what was let in is still answered."""

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from controller.core.access import Action
from controller.core.errors import Refusal
from controller.northbound.load_gate import CALLS, CHECK_STREAMS, LoadGate, Places
from controller.runtime.runtime import MAX_UNWRITTEN
from digitalgrid.client import power_request
from digitalgrid.client.errors import from_rpc_error
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.calls import call
from tests.support.northbound import in_loop, northbound, until


def test_calls_and_watches_are_counted_apart_and_given_back() -> None:
    gate = LoadGate(calls=Places(1, 1), watches=Places(2, 2))
    with gate.call("a"):
        with pytest.raises(Refusal) as refused, gate.call("b"):
            pass
        assert refused.value.reason == "OVERLOADED"
        with gate.watch("a"), gate.watch("b"), pytest.raises(Refusal), gate.watch("c"):
            pass
        with gate.call("b", is_check=True), gate.watch("b", is_check=True):
            pass
    with gate.call("b"), gate.watch("b"), gate.watch("b"):
        pass


def test_one_client_has_its_share_and_leaves_the_rest_to_others() -> None:
    gate = LoadGate(calls=Places(3, 2))
    with gate.call("a"), gate.call("a"):
        with pytest.raises(Refusal, match="of this client"), gate.call("a"):
            pass
        with gate.call("b"), pytest.raises(Refusal, match="this controller takes"), gate.call("c"):
            pass
    with gate.call("a"), gate.call("a"):
        pass


@in_loop
async def test_a_burst_is_answered_or_told_to_come_back_and_health_is_told_all_the_time() -> None:
    """Not shed by gRPC's core, as CANCELLED."""
    async with northbound() as api:
        calls = [
            api.power.ComputePower(pb.ComputePowerRequest(request=power_request("town", 1e6)))
            for _ in range(3_000)
        ]
        health = await HealthStub(api.channel).Check(HealthCheckRequest())
        assert health.status == HealthCheckResponse.SERVING
        codes = Counter([await call.code() for call in calls])
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert codes[grpc.StatusCode.OK] >= CALLS.most_of_one


@in_loop
async def test_watches_of_health_and_reflections_are_bounded_too() -> None:
    async with northbound() as api:
        watches = [HealthStub(api.channel).Watch(HealthCheckRequest()) for _ in range(300)]
        # Which of them come first is the network's to say.
        told = await asyncio.gather(*(each.read() for each in watches), return_exceptions=True)
        served = [each for each in told if isinstance(each, HealthCheckResponse)]
        refused = [each for each in told if isinstance(each, grpc.aio.AioRpcError)]
        assert {each.status for each in served} == {HealthCheckResponse.SERVING}
        assert {each.code() for each in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert len(served) == CHECK_STREAMS.most_of_one and len(served) + len(refused) == 300
        for watch in watches:
            watch.cancel()
        reflect = api.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=ServerReflectionResponse.FromString,
        )
        # The server hears of the cancelled ones one by one: until then there is no place for another.
        while (answer := await _listed(reflect)) is None:
            pass
        services = answer.list_services_response.service
        assert "digitalgrid.v1.PowerService" in {each.name for each in services}


async def _listed(reflect: Any) -> Any:
    """The services that reflection lists; None where there is no place for the call."""
    call = reflect(iter([ServerReflectionRequest(list_services="")]))
    try:
        return await call.read()
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return None


@in_loop
async def test_what_is_let_in_is_answered_and_the_rest_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "controller.northbound.guard.LoadGate",
        lambda rejected: LoadGate(Places(8, 8), rejected=rejected),
    )
    async with northbound() as api:
        api.store.hold()
        calls = [
            api.power.RequestPower(
                pb.RequestPowerRequest(request=power_request("town", 1e5)), timeout=10
            )
            for _ in range(32)
        ]
        refused = []
        await until(lambda: sum(call.done() for call in calls) == 24)
        for call in calls:
            if call.done():
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await call
                refused.append(from_rpc_error(error.value, api.address))
        assert {error.code for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert {error.reason for error in refused} == {"OVERLOADED"}
        assert all(error.retry_after_s > 0 for error in refused)
        api.store.flush()
        let_in = [call for call in calls if await call.code() is grpc.StatusCode.OK]
        assert len(let_in) == 8


@in_loop
async def test_the_client_library_comes_back_until_it_is_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "controller.northbound.guard.LoadGate",
        lambda rejected: LoadGate(Places(2, 2), rejected=rejected),
    )
    async with northbound() as api:
        wanted = [api.client.request_power(power_request("town", 1e5)) for _ in range(16)]
        answers = await asyncio.gather(*wanted)
        assert len({answer.circuits[0].circuit_id for answer in answers}) == 16


@in_loop
async def test_a_store_that_does_not_keep_up_holds_clients_back() -> None:
    async with northbound() as api:
        api.store.hold()
        for number in range(MAX_UNWRITTEN + 1):
            api.runtime.handle(call(Action.CHANGE, str(number)), lambda core, now_ns: None)
        with pytest.raises(Refusal) as refused:
            api.runtime.handle(call(), lambda core, now_ns: None)
        assert refused.value.reason == "OVERLOADED"
        api.store.flush()
        await api.runtime.durable()
        assert api.runtime.handle(call(), lambda core, now_ns: True)
