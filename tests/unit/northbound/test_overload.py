"""More than can be answered in time is told so at once, and what was let in is still answered."""

import asyncio

import grpc
import pytest

from controller.core.access import Action
from controller.core.errors import Refusal
from controller.northbound.load_gate import LoadGate
from controller.runtime.runtime import MAX_UNWRITTEN
from digitalgrid.client import power_request
from digitalgrid.client.errors import from_rpc_error
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.calls import call
from tests.support.northbound import in_loop, northbound, until


def test_calls_and_watches_are_counted_apart_and_given_back() -> None:
    gate = LoadGate(most_calls=1, most_streams=2)
    with gate.call():
        with pytest.raises(Refusal) as refused, gate.call():
            pass
        assert refused.value.reason == "OVERLOADED"
        with gate.watch(), gate.watch(), pytest.raises(Refusal), gate.watch():
            pass
    with gate.call(), gate.watch(), gate.watch():
        pass


@in_loop
async def test_what_is_let_in_is_answered_and_the_rest_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controller.northbound.guard.LoadGate", lambda: LoadGate(most_calls=8))
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
    monkeypatch.setattr("controller.northbound.guard.LoadGate", lambda: LoadGate(most_calls=2))
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
