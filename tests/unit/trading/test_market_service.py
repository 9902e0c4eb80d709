"""The services of an exchange as clients meet them: by gRPC, with a journal, a ledger and no controller."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from digitalgrid.channels import asyncio_channel
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1.ledger_service_pb2_grpc import LedgerServiceStub
from digitalgrid.market.v1.market_pb2_grpc import MarketServiceStub, SettlementServiceStub
from digitalgrid.units import NS_PER_S
from tests.support.exchanges import ANN, BOB, OPERATOR, market_file
from tests.support.patience import PATIENCE_S
from trading.exchange.clearer import WorkerClearer
from trading.exchange.config import load_config
from trading.exchange.daemon import open_exchange
from trading.exchange.exchange import Exchange
from trading.exchange.metrics.collecting import ExchangeMetrics
from trading.exchange.metrics.reference import METRICS, PREFIX
from trading.exchange.services import books, market, paging
from trading.exchange.services.positions import Positions
from trading.exchange.services.server import start_server
from trading.ledger.key_files import read_key
from trading.ledger.keys import SigningKey
from trading.ledger.log_file import verify_file
from trading.ledger.mandates import Request, sign

KEYS = {"ann": ANN, "bob": BOB, "operator": OPERATOR}
MONEY = 10**12


class Parties:
    """Whoever asks the exchange; each request is signed anew, by its party or by a key that is given."""

    def __init__(self, channel: grpc.aio.Channel, exchange: Exchange) -> None:
        self.exchange = exchange
        self.market = MarketServiceStub(channel)
        self.settlement = SettlementServiceStub(channel)
        self.ledger = LedgerServiceStub(channel)
        self.channel = channel
        self.about = pb.GetMarketResponse()

    async def learn(self) -> None:
        self.about = await self.market.GetMarket(pb.GetMarketRequest())

    @property
    def interval(self) -> pb.Interval:
        return self.about.intervals[-1].interval

    def signed(
        self, party: str, method: str, request: Request, key: SigningKey | None = None
    ) -> Request:
        return sign(method, request, party, time.time_ns(), key or KEYS[party], self.about.log_id)

    async def tender(self, party: str, *tenders: pb.Tender) -> list[pb.TenderResult]:
        request = self.signed(party, "CreateTenders", pb.CreateTendersRequest(tenders=tenders))
        answer: pb.CreateTendersResponse = await self.market.CreateTenders(request)
        return list(answer.results)

    def of(self, order_id: str, side: str = "buy", wh: int = 10, limit: int = 200_000) -> pb.Tender:
        return pb.Tender(
            order_id=order_id,
            meter_id="ann" if side == "buy" else "bob",
            side=pb.SIDE_BUY if side == "buy" else pb.SIDE_SELL,
            wh=wh,
            limit_micro_per_kwh=limit,
            interval=self.interval,
        )


@asynccontextmanager
async def parties_at(directory: Path, **rules: Any) -> AsyncIterator[Parties]:
    path = directory / "market.yaml"
    # An interval that nobody is at the gate of.
    market = {"interval_s": 40_000, "ahead": 2, **rules}
    path.write_text(
        market_file(market=market, controller=["127.0.0.1:9"], state_dir=str(directory / "state"))
    )
    address = f"unix:{directory}/socket"

    def fail(error: Exception) -> None:
        raise error

    async with AsyncExitStack() as stack:
        exchange = await open_exchange(load_config(path), WorkerClearer(), fail, stack)
        server, _ = await start_server(exchange, address)
        stack.push_async_callback(server.stop, None)
        exchange.runtime.start()
        channel = await stack.enter_async_context(asyncio_channel(address))
        parties = Parties(channel, exchange)
        await parties.learn()
        for party in ("ann", "bob"):
            deposit = ledger_pb.DepositRequest(key=party, account=party, nano=MONEY)
            await parties.ledger.Deposit(parties.signed("operator", "Deposit", deposit))
        yield parties


def among(tmp_path: Path, story: Callable[[Parties], Awaitable[None]], **rules: Any) -> None:
    """``rules``: of the market, beside those of all."""

    async def told() -> None:
        async with asyncio.timeout(PATIENCE_S), parties_at(tmp_path, **rules) as parties:
            await story(parties)

    asyncio.run(told())


async def refused(call: Awaitable[Any]) -> tuple[str, str, str]:
    """The status, reason and field of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status, info = status_pb2.Status(), error_details_pb2.ErrorInfo()
    fields = error_details_pb2.BadRequest()
    for key, value in caught.value.trailing_metadata():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(fields)
    field = fields.field_violations[0].field if fields.field_violations else ""
    return caught.value.code().name, info.reason, field


