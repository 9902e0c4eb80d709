"""Streams: a snapshot, a marker, then what changes, in bounded memory, until the client goes."""

import asyncio
from typing import Any

import grpc
import pytest

from controller.core.circuits.records import Counters, StoredState
from controller.core.errors import Refusal
from controller.northbound.circuit_feed import circuit_events
from controller.northbound.topology_codec import topology_to_pb
from controller.northbound.topology_feed import TopologyFeed
from controller.store.protocol import LeadershipLost
from digitalgrid.client import power_request
from digitalgrid.client.topology_view import TopologyView
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.attached_grid import MemoryStore
from tests.support.northbound import Northbound, in_loop, northbound, until


async def active(api: Northbound, sink_id: str, power_w: float, **more: Any) -> pb.Circuit:
    response = await api.client.request_power(power_request(sink_id, power_w, **more))
    return (await api.client.wait_until_active([response.circuits[0].circuit_id]))[0]


@in_loop
async def test_a_watch_begins_with_what_is_and_goes_on_with_what_changes() -> None:
    async with northbound() as api:
        first = await active(api, "town", 1e6)
        watch = api.power.WatchCircuits(pb.WatchCircuitsRequest())
        assert (await watch.read()).circuit == first
        assert (await watch.read()).HasField("snapshot_done")
        second = await active(api, "works", 1e6)
        seen = [(await watch.read()).circuit]
        while seen[-1].state != pb.CIRCUIT_STATE_ACTIVE:
            seen.append((await watch.read()).circuit)
        assert {circuit.circuit_id for circuit in seen} == {second.circuit_id}
        await api.client.release_circuit(first.circuit_id)
        while seen[-1].state != pb.CIRCUIT_STATE_WITHDRAWN:
            seen.append((await watch.read()).circuit)
        watch.cancel()


@in_loop
async def test_a_slow_watcher_gets_the_newest_state_of_each_circuit_once() -> None:
    async with northbound() as api:
        events = circuit_events(api.runtime)
        assert (await anext(events)).HasField("snapshot_done")
        pending = asyncio.ensure_future(anext(events))
        town = await active(api, "town", 1e6)
        works = await active(api, "works", 1e6)
        await pending
        for _ in range(1000):
            api.runtime.feeds.circuits.publish(town.circuit_id)
        received = {}
        for _ in range(2):
            circuit = (await anext(events)).circuit
            received[circuit.circuit_id] = circuit
        assert received == {town.circuit_id: town, works.circuit_id: works}
        await events.aclose()
        await until(lambda: not api.runtime.feeds.circuits)


@in_loop
async def test_a_watcher_that_goes_leaves_nothing_behind() -> None:
    async with northbound() as api:
        circuits = api.power.WatchCircuits(pb.WatchCircuitsRequest())
        topology = api.topology.WatchTopology(pb.WatchTopologyRequest())
        await circuits.read()
        await topology.read()
        assert api.runtime.feeds.circuits
        circuits.cancel()
        topology.cancel()
        listeners = (api.runtime.feeds.circuits, api.runtime.feeds.topology)
        await until(lambda: not any(listeners))


@in_loop
async def test_watching_the_topology_shows_link_state_and_reservations() -> None:
    async with northbound() as api:
        views = TopologyFeed(api.runtime).watch(changes_only=False)
        view = (await anext(views)).topology
        assert all(link.up for link in view.links)
        circuit = await active(api, "town", 1e6, source_ids=["gas"])
        while not (link := _link((await anext(views)).topology, "r3-r4")).circuit_ids:
            pass
        assert link.circuit_ids == [circuit.circuit_id]
        assert link.reserved_a_to_b_a == circuit.links[0].current_a
        assert link.reserved_b_to_a_a == 0.0
        api.grid.cut("r1-r2")
        while _link((await anext(views)).topology, "r1-r2").up:
            pass
        await views.aclose()


