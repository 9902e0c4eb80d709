"""The page's stream: whole at first, then what changes, resumable, and the same for all."""

import asyncio
import json
import socket
import time
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest

from controller.core.circuits.records import Counters, StoredState
from controller.store.protocol import LeadershipLost, Standby
from controller.tallies import ControlNetwork
from controller.watching.meter_look import MeterLook
from controller.web.about import About
from controller.web.feed import PageFeed
from controller.web.history import History
from controller.web.packing import packed
from digitalgrid.client import power_request
from tests.support.attached_grid import MemoryStore
from tests.support.northbound import in_loop, northbound, read_meters, until
from tests.support.page import Event, Mirror, Page, events_of, mirrored, page


async def until_shown(
    events: AsyncIterator[Event], mirror: Mirror, condition: Callable[[Mirror], bool]
) -> None:
    while not condition(mirror):
        mirror.take(await anext(events))


async def asked(served: Page, sink_id: str, power_w: float) -> int:
    answer = await served.api.client.request_power(power_request(sink_id, power_w))
    circuit_id: int = answer.circuits[0].circuit_id
    await served.api.client.wait_until_active([circuit_id])
    return circuit_id


@in_loop
async def test_a_page_sees_the_network_and_its_circuits_whole_at_first() -> None:
    async with page() as served:
        circuit_id = await asked(served, "town", 1e5)
        async with served.stream() as events:
            mirror = await mirrored(events)
        view = served.api.runtime.questions.view
        assert mirror.tables["routers"].keys() == view.routers.keys()
        assert mirror.tables["links"].keys() == view.links.keys()
        assert mirror.tables["sources"].keys() == view.sources.keys()
        assert mirror.tables["loads"].keys() == view.loads.keys()
        shown = mirror.tables["circuits"][circuit_id]
        told = await served.api.client.get_circuit(circuit_id)
        assert shown["link_ids"] == [each.link_id for each in told.links]
        assert (shown["state"], shown["sink_id"], shown["power_w"]) == ("active", "town", 1e5)
        assert (shown["injected_w"], shown["loss_fraction"]) == (
            told.injected_w,
            told.loss_fraction,
        )
        assert mirror.daemon["role"] == "leader"
        assert mirror.daemon["version"] == "1.2.3"


@in_loop
async def test_the_first_figures_are_of_all_circuits() -> None:
    """A timeline would show that all power was gone just then."""
    async with page() as served:
        await asked(served, "town", 1e5)
        async with served.stream() as events:
            async for event in events:
                if event.name == "now":
                    assert event.data["delivered_w"] == pytest.approx(1e5)
                    assert event.data["circuits"] == {"active": 1}
                    break


@in_loop
async def test_the_control_network_is_told_where_there_is_one() -> None:
    async with page() as served, served.stream() as events:
        mirror = await mirrored(events)
        assert mirror.daemon["control_network"] is None
        served.api.runtime.tallies.control_network = lambda: ControlNetwork(3, 2, 9)
        async with served.stream() as again:
            mirror = await mirrored(again)
        assert mirror.daemon["control_network"] == {"switches": 3, "trunks": 2, "hosts": 9}


@in_loop
async def test_who_stands_by_is_told_where_there_is_a_cluster() -> None:
    async with page() as served:
        async with served.stream() as events:
            assert (await mirrored(events)).daemon["standbys"] is None
        served.api.runtime.set_standbys((Standby("b", "b:7070", 1_700_000_000_000, 3),))
        async with served.stream() as events:
            told = (await mirrored(events)).daemon["standbys"]
        assert told == [
            {
                "name": "b",
                "northbound": "b:7070",
                "since_unix_ms": 1_700_000_000_000,
                "behind": 3,
            }
        ]


@in_loop
async def test_what_changes_is_told_and_what_is_released_is_gone() -> None:
    async with page() as served, served.stream() as events:
        mirror = await mirrored(events)
        circuit_id = await asked(served, "town", 1e5)
        await until_shown(
            events,
            mirror,
            lambda seen: seen.tables["circuits"].get(circuit_id, {}).get("state") == "active",
        )
        path = mirror.tables["circuits"][circuit_id]["link_ids"]
        served.api.grid.cut(path[0])
        await until_shown(events, mirror, lambda seen: not seen.tables["links"][path[0]]["up"])
        await until_shown(
            events,
            mirror,
            lambda seen: path[0] not in seen.tables["circuits"][circuit_id]["link_ids"],
        )
        await served.api.client.release_circuit(circuit_id)
        await until_shown(events, mirror, lambda seen: circuit_id not in seen.tables["circuits"])


