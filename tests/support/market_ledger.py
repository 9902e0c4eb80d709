"""The ledger of a simulated market: a real one in memory, before which a trade's requests wait as in an exchange."""

from collections.abc import Callable

from tests.support.ledgers import KEY, deposit, refund
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
    Trade,
    TradeEvent,
)
from trading.exchange.entries import Done, Entries, Queue, Waiting, signed, unsigned
from trading.ledger.ledger import Ledger, Wanted
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
OfLedger = Lock | Sign | Revoke | Pay | Close
_DONE: dict[type[OfLedger], TradeEvent] = {Lock: Locked(), Pay: PartPaid(), Close: Closed()}


class MarketLedger:
    """``trade_of``: a trade as it is journalled; ``now_ns``: the clock.

    What is asked waits until it is taken into a group, with which it is written or lost.
    """

    def __init__(
        self,
        balances: dict[str, int],
        now_ns: Callable[[], int],
        trade_of: Callable[[str], Trade],
    ) -> None:
        self.storage = MemoryStorage()
        self.book = Ledger(self.storage, KEY, now_ns, "a simulated market")
        self._trade_of = trade_of
        self._entries = Entries(OPERATOR, b"of a simulated market", kept_ns=0)
        self._queue = Queue()
        self._group: list[Waiting] = []
        # Keys that stand in the log, and trades whose escrow was refunded.
        self.written: set[str] = set()
        self.signed: set[str] = set()
        self.refunded: set[str] = set()
        # Trades that were revoked before their signature was on its way to the disk.
        self.revoked: set[str] = set()
        for account, nano in balances.items():
            self.book.write(f"deposit/{account}", deposit(account, nano))

    @property
    def waiting(self) -> int:
        """Entries that are not written."""
        return len(self._queue) + len(self._group)

    @property
    def is_writing(self) -> bool:
        return bool(self._group)

    def ask(self, asked: OfLedger, answered: Callable[[TradeEvent | None], None]) -> None:
        """``answered`` with None where there is nothing to be told."""
        wanted = self._wanted(asked)
        if isinstance(asked, Revoke) and not self._is_signing(asked):
            self.revoked.add(asked.trade_id)

        def answer(done: Done) -> None:
            answered(self._answer(asked, done))

        self._queue.put(wanted, answer, asked)

    def take(self, most: int) -> None:
        """The next group goes to the disk; there is none on its way."""
        assert not self._group
        self._group = self._queue.take(most)

    def write(self) -> None:
        group, self._group = self._group, []
        done = self.book.write_many([each.wanted for each in group])
        for each, result in zip(group, done, strict=True):
            if not isinstance(result, LedgerRefused):
                self._note(each.wanted)
            each.answer(result)

    def crash(self, *, is_written: bool) -> None:
        """What waits is lost with whoever asks; what is on its way to the disk comes there or not, all of it."""
        self._queue = Queue()
        group, self._group = self._group, []
        if is_written:
            self._group = [Waiting(each.wanted, lambda _: None) for each in group]
            self.write()

    def at_once(self, asked: OfLedger) -> TradeEvent | None:
        """Where nothing else waits."""
        answers: list[TradeEvent | None] = []
        self.ask(asked, answers.append)
        self.take(1)
        self.write()
        (answer,) = answers
        return answer

    def refund(self, trade_id: str) -> bool:
        """By anybody, once it may be."""
        if not self.book.has_escrow(trade_id):
            return False
        key = f"{trade_id}/refund"
        try:
            self.book.write(key, refund(trade_id))
        except LedgerRefused as refused:
            assert refused.reason in _USUAL, refused
            return False
        self.written.add(key)
        self.refunded.add(trade_id)
        return True

    def _wanted(self, asked: OfLedger) -> Wanted:
        trade = self._trade_of(asked.trade_id)
        match asked:
            case Lock():
                return self._entries.lock(asked, trade)
            case Sign():
                return self._entries.sign(asked, trade)
            case Revoke():
                return self._entries.revoke(asked, trade)
            case Pay():
                return self._entries.pay(asked, trade)
            case Close():
                return self._entries.close(asked, trade)

    def _answer(self, asked: OfLedger, done: Done) -> TradeEvent | None:
        if isinstance(done, LedgerRefused):
            assert done.reason in _USUAL, done
        match asked:
            case Sign():
                return signed(done)
            case Revoke():
                return unsigned(done)
        if isinstance(done, LedgerRefused):
            return Refusal(done.reason, str(done))
        return None if done is None else _DONE[type(asked)]

    def _note(self, wanted: Wanted) -> None:
        self.written.add(wanted.key)
        if wanted.entry.commitment.kind == "transaction":
            self.signed.add(wanted.key.removesuffix("/sign"))

    def _is_signing(self, asked: Revoke) -> bool:
        return asked.trade_id in self.signed or any(
            each.wanted.key == asked.key and each.wanted.needs for each in self._group
        )
