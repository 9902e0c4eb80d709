"""What happened, as a real controller tells of it over real gRPC."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result

from dgctl import main
from digitalgrid.client import RequestRefused, power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import Northbound, in_loop, northbound, until


async def dgctl(api: Northbound, *words: str) -> Result:
    runner = CliRunner(env={"DGCTL_SERVER": api.address})
    return await asyncio.to_thread(runner.invoke, main, words)


async def events(api: Northbound, **asked: object) -> AsyncIterator[pb.Event]:
    async for answer in api.client.watch_events(pb.WatchEventsRequest(**asked)):  # type: ignore[arg-type]
        for event in answer.events:
            yield event


async def admit(api: Northbound, sink_id: str = "town", power_w: float = 2e6) -> int:
    request = power_request(sink_id, power_w, source_ids=["solar"])
    (circuit,) = (await api.client.request_power(request)).circuits
    await api.client.wait_until_active([circuit.circuit_id])
    return circuit.circuit_id


@in_loop
async def test_a_cut_line_and_what_became_of_its_circuit_are_told_in_order() -> None:
    async with northbound() as api:
        circuit_id = await admit(api)
        following = events(api)
        first = await anext(following)
        assert (first.kind, first.severity) == ("leader_changed", pb.SEVERITY_WARNING)
        api.grid.cut("r2-r4")
        told = [await anext(following) for _ in range(2)]
        assert [(each.kind, each.id) for each in told] == [
            ("link_down", "r2-r4"),
            ("circuit_rerouted", str(circuit_id)),
        ]
        assert f"circuit {circuit_id} to town has power again over r1 > r3 > r4: " in told[1].text
        assert told[0].text == "line r2-r4 is down: no carrier"
        assert [each.n for each in told] == [first.n + 1, first.n + 2]
        # Another line: there is no way left.
        api.grid.cut("r3-r4")
        told = [await anext(following) for _ in range(2)]
        assert [each.kind for each in told] == ["link_down", "circuit_waiting"]
        assert told[1].severity == pb.SEVERITY_ALARM
        api.grid.mend("r3-r4")
        told = [await anext(following) for _ in range(2)]
        assert [each.kind for each in told] == ["link_up", "circuit_rerouted"]


@in_loop
async def test_nothing_is_told_of_what_everybody_does_all_day() -> None:
    async with northbound() as api:
        circuit_id = await admit(api, "works")
        await api.client.change_circuit(await admit(api, "pump", 5e5), 4e5)
        await api.client.release_circuit(circuit_id)
        await until(lambda: not api.runtime.questions.circuits_over(["r1-r2"]))
        known = [each.kind async for each in events(api, only_known=True)]
        assert known == ["leader_changed"]


@in_loop
async def test_what_is_known_is_shown_by_kind_and_id_and_last() -> None:
    async with northbound() as api:
        following = events(api)
        await anext(following)
        for change in (api.grid.cut, api.grid.mend, api.grid.cut):
            for link_id in ("r2-r4", "r1-r3"):
                change(link_id)
                assert (await anext(following)).id == link_id
        shown = (await dgctl(api, "events")).stdout.splitlines()
        assert shown[0].split()[0] == "at" and len(shown) == 8
        downs = await dgctl(api, "events", "--kind", "link_down", "--id", "r2-r4")
        assert [line.split()[3:5] for line in downs.stdout.splitlines()[1:]] == [
            ["link_down", "r2-r4"],
            ["link_down", "r2-r4"],
        ]
        last = json.loads((await dgctl(api, "events", "--last", "1", "-o", "json")).stdout)
        assert len(last["events"]) == 1 and last["caughtUp"]
        nothing = await dgctl(api, "events", "--id", "nobody")
        assert nothing.stdout == "nothing happened that is kept\n"


@in_loop
async def test_drains_and_lost_routers_are_told() -> None:
    async with northbound() as api:
        await api.client.drain(pb.DrainRequest(id="r2-r4"))
        await api.client.wait_until_drained("r2-r4")
        await api.client.undrain("r2-r4")
        following = events(api)
        seen: list[tuple[str, str]] = []
        api.runtime.detach("r2")
        while not seen or seen[-1] != ("router_gone", "r2"):
            event = await anext(following)
            seen.append((event.kind, event.id))
        assert ("in_service", "r2-r4") in seen


@in_loop
async def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    async with northbound() as api:
        with pytest.raises(RequestRefused, match="circuit_waiting") as refused:
            await anext(aiter(events(api, kinds=["link_broken"])))
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.reason == "EVENT_KIND_UNKNOWN"
        assert (await dgctl(api, "events", "--kind", "link_broken")).exit_code == 3


def event(n: int, at_unix_ms: int, text: str) -> pb.Event:
    return pb.Event(n=n, at_unix_ms=at_unix_ms, kind="link_down", id=text[5:7], text=text)


def test_a_watch_goes_on_where_it_broke_off_and_tells_nothing_twice(controller: Any) -> None:
    first = [event(1, 1000, "line l1 is down"), event(2, 2000, "line l2 is down")]

    def broken() -> Iterator[pb.WatchEventsResponse]:
        yield pb.WatchEventsResponse(events=first, caught_up=True)
        # Another daemon: it counts anew, and has what came in the same instant.
        again = [event(1, 2000, "line l2 is down"), event(2, 2000, "line l3 is down")]
        controller.answers["WatchEvents"] = [
            pb.WatchEventsResponse(events=again, caught_up=True),
            pb.WatchEventsResponse(events=[event(3, 3000, "line l4 is down")]),
        ]
        raise ConnectionError("restarting")

    controller.answers["WatchEvents"] = broken()
    runner = CliRunner(env={"DGCTL_SERVER": controller.server})
    result = runner.invoke(main, ["events", "--watch", "--last", "2"], catch_exceptions=False)
    assert [line.split("  ")[-1].strip() for line in result.stdout.splitlines()] == [
        *("line l1 is down", "line l2 is down", "line l3 is down", "line l4 is down")
    ]
    assert result.stdout.startswith("1970-01-01 00:00:01.000 UTC  link_down")
    assert "connection lost" in result.stderr
    asked, again = controller.requests
    assert (asked.since_unix_ms, asked.last) == (0, 2)
    assert (again.since_unix_ms, again.last) == (2000, 0)
