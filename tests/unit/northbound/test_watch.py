"""Streams: a snapshot, a marker, then what changes, in bounded memory, until the client goes."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc
import pytest

from controller.core.book import book as circuit_book
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.records import Counters, StoredState
from controller.core.errors import Refusal
from controller.northbound.circuit_feed import MAX_PREFIXES, CircuitFeed
from controller.northbound.circuit_looks import CircuitLooks
from controller.northbound.topology_codec import topology_to_pb
from controller.northbound.topology_feed import TopologyFeed
from controller.northbound.topology_looks import TopologyLooks
from controller.store.protocol import LeadershipLost
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from controller.watching.thread_times import ThreadTimes
from digitalgrid.client import RequestRefused, power_request
from digitalgrid.client.topology_view import TopologyView
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.attached_grid import MemoryStore
from tests.support.northbound import Northbound, in_loop, northbound, until


def always_busy() -> ThreadTimes:
    return ThreadTimes(time.monotonic(), 0.0)


def circuit_feed(api: Northbound) -> CircuitFeed:
    return CircuitFeed(api.runtime, api.gate)


def topology_feed(api: Northbound) -> TopologyFeed:
    return TopologyFeed(TopologyLooks(api.runtime, api.gate), api.gate)


def circuits_of(answer: bytes) -> pb.WatchCircuitsResponse:
    return pb.WatchCircuitsResponse.FromString(answer)


def view_of(answer: bytes) -> pb.WatchTopologyResponse:
    return pb.WatchTopologyResponse.FromString(answer)


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
async def test_who_watches_its_own_circuits_hears_of_no_others() -> None:
    async with northbound() as api:
        await active(api, "town", 1e5, request_id="other-1")
        first = await active(api, "town", 1e6, request_id="own-1")
        request = pb.WatchCircuitsRequest(request_id_prefix="own-")
        watch = api.power.WatchCircuits(request)
        assert (await watch.read()).circuit == first
        assert (await watch.read()).HasField("snapshot_done")
        other = await active(api, "works", 1e5, request_id="other-2")
        await api.client.release_circuit(other.circuit_id)
        await api.client.release_circuit(first.circuit_id)
        seen = [(await watch.read()).circuit]
        while seen[-1].state != pb.CIRCUIT_STATE_WITHDRAWN:
            seen.append((await watch.read()).circuit)
        assert {circuit.request_id for circuit in seen} == {"own-1"}
        watch.cancel()
        await until(lambda: not api.watched)


@in_loop
@pytest.mark.parametrize(
    ("prefix", "reason"), [("x" * 300, "ID_TOO_LONG"), ("own\x1b[2J", "ID_NOT_PRINTABLE")]
)
async def test_what_no_request_id_begins_with_is_refused(prefix: str, reason: str) -> None:
    async with northbound() as api:
        with pytest.raises(RequestRefused) as refused:
            await anext(api.client.watch_circuits(prefix))
        assert refused.value.reason == reason
        assert [each.field for each in refused.value.violations] == ["request_id_prefix"]
        assert not api.watched


@in_loop
async def test_whoever_watches_for_one_beginning_too_many_is_told_of_all_and_hears_of_its_own() -> (
    None
):
    async with northbound() as api:
        own = await active(api, "town", 1e5, request_id="own-1")
        await active(api, "works", 1e5, request_id="other-1")
        await until(lambda: not api.watched)
        before = len(api.runtime.feeds.circuits)
        watches = [
            api.power.WatchCircuits(pb.WatchCircuitsRequest(request_id_prefix=f"{number}-"))
            for number in range(2 * MAX_PREFIXES)
        ]
        for watch in watches:
            await watch.read()
        assert len(api.runtime.feeds.circuits) == before + MAX_PREFIXES + 1
        heard = api.client.watch_circuits("own-")
        assert (await anext(heard)).circuit == own
        assert (await anext(heard)).HasField("snapshot_done")
        await api.client.release_circuit(own.circuit_id)
        assert (await anext(heard)).circuit.request_id == "own-1"
        assert len(api.runtime.feeds.circuits) == before + MAX_PREFIXES + 1
        assert isinstance(heard, AsyncGenerator)
        await heard.aclose()
        for watch in watches:
            watch.cancel()
        await until(lambda: not api.watched)


@in_loop
async def test_a_beginning_that_is_watched_is_not_another_and_one_that_is_watched_no_more_makes_room() -> (
    None
):
    async with northbound() as api:
        feed = circuit_feed(api)
        watches = [feed.watch(together=True, prefix=f"{number}-") for number in range(MAX_PREFIXES)]
        watches.append(feed.watch(together=True, prefix="0-"))
        for each in watches:
            assert circuits_of(await anext(each)).HasField("snapshot_done")
        assert "" not in feed._told
        await watches[5].aclose()
        watches.append(feed.watch(together=True, prefix="other-"))
        assert circuits_of(await anext(watches[-1])).HasField("snapshot_done")
        assert "" not in feed._told and "other-" in feed._told
        for each in watches:
            await each.aclose()


@in_loop
@pytest.mark.parametrize("joins", [False, True])
async def test_whoever_came_while_too_many_were_watched_is_told_apart_once_there_is_room_and_misses_nothing(
    joins: bool,
) -> None:
    async with northbound() as api:
        feed = circuit_feed(api)
        watches = [feed.watch(together=True, prefix=f"{number}-") for number in range(MAX_PREFIXES)]
        late = feed.watch(together=False, prefix="own-")
        for each in (*watches, late):
            assert circuits_of(await anext(each)).HasField("snapshot_done")
        assert feed._told[""].watchers == 1 and "own-" not in feed._told
        await watches.pop().aclose()
        if joins:
            watches.append(feed.watch(together=True, prefix="own-"))
            assert circuits_of(await anext(watches[-1])).HasField("snapshot_done")
        heard: dict[str, int] = {}

        async def hear() -> None:
            async for answer in late:
                circuit = circuits_of(answer).circuit
                heard[circuit.request_id] = circuit.state

        hearing = asyncio.create_task(hear())
        for number in range(3):
            circuit = await active(api, "town", 1e5, request_id=f"own-{number}")
            await api.client.release_circuit(circuit.circuit_id)
        ended = {f"own-{number}": pb.CIRCUIT_STATE_WITHDRAWN for number in range(3)}
        await until(lambda: heard == ended and "" not in feed._told)
        assert feed._told["own-"].watchers == 1 + joins
        await active(api, "works", 1e5, request_id="other-1")
        await active(api, "town", 1e5, request_id="own-last")
        active_too = {"own-last": pb.CIRCUIT_STATE_ACTIVE}
        await until(lambda: heard == ended | active_too)
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing
        for each in (*watches, late):
            await each.aclose()
        assert not feed._told


@in_loop
@pytest.mark.parametrize("prefix", ["", "own-"])
async def test_the_end_of_a_circuit_is_told_though_it_is_forgotten_at_once(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_book, "MAX_ENDED", 0)
    async with northbound() as api:
        ids = {(await active(api, "town", 1e5, request_id=f"own-{n}")).circuit_id for n in range(3)}
        events = circuit_feed(api).watch(together=False, prefix=prefix)
        while not circuits_of(await anext(events)).HasField("snapshot_done"):
            pass
        for circuit_id in ids:
            await api.client.release_circuit(circuit_id)
        await until(lambda: len(api.runtime.questions.circuits) <= 1)
        ended: set[int] = set()
        while ended != ids:
            circuit = circuits_of(await anext(events)).circuit
            if circuit.state == pb.CIRCUIT_STATE_WITHDRAWN:
                ended.add(circuit.circuit_id)
        await events.aclose()


class _Viewer:
    """Of circuits, what was seen of each last."""

    def __init__(self) -> None:
        self.last: dict[int, Circuit | None] = {}

    def see_circuit(self, circuit_id: int, circuit: Circuit | None, *, urgent: bool) -> None:
        self.last[circuit_id] = circuit

    def seen(self) -> None: ...


@in_loop
@pytest.mark.parametrize("prefix", ["", "own-"])
async def test_a_circuit_that_is_forgotten_before_there_is_time_to_look_at_it_is_seen_as_it_ended(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_book, "MAX_ENDED", 0)
    async with northbound() as api:
        ids = [(await active(api, "town", 1e5, request_id=f"own-{n}")).circuit_id for n in range(2)]
        budget = Budget(times=always_busy)
        # More than an hour of what watchers may have: nobody looks by himself.
        budget.charge(1000.0)
        viewer = _Viewer()
        looks = CircuitLooks(api.runtime, Gate(budget), viewer, prefix)
        for circuit_id in ids:
            await api.client.release_circuit(circuit_id)
        await until(lambda: ids[0] not in api.runtime.questions.circuits)
        assert not viewer.last
        looks.look_at(ids[0])
        last = viewer.last[ids[0]]
        assert last is not None and last.state is CircuitState.WITHDRAWN
        looks.close()


@in_loop
async def test_an_answer_that_leaves_out_what_its_watcher_has_seen_is_made_anew_and_charged() -> (
    None
):
    async with northbound() as api:
        feed = circuit_feed(api)
        events = feed.watch(together=True)
        assert circuits_of(await anext(events)).HasField("snapshot_done")
        told, seen = feed._told[""], {1: b"seen"}
        place, most_bytes = told.journal.end(), 1 << 16
        town = await active(api, "town", 1e5)
        await anext(events)
        assert town.state == pb.CIRCUIT_STATE_ACTIVE
        told.answer(place, most_bytes, {})
        assert not told.is_to_make(place, most_bytes, {})
        assert told.is_to_make(place, most_bytes, seen)
        await events.aclose()


@in_loop
async def test_a_slow_watcher_gets_the_newest_state_of_each_circuit_once() -> None:
    async with northbound() as api:
        events = circuit_feed(api).watch(together=False)
        assert circuits_of(await anext(events)).HasField("snapshot_done")
        pending = asyncio.ensure_future(anext(events))
        town = await active(api, "town", 1e6)
        works = await active(api, "works", 1e6)
        await pending
        for _ in range(1000):
            api.runtime.feeds.circuits.publish(town.circuit_id)
        received = {}
        for _ in range(2):
            circuit = circuits_of(await anext(events)).circuit
            received[circuit.circuit_id] = circuit
        assert received == {town.circuit_id: town, works.circuit_id: works}
        await events.aclose()
        await until(lambda: not api.watched)


@in_loop
async def test_a_watcher_that_goes_leaves_nothing_behind() -> None:
    async with northbound() as api:
        circuits = api.power.WatchCircuits(pb.WatchCircuitsRequest())
        topology = api.topology.WatchTopology(pb.WatchTopologyRequest())
        await circuits.read()
        await topology.read()
        assert api.watched
        circuits.cancel()
        topology.cancel()
        await until(lambda: not api.watched)


@in_loop
async def test_watching_the_topology_shows_link_state_and_reservations() -> None:
    async with northbound() as api:
        views = topology_feed(api).watch(changes_only=False)
        view = view_of(await anext(views)).topology
        assert all(link.up for link in view.links)
        circuit = await active(api, "town", 1e6, source_ids=["gas"])
        while not (link := _link(view_of(await anext(views)).topology, "r3-r4")).circuit_ids:
            pass
        assert link.circuit_ids == [circuit.circuit_id]
        assert link.reserved_a_to_b_a == circuit.links[0].current_a
        assert link.reserved_b_to_a_a == 0.0
        api.grid.cut("r1-r2")
        while _link(view_of(await anext(views)).topology, "r1-r2").up:
            pass
        await views.aclose()


@in_loop
async def test_places_are_told_where_routers_say_them() -> None:
    async with northbound() as api:
        known = {router.router_id: router for router in (await api.client.get_topology()).routers}
        assert not known["r1"].HasField("at")
        api.grid.simulated.routers["r1"].config = replace(
            api.grid.simulated.routers["r1"].config, at=(1.5, -2.0)
        )
        api.grid.connect("r1")
        at = {each.router_id: each.at for each in (await api.client.get_topology()).routers}["r1"]
        assert (at.x, at.y) == (1.5, -2.0)


@in_loop
async def test_all_who_watch_the_topology_get_the_same_message() -> None:
    async with northbound() as api:
        feed = topology_feed(api)
        watches = [feed.watch(changes_only=True), feed.watch(changes_only=True)]
        first, second = [await anext(each) for each in watches]
        assert first is second
        api.grid.cut("r1-r2")
        first, second = [await anext(each) for each in watches]
        assert first is second
        assert not _link(view_of(first).topology, "r1-r2").up
        for each in watches:
            await each.aclose()


@in_loop
async def test_changes_alone_add_up_to_the_whole_and_a_slow_watcher_gets_what_changed_meanwhile() -> (
    None
):
    async with northbound() as api:
        feed = topology_feed(api)
        quick, slow = feed.watch(changes_only=True), feed.watch(changes_only=True)
        view = TopologyView()
        view.take(view_of(await anext(quick)))
        slow_view = TopologyView()
        slow_view.take(view_of(await anext(slow)))
        for cut in (True, False, True):
            (api.grid.cut if cut else api.grid.mend)("r1-r2")
            answer = view_of(await anext(quick))
            assert answer.partial
            assert [link.link_id for link in answer.topology.links] == ["r1-r2"]
            assert view.take(answer) == api.runtime.look(topology_to_pb)
        answer = view_of(await anext(slow))
        assert [link.link_id for link in answer.topology.links] == ["r1-r2"]
        assert slow_view.take(answer) == api.runtime.look(topology_to_pb)
        await quick.aclose()
        await slow.aclose()


@in_loop
async def test_a_cut_line_and_a_circuit_that_waits_are_told_at_once_where_all_else_has_to_wait() -> (
    None
):
    async with northbound() as api:
        # A busy loop, of which watchers had more than their share for some seconds to come.
        budget = Budget(times=always_busy)
        gate = Gate(budget)
        town = await active(api, "town", 4e6)
        views = TopologyFeed(TopologyLooks(api.runtime, gate), gate).watch(changes_only=True)
        circuits = CircuitFeed(api.runtime, gate).watch(together=True)
        await anext(views)
        for _ in range(2):
            await anext(circuits)
        budget.charge(0.09)
        works = await active(api, "works", 1e4)
        for link_id in ("r2-r4", "r3-r4"):
            api.grid.cut(link_id)
        down: set[str] = set()
        while not down >= {"r2-r4", "r3-r4"}:
            answer = view_of(await anext(views))
            down |= {each.link_id for each in answer.topology.links if not each.up}
        told = [each.circuit_id for each in circuits_of(await anext(circuits)).circuits]
        assert told == [town.circuit_id]
        assert api.runtime.questions.circuit(town.circuit_id).state is CircuitState.WAITING
        assert budget.wait_s(urgent=False) > 0.0
        await views.aclose()
        await circuits.aclose()
        assert works.state == pb.CIRCUIT_STATE_ACTIVE


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
        feed = topology_feed(api)
        # It reads nothing more over both changes of the role.
        slow, view = feed.watch(changes_only=True), TopologyView()
        view.take(view_of(await anext(slow)))
        api.store.fail(LeadershipLost("another leads"))
        await until(lambda: feed._refusal is not None)
        with pytest.raises(Refusal) as refused:
            await anext(feed.watch(changes_only=True))
        assert refused.value.reason == "STARTING"
        api.runtime.lead(MemoryStore(StoredState(2, (), Counters())))
        watch = feed.watch(changes_only=True)
        assert view_of(await anext(watch)).topology == api.runtime.look(topology_to_pb)
        api.grid.cut("r1-r2")
        assert [link.link_id for link in view_of(await anext(watch)).topology.links] == ["r1-r2"]
        await watch.aclose()
        assert view.take(view_of(await anext(slow))) == api.runtime.look(topology_to_pb)
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
