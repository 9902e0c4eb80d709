"""LedgerService: the log as anybody may check it, and money that comes in or leaves by the operator's word."""

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from digitalgrid.market.v1 import ledger_pb2, market_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as pb
from digitalgrid.market.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from trading.exchange.mandates import Mandates
from trading.exchange.services.alone import Alone
from trading.ledger.accounts import check_id
from trading.ledger.ledger import Ledger, Receipt
from trading.reasons import MarketReason, Refused

_log = logging.getLogger(__name__)

# Entries of an answer where nobody says how many, and at most: of the longest, gRPC's 4 MB hold no more.
_USUAL_ENTRIES, _MOST_ENTRIES = 100, 1_000
# Bytes of entries after which an answer ends: half of what gRPC takes.
_MOST_BYTES = 2 * 1024 * 1024
# How long (ns) after an escrow may be refunded a market that has its trade open still may close it itself. A week: who
# has not mended an exchange by then, or whose market cannot close it at all, keeps nobody's money any longer.
_MARKET_FIRST_NS = 7 * 86_400_000_000_000

T = TypeVar("T")


class LedgerThread(Protocol):
    """The ledger, which a thread of its own has: it is asked there, and written to by groups."""

    async def ask(self, question: Callable[[Ledger], T]) -> T: ...

    async def write(self, key: str, entry: ledger_pb2.Entry) -> Receipt:
        """Raises LedgerRefused."""

    async def rotate(self, key: str) -> Receipt:
        """Another key signs from then on."""


class Desk(Protocol):
    """What the ledger's clients are asked of the market: nonces, which only grow, and which trades it means to pay."""

    async def use_nonce(self, party: str, nonce: int) -> None:
        """Raises Refused for one that was used."""

    def is_open(self, trade_id: str) -> bool: ...


class LedgerService(LedgerServiceServicer):
    def __init__(self, ledger: LedgerThread, mandates: Mandates, desk: Desk) -> None:
        self._ledger = ledger
        self._mandates = mandates
        self._desk = desk
        # What is said again while it is being carried out is answered alike: its nonce is used.
        self._alone = Alone()

    async def GetHead(self, request: pb.GetHeadRequest, context: Any) -> pb.GetHeadResponse:
        return await self._ledger.ask(_head)

    async def GetConsistency(
        self, request: pb.GetConsistencyRequest, context: Any
    ) -> pb.GetConsistencyResponse:
        return await self._ledger.ask(lambda book: _consistency(book, request))

    async def GetInclusion(
        self, request: pb.GetInclusionRequest, context: Any
    ) -> pb.GetInclusionResponse:
        return await self._ledger.ask(lambda book: _inclusion(book, request))

    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: Any
    ) -> pb.ListEntriesResponse:
        return await self._ledger.ask(lambda book: _entries(book, request))

    async def GetBalance(
        self, request: pb.GetBalanceRequest, context: Any
    ) -> pb.GetBalanceResponse:
        return await self._ledger.ask(
            lambda book: pb.GetBalanceResponse(
                free_nano=book.balance(request.account), locked_nano=book.locked(request.account)
            )
        )

    async def Deposit(self, request: pb.DepositRequest, context: Any) -> pb.DepositResponse:
        self._mandates.check_operator("Deposit", request)
        body = ledger_pb2.Deposit(account=request.account, nano=request.nano)
        key = f"deposit/{request.key}"
        done = await self._write(key, ledger_pb2.Entry(deposit=body), request.mandate)
        return pb.DepositResponse(seq=done.seq, free_nano=await self._free(request.account))

    async def Withdraw(self, request: pb.WithdrawRequest, context: Any) -> pb.WithdrawResponse:
        self._mandates.check_operator("Withdraw", request)
        body = ledger_pb2.Withdrawal(account=request.account, nano=request.nano)
        key = f"withdrawal/{request.key}"
        done = await self._write(key, ledger_pb2.Entry(withdrawal=body), request.mandate)
        return pb.WithdrawResponse(seq=done.seq, free_nano=await self._free(request.account))

    async def Refund(self, request: pb.RefundRequest, context: Any) -> pb.RefundResponse:
        """By any party, whoever's money it is: it goes nowhere else than where it came from.

        For a week not where the market has the trade open: after an outage it still pays what was delivered.
        """
        self._mandates.party_of("Refund", request)
        body = ledger_pb2.Refund(trade_id=request.trade_id)
        key = f"{request.trade_id}/refund"
        async with self._alone.with_key(key):
            if await self._begun(key, request.mandate):
                await self._check_left(request.trade_id)
            done = await self._ledger.write(key, ledger_pb2.Entry(refund=body))
        return pb.RefundResponse(seq=done.seq)

    async def _check_left(self, trade_id: str) -> None:
        """Raises Refused where the market may still close an escrow."""
        if not self._desk.is_open(trade_id):
            return
        kept_ns = await self._ledger.ask(lambda book: book.kept_ns(trade_id))
        left_ns = kept_ns + _MARKET_FIRST_NS
        if left_ns > 0:
            raise Refused(
                MarketReason.TRADE_OPEN,
                f"the market has trade {trade_id!r} open, and has {left_ns / 1e9:.3g} s more in"
                " which to close its escrow itself",
                "trade_id",
            )

    async def RotateKey(self, request: pb.RotateKeyRequest, context: Any) -> pb.RotateKeyResponse:
        self._mandates.check_operator("RotateKey", request)
        check_id(request.key, "key")
        async with self._alone.with_key(f"rotation/{request.key}"):
            if await self._ledger.ask(lambda book: book.rotated(request.key)) is None:
                await self._use(request.mandate)
            done = await self._ledger.rotate(request.key)
        if done.is_new:
            left = await self._ledger.ask(lambda book: book.keys_left)
            _log.warning(
                "another key signs the log from entry %d on, and %d more can; exchanges that know it by `known_logs`"
                " are to be told the new one",
                *(done.seq + 1, left),
            )
        public_key = await self._ledger.ask(lambda book: _log_key(book, done.seq))
        return pb.RotateKeyResponse(seq=done.seq, log_public_key=public_key)

    async def _write(
        self, key: str, entry: ledger_pb2.Entry, mandate: market_pb2.Mandate
    ) -> Receipt:
        async with self._alone.with_key(key):
            await self._begun(key, mandate)
            return await self._ledger.write(key, entry)

    async def _begun(self, key: str, mandate: market_pb2.Mandate) -> bool:
        """Under the word of a party. One that is said again is answered as before, if it was written then; if it was
        refused it stays so. Whether it was not.
        """
        is_new = await self._ledger.ask(lambda book: book.seq_of(key)) is None
        if is_new:
            await self._use(mandate)
        return is_new

    async def _use(self, mandate: market_pb2.Mandate) -> None:
        await self._desk.use_nonce(mandate.party, mandate.nonce)

    async def _free(self, account: str) -> int:
        return await self._ledger.ask(lambda book: book.balance(account))