@in_loop
async def test_what_happened_before_is_told_at_first_and_what_happens_at_once() -> None:
    async with page() as served:
        served.api.grid.cut("r1-r2")
        async with served.stream() as events:
            mirror = await mirrored(events)
            await until_shown(events, mirror, lambda seen: bool(seen.marks))
            cut = [each for each in mirror.marks if each["id"] == "r1-r2"]
            assert [(each["kind"], each["severity"]) for each in cut] == [("link_down", "alarm")]
            served.api.grid.mend("r1-r2")
            await until_shown(
                events, mirror, lambda seen: any(m["kind"] == "link_up" for m in seen.marks)
            )
        async with served.stream(mirror.last_id) as events:
            again = await mirrored(events, Mirror(mirror.columns, mirror.tables))
        assert again.resumed
        assert not again.marks


@in_loop
async def test_figures_of_the_network_come_at_first_and_each_second() -> None:
    async with page() as served:
        circuit_id = await asked(served, "town", 1e5)
        async with served.stream() as events:
            assert [(await anext(events)).name for _ in range(3)] == ["hello", "seconds", "now"]
            mirror = Mirror()
            while mirror.now.get("circuits") != {"active": 1}:
                mirror.take(await anext(events))
            told = await served.api.client.get_circuit(circuit_id)
            assert mirror.now["delivered_w"] == 1e5
            assert mirror.now["injected_w"] == told.injected_w
            assert mirror.now["loss_w"] == told.injected_w - 1e5
            assert mirror.now["watchers"] == 1


@in_loop
async def test_a_page_that_comes_back_goes_on_where_it_was() -> None:
    async with page() as served:
        async with served.stream() as events:
            mirror = await mirrored(events)
            await until_shown(events, mirror, lambda seen: seen.last_id != "")
        circuit_id = await asked(served, "town", 1e5)
        async with served.stream(mirror.last_id) as events:
            mirror = await mirrored(events, mirror)
            assert mirror.resumed
            await until_shown(events, mirror, lambda seen: circuit_id in seen.tables["circuits"])
        assert len(mirror.tables["routers"]) == len(served.api.runtime.questions.view.routers)


@in_loop
async def test_a_page_with_a_word_of_another_daemon_or_nonsense_begins_anew() -> None:
    async with page() as served:
        for last_id in ("01234567.5.5", "nonsense", "1.2.3.4", "x.-1.9", "x.1.99999999999999999"):
            async with served.stream(last_id) as events:
                mirror = await mirrored(events)
            assert not mirror.resumed
            assert mirror.tables["routers"]


@in_loop
async def test_a_page_begins_anew_when_the_state_is_taken_over_by_another() -> None:
    async with page() as served, served.stream() as events:
        mirror = await mirrored(events)
        served.api.store.fail(LeadershipLost("another leads"))
        await until_shown(events, mirror, lambda seen: seen.daemon["role"] == "starting")
        served.api.runtime.follow(StoredState(1, (), Counters()))
        await until_shown(events, mirror, lambda seen: seen.daemon["role"] == "standby")
        served.api.runtime.lead(MemoryStore())
        await until_shown(events, mirror, lambda seen: seen.daemon["role"] == "leader")
        mirror = await mirrored(events, mirror)
        assert mirror.tables["routers"].keys() == served.api.runtime.questions.view.routers.keys()


@in_loop
async def test_all_pages_are_told_the_same_bytes_and_leave_nothing_behind() -> None:
    async with page() as served:
        feeds = served.api.runtime.feeds
        listeners = len(feeds.circuits)
        async with served.stream() as one, served.stream() as other:
            mirrors = [await mirrored(each) for each in (one, other)]
            circuit_id = await asked(served, "town", 1e5)
            for events, mirror in zip((one, other), mirrors, strict=True):
                await until_shown(
                    events, mirror, lambda seen: circuit_id in seen.tables["circuits"]
                )
            assert len(feeds.circuits) > listeners
    assert not feeds.circuits
    assert not feeds.topology


@in_loop
async def test_ids_with_markup_are_told_as_they_are() -> None:
    async with page() as served, served.stream() as events:
        mirror = await mirrored(events)
        request_id = "</script><img src=x onerror=alert(1)>\u2028'\""
        answer = await served.api.client.request_power(
            power_request("town", 1e5, request_id=request_id.replace("\u2028", ""))
        )
        circuit_id = answer.circuits[0].circuit_id
        await until_shown(events, mirror, lambda seen: circuit_id in seen.tables["circuits"])
        assert mirror.tables["circuits"][circuit_id]["request_id"] == answer.request_id


