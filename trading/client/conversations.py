"""What each call of a market's API asks it, and what comes of its answers; for both clients."""

import re
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from digitalgrid.client.conversation import (
    Conversation,
    Method,
    Pause,
    Stream,
    as_it_is,
    ask,
    following,
    rows,
)
from digitalgrid.client.errors import RequestRefused
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1 import meter_service_pb2 as meter_pb
from trading.client.calls import (
    CLEARINGS,
    ENTRIES,
    LOOK_AGAIN_S,
    PAGE,
    SIGNED_AT_MOST,
    Connection,
    refusal_of,
)
from trading.client.deciding import is_decided, undecided
from trading.client.moving import registration_of, release_of
from trading.client.signing import Signer
from trading.ledger.keys import SigningKey
from trading.ledger.mandates import Request
from trading.reasons import MarketReason


class MarketConversations:
    """Of a client whose requests ``signer`` signs; who only reads needs none."""

    def __init__(self, signer: Signer | None) -> None:
        self._signer = signer
        self._log_id = b""

    # Orders and trades

    def market(self) -> Conversation[pb.GetMarketResponse]:
        """What it trades, by which rules and prices, and what is open now."""
        request = pb.GetMarketRequest()
        market: pb.GetMarketResponse = yield from ask(_get_market, request)
        for page in (yield from following(market, _get_market, request)):
            market.parties.extend(page.parties)
        market.next_page_token = ""
        return market

    def create_tenders(self, tenders: Iterable[pb.Tender]) -> Conversation[list[pb.TenderResult]]:
        """Several in order, each taken or refused by itself; those that are taken are durable."""
        wanted = list(tenders)
        for _ in range(SIGNED_AT_MOST):
            request = pb.CreateTendersRequest(tenders=wanted)
            signed = yield from self._signed("CreateTenders", request, len(wanted))
            answer: pb.CreateTendersResponse = yield from ask(
                lambda to: to.market.CreateTenders, signed
            )
            reasons = {each.refusal.reason for each in answer.results}
            if reasons != {MarketReason.STALE_NONCE}:
                break
        return list(answer.results)

    def create_tender(self, tender: pb.Tender) -> Conversation[pb.Order]:
        """One; raises RequestRefused where it is not taken."""
        (result,) = yield from self.create_tenders([tender])
        if result.HasField("refusal"):
            raise refusal_of(result.refusal)
        return result.order

    def cancel_tender(self, order_id: str) -> Conversation[pb.Order]:
        """What waits of it ends; what is matched stays so."""
        answer: pb.CancelTenderResponse = yield from self._ask_signed(
            "CancelTender",
            lambda to: to.market.CancelTender,
            pb.CancelTenderRequest(order_id=order_id),
        )
        return answer.order

    def set_forecast(
        self, meter_id: str, interval_start_unix_ns: int, most_wh: int
    ) -> Conversation[pb.Position]:
        """A meter is not expected to give more in an interval, and sells no more: by its party or the operator."""
        request = pb.SetForecastRequest(
            meter_id=meter_id, interval_start_unix_ns=interval_start_unix_ns, most_wh=most_wh
        )
        answer: pb.SetForecastResponse = yield from self._ask_signed(
            "SetForecast", lambda to: to.market.SetForecast, request
        )
        return answer.position

    def list_tenders(
        self, party: str = "", *, open_only: bool = False, newest: int | None = None
    ) -> Conversation[list[pb.Order]]:
        """The newest first: so many, or all that there ever were."""
        request = pb.ListTendersRequest(
            party=party, open_only=open_only, page_size=min(newest or PAGE, PAGE)
        )
        return rows(_list_tenders, request, lambda page: page.orders, newest)

    def wait_until_decided(
        self, order: pb.Order, timeout_s: float
    ) -> Conversation[tuple[pb.Order, list[pb.Transaction]]]:
        """The order and its trades, once nothing of it waits and each trade is agreed for good, or over.

        Raises Undecided.
        """
        deadline_s = time.monotonic() + timeout_s
        start_ns = order.tender.interval.start_unix_ns
        while True:
            # Orders first: a trade that is agreed between the two looks is not missed.
            seen = yield from self._as_it_is(order)
            trades = [
                each
                for each in (yield from self.list_transactions(order.party, start_ns))
                if order.seq in (each.buy_seq, each.sell_seq)
            ]
            if is_decided(seen, trades):
                return seen, trades
            if time.monotonic() >= deadline_s:
                raise undecided(seen, timeout_s)
            yield Pause(LOOK_AGAIN_S)

    def _as_it_is(self, order: pb.Order) -> Conversation[pb.Order]:
        """Now; the newest come first, so that no page is asked for after that with its place."""
        request = pb.ListTendersRequest(party=order.party, page_size=PAGE)
        while True:
            page: pb.ListTendersResponse = yield from ask(_list_tenders, request)
            for each in page.orders:
                if each.seq <= order.seq:
                    return each if each.seq == order.seq else order
            if not page.next_page_token:
                return order
            request.page_token = page.next_page_token

    def book(self, interval_start_unix_ns: int = 0) -> Conversation[pb.GetBookResponse]:
        """What waits, by price; of the next interval to close where none is named."""
        request = pb.GetBookRequest(interval_start_unix_ns=interval_start_unix_ns)
        book: pb.GetBookResponse = yield from ask(_get_book, request)
        try:
            pages = yield from following(book, _get_book, request)
        except RequestRefused as refused:
            if interval_start_unix_ns or refused.reason != MarketReason.INTERVAL_UNKNOWN:
                raise
            # The next to close has ended meanwhile, and another is the next by now.
            return (yield from self.book())
        for page in pages:
            book.bids.extend(page.bids)
            book.asks.extend(page.asks)
        book.next_page_token = ""
        return book

    def preview_clearing(
        self, interval_start_unix_ns: int = 0, mechanism: str = ""
    ) -> Conversation[pb.Clearing]:
        """What would be traded if the gate closed now, by its own mechanism or another."""
        request = pb.PreviewClearingRequest(
            interval_start_unix_ns=interval_start_unix_ns, mechanism=mechanism
        )
        answer: pb.PreviewClearingResponse = yield from ask(
            lambda to: to.market.PreviewClearing, request
        )
        return answer.clearing

    def list_clearings(self, newest: int) -> Conversation[list[pb.Clearing]]:
        """The newest first."""
        request = pb.ListClearingsRequest(page_size=min(newest, CLEARINGS))
        return rows(
            lambda to: to.market.ListClearings, request, lambda page: page.clearings, newest
        )

    def watch_market(self) -> Stream[pb.WatchMarketResponse]:
        """A snapshot, a marker, then what changes."""
        return Stream(lambda to: to.market.WatchMarket, pb.WatchMarketRequest(), as_it_is)

    def get_transaction(self, trade_id: str) -> Conversation[pb.Transaction]:
        request = pb.GetTransactionRequest(trade_id=trade_id)
        answer: pb.GetTransactionResponse = yield from ask(
            lambda to: to.market.GetTransaction, request
        )
        return answer.transaction

    def list_transactions(
        self,
        party: str = "",
        interval_start_unix_ns: int = 0,
        *,
        open_only: bool = False,
        newest: int | None = None,
    ) -> Conversation[list[pb.Transaction]]:
        """The newest first: so many, or all that there ever were."""
        request = pb.ListTransactionsRequest(
            party=party,
            interval_start_unix_ns=interval_start_unix_ns,
            open_only=open_only,
            page_size=min(newest or PAGE, PAGE),
        )
        return rows(
            lambda to: to.market.ListTransactions, request, lambda page: page.transactions, newest
        )

    def watch_transactions(self, party: str = "") -> Stream[pb.WatchTransactionsResponse]:
        """A snapshot, a marker, then what changes: of a party, or of all."""
        request = pb.WatchTransactionsRequest(party=party)
        return Stream(lambda to: to.market.WatchTransactions, request, as_it_is)

    def list_positions(self, party: str = "") -> Conversation[list[pb.Position]]:
        request = pb.ListPositionsRequest(party=party, page_size=PAGE)
        return rows(lambda to: to.market.ListPositions, request, lambda page: page.positions)

    # Bills

    def get_settlement(self, trade_id: str) -> Conversation[pb.GetSettlementResponse]:
        request = pb.GetSettlementRequest(trade_id=trade_id)
        return ask(lambda to: to.settlement.GetSettlement, request)

    def get_receipt(self, trade_id: str) -> Conversation[pb.Receipt]:
        """Nothing of it is believed before :func:`~.receipts.check_receipt` has looked at it."""
        request = pb.GetReceiptRequest(trade_id=trade_id)
        answer: pb.GetReceiptResponse = yield from ask(lambda to: to.settlement.GetReceipt, request)
        return answer.receipt

    def open_dispute(
        self, trade_id: str, line: str, statement: str = "", evidence: Iterable[str] = ()
    ) -> Conversation[pb.Settlement]:
        """``evidence``: what speaks for it, as ids of readings, entries of the log or circuits."""
        request = pb.OpenDisputeRequest(
            trade_id=trade_id, line=line, statement=statement, evidence=evidence
        )
        answer: pb.OpenDisputeResponse = yield from self._ask_signed(
            "OpenDispute", lambda to: to.settlement.OpenDispute, request
        )
        return answer.settlement

    def resolve_dispute(
        self, trade_id: str, decision: str, deliveries: Iterable[pb.Delivery] = ()
    ) -> Conversation[pb.Settlement]:
        """By the operator."""
        request = pb.ResolveDisputeRequest(
            trade_id=trade_id, decision=decision, deliveries=deliveries
        )
        answer: pb.ResolveDisputeResponse = yield from self._ask_signed(
            "ResolveDispute", lambda to: to.settlement.ResolveDispute, request
        )
        return answer.settlement

    # Money, and the log of it

    def balance(self, account: str) -> Conversation[ledger_pb.GetBalanceResponse]:
        request = ledger_pb.GetBalanceRequest(account=account)
        return ask(lambda to: to.ledger.GetBalance, request)

    def deposit(
        self, account: str, nano: int, key: str = ""
    ) -> Conversation[ledger_pb.DepositResponse]:
        """By the operator. Under one ``key`` money comes in once; without any, each call is another deposit."""
        request = ledger_pb.DepositRequest(key=key or uuid.uuid4().hex, account=account, nano=nano)
        return self._ask_signed("Deposit", lambda to: to.ledger.Deposit, request)

    def withdraw(
        self, account: str, nano: int, key: str = ""
    ) -> Conversation[ledger_pb.WithdrawResponse]:
        """By the operator."""
        request = ledger_pb.WithdrawRequest(key=key or uuid.uuid4().hex, account=account, nano=nano)
        return self._ask_signed("Withdraw", lambda to: to.ledger.Withdraw, request)

    def refund(self, trade_id: str) -> Conversation[ledger_pb.RefundResponse]:
        """Of a trade that nobody has closed in time: what its escrow has goes back to whom it was."""
        request = ledger_pb.RefundRequest(trade_id=trade_id)
        return self._ask_signed("Refund", lambda to: to.ledger.Refund, request)

    def rotate_key(self, key: str = "") -> Conversation[ledger_pb.RotateKeyResponse]:
        """By the operator: the log is signed with another key from then on; under one ``key`` once."""
        request = ledger_pb.RotateKeyRequest(key=key or uuid.uuid4().hex)
        return self._ask_signed("RotateKey", lambda to: to.ledger.RotateKey, request)

    def get_meter(self, meter_id: str) -> Conversation[meter_pb.GetMeterResponse]:
        """Where a meter is registered, and the proof of its release if it has left. For ``meter_id`` the 64 hexadecimal
        digits of its key will do: so also one is found that the market's file has no more.
        """
        request = (
            meter_pb.GetMeterRequest(public_key=bytes.fromhex(meter_id))
            if re.fullmatch(r"[0-9a-f]{64}", meter_id)
            else meter_pb.GetMeterRequest(meter_id=meter_id)
        )
        return ask(lambda to: to.meters.GetMeter, request)

    def register_meter(
        self, meter_id: str, key: SigningKey, departure: ledger_pb2.MeterDeparture | None = None
    ) -> Conversation[meter_pb.RegisterMeterResponse]:
        """With the meter's own ``key``; ``departure``: of one that comes from another market. Raises BadDeparture."""
        standing = (yield from self.get_meter(meter_id)).standing
        said = registration_of(standing, key, (yield from self._log()), departure)
        request = meter_pb.RegisterMeterRequest(registration=said)
        answer: meter_pb.RegisterMeterResponse = yield from self._ask_signed(
            "RegisterMeter", lambda to: to.meters.RegisterMeter, request
        )
        return answer

    def release_meter(
        self, meter_id: str, key: SigningKey, to_log_id: bytes = b""
    ) -> Conversation[meter_pb.ReleaseMeterResponse]:
        """With the meter's own ``key``, for the market of another log; without one it can only come back here. Raises
        BadDeparture.
        """
        standing = (yield from self.get_meter(meter_id)).standing
        said = release_of(standing, key, (yield from self._log()), to_log_id)
        request = meter_pb.ReleaseMeterRequest(release=said)
        answer: meter_pb.ReleaseMeterResponse = yield from self._ask_signed(
            "ReleaseMeter", lambda to: to.meters.ReleaseMeter, request
        )
        return answer

    def head(self) -> Conversation[ledger_pb.GetHeadResponse]:
        return ask(lambda to: to.ledger.GetHead, ledger_pb.GetHeadRequest())

    def consistency(self, from_size: int, to_size: int) -> Conversation[Sequence[bytes]]:
        """That the log of one size is the beginning of that of another."""
        request = ledger_pb.GetConsistencyRequest(from_size=from_size, to_size=to_size)
        answer: ledger_pb.GetConsistencyResponse = yield from ask(
            lambda to: to.ledger.GetConsistency, request
        )
        return answer.proof

    def some_entries(
        self, from_seq: int, to_seq: int
    ) -> Conversation[Sequence[ledger_pb2.SignedEntry]]:
        """Of the log, from one on, as many as come at a time, and none from another on."""
        request = ledger_pb.ListEntriesRequest(
            from_seq=from_seq, page_size=min(to_seq - from_seq, ENTRIES)
        )
        page: ledger_pb.ListEntriesResponse = yield from ask(
            lambda to: to.ledger.ListEntries, request
        )
        return page.entries

    # How it is asked

    def _ask_signed(
        self, name: str, method: Method[Connection], request: Request
    ) -> Conversation[Any]:
        """Signed anew where its nonce was used."""
        for _ in range(SIGNED_AT_MOST - 1):
            try:
                return (yield from ask(method, (yield from self._signed(name, request))))
            except RequestRefused as refused:
                if refused.reason != MarketReason.STALE_NONCE:
                    raise
        return (yield from ask(method, (yield from self._signed(name, request))))

    def _signed(self, name: str, request: Request, nonces: int = 1) -> Conversation[Request]:
        if self._signer is None:
            raise ValueError(f"{name} is signed by whoever asks for it: give the client a signer")
        return self._signer.sign(name, request, (yield from self._log()), nonces)

    def _log(self) -> Conversation[bytes]:
        if not self._log_id:
            self._log_id = (yield from self.market()).log_id
        return self._log_id


def _get_market(to: Connection) -> Any:
    return to.market.GetMarket


def _get_book(to: Connection) -> Any:
    return to.market.GetBook


def _list_tenders(to: Connection) -> Any:
    return to.market.ListTenders
