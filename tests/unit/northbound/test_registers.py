"""Final registers over real gRPC: durable with the end of their generation, and found page by page."""

import asyncio
import time

import grpc
import pytest

from controller.store.protocol import RegisterPage, RegisterQuestion, StoreError
from digitalgrid.client import ControllerUnreachable, RequestRefused, power_request
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import Northbound, in_loop, northbound, until


async def ended(api: Northbound, *request_ids: str) -> list[int]:
    """Circuits that have had power and were released; no router holds anything of them any more."""
    ids = []
    for request_id in request_ids:
        request = power_request("town", 1e6, request_id=request_id)
        (circuit,) = (await api.client.request_power(request)).circuits
        await api.client.wait_until_active([circuit.circuit_id])
        await api.client.release_circuit(circuit.circuit_id)
        ids.append(circuit.circuit_id)
    known = api.runtime.questions
    await until(lambda: not any(known.circuit(each).generations for each in ids))
    return ids


@in_loop
async def test_what_both_ends_metered_is_read_when_the_circuit_has_ended() -> None:
    async with northbound() as api:
        before_ns = time.time_ns()
        (circuit_id,) = await ended(api, "lunch")
        (register,) = await api.client.list_registers(circuit_id)
        assert (register.generation, register.request_id, register.sink_id) == (1, "lunch", "town")
        routers = api.grid.simulated.routers
        (key,) = routers[register.source_router_id].metered
        assert register.injected_mj == routers[register.source_router_id].metered[key]
        assert register.delivered_mj == routers[register.sink_router_id].metered[key]
        assert not register.standby
        assert before_ns <= register.began_unix_ns <= register.ended_unix_ns <= time.time_ns()


@in_loop
async def test_of_a_router_that_says_nothing_a_register_is_unset_and_not_zero() -> None:
    async with northbound() as api:
        for router in api.grid.simulated.routers.values():
            router.tells_final_meters = False
        await ended(api, "lunch")
        (register,) = await api.client.list_registers()
        assert not register.HasField("injected_mj")
        assert not register.HasField("delivered_mj")


@in_loop
async def test_registers_are_found_by_request_and_time_and_listed_by_pages() -> None:
    async with northbound() as api:
        ids = await ended(api, "a", "b", "c")
        everything = await api.client.list_registers()
        assert [each.circuit_id for each in everything] == ids
        assert [each.circuit_id for each in await api.client.list_registers(0, "b")] == [ids[1]]
        assert await api.client.list_registers(0, "nobody") == []
        assert await api.client.list_registers(2**64 - 1) == []
        late_ns = everything[-1].ended_unix_ns
        listed = await api.client.list_registers(since_unix_ns=late_ns, until_unix_ns=late_ns + 1)
        assert everything[-1] in listed
        assert await api.client.list_registers(since_unix_ns=late_ns + NS_PER_S) == []
        asked = pb.ListRegistersRequest(page_size=2)
        page = await api.power.ListRegisters(asked)
        assert list(page.registers) == everything[:2]
        asked.page_token = page.next_page_token
        page = await api.power.ListRegisters(asked)
        assert (list(page.registers), page.next_page_token) == (everything[2:], "")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (pb.ListRegistersRequest(page_size=-1), "PAGE_SIZE_NEGATIVE"),
        (pb.ListRegistersRequest(page_token="7"), "PAGE_TOKEN_UNKNOWN"),
        (pb.ListRegistersRequest(page_token="-1.-1.0"), "PAGE_TOKEN_UNKNOWN"),
        (pb.ListRegistersRequest(page_token=f"{2**70:x}.1.00000000"), "PAGE_TOKEN_UNKNOWN"),
    ],
)
def test_bad_listings_are_refused(asked: pb.ListRegistersRequest, reason: str) -> None:
    @in_loop
    async def refused() -> None:
        async with northbound() as api:
            with pytest.raises(RequestRefused) as refusal:
                await api.client._call(lambda to: to.power.ListRegisters, asked)
            assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
            assert refusal.value.reason == reason

    refused()


@in_loop
async def test_a_token_is_of_the_listing_that_it_was_given_for() -> None:
    async with northbound() as api:
        await ended(api, "a", "b")
        page = await api.power.ListRegisters(pb.ListRegistersRequest(page_size=1))
        asked = pb.ListRegistersRequest(request_id="a", page_token=page.next_page_token)
        with pytest.raises(RequestRefused) as refusal:
            await api.client._call(lambda to: to.power.ListRegisters, asked)
        assert refusal.value.reason == "PAGE_TOKEN_UNKNOWN"


@in_loop
async def test_registers_that_cannot_be_read_are_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with northbound() as api:

        def damaged(question: RegisterQuestion) -> RegisterPage:
            raise StoreError("c.sqlite: registers of circuit 7 generation 1: has no record")

        monkeypatch.setattr(api.store, "registers", damaged)
        with pytest.raises(ControllerUnreachable, match="circuit 7 generation 1") as error:
            await api.client.list_registers()
        assert error.value.reason == "REGISTERS_UNREADABLE"


@in_loop
async def test_registers_are_read_once_all_that_was_decided_before_is_durable() -> None:
    """Else whoever has seen a circuit end would not find its end."""
    async with northbound() as api:
        await ended(api, "lunch")
        api.store.hold()
        asking = asyncio.ensure_future(api.client.request_power(power_request("town", 1e6)))
        await until(lambda: bool(api.store.held))
        reading = asyncio.ensure_future(api.client.list_registers())
        # Another call that was asked later is answered.
        await api.client.get_topology()
        assert not reading.done() and not asking.done()
        api.store.flush()
        assert [each.request_id for each in await reading] == ["lunch"]
        await asking