@in_loop
async def test_a_page_that_reads_late_is_owed_only_the_newest_of_each_thing() -> None:
    async with northbound() as api:
        meters = MeterLook(read_meters, lambda: api.runtime.view)
        about = About(api.runtime, version="", name="", store="")
        feed = PageFeed(
            api.services, api.gate, meters, about, History(api.runtime, api.services.marks)
        )
        events = feed.events()
        while b"event: ready" not in await anext(events):
            pass
        for _ in range(500):
            api.grid.cut("r1-r2")
            await asyncio.sleep(0)
            api.grid.mend("r1-r2")
            await asyncio.sleep(0)
        answer = await api.client.request_power(power_request("town", 1e5, request_id="late"))
        await api.client.wait_until_active([answer.circuits[0].circuit_id])
        told = b""
        while b'"late"' not in told:
            told += await anext(events)
        assert told.count(b'["r1-r2",') <= 2
        await events.aclose()
        feed.close()


@in_loop
async def test_a_page_that_never_reads_is_let_go_and_others_are_not_held_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controller.web.stream._MOST_UNREAD_BYTES", 4096)
    monkeypatch.setattr("controller.web.stream.STALL_S", 0.3)
    async with page() as served:
        tallies = served.api.runtime.tallies
        for _ in range(40):
            request = power_request("town", 1e3, request_id=f"{uuid4()}" * 6)
            await served.api.client.request_power(request)
        port = int(served.address.rstrip("/").rpartition(":")[2])
        with socket.socket() as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            silent.connect(("127.0.0.1", port))
            silent.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: tallies.web_clients == 1)
            async with served.stream() as events:
                mirror = await mirrored(events)
                assert len(mirror.tables["circuits"]) == 40
                await until(lambda: tallies.web_stalls == 1)
                assert tallies.web_clients == 1
        await until(lambda: tallies.web_clients == 0)


@in_loop
async def test_what_is_forgotten_before_it_was_told_ends_no_stream() -> None:
    async with northbound() as api:
        meters = MeterLook(read_meters, lambda: api.runtime.view)
        about = About(api.runtime, "", "", "")
        feed = PageFeed(
            api.services, api.gate, meters, about, History(api.runtime, api.services.marks)
        )
        events = feed.events()
        while b"event: ready" not in await anext(events):
            pass
        told = feed._told
        assert told is not None
        told.journal.say(("marks", 1), b"{}")
        told.journal.forget(("marks", 1))
        told._tell_news()
        assert b"event: now" in await anext(events)
        await events.aclose()
        feed.close()


