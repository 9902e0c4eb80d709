"""MarketService: tenders in; books, clearings, transactions and positions out."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from digitalgrid.garbage_collector import without_frames
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1.market_pb2_grpc import MarketServiceServicer
from trading.core.orders import Tender
from trading.exchange.exchange import Exchange
from trading.exchange.ports import ClearingsAsked, OrdersAsked, TradesAsked
from trading.exchange.reads import Reads
from trading.exchange.services import codec
from trading.exchange.services.books import Books, asked_of, interval_of, session_at
from trading.exchange.services.clearings import Clearings
from trading.exchange.services.hearing import Hearing
from trading.exchange.services.paging import (
    MOST,
    fitting,
    newest,
    page_size,
    place_of,
    token_of,
)
from trading.exchange.services.positions import FIRST, Positions
from trading.exchange.services.watching import MarketWatch, TransactionsWatch
from trading.market.order_table import Row, record_of
from trading.market.records import OrderRecord, TradeRecord
from trading.market.sessions import TradeRow
from trading.plugins import MECHANISMS
from trading.reasons import MarketReason, Refused

# Tenders of one call: they are taken in one turn, in which nobody else is heard, of some 15 ms.
MAX_TENDERS = 512
# Clearings that are read for one page: each may be of thousands of orders.
MAX_CLEARINGS = 32


class MarketService(MarketServiceServicer):
    def __init__(self, exchange: Exchange, hearing: Hearing) -> None:
        self._exchange = exchange
        self._runtime = exchange.runtime
        self._books = Books(exchange.runtime)
        self._clearings = Clearings(self._gate_ns)
        self._positions = Positions(exchange.runtime.market)
        self._is_previewing = False
        # Long answers, which are made by turns: of what is here, and of what has to be read first.
        self._of_memory, self._of_journal = Reads(), Reads()
        self._hearing = hearing

    @property
    def _gate_ns(self) -> int:
        return self._runtime.market.settings.rules.gate_ns

    async def GetMarket(self, request: pb.GetMarketRequest, context: Any) -> pb.GetMarketResponse:
        exchange, market = self._exchange, self._runtime.market
        rules, lost_ns = market.settings.rules, exchange.controller.lost_unix_ns
        size, place = page_size(request.page_size, MOST), place_of(request.page_token, 1)
        first = place[0] if place else 0
        all_parties = exchange.config.parties
        answer = pb.GetMarketResponse(
            name=market.settings.name,
            log_id=exchange.ledger.log_id,
            log_public_key=exchange.ledger.log_public_key,
            now_unix_ns=self._runtime.now_ns(),
            length_ns=rules.length_ns,
            gate_ns=rules.gate_ns,
            tick_micro_per_kwh=rules.tick,
            tariff=codec.tariff_to_pb(exchange.config.tariff),
            rules=codec.rules_to_pb(exchange.config),
            operator=market.settings.operator,
            parties=codec.parties_to_pb(all_parties[first : first + size]),
            intervals=[interval_of(market, each) for _, each in sorted(market.sessions.items())],
            controller_reachable=not lost_ns,
            controller_lost_unix_ns=lost_ns,
            next_page_token=token_of(first + size) if first + size < len(all_parties) else "",
        )
        return await self._runtime.told(answer)

    async def CreateTenders(
        self, request: pb.CreateTendersRequest, context: Any
    ) -> pb.CreateTendersResponse:
        if not 0 < len(request.tenders) <= MAX_TENDERS:
            raise Refused(
                MarketReason.BATCH_UNFIT,
                f"tenders are {len(request.tenders)}; 1 to {MAX_TENDERS} are taken at a time",
                "tenders",
            )
        party = self._exchange.mandates.party_of("CreateTenders", request)
        last_nonce = request.mandate.nonce + len(request.tenders) - 1
        self._hearing.check_repeats(party, last_nonce, context.peer(), len(request.tenders))
        try:
            async with self._hearing.turn(party, last_nonce):
                results = await self._results(party, request)
        except Refused as refused:
            if refused.reason is not MarketReason.STALE_NONCE:
                raise
            # As they would be if each were heard behind what is newer.
            results = [without_frames(refused)] * len(request.tenders)
        return _answered(request, results)

    async def _results(
        self, party: str, request: pb.CreateTendersRequest
    ) -> list[OrderRecord | Refused]:
        read = codec.tenders_from_pb(request)
        tenders = [each for each in read if isinstance(each, Tender)]
        answers = iter(await self._runtime.create_tenders(tenders, mandate_holds=True))
        results = [each if isinstance(each, Refused) else next(answers) for each in read]
        for each in results:
            if isinstance(each, Refused):
                self._hearing.note(party, each)
        return results

    async def CancelTender(
        self, request: pb.CancelTenderRequest, context: Any
    ) -> pb.CancelTenderResponse:
        party = self._exchange.mandates.party_of("CancelTender", request)
        nonce = request.mandate.nonce
        async with self._hearing.turn(party, nonce):
            record = await self._runtime.cancel_tender(party, nonce, request.order_id)
        return pb.CancelTenderResponse(order=codec.order_to_pb(record))

    async def SetForecast(
        self, request: pb.SetForecastRequest, context: Any
    ) -> pb.SetForecastResponse:
        party = self._exchange.mandates.party_of("SetForecast", request)
        nonce, start_ns = request.mandate.nonce, request.interval_start_unix_ns
        async with self._hearing.turn(party, nonce):
            meter, interval = await self._runtime.forecast(
                party, nonce, request.meter_id, start_ns, request.most_wh
            )
        return pb.SetForecastResponse(position=self._positions.of(meter, interval))

    async def ListTenders(
        self, request: pb.ListTendersRequest, context: Any
    ) -> pb.ListTendersResponse:
        """The newest first."""
        size, place = page_size(request.page_size), place_of(request.page_token, 1)
        before = place[0] if place else None
        answers = self._of_memory if request.open_only else self._of_journal
        async with answers.room():
            if request.open_only:
                found = await self._open_orders(request.party, before, size)
                records = await self._runtime.told(found)
            else:
                asked = OrdersAsked(size, request.party or None, before)
                records = await self._runtime.list_orders(asked)
            orders, token = await fitting(
                records, codec.order_to_pb, size, lambda record: (record.order.seq,)
            )
        return pb.ListTendersResponse(orders=orders, next_page_token=token)

    async def _open_orders(self, party: str, before: int | None, size: int) -> list[OrderRecord]:
        def is_wanted(row: Row) -> bool:
            return (
                row.open_wh > 0
                and party in ("", row.order.party)
                and (before is None or row.order.seq < before)
            )

        # They are there by seq.
        rows = await newest(list(self._runtime.market.orders.rows()), is_wanted, size)
        return [record_of(row) for row in rows]

    async def GetBook(self, request: pb.GetBookRequest, context: Any) -> pb.GetBookResponse:
        count = page_size(request.page_size, MOST)
        start_ns, behind = asked_of(request)
        session = session_at(self._runtime.market, start_ns)
        return await self._runtime.told(self._books.page(session, count, behind))

    async def PreviewClearing(
        self, request: pb.PreviewClearingRequest, context: Any
    ) -> pb.PreviewClearingResponse:
        market = self._runtime.market
        session = session_at(market, request.interval_start_unix_ns)
        mechanism = request.mechanism or session.mechanism
        if mechanism not in {*MECHANISMS.built_in, *market.settings.mechanisms}:
            raise Refused(
                MarketReason.MECHANISM_UNKNOWN,
                f"mechanism is {mechanism!r}; there are {', '.join(MECHANISMS.built_in)}",
                "mechanism",
            )
        if self._is_previewing:
            # A gate that closes waits for one preview at most.
            raise Refused(MarketReason.OVERLOADED, "another preview is being made; try again")
        self._is_previewing = True
        try:
            previewed = await self._runtime.preview(session.start_ns, mechanism)
            cleared = await self._runtime.told(previewed)
        finally:
            self._is_previewing = False
        message = codec.clearing_to_pb(cleared.clearing, cleared.faults, cleared.took_ns)
        message.interval.CopyFrom(interval_of(market, session))
        message.interval.mechanism = mechanism
        message.at_unix_ns = self._runtime.now_ns()
        return pb.PreviewClearingResponse(clearing=message)

    async def ListClearings(
        self, request: pb.ListClearingsRequest, context: Any
    ) -> pb.ListClearingsResponse:
        size = min(page_size(request.page_size), MAX_CLEARINGS)
        place = place_of(request.page_token, 2)
        before = (place[0], place[1]) if place else None
        async with self._of_journal.room():
            records = await self._runtime.list_clearings(ClearingsAsked(size, before))
            clearings, token = await fitting(
                records,
                self._clearings.of,
                size,
                lambda record: (record.interval.start_ns, record.round),
            )
        return pb.ListClearingsResponse(clearings=clearings, next_page_token=token)

    async def WatchMarket(
        self, request: pb.WatchMarketRequest, context: Any
    ) -> AsyncIterator[pb.WatchMarketResponse]:
        with MarketWatch(self._runtime, self._books, self._clearings) as watch:
            async for event in watch.events():
                yield event

    async def GetTransaction(
        self, request: pb.GetTransactionRequest, context: Any
    ) -> pb.GetTransactionResponse:
        record = await trade_of(self._exchange, request.trade_id)
        return pb.GetTransactionResponse(transaction=codec.transaction_to_pb(record))

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Any
    ) -> pb.ListTransactionsResponse:
        """The newest first."""
        size, place = page_size(request.page_size), place_of(request.page_token, 2)
        before = (place[0], place[1]) if place else None
        start_ns = request.interval_start_unix_ns or None
        asked = TradesAsked(size, request.party or None, start_ns, before)
        answers = self._of_memory if request.open_only else self._of_journal
        async with answers.room():
            if request.open_only:
                records = await self._runtime.told(await self._open_trades(asked))
            else:
                records = await self._runtime.list_trades(asked)
            transactions, token = await fitting(
                records,
                codec.transaction_to_pb,
                size,
                lambda record: (record.trade.interval.start_ns, record.number),
            )
        return pb.ListTransactionsResponse(transactions=transactions, next_page_token=token)

    async def _open_trades(self, asked: TradesAsked) -> list[TradeRecord]:
        def is_wanted(row: TradeRow) -> bool:
            trade = row.trade
            return (
                not trade.state.ended
                and asked.party in (None, trade.buyer, trade.seller)
                and asked.start_ns in (None, trade.interval.start_ns)
                and (asked.before is None or (trade.interval.start_ns, row.number) < asked.before)
            )

        # Of each interval they are there by number.
        sessions = sorted(self._runtime.market.sessions.items())
        rows = [row for _, session in sessions for row in session.trades.values()]
        return [codec.record_of_trade(row) for row in await newest(rows, is_wanted, asked.count)]

    async def WatchTransactions(
        self, request: pb.WatchTransactionsRequest, context: Any
    ) -> AsyncIterator[pb.WatchTransactionsResponse]:
        with TransactionsWatch(self._runtime, request.party) as watch:
            async for event in watch.events():
                yield event

    async def ListPositions(
        self, request: pb.ListPositionsRequest, context: Any
    ) -> pb.ListPositionsResponse:
        size, place = page_size(request.page_size), place_of(request.page_token, 2)
        begins = (place[0], place[1]) if place else FIRST
        async with self._of_memory.room():
            page = await self._positions.page(request.party, size, begins)
            return await self._runtime.told(page)


async def trade_of(exchange: Exchange, trade_id: str) -> TradeRecord:
    """As it is now, or as it ended. Raises Refused."""
    row = exchange.runtime.market.trade(trade_id)
    if row is not None:
        return await exchange.runtime.told(codec.record_of_trade(row))
    record = await exchange.runtime.find_trade(trade_id)
    if record is None:
        raise Refused(MarketReason.TRADE_UNKNOWN, f"there is no trade {trade_id!r}", "trade_id")
    return record


def _answered(
    request: pb.CreateTendersRequest, results: Iterable[OrderRecord | Refused]
) -> pb.CreateTendersResponse:
    """In place: messages that are made by themselves would be copied into the answer."""
    response = pb.CreateTendersResponse()
    add = response.results.add
    for tender, result in zip(request.tenders, results, strict=True):
        added = add()
        if isinstance(result, Refused):
            added.refusal.CopyFrom(codec.refusal_to_pb(result))
            continue
        order = added.order
        codec.fill_order(order, result)
        # As it came: a repeated one is the same.
        order.tender.CopyFrom(tender)
    return response