def _log_key(book: Ledger, seq: int) -> bytes:
    """That an entry names: others may have followed it."""
    (signed,) = book.entries(seq, 1)
    return ledger_pb2.Entry.FromString(signed.entry).log_key.public_key


def _head(book: Ledger) -> pb.GetHeadResponse:
    return pb.GetHeadResponse(head=book.head(), log_public_key=book.public_key)


def _consistency(book: Ledger, request: pb.GetConsistencyRequest) -> pb.GetConsistencyResponse:
    if not request.from_size <= request.to_size <= book.size:
        raise Refused(
            MarketReason.NOT_IN_LOG,
            f"the log has {book.size} entries, and so no proof from {request.from_size} to"
            f" {request.to_size}",
            "to_size" if request.to_size > book.size else "from_size",
        )
    return pb.GetConsistencyResponse(proof=book.consistency(request.from_size, request.to_size))


def _inclusion(book: Ledger, request: pb.GetInclusionRequest) -> pb.GetInclusionResponse:
    size = request.size or book.size
    if not request.seq < size <= book.size:
        raise Refused(
            MarketReason.NOT_IN_LOG,
            f"the log has {book.size} entries, and so no entry {request.seq} among the first {size}",
            "size" if size > book.size else "seq",
        )
    (entry,) = book.entries(request.seq, 1)
    proof = book.inclusion(request.seq, size)
    return pb.GetInclusionResponse(entry=entry, size=size, proof=proof)


def _entries(book: Ledger, request: pb.ListEntriesRequest) -> pb.ListEntriesResponse:
    """As many as are asked for and one answer holds; from beyond the end, none."""
    wanted = request.page_size if request.page_size > 0 else _USUAL_ENTRIES
    # Beyond it a number of the API is none of the database.
    first = min(request.from_seq, book.size)
    answer = pb.ListEntriesResponse()
    bytes_left = _MOST_BYTES
    for each in book.entries(first, min(wanted, _MOST_ENTRIES)):
        answer.entries.append(each)
        bytes_left -= each.ByteSize()
        if bytes_left <= 0:
            break
    following = first + len(answer.entries)
    if following < book.size:
        answer.next_seq = following
    return answer
