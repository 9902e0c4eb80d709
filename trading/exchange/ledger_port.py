"""The ledger, asked by a market: one thread that owns it, and writes all that waits in one group with one flush."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from typing import TypeVar

import msgspec

from digitalgrid.market.v1 import ledger_pb2 as pb
from digitalgrid.supervision import start_task
from trading.core.settlement import Line, Posting
from trading.core.trades import (
    Close,
    Closed,
    Lock,
    Locked,
    PartPaid,
    Pay,
    Refusal,
    Revoke,
    Sign,
    Signed,
    Times,
    Trade,
    Unsigned,
)
from trading.core.units import Nano
from trading.exchange.ports import Unreachable
from trading.exchange.terms import salt_of, terms_bytes, terms_hash
from trading.ledger.ledger import Ledger, Receipt
from trading.ledger.refusals import LedgerReason, LedgerRefused

T = TypeVar("T")

# Entries in one group: their hashes and signatures take a tenth of a second, for which the first of them waits.
_MAX_GROUP = 512
# How long an escrow is kept beyond the last dispute (ns): then anybody may have it refunded, whatever has become of the
# exchange. A day, in which its operator can mend it.
_KEPT_NS = 86_400_000_000_000
# Estimated readings have twice the usual window.
_WINDOWS = 2


class _Waiting(msgspec.Struct):
    """``needs``: the trade whose escrow must be open, if any must."""

    key: str
    entry: pb.Entry
    needs: str
    done: asyncio.Future[Receipt | LedgerRefused]


class LedgerPort:
    """``open_ledger`` is called in the ledger's thread, where SQLite wants it used; so is ``rotate``, which gives the
    log another key. ``on_failure`` is told where nothing can be written any more.
    """

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        rotate: Callable[[Ledger, str], Receipt],
        operator: str,
        secret: bytes,
        times: Times,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._open_ledger = open_ledger
        self._rotate = rotate
        self._operator = operator
        self._secret = secret
        windows_ns = _WINDOWS * times.object_ns + times.dispute_ns
        # From the end of an interval until a bill is paid at the latest, and then the exchange has failed.
        self._longest_ns = times.read_ns + windows_ns + _KEPT_NS
        self._on_failure = on_failure
        self._executor = ThreadPoolExecutor(1, "ledger")
        self._waiting: list[_Waiting] = []
        self._work = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._ledger: Ledger | None = None

    async def open(self) -> None:
        """Raises what opening it raises: a log that was altered, or signed with another key."""
        self._ledger = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._open_ledger
        )
        self._writer = start_task("ledger", self._write_on, self._on_failure)

    async def shut(self) -> None:
        """What is being written is written; what waits is not."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self._ledger is not None:
            await self.ask(Ledger.close)
        self._executor.shutdown()

    @property
    def log_id(self) -> bytes:
        return self._opened.log_id

    @property
    def log_public_key(self) -> bytes:
        """That signs by now."""
        return self._opened.public_key

    @property
    def size(self) -> int:
        """Entries of the log."""
        return self._opened.size

    @property
    def waiting(self) -> int:
        """Entries that the next groups have."""
        return len(self._waiting)

    @property
    def _opened(self) -> Ledger:
        if self._ledger is None:
            raise LookupError("the ledger is not open yet")
        return self._ledger

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        """Anything that is read of the ledger, in its thread, between two groups."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, question, self._opened
        )

    async def write(self, key: str, entry: pb.Entry) -> Receipt:
        """With whatever else waits; the answer comes once it is durable. Raises LedgerRefused."""
        done = await self._write(key, entry)
        if isinstance(done, LedgerRefused):
            raise done
        return done

    async def _write(self, key: str, entry: pb.Entry, needs: str = "") -> Receipt | LedgerRefused:
        done: asyncio.Future[Receipt | LedgerRefused] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(key, entry, needs, done))
        self._work.set()
        return await done

    async def rotate(self, key: str) -> Receipt:
        """The log has another key from now on; under one ``key`` once. What fails half way ends the exchange, which
        goes on there when it is started.
        """
        try:
            return await self.ask(lambda ledger: self._rotate(ledger, key))
        except LedgerRefused:
            raise
        except Exception as error:
            self._on_failure(error)
            raise

    def free(self, account: str) -> Nano:
        """What an account has that is not in escrow."""
        return self._opened.balance(account)

    async def lock(self, asked: Lock, trade: Trade) -> Locked | Refusal:
        locks, end_ns = asked.locks, trade.interval.end_ns
        owed = (
            (asked.buyer, locks.buyer),
            (asked.seller, locks.seller),
            (self._operator_of(trade), locks.operator),
        )
        message = pb.Lock(
            trade_id=asked.trade_id,
            stakes=[pb.Stake(account=account, nano=nano) for account, nano in owed],
            terms_hash=self._terms_hash(trade),
            refundable_unix_ns=(end_ns + self._longest_ns),
            not_after_unix_ns=asked.not_after_ns,
        )
        return _told(await self._write(asked.key, pb.Entry(lock=message)), Locked())

    async def sign(self, asked: Sign, trade: Trade) -> Signed | Refusal:
        done = await self._commit(asked.key, "transaction", trade, needs=asked.trade_id)
        if isinstance(done, LedgerRefused) and done.reason is LedgerReason.NO_ESCROW:
            raise Unreachable(f"the money of trade {asked.trade_id} is not in escrow")
        return _told(done, Signed())

    async def revoke(self, asked: Revoke, trade: Trade) -> Signed | Unsigned:
        """What was written under the key before is the signature."""
        done = await self._commit(asked.key, "no transaction", trade)
        if not isinstance(done, LedgerRefused):
            return Unsigned()
        if done.reason is LedgerReason.KEY_REUSED:
            return Signed()
        # Nothing else is ever wrong with a commitment of ours.
        raise done

    async def pay(self, asked: Pay, trade: Trade) -> PartPaid | Refusal:
        payment = pb.Payment(trade_id=asked.trade_id, postings=self._postings(trade, asked.lines))
        return _told(await self._write(asked.key, pb.Entry(payment=payment)), PartPaid())

    async def close(self, asked: Close, trade: Trade) -> Closed | Refusal:
        close = pb.Close(
            trade_id=asked.trade_id,
            postings=self._postings(trade, asked.postings),
            evidence_hash=self._evidence_hash(trade),
        )
        return _told(await self._write(asked.key, pb.Entry(close=close)), Closed())

    async def _commit(
        self, key: str, kind: str, trade: Trade, needs: str = ""
    ) -> Receipt | LedgerRefused:
        commitment = pb.Commitment(kind=kind, sha256=self._terms_hash(trade))
        return await self._write(key, pb.Entry(commitment=commitment), needs)

    def _operator_of(self, trade: Trade) -> str:
        """As it was called when the trade was agreed: what is asked again is the same entry, over a renaming too."""
        return trade.operator or self._operator

    def _terms_hash(self, trade: Trade) -> bytes:
        return terms_hash(terms_bytes(trade), salt_of(self._secret, trade.trade_id))

    def _evidence_hash(self, trade: Trade) -> bytes:
        """Of what a bill was made from, salted as its terms are; of what came to no bill there is none."""
        if trade.settlement is None:
            return b""
        evidence = msgspec.msgpack.encode((trade.ends, trade.missed))
        return sha256(evidence + salt_of(self._secret, trade.trade_id)).digest()

    def _postings(self, trade: Trade, lines: Sequence[Line | Posting]) -> list[pb.Posting]:
        operator = self._operator_of(trade)
        account = {"buyer": trade.buyer, "seller": trade.seller, "operator": operator}
        return [
            pb.Posting(payer=account[each.payer], payee=account[each.payee], nano=each.nano)
            for each in lines
        ]

    async def _write_on(self) -> None:
        """Group after group, as long as any waits."""
        while True:
            await self._work.wait()
            group, self._waiting = self._waiting[:_MAX_GROUP], self._waiting[_MAX_GROUP:]
            if not self._waiting:
                self._work.clear()
            written = await self.ask(partial(_written, group))
            for each, result in zip(group, written, strict=True):
                if not each.done.done():
                    each.done.set_result(result)


def _written(group: Sequence[_Waiting], ledger: Ledger) -> list[Receipt | LedgerRefused]:
    needs = {each.key: each.needs for each in group if each.needs}
    return ledger.write_many([(each.key, each.entry) for each in group], needs)


def _told(done: Receipt | LedgerRefused, event: T) -> T | Refusal:
    if isinstance(done, LedgerRefused):
        return Refusal(done.reason.value, str(done))
    return event