@in_loop
async def test_all_who_watch_the_topology_get_the_same_message() -> None:
    async with northbound() as api:
        feed = TopologyFeed(api.runtime)
        watches = [feed.watch(changes_only=True), feed.watch(changes_only=True)]
        first, second = [await anext(each) for each in watches]
        assert first is second
        api.grid.cut("r1-r2")
        first, second = [await anext(each) for each in watches]
        assert first is second
        assert not _link(first.topology, "r1-r2").up
        for each in watches:
            await each.aclose()


@in_loop
async def test_changes_alone_add_up_to_the_whole_and_a_slow_watcher_gets_it_anew() -> None:
    async with northbound() as api:
        feed = TopologyFeed(api.runtime)
        quick, slow = feed.watch(changes_only=True), feed.watch(changes_only=True)
        view = TopologyView()
        view.take(await anext(quick))
        await anext(slow)
        for cut in (True, False, True):
            (api.grid.cut if cut else api.grid.mend)("r1-r2")
            answer = await anext(quick)
            assert answer.partial
            assert [link.link_id for link in answer.topology.links] == ["r1-r2"]
            assert view.take(answer) == api.runtime.look(topology_to_pb)
        answer = await anext(slow)
        assert not answer.partial
        assert answer.topology == api.runtime.look(topology_to_pb)
        await quick.aclose()
        await slow.aclose()


@in_loop
async def test_a_watch_of_a_controller_that_knows_nothing_any_more_ends() -> None:
    async with northbound() as api:
        watch = api.topology.WatchTopology(pb.WatchTopologyRequest(changes_only=True))
        await watch.read()
        api.store.fail(LeadershipLost("another leads"))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await watch.read()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


@in_loop
async def test_a_new_watch_is_not_refused_for_what_a_slow_watcher_has_not_heard_of() -> None:
    async with northbound() as api:
        feed = TopologyFeed(api.runtime)
        # It reads nothing more over both changes of the role.
        slow, view = feed.watch(changes_only=True), TopologyView()
        view.take(await anext(slow))
        api.store.fail(LeadershipLost("another leads"))
        await until(lambda: feed._refusal is not None)
        with pytest.raises(Refusal) as refused:
            await anext(feed.watch(changes_only=True))
        assert refused.value.reason == "STARTING"
        api.runtime.lead(MemoryStore(StoredState(2, (), Counters())))
        watch = feed.watch(changes_only=True)
        assert (await anext(watch)).topology == api.runtime.look(topology_to_pb)
        api.grid.cut("r1-r2")
        assert [link.link_id for link in (await anext(watch)).topology.links] == ["r1-r2"]
        await watch.aclose()
        assert view.take(await anext(slow)) == api.runtime.look(topology_to_pb)
        await slow.aclose()


def _link(view: pb.Topology, link_id: str) -> pb.LinkState:
    return next(link for link in view.links if link.link_id == link_id)


@in_loop
async def test_a_cut_line_is_seen_as_a_reroute() -> None:
    async with northbound() as api:
        before = await active(api, "town", 2e6, source_ids=["solar"])
        assert [link.link_id for link in before.links] == ["r1-r2", "r2-r4"]
        watch = api.power.WatchCircuits(pb.WatchCircuitsRequest())
        while not (await watch.read()).HasField("snapshot_done"):
            pass
        api.grid.cut("r2-r4")
        while (after := (await watch.read()).circuit).state != pb.CIRCUIT_STATE_ACTIVE:
            pass
        assert [link.link_id for link in after.links] == ["r1-r3", "r3-r4"]
        assert after.generation > before.generation
        watch.cancel()


@in_loop
async def test_stopping_the_server_ends_watchers_quietly(caplog: pytest.LogCaptureFixture) -> None:
    async with northbound() as api:
        watches = [
            api.power.WatchCircuits(pb.WatchCircuitsRequest()),
            api.topology.WatchTopology(pb.WatchTopologyRequest()),
        ]
        for watch in watches:
            await watch.read()
        await api.server.stop(0.05)
        for watch in watches:
            assert await watch.code() in (
                *(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED),
            )
    assert not caplog.records
