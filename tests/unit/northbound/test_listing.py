"""Listing: pages are stable, and the largest answers hold nobody up."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import CircuitRecord, Counters, GenerationRecord, StoredState
from controller.core.circuits.route import Route, RouteLink
from controller.core.questions import Questions
from controller.core.settings import CoreSettings
from controller.northbound import power
from controller.northbound.circuit_feed import CircuitFeed
from controller.northbound.circuit_list import MAX_PAGE, all_circuits, circuit_page
from controller.northbound.principals import NamedCaller
from controller.northbound.topology import TopologyService
from controller.northbound.topology_looks import TopologyLooks
from controller.runtime.runtime import Runtime
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from digitalgrid.client import PowerClient
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.model import LinkAdvertisement, RouterLsa
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import Northbound, in_loop, northbound, read_meters
from tests.support.patience import PATIENCE_S
from tests.support.turns import MAX_TURN_S, in_short_turns

LINK = RouteLink("r1-r2", "r1", "r2", 1040.0, 1030.0, 0.05, 0.5, 20_000.0)
ROUTE = Route("pv", "town", ("r1", "r2"), (LINK,), (1100.0, 1030.0), 1000.0, (0.97, 0.97))
CIRCUITS = 100_000


def record(number: int, *, ended: bool = False) -> CircuitRecord:
    return CircuitRecord(
        circuit_id=number,
        request_id=f"request-{number // 2}",
        request_fingerprint="f",
        sink_id="town",
        source_ids=("pv",),
        constraints=Constraints(),
        power_w=1000.0,
        priority=0,
        admin_up=not ended,
        last_generation=1,
        ended_as="withdrawn" if ended else "",
        generations=() if ended else (GenerationRecord(1, number, ROUTE, False),),
    )


@contextmanager
def following(*records: CircuitRecord) -> Iterator[Runtime]:
    """A standby that knows these circuits: it answers reads, and does nothing of its own accord."""
    runtime = Runtime(CoreSettings())
    runtime.follow(StoredState(1, records, Counters(len(records) + 1)))
    try:
        yield runtime
    finally:
        runtime.close()


def ids(page: pb.ListCircuitsResponse) -> list[int]:
    return [each.circuit_id for each in page.circuits]


async def pages(runtime: Runtime, **request: Any) -> list[list[int]]:
    asked, found = pb.ListCircuitsRequest(**request), []
    while True:
        page = await circuit_page(runtime.questions, asked)
        found.append(ids(page))
        if not page.next_page_token:
            return found
        asked.page_token = page.next_page_token


@in_loop
async def test_pages_have_everything_once_in_the_order_of_ids() -> None:
    with following(*(record(number, ended=number % 3 == 0) for number in range(1, 21))) as runtime:
        standing = [number for number in range(1, 21) if number % 3]
        assert await pages(runtime, page_size=5) == [standing[:5], standing[5:10], standing[10:]]
        assert await pages(runtime, page_size=7) == [standing[:7], standing[7:]]
        assert await pages(runtime, page_size=100) == [standing]
        assert await pages(runtime, page_size=20, include_ended=True) == [list(range(1, 21))]
        assert await pages(runtime, page_size=1, request_id="request-5") == [[10], [11]]
        assert await pages(runtime, page_size=1, request_id="unknown") == [[]]


@in_loop
async def test_no_page_is_larger_than_the_most() -> None:
    with following(*(record(number) for number in range(1, 2502))) as runtime:
        found = await pages(runtime, page_size=10**9)
        assert [len(each) for each in found] == [MAX_PAGE, MAX_PAGE, 501]


@in_loop
async def test_pages_stay_in_step_with_what_comes_and_goes_between_them() -> None:
    async with northbound() as api:
        for number in range(6):
            await _request(api, f"request-{number}")
        first = await api.power.ListCircuits(pb.ListCircuitsRequest(page_size=2))
        before, (gone, *kept) = ids(first), [3, 4, 5, 6]
        await api.client.release_circuit(before[0])
        await api.client.release_circuit(gone)
        await _request(api, "late")
        rest: list[int] = []
        token = first.next_page_token
        while token:
            asked = pb.ListCircuitsRequest(page_size=2, page_token=token)
            page = await api.power.ListCircuits(asked)
            rest += ids(page)
            token = page.next_page_token
        assert set(kept) <= set(rest)
        assert rest == sorted(set(rest) - set(before))
        assert max(rest) == 7


async def _request(api: Northbound, request_id: str) -> None:
    await api.client.request_power(
        pb.PowerRequest(request_id=request_id, sink_id="town", power_w=1e5, source_ids=["solar"])
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"page_token": "nonsense"},
        {"page_token": "-1.00000000"},
        {"page_token": "5.00000000"},
        {"page_size": -1},
        {"page_size": 1, "include_ended": True, "page_token": "TOKEN"},
        {"page_size": 1, "request_id": "a", "page_token": "TOKEN"},
    ],
)
def test_a_token_of_another_listing_and_a_size_below_none_are_refused(
    wrong: dict[str, Any],
) -> None:
    @in_loop
    async def story() -> None:
        async with northbound() as api:
            for number in range(2):
                await _request(api, f"request-{number}")
            first = await api.power.ListCircuits(pb.ListCircuitsRequest(page_size=1))
            asked = {**wrong}
            if asked.get("page_token") == "TOKEN":
                asked["page_token"] = first.next_page_token
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await api.power.ListCircuits(pb.ListCircuitsRequest(**asked))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    story()


@in_loop
async def test_who_knows_of_no_pages_gets_everything_at_once() -> None:
    async with northbound() as api:
        for number in range(4):
            await _request(api, f"request-{number}")
        answer = await api.power.ListCircuits(pb.ListCircuitsRequest())
        assert (ids(answer), answer.next_page_token) == ([1, 2, 3, 4], "")


@contextmanager
def collecting_garbage_as_the_daemon() -> Iterator[None]:
    before = gc.get_threshold()
    freeze_loaded()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def snapshot(runtime: Runtime) -> int:
    """As a stream is written: each message is sent before the next is asked for."""
    count = 0
    async for answer in CircuitFeed(runtime, Gate(Budget())).watch(together=False):
        event = pb.WatchCircuitsResponse.FromString(answer)
        if event.HasField("snapshot_done"):
            return count
        count += 1
        await asyncio.sleep(0)
    raise AssertionError("the stream ended")


@in_loop
async def test_no_listing_of_a_hundred_thousand_circuits_stalls_anybody() -> None:
    records = tuple(record(number) for number in range(1, CIRCUITS + 1))
    with following(*records) as runtime, collecting_garbage_as_the_daemon():
        known = runtime.questions
        answer = await in_short_turns(lambda: all_circuits(known, pb.ListCircuitsRequest()))
        assert len(pb.ListCircuitsResponse.FromString(answer).circuits) == CIRCUITS
        first = pb.ListCircuitsRequest(page_size=MAX_PAGE)
        page = await in_short_turns(lambda: circuit_page(known, first))
        assert len(page.circuits) == MAX_PAGE
        one = pb.ListCircuitsRequest(request_id="request-7")
        # Nobody looks through all of them for it.
        answer = await in_short_turns(lambda: all_circuits(known, one), MAX_TURN_S / 10)
        assert ids(pb.ListCircuitsResponse.FromString(answer)) == [14, 15]
        assert await in_short_turns(lambda: snapshot(runtime)) == CIRCUITS


@in_loop
async def test_the_topology_of_a_large_network_stalls_nobody() -> None:
    with following() as runtime:
        for number in range(2000):
            links = tuple(
                LinkAdvertisement(f"l{number}-{end}", f"n{end}", 0.1, 20e3, 300.0)
                for end in range(20)
            )
            lsa = RouterLsa(f"r{number}", 1, 1, 0.97, links)
            runtime._core._network.lsdb.install(lsa, time.monotonic_ns())
        runtime._core._network.view(time.monotonic_ns())
        with collecting_garbage_as_the_daemon():
            gate = Gate(Budget())
            service = TopologyService(runtime, gate, TopologyLooks(runtime, gate), read_meters)
            answer = await in_short_turns(
                lambda: service.GetTopology(pb.GetTopologyRequest(), NamedCaller("", "")),
                2 * MAX_TURN_S,
            )
        topology = pb.GetTopologyResponse.FromString(answer).topology
        assert (len(topology.routers), len(topology.links)) == (2000, 40_000)


@in_loop
async def test_the_client_goes_through_all_pages_by_itself() -> None:
    async with northbound() as api:
        for number in range(5):
            await _request(api, f"request-{number}")

        async def few(known: Questions, request: pb.ListCircuitsRequest) -> pb.ListCircuitsResponse:
            return await circuit_page(known, pb.ListCircuitsRequest(page_size=2))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(power, "all_circuits", few)
            listed = await api.client.list_circuits()
            with PowerClient(api.address, timeout_s=PATIENCE_S) as client:
                blocking = await asyncio.to_thread(client.list_circuits)
        assert ids(listed) == ids(blocking) == [1, 2, 3, 4, 5]