async def _read(port: int, headers: bytes, until_said: bytes) -> bytes:
    """Of one stream what is said until something is, as it comes; each chunk is whole in itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    writer.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n")
    answered = await reader.readuntil(b"\r\n\r\n")
    gzip = b"Content-Encoding: gzip" in answered
    assert gzip == (b"gzip" in headers)
    unpacked, said = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), b""
    while until_said not in said:
        chunk = (await reader.readexactly(int(await reader.readline(), 16) + 2))[:-2]
        said += unpacked.decompress(chunk) if gzip else chunk
        # A reader who has the bytes has what they say.
        assert said.endswith(b"\n\n")
    writer.close()
    return said


@in_loop
async def test_who_takes_gzip_is_told_the_same_in_it_and_it_is_made_once_for_all() -> None:
    async with page() as served:
        await asked(served, "town", 1e5)
        port = int(served.address.rstrip("/").rpartition(":")[2])
        async with served.stream() as events:
            await mirrored(events)
            packed.cache_clear()
            told = [
                await _read(port, headers, b"event: ready")
                for headers in (b"", b"Accept-Encoding: gzip\r\n", b"Accept-Encoding: gzip\r\n")
            ]
        rows = [
            [each.data["links"] for each in events_of(said) if each.name == "rows"] for said in told
        ]
        assert rows[0] == rows[1] == rows[2]
        assert packed.cache_info().hits >= 2


@in_loop
async def test_power_of_the_last_minutes_is_kept_though_nobody_looks() -> None:
    async with northbound() as api:
        history, listeners = (
            History(api.runtime, api.services.marks),
            len(api.runtime.feeds.circuits),
        )
        with history.kept():
            answer = await api.client.request_power(power_request("town", 1e5))
            circuit_id = answer.circuits[0].circuit_id
            await api.client.wait_until_active([circuit_id])
            told = await api.client.get_circuit(circuit_id)
            await history.look()
            assert history.seconds[-1][1:] == (told.injected_w, 1e5)
            await api.client.release_circuit(circuit_id)
            await until(lambda: not list(api.runtime.questions.standing))
            await history.look()
            assert history.seconds[-1][1:] == (0.0, 0.0)
            times = [each[0] for each in history.seconds]
            assert times == sorted(times)
            # Another state is another network.
            api.store.fail(LeadershipLost("another leads"))
            await until(lambda: not api.runtime.leads)
            api.runtime.follow(StoredState(1, (), Counters()))
            await history.look()
            assert history.seconds[-1][1:] == (0.0, 0.0)
        assert len(api.runtime.feeds.circuits) == listeners


@in_loop
async def test_the_map_is_kept_as_it_was_before_a_fault() -> None:
    async with page() as served, served.stream() as events:
        mirror = await mirrored(events)
        circuit_id = await asked(served, "town", 1e5)
        path = [each.link_id for each in (await served.api.client.get_circuit(circuit_id)).links]
        history = History(served.api.runtime, served.api.services.marks)
        with history.kept():
            await history.look()
            before_ms = time.time_ns() // 1_000_000
            await until(lambda: time.time_ns() // 1_000_000 > before_ms)
            served.api.grid.cut(path[0])
            await until_shown(
                events, mirror, lambda seen: any(each["id"] == path[0] for each in seen.marks)
            )
            await history.look()
            then, now = (map_at(history, each) for each in (before_ms, time.time_ns() // 1_000_000))
            assert then["links"][path[0]]["up"]
            assert sum(_flows(then["links"][path[0]])) > 0
            assert then["sinks"]["town"]["states"] == {"active": 1}
            assert then["loads"]["town"]["reserved_w"] == 1e5
            cut = next(each for each in mirror.marks if each["id"] == path[0])
            # From its mark on, though it was seen later.
            marked = map_at(history, cut["at_unix_ms"])
            assert not marked["links"][path[0]]["up"]
            assert not now["links"][path[0]]["up"]
            # What another state knows nothing of is not there any more.
            served.api.store.fail(LeadershipLost("another leads"))
            await until(lambda: not served.api.runtime.leads)
            served.api.runtime.follow(StoredState(1, (), Counters()))
            await history.look()
            later = map_at(history, time.time_ns() // 1_000_000)
            assert later["sinks"]["town"]["states"] == {}
            assert later["loads"]["town"]["reserved_w"] == 0
            assert map_at(history, before_ms) == then


def _flows(link: dict[str, Any]) -> tuple[float, float]:
    return link["reserved_a_to_b_a"], link["reserved_b_to_a_a"]


def map_at(history: History, at_unix_ms: int) -> dict[str, dict[str, dict[str, Any]]]:
    """By table and id, as a page makes it of what it is told."""
    told = json.loads(history.map.telling(at_unix_ms).json())
    tables: dict[str, dict[str, dict[str, Any]]] = {each: {} for each in told["columns"]}
    for step in told["steps"]:
        if step["at_unix_ms"] <= at_unix_ms:
            for table, names in told["columns"].items():
                for row in step.get(table, []):
                    tables[table][row[0]] = dict(zip(names, row, strict=True))
    return tables


@in_loop
async def test_the_map_as_it_was_is_told_to_this_page_alone() -> None:
    async with page() as served:
        where = f"{served.address}api/v1/history"
        async with served.http.get(where) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            told = await answer.json()
            assert told["columns"]["links"][0] == "link_id"
            assert [each["at_unix_ms"] for each in told["steps"]]
        async with served.http.get(where, headers={"Origin": "http://stranger"}) as answer:
            assert answer.status == 403


@in_loop
async def test_a_page_that_is_opened_is_told_what_was_before() -> None:
    async with page() as served, served.stream() as events:
        told = {event.name: event.data async for event in _first(events, 3)}
        assert told["hello"]["resumed"] is False
        assert isinstance(told["seconds"]["seconds"], list)
        assert told["seconds"]["map_begins_unix_ms"] is None or told["seconds"]["seconds"]


async def _first(events: AsyncIterator[Event], count: int) -> AsyncIterator[Event]:
    for _ in range(count):
        yield await anext(events)
