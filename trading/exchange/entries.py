"""Entries: what trades ask of the ledger as its log has it, and those that wait to be written, in order.

What is asked again, over crashes too, is the same entry under the same key, and so is written once.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice

import msgspec

from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.core.readings import Quality
from trading.core.settlement import Line, Posting
from trading.core.trades import (
    Close,
    Effect,
    Lock,
    Pay,
    Refusal,
    Revoke,
    Sign,
    Signed,
    Trade,
    Unsigned,
    evidence_in,
)
from trading.exchange.terms import salt_of, terms_bytes, terms_hash
from trading.ledger.ledger import Ledger, Receipt, Wanted
from trading.ledger.refusals import LedgerReason, LedgerRefused

# What becomes of an entry; None where it was called back before it was written.
Done = Receipt | LedgerRefused | None


class Entries:
    """Of one market. ``kept_ns``: how long beyond the end of its interval an escrow is not refunded."""

    def __init__(self, operator: str, secret: bytes, kept_ns: int) -> None:
        self._operator = operator
        self._secret = secret
        self._kept_ns = kept_ns

    def lock(self, asked: Lock, trade: Trade) -> Wanted:
        locks = asked.locks
        owed = (
            (asked.buyer, locks.buyer),
            (asked.seller, locks.seller),
            (self._operator_of(trade), locks.operator),
        )
        lock = pb.Lock(
            trade_id=asked.trade_id,
            stakes=[pb.Stake(account=account, nano=nano) for account, nano in owed],
            terms_hash=self._terms_hash(trade),
            refundable_unix_ns=trade.interval.end_ns + self._kept_ns,
            not_after_unix_ns=asked.not_after_ns,
        )
        return Wanted(asked.key, pb.Entry(lock=lock))

    def sign(self, asked: Sign, trade: Trade) -> Wanted:
        return Wanted(asked.key, self._commitment("transaction", trade), needs=asked.trade_id)

    def revoke(self, asked: Revoke, trade: Trade) -> Wanted:
        """Under the key of the signature, of which only one stands in the log."""
        return Wanted(asked.key, self._commitment("no transaction", trade))

    def pay(self, asked: Pay, trade: Trade) -> Wanted:
        payment = pb.Payment(trade_id=asked.trade_id, postings=self._postings(trade, asked.lines))
        return Wanted(asked.key, pb.Entry(payment=payment))

    def close(self, asked: Close, trade: Trade) -> Wanted:
        close = pb.Close(
            trade_id=asked.trade_id,
            postings=self._postings(trade, asked.postings),
            evidence_hash=self._evidence_hash(trade),
            estimated=trade.settlement is not None and evidence_in(trade).is_estimated,
        )
        return Wanted(asked.key, pb.Entry(close=close))

    def _commitment(self, kind: str, trade: Trade) -> pb.Entry:
        return pb.Entry(commitment=pb.Commitment(kind=kind, sha256=self._terms_hash(trade)))

    def _operator_of(self, trade: Trade) -> str:
        """As it was called when the trade was agreed: what is asked again is the same entry, over a renaming too."""
        return trade.operator or self._operator

    def _terms_hash(self, trade: Trade) -> bytes:
        return terms_hash(terms_bytes(trade), salt_of(self._secret, trade.trade_id))

    def _evidence_hash(self, trade: Trade) -> bytes:
        """Of what a bill was made from, and what a party named as evidence, salted as its terms are; of what came to no
        bill there is none.
        """
        if trade.settlement is None:
            return b""
        named = (trade.evidence,) if trade.evidence else ()
        is_last = evidence_in(trade).quality is Quality.LAST_READING
        last = (trade.last_mj,) if is_last else ()
        evidence = msgspec.msgpack.encode((trade.ends, trade.missed, *named, *last))
        return sha256(evidence + salt_of(self._secret, trade.trade_id)).digest()

    def _postings(self, trade: Trade, lines: Sequence[Line | Posting]) -> list[pb.Posting]:
        operator = self._operator_of(trade)
        account = {"buyer": trade.buyer, "seller": trade.seller, "operator": operator}
        return [
            pb.Posting(payer=account[each.payer], payee=account[each.payee], nano=each.nano)
            for each in lines
        ]


def signed(done: Done) -> Signed | Refusal | None:
    """None where the money is not in escrow: its lock says what becomes of the trade."""
    if isinstance(done, LedgerRefused):
        is_early = done.reason is LedgerReason.NO_ESCROW
        return None if is_early else Refusal(done.reason.value, str(done))
    return None if done is None else Signed()


def unsigned(done: Done) -> Unsigned | Signed:
    """What was written under the key before is the signature."""
    if not isinstance(done, LedgerRefused):
        return Unsigned()
    if done.reason is LedgerReason.KEY_REUSED:
        return Signed()
    # Nothing else is ever wrong with a commitment of ours.
    raise done


def is_closed_alike(ledger: Ledger, wanted: Wanted) -> bool:
    """Whether the log has this close but for its evidence, whose hash was not salted once, and how good that was, which
    was not said.
    """
    seq = ledger.seq_of(wanted.key)
    if seq is None:
        return False
    (written,) = ledger.entries(seq, 1)
    before = pb.Entry.FromString(written.entry).close
    before.evidence_hash = wanted.entry.close.evidence_hash
    before.estimated = wanted.entry.close.estimated
    return before == wanted.entry.close


class Waiting(msgspec.Struct, frozen=True):
    """``trade_id``: of whom it may be called back."""

    wanted: Wanted
    answer: Callable[[Done], None]
    trade_id: str = ""


class Queue:
    """In order of their coming. What is called back is found by its trade, as a slow disk has thousands wait."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}
        self._of_trade: dict[str, set[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(
        self, wanted: Wanted, answer: Callable[[Done], None], asked: Effect | None = None
    ) -> None:
        """``asked``: by a trade. A revocation calls back what waits still: for what cannot be, no money is taken."""
        if isinstance(asked, Revoke):
            self._call_back(asked.trade_id)
        trade_id = asked.trade_id if isinstance(asked, Lock | Sign) else ""
        self._waiting[self._next] = Waiting(wanted, answer, trade_id)
        if trade_id:
            self._of_trade.setdefault(trade_id, set()).add(self._next)
        self._next += 1

    def take(self, most: int) -> list[Waiting]:
        """The next group: what is in it cannot be called back."""
        return [self._pop(number) for number in list(islice(self._waiting, most))]

    def _call_back(self, trade_id: str) -> None:
        for number in sorted(self._of_trade.get(trade_id, ())):
            self._pop(number).answer(None)

    def _pop(self, number: int) -> Waiting:
        waiting = self._waiting.pop(number)
        if waiting.trade_id:
            others = self._of_trade[waiting.trade_id]
            others.remove(number)
            if not others:
                del self._of_trade[waiting.trade_id]
        return waiting
