"""The calendar of a market: intervals open, are cleared when their gates close, begin, end and are forgotten."""

from collections import deque
from collections.abc import Iterable

import msgspec

from trading.core.orders import Interval, Order
from trading.core.units import Nano, Wh, amount
from trading.market.changes import Changes
from trading.market.deadlines import Deadlines
from trading.market.dealings import Dealings
from trading.market.order_table import OrderTable, Row
from trading.market.outcome import Clear, Cleared
from trading.market.phases import Phase, Word
from trading.market.records import ClearingRecord
from trading.market.sessions import Closing, Session
from trading.market.settings import MarketSettings
from trading.mechanisms.book import Ended
from trading.mechanisms.mechanism import Match, Unmatched
from trading.reasons import MarketReason, Refused

# Orders that are dealt with in one turn, in which nobody else is heard: some milliseconds.
MAX_PER_TURN = 128


class Calendar:
    """``sessions``: all intervals that have not ended, by when they begin."""

    def __init__(
        self,
        settings: MarketSettings,
        orders: OrderTable,
        deadlines: Deadlines,
        changes: Changes,
        dealings: Dealings,
        sessions: dict[int, Session],
    ) -> None:
        self._settings = settings
        self._orders = orders
        self._deadlines = deadlines
        self._changes = changes
        self._dealings = dealings
        self.sessions = sessions
        # Of before the length of intervals was changed: none of the new length is opened while one of them runs.
        length_ns = settings.rules.length_ns
        self._of_other_lengths = [
            each.interval for each in sessions.values() if each.interval.length_ns != length_ns
        ]
        # Of which something is left to be carried out.
        self._busy = {start_ns: each for start_ns, each in sessions.items() if each.work}
        for session in sessions.values():
            self._set_deadline(session)

    def open(self, now_ns: int) -> None:
        """Intervals that may be tendered for by now."""
        for interval in self._settings.rules.open_intervals(now_ns):
            if self.beside(interval) is None:
                self.begun(interval)

    def beside(self, interval: Interval) -> Interval | None:
        """An interval of another length that runs at the same time: one meter would be sold for both."""
        for each in self._of_other_lengths:
            if each.start_ns < interval.end_ns and interval.start_ns < each.end_ns:
                return each if each != interval else None
        return None

    def begun(self, interval: Interval) -> Session:
        """Of an interval with none :meth:`beside` it."""
        session = self.sessions.get(interval.start_ns)
        if session is None:
            settings = self._settings
            session = Session(interval, settings.mechanism_of(interval), settings.self_trade)
            self.sessions[interval.start_ns] = session
            self._changes.session(session)
            self._set_deadline(session)
        return session

    def of(self, start_ns: int) -> Session:
        """Raises Refused."""
        session = self.sessions.get(start_ns)
        if session is None:
            raise Refused(
                MarketReason.INTERVAL_UNKNOWN, f"no interval at {start_ns} is open or being settled"
            )
        return session

    def advance(self, session: Session, now_ns: int) -> None:
        """Phases whose time is over end, several after a long sleep."""
        while True:
            at_ns = session.next_ns(self._settings.rules.gate_ns)
            if at_ns is None or now_ns < at_ns:
                break
            self._end_phase(session, now_ns)
            self._changes.session(session)
            self._set_deadline(session)
        self.look(session, now_ns)

    def expire(self, seq: int, now_ns: int) -> None:
        """An order was good till now."""
        if seq not in self._orders or not (row := self._orders[seq]).waits:
            return
        session = self.sessions[row.order.interval.start_ns]
        if session.book is not None:
            self._dealings.apply(session, session.book.expire(now_ns), now_ns)
        elif session.phase is Phase.OPEN:
            self.close(row, MarketReason.EXPIRED)

    def end(self, row: Row, reason: MarketReason, now_ns: int) -> None:
        """Of an interval that takes tenders: what waits ends before its time, and nothing of the order comes back."""
        session = self.sessions[row.order.interval.start_ns]
        if session.book is not None:
            self._dealings.apply(session, session.book.cancel(row.order.seq, reason), now_ns)
        else:
            self.close(row, reason)

    @property
    def is_busy(self) -> bool:
        """Whether something is left for :meth:`go_on`."""
        return bool(self._busy)

    def go_on(self, now_ns: int) -> None:
        """Carries out some more of what was decided for many orders."""
        if self._busy:
            self._do_some(next(iter(self._busy.values())), now_ns)

    def close(self, row: Row, reason: str) -> None:
        """What waits of an order ends, and nothing of it comes back."""
        if row.open_wh or (row.waits and not row.closed):
            self._orders.end(row.order.seq, Wh(row.open_wh), reason, is_closed=True)

    def look(self, session: Session, now_ns: int) -> None:
        """Clears where that is due and the network has answered for all that was matched; ends what has ended."""
        if session.phase is Phase.CLEARING and not session.is_over and not session.is_asked:
            self._clear_or_end(session, now_ns)
        if session.phase is Phase.SETTLING and not session.live and not session.work:
            session.move(Word.DONE)
            self._changes.session(session)

    def to_clear(self, session: Session, mechanism: str, round_: int) -> Clear:
        orders = tuple([_what_is_open(row) for row in self._open_rows(session)])
        number = session.start_ns // session.interval.length_ns
        seed = (number * (self._settings.rounds + 1) + round_) % 2**63
        barred, choices = frozenset(session.barred), self._settings.choices
        return Clear(session.interval, mechanism, round_, orders, barred, seed, choices)

    def cleared(self, session: Session, cleared: Cleared, now_ns: int) -> None:
        """The answer that was waited for: matches become trades. Of a wrong one nothing is matched."""
        session.rounds += 1
        session.is_due = session.is_asked = False
        session.uncleared = None
        record = self._record_of(session, cleared, now_ns)
        self._changes.note(record)
        session.is_path_priced = record.is_path_priced
        work: list[Match | Unmatched | Closing] = [*record.matches, *record.unmatched]
        if record.faults:
            rows = self._open_rows(session)
            work = [Closing(row.order.seq, MarketReason.NOT_SOLVED) for row in rows]
        self._begin(session, work, now_ns)

    def _begin(
        self, session: Session, work: Iterable[Match | Unmatched | Closing], now_ns: int
    ) -> None:
        """In the place of what was left to be carried out."""
        session.work = deque(work)
        self._busy[session.start_ns] = session
        self._do_some(session, now_ns)

    def _do_some(self, session: Session, now_ns: int) -> None:
        for _ in range(min(MAX_PER_TURN, len(session.work))):
            match session.work.popleft():
                case Match() as match:
                    self._dealings.agree(session, match, len(session.trades) + 1, now_ns)
                case Unmatched(seq=seq, reason=reason):
                    self._orders.tell(seq, reason)
                case Closing(seq, reason):
                    row = self._orders[seq]
                    told = row.reason if row.open_wh else ""
                    closed = session.uncleared or MarketReason.INTERVAL_CLOSED
                    self.close(row, reason or told or closed)
        self._changes.session(session)
        if not session.work:
            self._busy.pop(session.start_ns, None)
            self.look(session, now_ns)

    def _set_deadline(self, session: Session) -> None:
        at_ns = session.next_ns(self._settings.rules.gate_ns)
        if at_ns is not None:
            self._deadlines.add_interval(at_ns, session.start_ns)

    def _end_phase(self, session: Session, now_ns: int) -> None:
        match session.phase:
            case Phase.OPEN:
                session.move(Word.GATE)
                if session.book is not None:
                    session.is_over = True
                    closed = session.book.close()
                    closings = [Closing(e.seq, e.reason) for e in closed if isinstance(e, Ended)]
                    self._begin(session, closings, now_ns)
                else:
                    session.is_due = True
            case Phase.CLEARING:
                session.move(Word.START)
                if self._may_clear(session):
                    session.uncleared = session.uncleared or MarketReason.NOT_CLEARED
                # Whatever was not decided by now would begin too late.
                self._close_all(session, now_ns)
            case Phase.DELIVERING:
                session.move(Word.END)

    def _clear_or_end(self, session: Session, now_ns: int) -> None:
        if session.with_network or session.work:
            return
        if self._may_clear(session) and self._open_rows(session):
            session.is_asked = True
            self._changes.ask(self.to_clear(session, session.mechanism, session.rounds + 1))
        else:
            self._close_all(session, now_ns)

    def _may_clear(self, session: Session) -> bool:
        return session.is_due and session.rounds < self._settings.rounds

    def _close_all(self, session: Session, now_ns: int) -> None:
        """Nothing is matched any more; what waits has what was said of it last for a reason."""
        session.is_due, session.is_asked, session.is_over = False, False, True
        rows = (self._orders[seq] for seq in session.seqs)
        waiting = [
            Closing(row.order.seq) for row in rows if row.open_wh or (row.waits and not row.closed)
        ]
        self._begin(session, waiting, now_ns)

    def _open_rows(self, session: Session) -> list[Row]:
        return [row for seq in session.seqs if (row := self._orders[seq]).open_wh]

    def _record_of(self, session: Session, cleared: Cleared, now_ns: int) -> ClearingRecord:
        clearing, is_right = cleared.clearing, not cleared.faults
        return ClearingRecord(
            session.interval,
            session.mechanism,
            session.rounds,
            clearing.matches if is_right else (),
            clearing.prices if is_right else (),
            clearing.unmatched if is_right else (),
            now_ns,
            cleared.took_ns,
            cleared.faults,
            self._welfare(clearing.matches) if is_right else Nano(0),
            clearing.seed,
            clearing.is_path_priced and is_right,
            self._settings.reference,
        )

    def _welfare(self, matches: Iterable[Match]) -> Nano:
        return Nano(
            sum(
                amount(each.wh, self._orders[each.buy_seq].order.limit)
                - amount(each.injected_wh, self._orders[each.sell_seq].order.limit)
                for each in matches
            )
        )


def _what_is_open(row: Row) -> Order:
    order = row.order
    if row.open_wh == order.wh:
        return order
    least_wh = min(order.min_fill_wh, row.open_wh)
    return msgspec.structs.replace(order, wh=Wh(row.open_wh), min_fill_wh=Wh(least_wh))
