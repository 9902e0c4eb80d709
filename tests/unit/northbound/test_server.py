"""The server as such: topology and meters, health checking, reflection, its address."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from controller.core.circuits.records import Counters, StoredState
from controller.northbound import server
from controller.northbound.server import start_server
from controller.store.protocol import LeadershipLost
from digitalgrid.channels import asyncio_channel
from digitalgrid.client import power_request
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import PowerServiceStub
from tests.support.attached_grid import MemoryStore
from tests.support.northbound import in_loop, northbound, until
from tests.support.wire import Wire, noticed_within_a_second


@in_loop
async def test_the_topology_shows_what_is_and_what_is_reserved() -> None:
    async with northbound() as api:
        request = power_request("town", 2e6, source_ids=["solar"])
        (circuit,) = (await api.client.request_power(request)).circuits
        await api.client.wait_until_active([circuit.circuit_id])
        topology = await api.client.get_topology()
        assert topology.lsdb_version == api.runtime.questions.lsdb_version
        assert [router.router_id for router in topology.routers] == ["r1", "r2", "r3", "r4"]
        assert all(router.connected and router.boot_id == 1 for router in topology.routers)
        assert [link.link_id for link in topology.links] == ["r1-r2", "r1-r3", "r2-r4", "r3-r4"]
        sources = {source.source_id: source for source in topology.sources}
        assert sources["solar"].reserved_w == circuit.injected_w
        assert sources["gas"].cost_per_mwh == 60
        loads = {load.load_id: load for load in topology.loads}
        assert (loads["town"].reserved_w, loads["town"].max_power_w) == (2e6, 12e6)
        assert loads["pump"].priority == 1


@in_loop
async def test_a_router_that_is_away_is_shown_so_and_its_lines_stay_as_they_were() -> None:
    async with northbound() as api:
        api.runtime.detach("r2")
        topology = await api.client.get_topology()
        connected = {router.router_id: router.connected for router in topology.routers}
        assert connected == {"r1": True, "r2": False, "r3": True, "r4": True}
        assert all(link.up for link in topology.links)
        api.grid.cut("r3-r4")
        topology = await api.client.get_topology()
        assert [link.link_id for link in topology.links if not link.up] == ["r3-r4"]


@in_loop
async def test_meters_are_those_of_the_routers_that_answered() -> None:
    async with northbound() as api:
        answer = await api.client.read_meters()
        assert [books.router_id for books in answer.meters] == ["r1"]
        assert answer.missing_router_ids == ["r2"]


@in_loop
async def test_health_is_served_for_the_whole_and_for_each_service() -> None:
    async with northbound() as api:
        health = health_pb2_grpc.HealthStub(api.channel)
        for service in ("", "digitalgrid.v1.PowerService", "digitalgrid.v1.TopologyService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


@in_loop
async def test_health_tells_who_knows_the_state_and_who_leads() -> None:
    reads = ["", "digitalgrid.v1.PowerService", "digitalgrid.v1.TopologyService"]
    decides = ["digitalgrid.v1.OptimisationService", "digitalgrid.v1.OperationsService"]
    named = [each.full_name for each in pb.DESCRIPTOR.services_by_name.values()]
    assert sorted(named) == sorted(reads[1:] + decides)
    async with northbound() as api:
        stub = health_pb2_grpc.HealthStub(api.channel)

        async def serving() -> list[str]:
            asked = [
                (each, health_pb2.HealthCheckRequest(service=each)) for each in reads + decides
            ]
            answers = [(each, await stub.Check(request)) for each, request in asked]
            return [each for each, answer in answers if answer.status == 1]

        assert await serving() == reads + decides
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        # Another leads, and what it made durable is not known yet.
        api.store.fail(LeadershipLost("its lease has run out"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await until(lambda: not api.runtime.leads)
        assert await serving() == []
        api.runtime.follow(StoredState(2, (), Counters()))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert await serving() == reads
        api.runtime.lead(MemoryStore(StoredState(2, (), Counters())))
        while await serving() != reads + decides:
            pass
        watch.cancel()


@in_loop
async def test_reflection_lists_the_services_and_describes_them() -> None:
    async with northbound() as api:
        stub = reflection_pb2_grpc.ServerReflectionStub(api.channel)
        ask = reflection_pb2.ServerReflectionRequest
        requests = [
            ask(list_services=""),
            ask(file_containing_symbol="digitalgrid.v1.PowerService"),
        ]
        listed, described = [each async for each in stub.ServerReflectionInfo(iter(requests))]
        names = {service.name for service in listed.list_services_response.service}
        assert names == {
            "digitalgrid.v1.OperationsService",
            "digitalgrid.v1.OptimisationService",
            "digitalgrid.v1.PowerService",
            "digitalgrid.v1.TopologyService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        assert described.file_descriptor_response.file_descriptor_proto


@in_loop
async def test_an_address_that_is_taken_is_an_error_that_says_what_to_do() -> None:
    async with northbound() as api:
        with pytest.raises(OSError, match=r"northbound\.listen") as error:
            await start_server(api.services, api.address)
        assert api.address in str(error.value)


@in_loop
async def test_an_address_that_is_not_ours_is_an_error() -> None:
    async with northbound() as api:
        with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1"):
            await start_server(api.services, "192.0.2.1:50051")


@in_loop
async def test_a_message_beyond_the_limit_is_refused() -> None:
    async with northbound() as api:
        call = api.channel.unary_unary("/digitalgrid.v1.PowerService/RequestPower")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(b"\x0a" * (5 * 1024 * 1024))
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@in_loop
async def test_a_watcher_that_has_vanished_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_OPTIONS", noticed_within_a_second(server._OPTIONS))
    async with (
        northbound() as api,
        Wire(api.address) as wire,
        asyncio_channel(wire.address) as channel,
    ):
        watch = PowerServiceStub(channel).WatchCircuits(pb.WatchCircuitsRequest())
        await watch.read()
        # Idle for longer than it takes to be given up, and still there.
        await asyncio.sleep(1.0)
        assert api.watched
        wire.cut()
        await until(lambda: not api.watched)
        watch.cancel()


@in_loop
async def test_a_call_that_comes_in_the_middle_of_an_election_waits_for_the_new_leader() -> None:
    async with northbound() as api:
        api.store.fail(LeadershipLost("its lease has run out"))
        await until(lambda: not api.runtime.leads)
        asked = asyncio.ensure_future(api.client.request_power(power_request("town", 1e6)))
        await asyncio.sleep(0.05)
        assert not asked.done()
        api.runtime.lead(MemoryStore(StoredState(2, (), Counters())))
        assert (await asked).circuits[0].circuit_id == 1
