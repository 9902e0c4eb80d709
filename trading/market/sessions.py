"""Sessions: an interval on its way from the first tender to the last bill, and what is matched in it."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from trading.core.orders import Interval, Order
from trading.core.trades import State, Trade
from trading.core.units import Wh
from trading.market.phases import TRANSITIONS, Phase, Word
from trading.market.records import ClearingRecord, IntervalRecord, TradeRecord
from trading.market.settings import CONTINUOUS
from trading.mechanisms.book import OrderBook, SelfTrade, Way
from trading.mechanisms.mechanism import Match, Unmatched
from trading.mechanisms.network import Pair
from trading.reasons import MarketReason


class TradeRow(msgspec.Struct):
    """A trade and what the market knows of it beside."""

    trade: Trade
    number: int
    mechanism: str
    matched_ns: int
    confirmed_ns: int = 0

    @property
    def is_with_network(self) -> bool:
        """Whether the network has not answered yet for the match, or has refused it and both orders are not back."""
        state = self.trade.state
        return state in (State.MATCHED, State.HOLDING) or (
            state is State.UNWINDING and self.trade.is_barred
        )


class Closing(msgspec.Struct, frozen=True):
    """Nothing of an order waits any more; None: for what it was told last, if anything."""

    seq: int
    reason: MarketReason | None = None


class Session:
    """``book`` is there where orders are matched as they come; ``seqs`` are all its orders, by seq.

    ``work`` is what was decided for thousands of orders at once, and is carried out some at a time, in this order:
    all of it is either of the newest clearing, or closings; of one that was wrong it is both.
    """

    def __init__(
        self,
        interval: Interval,
        mechanism: str,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    ) -> None:
        self.interval = interval
        self.mechanism = mechanism
        self.phase = Phase.OPEN
        self.rounds = 0
        # To be cleared, once the network has answered for all matches before; and whether a worker is at it.
        self.is_due = False
        self.is_asked = False
        # What the answer that is due waits for, and why there was none when the interval began.
        self.uncleared: MarketReason | None = None
        # Nothing is matched any more.
        self.is_over = False
        # By meter, the most that it is expected to give.
        self.forecasts: dict[str, Wh] = {}
        self.seqs: list[int] = []
        self.trades: dict[str, TradeRow] = {}
        self.barred: set[Pair] = set()
        # How many of its trades wait for the network, and how many have not ended.
        self.with_network = 0
        self.live = 0
        self.book = OrderBook(self_trade) if mechanism == CONTINUOUS else None
        self.work: deque[Match | Unmatched | Closing] = deque()
        # Of the newest clearing.
        self.is_path_priced = False

    @property
    def start_ns(self) -> int:
        return self.interval.start_ns

    def move(self, word: Word) -> None:
        self.phase = TRANSITIONS[self.phase, word]

    def next_ns(self, gate_ns: int) -> int | None:
        """When the phase ends by the clock."""
        match self.phase:
            case Phase.OPEN:
                return self.interval.start_ns - gate_ns
            case Phase.CLEARING:
                return self.interval.start_ns
            case Phase.DELIVERING:
                return self.interval.end_ns
            case _:
                return None

    def awaits(self, round_: int) -> bool:
        """Whether a worker's answer of this round is wanted."""
        return self.phase is Phase.CLEARING and self.is_due and round_ == self.rounds + 1

    def add(self, row: TradeRow) -> None:
        self.trades[row.trade.trade_id] = row
        self.count(row, 1)

    def count(self, row: TradeRow, by: int) -> None:
        """-1 before a trade is changed, 1 after it."""
        self.with_network += by * row.is_with_network
        self.live += by * (not row.trade.state.ended)

    def number_of(self, trade: Trade) -> int:
        return self.trades[trade.trade_id].number

    @property
    def left_of_clearing(self) -> int:
        """Nothing of it is once the interval is over: what is left then is closings, of whatever waits."""
        return 0 if self.is_over else len(self.work)

    def record(self) -> IntervalRecord:
        takes_tenders = self.phase is Phase.OPEN
        return IntervalRecord(
            self.interval,
            self.mechanism,
            self.phase,
            self.rounds,
            self.is_due,
            self.is_over,
            self.seqs[0] if self.seqs else 0,
            self.seqs[-1] if self.seqs and not takes_tenders else 0,
            self.left_of_clearing,
            self.uncleared,
        )


def restored(
    record: IntervalRecord,
    trades: Iterable[TradeRecord],
    orders: Sequence[tuple[Order, int, int, MarketReason | None]],
    clearing: ClearingRecord | None,
    self_trade: SelfTrade,
) -> Session:
    """As it was journalled. Of ``orders``: what waits, what is matched and not bound, and why nothing comes back.
    ``clearing``: the newest, where something of it is left to be done.
    """
    session = Session(record.interval, record.mechanism, self_trade)
    session.phase, session.rounds = record.phase, record.rounds
    session.is_due, session.is_over = record.is_due, record.is_over
    session.uncleared = record.uncleared
    session.seqs = sorted(order.seq for order, *_ in orders)
    for each in sorted(trades, key=lambda each: each.number):
        trade = msgspec.structs.replace(each.trade)
        row = TradeRow(trade, each.number, each.mechanism, each.matched_ns, each.confirmed_ns)
        session.add(row)
        if _was_refused(trade):
            session.barred.add((trade.buy_seq, trade.sell_seq))
    if session.is_over:
        # Closings are not journalled: they are of what still waits, or could come back.
        session.work.extend(
            Closing(order.seq)
            for order, left, away, closed in orders
            if left or (away and closed is None)
        )
        orders = [
            (order, 0, away, closed or MarketReason.INTERVAL_CLOSED)
            for order, _, away, closed in orders
        ]
    elif clearing is not None and clearing.faults:
        # Nothing of a wrong one is matched, and those who are not told so yet wait still.
        session.work.extend(
            Closing(order.seq, MarketReason.NOT_SOLVED) for order, left, *_ in orders if left
        )
    elif clearing is not None:
        items: list[Match | Unmatched | Closing] = [*clearing.matches, *clearing.unmatched]
        session.work.extend(items[len(items) - record.left :])
        session.is_path_priced = clearing.is_path_priced
    if session.book is not None:
        session.book = OrderBook.rebuilt(
            orders,
            _pending(session),
            session.barred,
            _refused(session),
            len(session.trades) + 1,
            self_trade,
        )
    return session


def _pending(session: Session) -> dict[int, tuple[int, int, int]]:
    """Matches that may still be undone."""
    return {
        row.number: (row.trade.buy_seq, row.trade.sell_seq, row.trade.terms.wh)
        for row in session.trades.values()
        if may_be_undone(row.trade)
    }


def _was_refused(trade: Trade) -> bool:
    """By the network, and both orders are back. Of the same two another match may be on its way still."""
    return trade.is_barred and trade.state.ended


def _refused(session: Session) -> Iterator[tuple[Way, int]]:
    for row in session.trades.values():
        trade = row.trade
        if _was_refused(trade):
            yield Way(trade.buy_meter, trade.sell_meter, trade.constraints), trade.terms.wh


def may_be_undone(trade: Trade) -> bool:
    return not trade.state.ended and trade.state in _REVOCABLE


_REVOCABLE = frozenset(
    {State.MATCHED, State.HOLDING, State.HELD, State.FUNDED, State.REVOKING, State.UNWINDING}
)
