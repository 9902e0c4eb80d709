"""The ledger of a simulated market: a real one in memory, and what an exchange makes of a trade's requests to it."""

from collections.abc import Callable, Sequence

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.ledgers import KEY, TERMS, deposit, refund
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
    Trade,
    TradeEvent,
    Unsigned,
)
from trading.ledger.ledger import Ledger
from trading.ledger.refusals import LedgerReason, LedgerRefused
from trading.ledger.storage import MemoryStorage

OPERATOR = "operator"
# What a right exchange is refused now and then; anything else is a fault of what it asks for.
_USUAL = frozenset(
    {
        LedgerReason.TOO_LATE,
        LedgerReason.ESCROW_EXISTS,
        LedgerReason.BALANCE_TOO_LOW,
        LedgerReason.NO_ESCROW,
        LedgerReason.NOT_REFUNDABLE_YET,
        LedgerReason.KEY_REUSED,
    }
)


class MarketLedger:
    """``trade_of``: a trade as it is journalled; ``now_ns``: the clock."""

    def __init__(
        self,
        balances: dict[str, int],
        now_ns: Callable[[], int],
        trade_of: Callable[[str], Trade],
    ) -> None:
        self.storage = MemoryStorage()
        self.book = Ledger(self.storage, KEY, now_ns, "a simulated market")
        self._trade_of = trade_of
        # Keys that stand in the log, and trades whose escrow was refunded.
        self.written: set[str] = set()
        self.signed: set[str] = set()
        self.refunded: set[str] = set()
        for account, nano in balances.items():
            self.book.write(f"deposit/{account}", deposit(account, nano))

    def _write(self, key: str, entry: pb.Entry, done: TradeEvent) -> TradeEvent:
        """``done``, also of what was written before; or why it is not written."""
        try:
            self.book.write(key, entry)
        except LedgerRefused as refused:
            assert refused.reason in _USUAL, refused
            return Refusal(refused.reason, str(refused))
        self.written.add(key)
        return done

    def lock(self, asked: Lock) -> TradeEvent:
        trade, locks = self._trade_of(asked.trade_id), asked.locks
        owed = ((asked.buyer, locks.buyer), (asked.seller, locks.seller))
        message = pb.Lock(
            trade_id=asked.trade_id,
            stakes=[
                pb.Stake(account=account, nano=nano)
                for account, nano in (*owed, (OPERATOR, locks.operator))
            ],
            terms_hash=TERMS,
            refundable_unix_ns=trade.interval.end_ns,
            not_after_unix_ns=asked.not_after_ns,
        )
        return self._write(asked.key, pb.Entry(lock=message), Locked())

    def sign(self, asked: Sign) -> TradeEvent | None:
        """None where the money is not in escrow."""
        if asked.key not in self.written and not self.book.has_escrow(asked.trade_id):
            return None
        answer = self._write(asked.key, _commitment("transaction"), Signed())
        if isinstance(answer, Signed):
            self.signed.add(asked.trade_id)
        return answer

    def revoke(self, asked: Revoke) -> TradeEvent:
        """What was written under the key before is the signature."""
        answer = self._write(asked.key, _commitment("no transaction"), Unsigned())
        return Signed() if isinstance(answer, Refusal) else answer

    def pay(self, asked: Pay) -> TradeEvent:
        postings = self._postings(asked.trade_id, asked.lines)
        entry = pb.Entry(payment=pb.Payment(trade_id=asked.trade_id, postings=postings))
        return self._write(asked.key, entry, PartPaid())

    def close(self, asked: Close) -> TradeEvent:
        postings = self._postings(asked.trade_id, asked.postings)
        entry = pb.Entry(close=pb.Close(trade_id=asked.trade_id, postings=postings))
        return self._write(asked.key, entry, Closed())

    def refund(self, trade_id: str) -> bool:
        """By anybody, once it may be."""
        if not self.book.has_escrow(trade_id):
            return False
        answer = self._write(f"{trade_id}/refund", refund(trade_id), Closed(is_refund=True))
        if isinstance(answer, Refusal):
            return False
        self.refunded.add(trade_id)
        return True

    def _postings(self, trade_id: str, lines: Sequence[Line | Posting]) -> list[pb.Posting]:
        trade = self._trade_of(trade_id)
        account = {"buyer": trade.buyer, "seller": trade.seller, "operator": OPERATOR}
        return [
            pb.Posting(payer=account[each.payer], payee=account[each.payee], nano=each.nano)
            for each in lines
        ]


def _commitment(kind: str) -> pb.Entry:
    return pb.Entry(commitment=pb.Commitment(kind=kind, sha256=TERMS))
