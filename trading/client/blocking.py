"""The blocking client of a market."""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from digitalgrid.client.asking import BlockingClient, Method
from digitalgrid.client.errors import RequestRefused
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from trading.client.calls import (
    CLEARINGS,
    ENTRIES,
    LOOK_AGAIN_S,
    PAGE,
    SIGNED_AT_MOST,
    Connection,
    channel_options,
    refusal_of,
)
from trading.client.deciding import is_decided, undecided
from trading.client.defaults import DEFAULT_MARKET, DEFAULT_TIMEOUT_S
from trading.client.signing import Signer
from trading.ledger.mandates import Request
from trading.reasons import MarketReason


class MarketClient(BlockingClient[Connection]):
    """Tenders, and looks at what became of it. Every call raises PowerError, within ``timeout_s`` of silence.

    ``signer`` is who tenders; who only reads needs none.

    ::

        with MarketClient(signer=Signer.of_file("ann", Path("ann.key"))) as client:
            interval = client.market().intervals[0].interval
            client.create_tenders([tender("buy", "load5", 700, 220_000, interval)])
    """

    def __init__(
        self,
        server: str = DEFAULT_MARKET,
        *,
        signer: Signer | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        super().__init__(server, timeout_s, Connection, channel_options)
        self._signer = signer
        self._log_id = b""

    # Orders and trades

    def market(self) -> pb.GetMarketResponse:
        """What it trades, by which rules and prices, and what is open now."""
        pages = self._pages(lambda to: to.market.GetMarket, pb.GetMarketRequest())
        market: pb.GetMarketResponse = next(pages)
        for page in pages:
            market.parties.extend(page.parties)
        market.next_page_token = ""
        return market

    def create_tenders(self, tenders: Iterable[pb.Tender]) -> list[pb.TenderResult]:
        """Several in order, each taken or refused by itself; those that are taken are durable."""
        wanted = list(tenders)
        for _ in range(SIGNED_AT_MOST):
            request = pb.CreateTendersRequest(tenders=wanted)
            signed = self._signed("CreateTenders", request, len(wanted))
            answer: pb.CreateTendersResponse = self._call(
                lambda to: to.market.CreateTenders, signed
            )
            reasons = {each.refusal.reason for each in answer.results}
            if reasons != {MarketReason.STALE_NONCE}:
                break
        return list(answer.results)

    def create_tender(self, tender: pb.Tender) -> pb.Order:
        """One; raises RequestRefused where it is not taken."""
        (result,) = self.create_tenders([tender])
        if result.HasField("refusal"):
            raise refusal_of(result.refusal)
        return result.order

    def cancel_tender(self, order_id: str) -> pb.Order:
        """What waits of it ends; what is matched stays so."""
        answer: pb.CancelTenderResponse = self._call_signed(
            "CancelTender",
            lambda to: to.market.CancelTender,
            pb.CancelTenderRequest(order_id=order_id),
        )
        return answer.order

    def list_tenders(
        self, party: str = "", *, open_only: bool = False, newest: int | None = None
    ) -> list[pb.Order]:
        """The newest first: so many, or all that there ever were."""
        orders = self._tenders(pb.ListTendersRequest(party=party, open_only=open_only), newest)
        return list(islice(orders, newest))

    def _tenders(self, request: pb.ListTendersRequest, newest: int | None) -> Iterator[pb.Order]:
        request.page_size = min(newest or PAGE, PAGE)
        for page in self._pages(lambda to: to.market.ListTenders, request):
            yield from page.orders

    def wait_until_decided(
        self, order: pb.Order, timeout_s: float
    ) -> tuple[pb.Order, list[pb.Transaction]]:
        """The order and its trades, once nothing of it waits and each trade is agreed for good, or over.

        Raises Undecided.
        """
        deadline_s = time.monotonic() + timeout_s
        start_ns = order.tender.interval.start_unix_ns
        while True:
            # Orders first: a trade that is agreed between the two looks is not missed.
            seen = self._as_it_is(order)
            trades = [
                each
                for each in self.list_transactions(order.party, start_ns)
                if order.seq in (each.buy_seq, each.sell_seq)
            ]
            if is_decided(seen, trades):
                return seen, trades
            if time.monotonic() >= deadline_s:
                raise undecided(seen, timeout_s)
            time.sleep(LOOK_AGAIN_S)

    def _as_it_is(self, order: pb.Order) -> pb.Order:
        for each in self._tenders(pb.ListTendersRequest(party=order.party), None):
            if each.seq <= order.seq:
                return each if each.seq == order.seq else order
        return order

    def book(self, interval_start_unix_ns: int = 0) -> pb.GetBookResponse:
        """What waits, by price; of the next interval to close where none is named."""
        request = pb.GetBookRequest(interval_start_unix_ns=interval_start_unix_ns)
        pages = self._pages(lambda to: to.market.GetBook, request)
        book: pb.GetBookResponse = next(pages)
        try:
            for page in pages:
                book.bids.extend(page.bids)
                book.asks.extend(page.asks)
        except RequestRefused as refused:
            if interval_start_unix_ns or refused.reason != MarketReason.INTERVAL_UNKNOWN:
                raise
            # The next to close has ended meanwhile, and another is the next by now.
            return self.book()
        book.next_page_token = ""
        return book

    def preview_clearing(self, interval_start_unix_ns: int = 0, mechanism: str = "") -> pb.Clearing:
        """What would be traded if the gate closed now, by its own mechanism or another."""
        request = pb.PreviewClearingRequest(
            interval_start_unix_ns=interval_start_unix_ns, mechanism=mechanism
        )
        answer: pb.PreviewClearingResponse = self._call(
            lambda to: to.market.PreviewClearing, request
        )
        return answer.clearing

    def list_clearings(self, newest: int) -> list[pb.Clearing]:
        """The newest first."""
        request = pb.ListClearingsRequest(page_size=min(newest, CLEARINGS))
        pages = self._pages(lambda to: to.market.ListClearings, request)
        return list(islice((each for page in pages for each in page.clearings), newest))

    def watch_market(self) -> Iterator[pb.WatchMarketResponse]:
        return self._stream(lambda to: to.market.WatchMarket, pb.WatchMarketRequest())

    def get_transaction(self, trade_id: str) -> pb.Transaction:
        request = pb.GetTransactionRequest(trade_id=trade_id)
        answer: pb.GetTransactionResponse = self._call(lambda to: to.market.GetTransaction, request)
        return answer.transaction

    def list_transactions(
        self,
        party: str = "",
        interval_start_unix_ns: int = 0,
        *,
        open_only: bool = False,
        newest: int | None = None,
    ) -> list[pb.Transaction]:
        """The newest first: so many, or all that there ever were."""
        request = pb.ListTransactionsRequest(
            party=party,
            interval_start_unix_ns=interval_start_unix_ns,
            open_only=open_only,
            page_size=min(newest or PAGE, PAGE),
        )
        pages = self._pages(lambda to: to.market.ListTransactions, request)
        return list(islice((each for page in pages for each in page.transactions), newest))

    def watch_transactions(self, party: str = "") -> Iterator[pb.WatchTransactionsResponse]:
        request = pb.WatchTransactionsRequest(party=party)
        return self._stream(lambda to: to.market.WatchTransactions, request)

    def list_positions(self, party: str = "") -> list[pb.Position]:
        request = pb.ListPositionsRequest(party=party, page_size=PAGE)
        pages = self._pages(lambda to: to.market.ListPositions, request)
        return [each for page in pages for each in page.positions]

    # Bills

    def get_settlement(self, trade_id: str) -> pb.GetSettlementResponse:
        request = pb.GetSettlementRequest(trade_id=trade_id)
        answer: pb.GetSettlementResponse = self._call(
            lambda to: to.settlement.GetSettlement, request
        )
        return answer

    def get_receipt(self, trade_id: str) -> pb.Receipt:
        """Nothing of it is believed before :func:`~.receipts.check_receipt` has looked at it."""
        request = pb.GetReceiptRequest(trade_id=trade_id)
        answer: pb.GetReceiptResponse = self._call(lambda to: to.settlement.GetReceipt, request)
        return answer.receipt

    def open_dispute(
        self, trade_id: str, line: str, statement: str = "", evidence: Iterable[str] = ()
    ) -> pb.Settlement:
        """``evidence``: what speaks for it, as ids of readings, entries of the log or circuits."""
        request = pb.OpenDisputeRequest(
            trade_id=trade_id, line=line, statement=statement, evidence=evidence
        )
        answer: pb.OpenDisputeResponse = self._call_signed(
            "OpenDispute", lambda to: to.settlement.OpenDispute, request
        )
        return answer.settlement

    def resolve_dispute(
        self, trade_id: str, decision: str, deliveries: Iterable[pb.Delivery] = ()
    ) -> pb.Settlement:
        """By the operator."""
        request = pb.ResolveDisputeRequest(
            trade_id=trade_id, decision=decision, deliveries=deliveries
        )
        answer: pb.ResolveDisputeResponse = self._call_signed(
            "ResolveDispute", lambda to: to.settlement.ResolveDispute, request
        )
        return answer.settlement

    # Money, and the log of it

    def balance(self, account: str) -> ledger_pb.GetBalanceResponse:
        request = ledger_pb.GetBalanceRequest(account=account)
        answer: ledger_pb.GetBalanceResponse = self._call(lambda to: to.ledger.GetBalance, request)
        return answer

    def deposit(self, account: str, nano: int, key: str = "") -> ledger_pb.DepositResponse:
        """By the operator. Under one ``key`` money comes in once; without any, each call is another deposit."""
        request = ledger_pb.DepositRequest(key=key or uuid.uuid4().hex, account=account, nano=nano)
        answer: ledger_pb.DepositResponse = self._call_signed(
            "Deposit", lambda to: to.ledger.Deposit, request
        )
        return answer

    def withdraw(self, account: str, nano: int, key: str = "") -> ledger_pb.WithdrawResponse:
        """By the operator."""
        request = ledger_pb.WithdrawRequest(key=key or uuid.uuid4().hex, account=account, nano=nano)
        answer: ledger_pb.WithdrawResponse = self._call_signed(
            "Withdraw", lambda to: to.ledger.Withdraw, request
        )
        return answer

    def refund(self, trade_id: str) -> ledger_pb.RefundResponse:
        """Of a trade that nobody has closed in time: what its escrow has goes back to whom it was."""
        request = ledger_pb.RefundRequest(trade_id=trade_id)
        answer: ledger_pb.RefundResponse = self._call_signed(
            "Refund", lambda to: to.ledger.Refund, request
        )
        return answer

    def rotate_key(self, key: str = "") -> ledger_pb.RotateKeyResponse:
        """By the operator: the log is signed with another key from then on; under one ``key`` once."""
        request = ledger_pb.RotateKeyRequest(key=key or uuid.uuid4().hex)
        answer: ledger_pb.RotateKeyResponse = self._call_signed(
            "RotateKey", lambda to: to.ledger.RotateKey, request
        )
        return answer

    def head(self) -> ledger_pb.GetHeadResponse:
        answer: ledger_pb.GetHeadResponse = self._call(
            lambda to: to.ledger.GetHead, ledger_pb.GetHeadRequest()
        )
        return answer

    def consistency(self, from_size: int, to_size: int) -> Sequence[bytes]:
        """That the log of one size is the beginning of that of another."""
        request = ledger_pb.GetConsistencyRequest(from_size=from_size, to_size=to_size)
        answer: ledger_pb.GetConsistencyResponse = self._call(
            lambda to: to.ledger.GetConsistency, request
        )
        return answer.proof

    def entries(self, from_seq: int, to_seq: int) -> Iterator[ledger_pb2.SignedEntry]:
        """Of the log, from one on, up to another and without it."""
        while from_seq < to_seq:
            wanted = min(to_seq - from_seq, ENTRIES)
            request = ledger_pb.ListEntriesRequest(from_seq=from_seq, page_size=wanted)
            page: ledger_pb.ListEntriesResponse = self._call(
                lambda to: to.ledger.ListEntries, request
            )
            yield from page.entries
            if not page.entries:
                return
            from_seq += len(page.entries)

    # How it is asked

    def _call_signed(self, method: str, call: Method[Connection], request: Request) -> Any:
        """Signed anew where its nonce was used."""
        for _ in range(SIGNED_AT_MOST - 1):
            try:
                return self._call(call, self._signed(method, request))
            except RequestRefused as refused:
                if refused.reason != MarketReason.STALE_NONCE:
                    raise
        return self._call(call, self._signed(method, request))

    def _signed(self, method: str, request: Request, nonces: int = 1) -> Request:
        if self._signer is None:
            raise ValueError(f"{method} is signed by whoever asks for it: give the client a signer")
        if not self._log_id:
            self._log_id = self.market().log_id
        return self._signer.sign(method, request, self._log_id, nonces)
