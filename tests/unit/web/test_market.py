"""A market on the page: what is read of an exchange comes as JSON, nothing else is asked, and silence is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor

from controller.web.market import READS
from digitalgrid.market.v1 import ledger_service_pb2, market_pb2, meter_service_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1.market_pb2_grpc import (
    MarketServiceServicer,
    add_MarketServiceServicer_to_server,
)
from tests.support.northbound import in_loop, northbound
from tests.support.page import Page, mirrored, page, page_over
from topologies.emulator.ports import free_ports


class Exchange(MarketServiceServicer):
    """Answers one call, and refuses another as an exchange does."""

    def __init__(self) -> None:
        self.asked = 0

    async def GetMarket(self, request: pb.GetMarketRequest, context: Any) -> pb.GetMarketResponse:
        self.asked += 1
        return pb.GetMarketResponse(name="street", length_ns=2**60)

    async def GetBook(self, request: pb.GetBookRequest, context: Any) -> pb.GetBookResponse:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no interval at 5 is open")
        raise AssertionError


@asynccontextmanager
async def market() -> AsyncIterator[tuple[Page, Exchange]]:
    exchange, server = Exchange(), grpc.aio.server()
    add_MarketServiceServicer_to_server(exchange, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with northbound() as api, page_over(api, market=f"127.0.0.1:{port}") as served:
            yield served, exchange
    finally:
        await server.stop(None)


async def ask(served: Page, method: str, said: Any = None) -> tuple[int, Any]:
    where = f"{served.address}api/v1/market/{method}"
    async with served.http.post(where, json=said or {}) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await (answer.json() if is_json else answer.text())


@in_loop
async def test_what_an_exchange_says_comes_by_the_names_of_its_protos() -> None:
    async with market() as (served, _):
        status, told = await ask(served, "MarketService/GetMarket")
        assert (status, told["name"], told["length_ns"]) == (200, "street", str(2**60))


@in_loop
async def test_many_pages_that_ask_the_same_ask_the_exchange_once() -> None:
    async with market() as (served, exchange):
        answers = await asyncio.gather(*(ask(served, "MarketService/GetMarket") for _ in range(20)))
        assert [status for status, _ in answers] == [200] * 20
        # A slow machine may take longer for them than an answer is shared.
        assert exchange.asked < 10


@in_loop
async def test_what_an_exchange_refuses_is_told_in_its_words() -> None:
    async with market() as (served, _):
        said = {"interval_start_unix_ns": "5"}
        status, told = await ask(served, "MarketService/GetBook", said)
        assert (status, told["code"], told["message"]) == (
            404,
            "NOT_FOUND",
            "no interval at 5 is open",
        )


@in_loop
async def test_what_is_no_request_is_refused_before_the_exchange_hears_of_it() -> None:
    async with market() as (served, exchange):
        status, told = await ask(served, "MarketService/GetMarket", {"nonsense": 1})
        assert (status, told["code"]) == (400, "INVALID_ARGUMENT")
        assert exchange.asked == 0


def _all_methods() -> dict[str, MethodDescriptor]:
    return {
        f"{service.name}/{method.name}": method
        for file in (
            market_pb2.DESCRIPTOR,
            ledger_service_pb2.DESCRIPTOR,
            meter_service_pb2.DESCRIPTOR,
        )
        for service in file.services_by_name.values()
        for method in service.methods
    }


def test_all_that_may_be_asked_only_reads() -> None:
    allowed = {f"{service}/{name}" for service, names in READS.items() for name in names}
    assert allowed <= set(_all_methods())
    assert all(name.startswith(("Get", "List")) for names in READS.values() for name in names)
    # Whatever changes anything is signed.
    signed = {
        name
        for name, method in _all_methods().items()
        if "mandate" in method.input_type.fields_by_name
    }
    assert len(signed) >= 6
    assert not signed & allowed


@in_loop
async def test_nothing_else_can_be_asked() -> None:
    allowed = {f"{service}/{name}" for service, names in READS.items() for name in names}
    others = [each for each in _all_methods() if each not in allowed]
    async with market() as (served, _):
        for method in (*others, "MarketService/GetNothing", "PowerService/RequestPower"):
            status, told = await ask(served, method)
            assert status == 404, method
            assert "MarketService/GetMarket" in told


@in_loop
async def test_that_no_exchange_answers_is_told_in_time() -> None:
    (port,) = free_ports(1)
    async with northbound() as api, page_over(api, market=f"127.0.0.1:{port}") as served:
        began_s = time.monotonic()
        status, told = await ask(served, "MarketService/GetMarket")
        assert (status, told["code"]) == (503, "UNAVAILABLE")
        assert f"the exchange at 127.0.0.1:{port} does not answer" in told["message"]
        assert "dgm" in told["message"]
        assert time.monotonic() - began_s < 30


@in_loop
async def test_pages_are_told_whether_there_is_a_market() -> None:
    async with page() as served:
        async with served.stream() as events:
            assert (await mirrored(events)).daemon["market"] is False
        assert (await ask(served, "MarketService/GetMarket"))[0] == 404
    async with market() as (served, exchange):
        async with served.stream() as events:
            assert (await mirrored(events)).daemon["market"] is True
        # Nobody looks at it.
        assert exchange.asked == 0
