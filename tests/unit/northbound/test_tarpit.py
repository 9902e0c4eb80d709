"""Who goes on asking for what is refused is slowed down where others are about, and nobody else is."""

import asyncio
from contextlib import suppress
from statistics import median

import grpc
import pytest

from controller.core.errors import Refusal
from controller.northbound import tarpit
from controller.northbound.tarpit import MOST_CLIENTS, REFUSALS_AT_ONCE, Tarpit
from digitalgrid.channels import asyncio_channel
from digitalgrid.client import power_request
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import PowerServiceStub
from tests.support.northbound import in_loop, northbound, until
from tests.support.patience import PATIENCE_S


class Clock:
    def __init__(self) -> None:
        self.now_s = 1.0

    def __call__(self) -> float:
        return self.now_s


def refuse(pit: Tarpit, client: str, count: int) -> None:
    for _ in range(count):
        with suppress(Refusal), pit.counting(client):
            raise Refusal(Reason.OVERLOADED, "no")


async def stands_still(pit: Tarpit, client: str) -> bool:
    """Whether a call of the client is not let through within this turn of the loop."""
    call = asyncio.ensure_future(pit.pause(client))
    await asyncio.sleep(0)
    done = call.done()
    call.cancel()
    return not done


@in_loop
async def test_who_is_refused_on_and_on_stands_still_while_others_are_about() -> None:
    clock = Clock()
    pit = Tarpit(clock)
    refuse(pit, "flood", REFUSALS_AT_ONCE - 1)
    await pit.pause("honest")
    assert not await stands_still(pit, "flood")
    refuse(pit, "flood", 2)
    assert await stands_still(pit, "flood")
    assert not await stands_still(pit, "honest")
    # Alone again, it keeps nobody waiting.
    clock.now_s += 4.0
    await pit.pause("flood")
    clock.now_s += 4.0
    refuse(pit, "flood", 2 * REFUSALS_AT_ONCE)
    assert not await stands_still(pit, "flood")


@in_loop
async def test_who_stops_asking_is_as_others_soon() -> None:
    clock = Clock()
    pit = Tarpit(clock)
    await pit.pause("honest")
    refuse(pit, "flood", 2 * REFUSALS_AT_ONCE)
    assert await stands_still(pit, "flood")
    clock.now_s += 1.0
    assert not await stands_still(pit, "flood")


@in_loop
async def test_no_more_clients_are_remembered_and_no_more_calls_held_than_are_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    pit = Tarpit(clock)
    for number in range(MOST_CLIENTS + 100):
        await pit.pause(f"client {number}")
        refuse(pit, f"client {number}", 1)
    assert len(pit._about_s) == len(pit._refusals) == MOST_CLIENTS
    clock.now_s += 60.0
    await pit.pause("last")
    assert (len(pit._about_s), len(pit._refusals)) == (1, 0)
    monkeypatch.setattr(tarpit, "MOST_STANDING_STILL", 3)
    await pit.pause("honest")
    refuse(pit, "last", REFUSALS_AT_ONCE + 1)
    calls = [asyncio.ensure_future(pit.pause("last")) for _ in range(5)]
    await asyncio.sleep(0)
    assert sum(each.done() for each in calls) == 2
    for each in calls:
        each.cancel()


@in_loop
async def test_an_honest_client_waits_for_few_of_those_that_others_flood_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else each of its calls waits behind all that they have in flight: some four hundred answers."""
    monkeypatch.setattr(tarpit, "REFUSALS_AT_ONCE", 32)
    # However slow the machine is, the honest are done before those that stand still go on.
    monkeypatch.setattr(tarpit, "STANDS_STILL_S", PATIENCE_S)
    answered = 0

    async def flood(stub: PowerServiceStub) -> None:
        nonlocal answered
        asked = pb.RequestPowerRequest(request=power_request("town", 1e11))
        while True:
            with suppress(grpc.aio.AioRpcError):
                await stub.RequestPower(asked)
            answered += 1

    async with northbound() as api:
        await api.client.list_circuits()
        channels = [asyncio_channel(api.address) for _ in range(2)]
        stubs = [PowerServiceStub(each) for each in channels]
        flooding = [asyncio.create_task(flood(stub)) for stub in stubs for _ in range(200)]
        await until(lambda: answered > 64)
        waited_for = []
        for number in range(12):
            before = answered
            await api.client.request_power(power_request("town", 10.0, request_id=f"{number}"))
            waited_for.append(answered - before)
        for each in flooding:
            each.cancel()
        for channel in channels:
            await channel.close()
    assert median(waited_for) < 100
