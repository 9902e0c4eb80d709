"""Calls from the page: the same handlers, refusals and audit as gRPC's, in JSON."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from controller.northbound.services import unary_methods
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import in_loop, northbound
from tests.support.page import mirrored, page, page_over


@in_loop
async def test_power_is_requested_and_released_and_the_audit_log_names_the_page() -> None:
    async with page() as served:
        asked = {"request_id": "lunch", "sink_id": "town", "power_w": 1e5}
        status, answer = await served.call("PowerService/RequestPower", request=asked)
        assert (status, answer["request_id"]) == (200, "lunch")
        (circuit,) = answer["circuits"]
        assert circuit["sink_id"] == "town"
        status, answer = await served.call(
            "PowerService/ReleaseCircuit", circuit_id=circuit["circuit_id"]
        )
        assert status == 200
        noted = [entry for change in served.api.store.changes for entry in change.audit]
        who = {entry.action: entry.who for entry in noted if entry.who != "controller"}
        assert set(who) == {"request", "release"}
        assert all(each.startswith("page (http:127.0.0.1:") for each in who.values())


@in_loop
async def test_a_refusal_says_what_where_and_why() -> None:
    async with page() as served:
        status, answer = await served.call(
            "PowerService/RequestPower", request={"sink_id": "nowhere", "power_w": 1e5}
        )
        assert status == 404
        assert answer["code"] == "NOT_FOUND"
        assert answer["reason"] == "UNKNOWN_ID"
        assert answer["field"] == "sink_id"
        assert answer["metadata"] == {"id": "nowhere"}
        assert "nowhere" in answer["message"]


@in_loop
async def test_two_tabs_that_release_the_same_circuit_are_both_answered() -> None:
    async with page() as served:
        asked = {"sink_id": "town", "power_w": 1e5}
        _, answer = await served.call("PowerService/RequestPower", request=asked)
        circuit_id = answer["circuits"][0]["circuit_id"]
        answers = [
            await served.call("PowerService/ReleaseCircuit", circuit_id=circuit_id)
            for _ in range(2)
        ]
        assert [status for status, _ in answers] == [200, 200]


@in_loop
async def test_what_is_no_message_is_refused_like_any_other() -> None:
    async with page() as served:
        where = f"{served.address}api/v1/call/PowerService/RequestPower"
        for body in (b"", b"{", b'{"no_such_field": 1}', b"\xff", b"[" * 5000):
            async with served.http.post(
                where, data=body, headers={"Content-Type": "application/json"}
            ) as answer:
                assert answer.status == 400, (body[:20], await answer.text())
                assert (await answer.json())["reason"] == "MALFORMED_MESSAGE"


@in_loop
async def test_each_unary_method_can_be_called() -> None:
    async with page() as served:
        for method in unary_methods():
            name = f"{method.containing_service.name}/{method.name}"
            status, answer = await served.call(name)
            assert status in (200, 400, 404, 429), (name, answer)
        for name in ("PowerService/WatchCircuits", "PowerService/Nothing", "Nobody/Nothing"):
            async with served.http.post(f"{served.address}api/v1/call/{name}", json={}) as answer:
                assert answer.status == 404


@in_loop
async def test_answers_are_protobufs_json_by_the_names_of_the_protos() -> None:
    async with page() as served:
        _, answer = await served.call("TopologyService/GetTopology")
        link = answer["topology"]["links"][0]
        fields = pb.LinkState.DESCRIPTOR.fields
        # Also those that have the value of one that was not set, so that a page has to guess none.
        assert {each.name for each in fields if not each.has_presence} <= set(link)
        assert set(link) <= {each.name for each in fields}
        _, meters = await served.call("TopologyService/ReadMeters")
        assert meters["missing_router_ids"] == ["r2"]


@in_loop
async def test_places_are_saved_and_shown_to_all() -> None:
    async with page() as served, served.stream() as events:
        where = f"{served.address}api/v1/places"
        mirror = await mirrored(events)
        async with served.http.post(where, json={"routers": {"r1": [1, 2.5]}}) as answer:
            assert answer.status == 200
        while mirror.tables["routers"]["r1"]["at"] != [1.0, 2.5]:
            mirror.take(await anext(events))
        nonsense: list[Any] = [
            {},
            {"routers": {"r1": "here"}},
            {"routers": [1]},
            {"routers": {"r1": [1]}},
            # More than a float can be.
            {"routers": {"r1": [10**400, 0]}},
        ]
        for said in nonsense:
            async with served.http.post(where, json=said) as answer:
                assert answer.status == 400, said
        async with served.http.post(where, json={"routers": {"r9": [0, 0]}}) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (404, "UNKNOWN_ROUTER")
        async with served.http.post(where, json={"routers": {"r1": [1e12, 0]}}) as answer:
            assert (await answer.json())["reason"] == "PLACE_OUT_OF_RANGE"


@in_loop
async def test_a_body_that_is_too_large_is_refused() -> None:
    async with page() as served:
        where = f"{served.address}api/v1/call/PowerService/RequestPower"
        async with served.http.post(
            where, data=b" " * (1 << 20), headers={"Content-Type": "application/json"}
        ) as answer:
            assert answer.status == 413


@pytest.mark.parametrize(
    "where", ["api/v1/call/PowerService/ListCircuits", "api/v1/places", "api/v1/emulation/cut"]
)
def test_a_body_that_is_packed_otherwise_than_it_says_is_refused_and_no_fault_of_ours(
    where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "deflate"}

    @in_loop
    async def story() -> None:
        async with (
            northbound() as api,
            page_over(api, emulation=tmp_path / "none") as served,
            served.http.post(
                f"{served.address}{where}", data=b"no deflate", headers=headers
            ) as answer,
        ):
            assert answer.status == 400
            assert "cannot be read" in await answer.text()

    caplog.set_level(logging.INFO)
    story()
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_who_goes_before_its_message_is_whole_is_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @in_loop
    async def story() -> None:
        async with page() as served:
            port = int(served.address.rstrip("/").rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"POST /api/v1/call/PowerService/ListCircuits HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
            )
            # Said once what follows is waited for.
            assert b"100" in await reader.readline()
            writer.transport.abort()
            assert (await served.call("PowerService/ListCircuits"))[0] == 200

    story()
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