def test_of_one_connection_few_long_answers_are_made_at_a_time_and_all_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    under_way = 0

    def counted(making: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def make(*asked: Any) -> Any:
            nonlocal under_way
            under_way += 1
            made.append(under_way)
            try:
                return await making(*asked)
            finally:
                under_way -= 1

        return make

    monkeypatch.setattr(market, "fitting", counted(paging.fitting))
    monkeypatch.setattr(Positions, "page", counted(Positions.page))

    async def story(parties: Parties) -> None:
        # Of more than fits into a turn.
        await parties.tender("ann", *(parties.of(f"o{n}", wh=1) for n in range(400)))
        asked = pb.ListTendersRequest(open_only=True, page_size=1_000)
        lists = [parties.market.ListTenders(asked) for _ in range(20)]
        positions = [parties.market.ListPositions(pb.ListPositionsRequest()) for _ in range(9)]
        found = await asyncio.gather(*lists, *positions)
        assert {len(each.orders) for each in found[:20]} == {400}
        assert max(made) == 2
        asked.open_only = False
        found = await asyncio.gather(*(parties.market.ListTenders(asked) for _ in range(20)))
        assert {len(each.orders) for each in found} == {400}

    among(tmp_path, story)
    assert len(made) == 49 and max(made) == 2


def test_tenders_are_taken_each_by_itself_and_are_in_the_book_and_the_list(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        first, wrong, twin = parties.of("o1"), parties.of("o2", wh=0), parties.of("o1")
        taken, refusal, again = await parties.tender("ann", first, wrong, twin)
        assert taken.order.tender == first and taken.order.open_wh == 10
        assert (refusal.refusal.reason, refusal.refusal.field) == ("QUANTITY_NOT_POSITIVE", "wh")
        assert again.order.seq == taken.order.seq
        await parties.tender("bob", parties.of("s1", "sell", limit=250_000))
        start_ns = parties.interval.start_unix_ns
        book = await parties.market.GetBook(pb.GetBookRequest(interval_start_unix_ns=start_ns))
        assert [(level.limit_micro_per_kwh, level.wh) for level in book.bids] == [(200_000, 10)]
        assert [(level.limit_micro_per_kwh, level.orders) for level in book.asks] == [(250_000, 1)]
        listed = await parties.market.ListTenders(pb.ListTendersRequest(open_only=True))
        assert [order.party for order in listed.orders] == ["bob", "ann"]
        positions = await parties.market.ListPositions(pb.ListPositionsRequest(party="ann"))
        assert [each.open_bought_wh for each in positions.positions] == [0, 10]

    among(tmp_path, story)


def test_what_needs_no_reader_does_not_wait_for_one_and_each_has_a_queue_of_its_own(
    tmp_path: Path,
) -> None:
    """All clients of loopback are one host, and long lists of one of them stop no others."""

    async def story(parties: Parties) -> None:
        goes, reader = threading.Event(), parties.exchange.runtime._reader
        reader.submit(goes.wait, PATIENCE_S)
        lists = [
            asyncio.ensure_future(_answer(parties.market.ListTenders(pb.ListTendersRequest())))
            for _ in range(20)
        ]
        try:
            # Of one connection they are heard in order, so that the lists are on their way.
            await parties.market.GetMarket(pb.GetMarketRequest())
            await parties.market.ListPositions(pb.ListPositionsRequest())
            await parties.ledger.GetBalance(ledger_pb.GetBalanceRequest(account="ann"))
            (taken,) = await parties.tender("ann", parties.of("o1"))
            assert taken.HasField("order") and not any(each.done() for each in lists)
            assert reader._work_queue.qsize() == 2
        finally:
            goes.set()
        assert len(await asyncio.gather(*lists)) == 20

    among(tmp_path, story)


async def _answer(call: Awaitable[Any]) -> Any:
    return await call


def test_what_grows_with_orders_and_parties_is_told_in_pages(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        limits = (150_000, 170_000, -20_000, 160_000)
        bids = [parties.of(f"b{limit}", limit=limit) for limit in limits]
        asks = [parties.of(f"s{limit}", "sell", limit=limit) for limit in (300_000, 290_000)]
        await parties.tender("ann", *bids, bids[0])
        await parties.tender("bob", *asks)
        start_ns = parties.interval.start_unix_ns
        request = pb.GetBookRequest(interval_start_unix_ns=start_ns, page_size=1)
        told: list[tuple[list[int], list[int]]] = []
        while True:
            book = await parties.market.GetBook(request)
            assert book.interval.interval.start_unix_ns == start_ns
            sides = ([each.limit_micro_per_kwh for each in side] for side in (book.bids, book.asks))
            told.append((next(sides), next(sides)))
            if not book.next_page_token:
                break
            # What comes meanwhile before the page is not told any more; what comes behind it is.
            if len(told) == 1:
                await parties.tender("ann", parties.of("new", limit=180_000))
                await parties.tender("ann", parties.of("low", limit=-30_000))
            request = pb.GetBookRequest(page_size=1, page_token=book.next_page_token)
        assert told == [
            ([170_000], [290_000]),
            ([160_000], [300_000]),
            ([150_000], []),
            ([-20_000], []),
            ([-30_000], []),
        ]

        everything = (await parties.market.ListPositions(pb.ListPositionsRequest())).positions
        assert [each.meter_id for each in everything] == ["ann", "bob"]
        ask = pb.ListPositionsRequest(party="ann", page_size=1)
        first = await parties.market.ListPositions(ask)
        ask.page_token = first.next_page_token
        second = await parties.market.ListPositions(ask)
        assert not second.next_page_token
        found = [*first.positions, *second.positions]
        assert [each.open_bought_wh for each in found] == [0, 60]

        names: list[str] = []
        about = pb.GetMarketRequest(page_size=1)
        while not names or about.page_token:
            market = await parties.market.GetMarket(about)
            (party,) = market.parties
            names.append(party.party)
            about.page_token = market.next_page_token
        assert names == [each.party for each in parties.about.parties] and len(names) > 1

    among(tmp_path, story)


def test_a_page_of_a_book_that_is_made_for_one_has_few_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "_MOST_MADE", 2)

    async def story(parties: Parties) -> None:
        limits = [100_000 + 10_000 * number for number in range(5)]
        await parties.tender("ann", *(parties.of(f"{limit}", limit=limit) for limit in limits))
        start_ns, pages = parties.interval.start_unix_ns, list[list[int]]()
        request = pb.GetBookRequest(interval_start_unix_ns=start_ns, page_size=999)
        while not pages or request.page_token:
            book = await parties.market.GetBook(request)
            pages.append([each.limit_micro_per_kwh for each in book.bids])
            request.page_token = book.next_page_token
        limits.reverse()
        assert pages == [limits[:2], limits[2:4], limits[4:]]
        # That which all share is whole.
        whole = await parties.market.GetBook(pb.GetBookRequest(interval_start_unix_ns=start_ns))
        assert [each.limit_micro_per_kwh for each in whole.bids] == limits

    among(tmp_path, story)


def test_what_nobody_signed_changes_nothing(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        denied = ("PERMISSION_DENIED", "BAD_SIGNATURE", "mandate.signature")
        request = pb.CreateTendersRequest(tenders=[parties.of("o1")])
        assert await refused(parties.market.CreateTenders(request)) == denied
        forged = parties.signed("ann", "CreateTenders", request, BOB)
        assert await refused(parties.market.CreateTenders(forged)) == denied
        unknown = parties.signed("eve", "CreateTenders", request, BOB)
        assert await refused(parties.market.CreateTenders(unknown)) == denied
        cancel = pb.CancelTenderRequest(order_id="o1")
        other = parties.signed("ann", "CreateTenders", cancel)
        assert await refused(parties.market.CancelTender(other)) == denied
        by_ann = parties.signed("ann", "ResolveDispute", pb.ResolveDisputeRequest(trade_id="t"))
        code, reason, field = await refused(parties.settlement.ResolveDispute(by_ann))
        assert (code, reason, field) == ("PERMISSION_DENIED", "BAD_SIGNATURE", "mandate.party")
        listed = await parties.market.ListTenders(pb.ListTendersRequest())
        assert not listed.orders

    among(tmp_path, story)


async def pages_of(parties: Parties, request: pb.ListTendersRequest) -> list[list[int]]:
    """Numbers of orders, page by page."""
    pages = []
    while True:
        page = await parties.market.ListTenders(request)
        pages.append([order.seq for order in page.orders])
        if not page.next_page_token:
            return pages
        request.page_token = page.next_page_token


def test_lists_have_pages_with_all_of_it_once(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        await parties.tender("ann", *[parties.of(f"o{number}") for number in range(7)])
        for open_only in (True, False):
            request = pb.ListTendersRequest(page_size=3, open_only=open_only)
            assert await pages_of(parties, request) == [[7, 6, 5], [4, 3, 2], [1]]

    among(tmp_path, story)


def test_a_page_ends_where_an_answer_is_full_of_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_MOST_BYTES", 2_500)

    async def story(parties: Parties) -> None:
        long = [parties.of(f"o{number}") for number in range(5)]
        for each in long:
            each.avoid_ids.extend(["\U0001f50c" * 60] * 8)
        assert all(each.HasField("order") for each in await parties.tender("ann", *long))
        for open_only in (True, False):
            request = pb.ListTendersRequest(open_only=open_only)
            assert await pages_of(parties, request) == [[5, 4], [3, 2], [1]]

    among(tmp_path, story)


def test_what_a_tender_names_is_bounded_in_bytes(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        wide = parties.of("o1", "sell", limit=300_000)
        wide.avoid_ids.extend(["\U0001f50c" * 250] * 64)
        (result,) = await parties.tender("bob", wide)
        assert result.refusal.reason == "TENDER_TOO_LONG"

    among(tmp_path, story)


def test_a_page_token_of_nobody_is_refused(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        market = parties.market
        for token in ("x", "1.2.3", "-1", "9" * 30, "1.", "\u0661"):
            for call in (
                market.ListTenders(pb.ListTendersRequest(page_token=token)),
                market.ListTransactions(pb.ListTransactionsRequest(page_token=token)),
                market.ListClearings(pb.ListClearingsRequest(page_token=token)),
            ):
                said = await refused(call)
                assert said == ("INVALID_ARGUMENT", "PAGE_UNKNOWN", "page_token"), token

    among(tmp_path, story)


def test_what_cannot_be_is_refused_with_its_reason_and_field(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        market, settlement = parties.market, parties.settlement
        empty = parties.signed("ann", "CreateTenders", pb.CreateTendersRequest())
        assert await refused(market.CreateTenders(empty)) == (
            "INVALID_ARGUMENT", "BATCH_UNFIT", "tenders",
        )  # fmt: skip
        neither, odd = parties.of("o1"), parties.of("o2")
        neither.side, odd.time_in_force = pb.SIDE_UNSPECIFIED, 77  # type: ignore[assignment]
        refusals = [each.refusal.reason for each in await parties.tender("ann", neither, odd)]
        assert refusals == ["SIDE_UNKNOWN", "TIME_IN_FORCE_UNKNOWN"]
        book = pb.GetBookRequest(interval_start_unix_ns=5)
        assert (await refused(market.GetBook(book)))[1] == "INTERVAL_UNKNOWN"
        preview = pb.PreviewClearingRequest(mechanism="none")
        assert (await refused(market.PreviewClearing(preview)))[1] == "MECHANISM_UNKNOWN"
        page = pb.ListTendersRequest(page_size=-1)
        assert (await refused(market.ListTenders(page)))[1:] == ("PAGE_UNKNOWN", "page_size")
        trade = pb.GetTransactionRequest(trade_id="t")
        assert (await refused(market.GetTransaction(trade)))[0] == "NOT_FOUND"
        bill = pb.GetSettlementRequest(trade_id="t")
        assert (await refused(settlement.GetSettlement(bill)))[1] == "TRADE_UNKNOWN"
        cancel = parties.signed("ann", "CancelTender", pb.CancelTenderRequest(order_id="no"))
        assert (await refused(market.CancelTender(cancel)))[1] == "ORDER_UNKNOWN"

    among(tmp_path, story)


def test_bytes_that_are_no_message_are_refused_as_such(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        for method in ("CreateTenders", "GetMarket"):
            call = parties.channel.unary_unary(f"/digitalgrid.market.v1.MarketService/{method}")
            assert await refused(call(b"\xff\xff")) == (
                "INVALID_ARGUMENT", "MALFORMED_MESSAGE", "",
            )  # fmt: skip

    among(tmp_path, story)


def test_where_the_controller_is_lost_that_is_said_and_tenders_are_taken(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        while parties.about.controller_reachable:
            await parties.learn()
            await asyncio.sleep(0.01)
        assert parties.about.controller_lost_unix_ns > 0
        (taken,) = await parties.tender("ann", parties.of("o1"))
        assert taken.HasField("order")
        preview = pb.PreviewClearingRequest(interval_start_unix_ns=parties.interval.start_unix_ns)
        said = await refused(parties.market.PreviewClearing(preview))
        assert said == ("UNAVAILABLE", "NO_ANSWER", "")

    among(tmp_path, story)


def test_who_watches_sees_what_is_open_then_a_marker_then_what_happens(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        watch = parties.market.WatchMarket(pb.WatchMarketRequest())
        events = aiter(watch)
        kinds: list[str | None] = []
        while not kinds or kinds[-1] != "snapshot_end":
            kinds.append((await anext(events)).WhichOneof("event"))
        assert kinds == ["book", "book", "snapshot_end"]
        await parties.tender("ann", parties.of("o1"))
        while True:
            event = await anext(events)
            if event.HasField("book") and event.book.bids:
                break
        assert event.book.bids[0].wh == 10
        watch.cancel()

    among(tmp_path, story)


def test_whoever_asks_is_told_by_which_rules_the_market_trades(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        assert parties.about.rules == pb.MarketRules(
            ahead=2,
            self_trade="newest",
            orders_per_party=1_000,
            tenders_per_s=200.0,
            tender_burst=1_000,
            dispute_ns=864_000 * NS_PER_S,
        )
        assert not parties.about.rules.HasField("reference_micro_per_kwh")

    among(tmp_path, story)


def test_a_cancelled_order_has_ended_and_a_replayed_cancellation_changes_nothing(
    tmp_path: Path,
) -> None:
    async def story(parties: Parties) -> None:
        await parties.tender("ann", parties.of("o1"))
        cancel = parties.signed("ann", "CancelTender", pb.CancelTenderRequest(order_id="o1"))
        for _ in range(2):
            order = (await parties.market.CancelTender(cancel)).order
            assert (order.open_wh, order.ended_reason) == (0, "CANCELLED")

    among(tmp_path, story)


def test_the_log_gets_another_key_while_the_exchange_goes_on(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        before = parties.about.log_public_key
        rotate = parties.signed("operator", "RotateKey", ledger_pb.RotateKeyRequest(key="monday"))
        first, again = [await parties.ledger.RotateKey(rotate) for _ in range(2)]
        assert first == again and first.log_public_key != before
        await parties.learn()
        assert parties.about.log_public_key == first.log_public_key
        deposit = ledger_pb.DepositRequest(key="later", account="ann", nano=1)
        await parties.ledger.Deposit(parties.signed("operator", "Deposit", deposit))

    among(tmp_path, story)
    state = tmp_path / "state"
    verifier = verify_file(state / "ledger.sqlite")
    assert verifier.key_id == read_key(state / "log.key").key_id
    assert verifier.accounts.total == 2 * MONEY + 1


def test_metrics_tell_what_waits_and_name_nobody(tmp_path: Path) -> None:
    async def story(parties: Parties) -> None:
        await parties.tender("ann", parties.of("o1"), parties.of("o2"), parties.of("o3", wh=0))
        families = {each.name: each for each in ExchangeMetrics(parties.exchange).collect()}
        # What is counted seldom is there once it has happened.
        always = {PREFIX + each.name for each in METRICS if each.labels != ("cause",)}
        assert always <= set(families)
        told = [line for family in families.values() for line in family.lines]
        for line in (
            'dgm_orders_open{side="buy"} 2',
            'dgm_open_wh{side="buy"} 20',
            'dgm_intervals{phase="open"} 2',
            'dgm_trades{state="settled"} 0',
            'dgm_tenders_total{result="taken"} 2',
            'dgm_tenders_total{result="QUANTITY_NOT_POSITIVE"} 1',
            'dgm_trades_ended_total{state="settled"} 0',
            'dgm_clearings_total{result="right"} 0',
            "dgm_clearing_duration_seconds_count 0",
            "dgm_ledger_entries 3",
        ):
            assert line in [each.removesuffix(".0") for each in told], told
        assert not [line for line in told if "ann" in line or "bob" in line]

    among(tmp_path, story)
