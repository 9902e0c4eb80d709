"""A market: tenders, matches, trades and intervals, from commands to records and effects. Pure: the time is passed in.

Whoever runs it makes an outcome's records durable, and only then tells the answer and begins the effects. From what is
durable the market begins anew where it was, and asks again for what was not answered (:meth:`Market.resume`).
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from digitalgrid.units import NS_PER_S
from trading.core.asking import pending
from trading.core.orders import Interval, Order, Tender
from trading.core.positions import Positions
from trading.core.saga import resumed, step
from trading.core.settlement import LineKind, Party, Terms
from trading.core.tenders import Desk, most_due
from trading.core.trades import (
    Begin,
    Bind,
    Effect,
    GiveBack,
    Objected,
    State,
    TimeOver,
    Trade,
    TradeEvent,
    Wait,
)
from trading.core.units import Nano, Wh, amount
from trading.market.deadlines import Deadlines, Of
from trading.market.order_table import OrderTable, Row, record_of
from trading.market.outcome import Ask, Clear, Cleared, Outcome, T
from trading.market.phases import Phase, Word
from trading.market.records import ClearingRecord, NonceRecord, OrderRecord, Record, TradeRecord
from trading.market.restoring import NOTHING, Journalled, fill, sessions_of, standings_of
from trading.market.sessions import Session, TradeRow
from trading.market.settings import MarketSettings
from trading.mechanisms.book import BookEvent, Matched
from trading.mechanisms.mechanism import Match
from trading.reasons import MarketReason, Refused

# Deadlines that are looked at in one turn: a thousand trades begin at once, and tenders do not wait for all of them.
MAX_PER_TICK = 256
# What a party writes to whoever decides; it is kept with the trade.
MAX_STATEMENT = 1_000
# After these an order may come back, if the network refuses what was matched of it.
_NOT_FOR_GOOD = (MarketReason.NOT_FILLED, MarketReason.LEAST_FILL)


class Market:
    """``journalled``: what was durable of it when it ended last."""

    def __init__(
        self, settings: MarketSettings, now_ns: int, journalled: Journalled = NOTHING
    ) -> None:
        self.settings = settings
        self.positions = Positions()
        self.meters = {meter.meter_id: meter for meter in settings.meters}
        self._desk = Desk(
            settings.rules,
            self.meters,
            self.positions,
            journalled.next_seq,
            standings_of(journalled),
        )
        self.orders = OrderTable(self._desk, self.positions, settings.tariff.utility_price)
        fill(self.orders, journalled)
        self.sessions = sessions_of(journalled)
        self._of_trade = {
            trade_id: session for session in self.sessions.values() for trade_id in session.trades
        }
        self._deadlines = Deadlines()
        self._trades: dict[str, TradeRow] = {}
        self._sessions: dict[int, Session] = {}
        self._nonces: dict[str, int] = {}
        self._records: list[Record] = []
        self._effects: list[Ask | Clear] = []
        for session in self.sessions.values():
            self._set_deadline(session)
        for row in self.orders.rows():
            self._set_expiry(row.order)

    # Commands

    def resume(self, now_ns: int) -> Outcome[None]:
        """After a start: everything that was asked and may not have been answered is asked again."""
        self._open(now_ns)
        for session in list(self.sessions.values()):
            for row in session.trades.values():
                if not row.trade.state.ended:
                    self._follow(row, resumed(row.trade, now_ns, self.settings.times))
            self._look(session)
        return self._outcome(None)

    def create(
        self,
        tenders: Sequence[Tender],
        now_ns: int,
        *,
        mandate_holds: bool,
        free: Callable[[str], Nano],
    ) -> Outcome[list[OrderRecord | Refused]]:
        """Takes tenders in order, each by itself. ``free``: what an account has that is in no escrow.

        ``mandate_holds``: the party's signature covers all of them.
        """
        answers: list[Row | Refused] = []
        for tender in tenders:
            try:
                answers.append(self._take(tender, now_ns, mandate_holds, free))
            except Refused as refused:
                answers.append(refused)
        told = [each if isinstance(each, Refused) else record_of(each) for each in answers]
        return self._outcome(told)

    def cancel(self, party: str, nonce: int, order_id: str, now_ns: int) -> Outcome[OrderRecord]:
        """What waits of an order ends; what is matched stays so. Of one that has ended, nothing changes.

        Raises Refused.
        """
        row = self._row_of(party, order_id)
        session = self.sessions[row.order.interval.start_ns]
        if row.closed or not row.waits:
            return self._outcome(record_of(row))
        if session.phase is not Phase.OPEN:
            raise Refused(
                MarketReason.INTERVAL_CLOSED,
                f"the gate of the interval at {session.start_ns} has closed: {order_id!r} is being cleared",
            )
        self._desk.use(party, nonce)
        self._nonces[party] = nonce
        if session.book is not None:
            self._apply(session, session.book.cancel(row.order.seq), now_ns)
        self._close(row, MarketReason.CANCELLED)
        return self._outcome(record_of(row))

    def object_to(
        self, party: str, nonce: int, trade_id: str, line: LineKind, statement: str, now_ns: int
    ) -> Outcome[Trade]:
        """A buyer or seller does not agree with a line of a bill that is not paid yet; the same again changes nothing.

        Raises Refused.
        """
        row = self.trade(trade_id)
        if row is None:
            raise Refused(MarketReason.NOT_OPEN_TO_OBJECTIONS, f"trade {trade_id!r} is over")
        trade = row.trade
        role = _role_of(party, trade)
        said = (trade.objected, trade.objected_by, trade.statement)
        if said == (line, role, statement):
            return self._outcome(trade)
        if trade.state is not State.BILLED:
            raise Refused(
                MarketReason.NOT_OPEN_TO_OBJECTIONS, f"trade {trade_id!r} is {trade.state}"
            )
        _check_statement(statement)
        self._desk.use(party, nonce)
        self._nonces[party] = nonce
        self._hear(trade_id, Objected(line, role, statement), now_ns)
        return self._outcome(trade)

    def tick(self, now_ns: int) -> Outcome[None]:
        """Deadlines that have come, some of them at a time; see :meth:`next_deadline_ns`."""
        self._open(now_ns)
        for _ in range(MAX_PER_TICK):
            due = self._deadlines.pop(now_ns)
            if due is None:
                break
            at_ns, of, key = due
            if isinstance(key, str):
                self._hear(key, TimeOver(at_ns), now_ns)
            elif of is Of.ORDER:
                self._expire(key, now_ns)
            elif key in self.sessions:
                self._advance(self.sessions[key], now_ns)
        return self._outcome(None)

    def cleared(self, start_ns: int, round_: int, cleared: Cleared, now_ns: int) -> Outcome[bool]:
        """A worker's answer; False where it came too late, and nothing is matched."""
        session = self.sessions.get(start_ns)
        if session is None or not session.awaits(round_):
            return self._outcome(False)
        session.rounds, session.is_due, session.is_asked = round_, False, False
        self._sessions[start_ns] = session
        record = self._clearing(session, cleared, now_ns)
        self._records.append(record)
        if record.faults:
            for row in self._open_rows(session):
                self._close(row, MarketReason.NOT_SOLVED)
        for match in record.matches:
            self._agree(session, match, len(session.trades) + 1, now_ns)
        for each in record.unmatched:
            self.orders.tell(each.seq, each.reason)
        self._look(session)
        return self._outcome(True)

    def hear(self, trade_id: str, event: TradeEvent, now_ns: int) -> Outcome[bool]:
        """Something has happened to a trade; False where that changes nothing, or nobody knows the trade any more."""
        return self._outcome(self._hear(trade_id, event, now_ns))

    def preview(self, start_ns: int, mechanism: str | None = None) -> Clear:
        """What would be cleared if the gate closed now; nothing is changed. Raises Refused."""
        session = self._session_of(start_ns)
        return self._to_clear(session, mechanism or session.mechanism, 0)

    # Reads

    def next_deadline_ns(self) -> int | None:
        return self._deadlines.next_ns()

    def trade(self, trade_id: str) -> TradeRow | None:
        session = self._of_trade.get(trade_id)
        return None if session is None else session.trades[trade_id]

    def trades(self) -> Iterable[TradeRow]:
        """Of all intervals that have not ended."""
        return (row for session in self.sessions.values() for row in session.trades.values())

    def wants(self, trade_id: str) -> list[Effect]:
        """What a trade asks of the controller and the ledger as it is; nothing once it has ended."""
        row = self.trade(trade_id)
        if row is None:
            return []
        return [
            each
            for each in pending(row.trade, self.settings.times)
            if not isinstance(each, Wait | Bind | GiveBack)
        ]

    def trade_id_of(self, request_id: str) -> str | None:
        """Whose circuit it is; None for any that is none of a trade here."""
        trade_id, _, leg = request_id.rpartition("/")
        return trade_id if leg and trade_id in self._of_trade else None

    def awaits(self, start_ns: int, round_: int) -> bool:
        """Whether an interval waits for the answer of this round's clearing."""
        session = self.sessions.get(start_ns)
        return session is not None and session.awaits(round_)

    def order(self, party: str, order_id: str) -> OrderRecord:
        """Raises Refused."""
        return record_of(self._row_of(party, order_id))

    # Tenders

    def _take(
        self, tender: Tender, now_ns: int, mandate_holds: bool, free: Callable[[str], Nano]
    ) -> Row:
        taken = self._desk.take(
            tender,
            now_ns,
            signature_holds=mandate_holds,
            funds=Nano(free(tender.party) - self.orders.committed(tender.party)),
            cost=most_due(tender, self.settings.tariff.utility_price),
        )
        order = taken.order
        if not taken.is_new:
            return self.orders[order.seq]
        row = self.orders.add(order)
        self._nonces[order.party] = order.nonce
        session = self._begun(order.interval)
        session.seqs.append(order.seq)
        if len(session.seqs) == 1:
            self._sessions[session.start_ns] = session
        self._set_expiry(order)
        if session.book is not None:
            self._apply(session, session.book.submit(order, now_ns), now_ns)
        return row

    def _set_expiry(self, order: Order) -> None:
        if order.expires_ns is not None:
            self._deadlines.add_order(order.expires_ns, order.seq)

    def _expire(self, seq: int, now_ns: int) -> None:
        """It was good till now."""
        if seq not in self.orders or not (row := self.orders[seq]).waits:
            return
        session = self.sessions[row.order.interval.start_ns]
        if session.book is not None:
            self._apply(session, session.book.expire(now_ns), now_ns)
        if session.phase is Phase.OPEN:
            self._close(row, MarketReason.EXPIRED)

    def _row_of(self, party: str, order_id: str) -> Row:
        standing = self._desk.standings().get(party)
        order = None if standing is None else standing.orders.get(order_id)
        if order is None:
            raise Refused(
                MarketReason.ORDER_UNKNOWN, f"party {party} has no order {order_id!r} here"
            )
        return self.orders[order.seq]

    def _apply(self, session: Session, events: Iterable[BookEvent], now_ns: int) -> None:
        """What a continuous book does, in its order."""
        for event in events:
            if isinstance(event, Matched):
                price, wh = event.price, event.wh
                match = Match(event.buy_seq, event.sell_seq, wh, price, price, wh)
                self._agree(session, match, event.number, now_ns)
            else:
                is_for_good = event.reason not in _NOT_FOR_GOOD
                self.orders.end(event.seq, event.wh, event.reason, is_closed=is_for_good)

    # Trades

    def _agree(self, session: Session, match: Match, number: int, now_ns: int) -> None:
        """A match becomes a trade, with its positions, in one transaction."""
        buy = self.orders.match(match.buy_seq, match.wh)
        sell = self.orders.match(match.sell_seq, match.injected_wh)
        terms = Terms(match.wh, match.buyer_price, match.seller_price, self.settings.tariff)
        trade = Trade(
            f"{self.settings.name}-{session.start_ns // NS_PER_S}-{number}",
            buy.seq,
            sell.seq,
            buy.party,
            sell.party,
            buy.meter_id,
            sell.meter_id,
            session.interval,
            terms,
            match.injected_wh,
            match.path,
            constraints=buy.constraints.beside(sell.constraints),
        )
        row = TradeRow(trade, number, session.mechanism, now_ns)
        effects = step(trade, Begin(), now_ns, self.settings.times)
        session.add(row)
        self._of_trade[trade.trade_id] = session
        self._follow(row, effects)

    def _hear(self, trade_id: str, event: TradeEvent, now_ns: int) -> bool:
        session = self._of_trade.get(trade_id)
        if session is None:
            return False
        row = session.trades[trade_id]
        session.count(row, -1)
        effects = step(row.trade, event, now_ns, self.settings.times)
        session.count(row, 1)
        if effects is None:
            return False
        self._follow(row, effects)
        for each in effects:
            if isinstance(each, Bind):
                row.confirmed_ns = now_ns
                self._bind(session, row.trade)
            elif isinstance(each, GiveBack):
                self._give_back(session, row.trade, now_ns)
        self._look(session)
        return True

    def _follow(self, row: TradeRow, effects: Iterable[Effect] | None) -> None:
        trade = row.trade
        self._trades[trade.trade_id] = row
        for effect in effects or ():
            if isinstance(effect, Wait):
                self._deadlines.add_trade(effect.until_ns, trade.trade_id)
            elif not isinstance(effect, Bind | GiveBack):
                self._effects.append(Ask(trade.trade_id, effect))

    def _bind(self, session: Session, trade: Trade) -> None:
        self.orders.bind(trade.buy_seq, trade.terms.wh)
        self.orders.bind(trade.sell_seq, trade.injected_wh)
        if session.book is not None:
            session.book.confirm(session.number_of(trade))

    def _give_back(self, session: Session, trade: Trade, now_ns: int) -> None:
        sides = ((trade.buy_seq, trade.terms.wh), (trade.sell_seq, trade.injected_wh))
        if not trade.is_barred:
            for seq, wh in sides:
                self.orders.unwind(seq, wh, trade.reason)
            if session.book is not None:
                session.book.confirm(session.number_of(trade))
            return
        session.barred.add((trade.buy_seq, trade.sell_seq))
        for seq, wh in sides:
            self.orders.put_back(seq, wh)
        if session.book is not None:
            self._apply(session, session.book.refuse(session.number_of(trade), now_ns), now_ns)
        elif session.is_over:
            for seq, wh in sides:
                self.orders.end(seq, wh, MarketReason.BARRED, is_closed=True)
        else:
            session.is_due = True
            self._sessions[session.start_ns] = session

    # Intervals

    def _open(self, now_ns: int) -> None:
        """Sessions of all intervals that may be tendered for."""
        for interval in self.settings.rules.open_intervals(now_ns):
            self._begun(interval)

    def _begun(self, interval: Interval) -> Session:
        session = self.sessions.get(interval.start_ns)
        if session is None:
            session = Session(interval, self.settings.mechanism_of(interval))
            self.sessions[interval.start_ns] = self._sessions[interval.start_ns] = session
            self._set_deadline(session)
        return session

    def _set_deadline(self, session: Session) -> None:
        at_ns = session.next_ns(self.settings.rules.gate_ns)
        if at_ns is not None:
            self._deadlines.add_interval(at_ns, session.start_ns)

    def _advance(self, session: Session, now_ns: int) -> None:
        """Whatever the clock says: what is good till now ends, and so do phases, several after a long sleep."""
        while True:
            at_ns = session.next_ns(self.settings.rules.gate_ns)
            if at_ns is None or now_ns < at_ns:
                break
            self._end_phase(session, now_ns)
            self._sessions[session.start_ns] = session
            self._set_deadline(session)
        self._look(session)

    def _end_phase(self, session: Session, now_ns: int) -> None:
        match session.phase:
            case Phase.OPEN:
                if session.book is not None:
                    self._apply(session, session.book.close(), now_ns)
                    self._close_all(session)
                else:
                    session.is_due = True
                session.move(Word.GATE)
            case Phase.CLEARING:
                # Whatever was not decided by now would begin too late.
                self._close_all(session)
                session.move(Word.START)
            case Phase.DELIVERING:
                session.move(Word.END)

    def _look(self, session: Session) -> None:
        """Clears where that is due and the network has answered for all that was matched; ends what has ended."""
        if session.phase is Phase.CLEARING and not session.is_over and not session.is_asked:
            self._clear_or_end(session)
        if session.phase is Phase.SETTLING and not session.live:
            session.move(Word.DONE)
            self._sessions[session.start_ns] = session

    def _clear_or_end(self, session: Session) -> None:
        if session.with_network:
            return
        may_clear = session.rounds < self.settings.rounds
        if session.is_due and may_clear and self._open_rows(session):
            session.is_asked = True
            self._effects.append(self._to_clear(session, session.mechanism, session.rounds + 1))
        else:
            self._close_all(session)

    def _to_clear(self, session: Session, mechanism: str, round_: int) -> Clear:
        orders = tuple([_what_is_open(row) for row in self._open_rows(session)])
        number = session.start_ns // session.interval.length_ns
        seed = (number * (self.settings.rounds + 1) + round_) % 2**63
        return Clear(session.interval, mechanism, round_, orders, frozenset(session.barred), seed)

    def _clearing(self, session: Session, cleared: Cleared, now_ns: int) -> ClearingRecord:
        clearing = cleared.clearing
        is_right = not cleared.faults
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
        )

    def _welfare(self, matches: Iterable[Match]) -> Nano:
        return Nano(
            sum(
                amount(each.wh, self.orders[each.buy_seq].order.limit)
                - amount(each.injected_wh, self.orders[each.sell_seq].order.limit)
                for each in matches
            )
        )

    def _close_all(self, session: Session) -> None:
        """Nothing is matched any more; what waits has what was said of it last for a reason."""
        session.is_due, session.is_asked, session.is_over = False, False, True
        self._sessions[session.start_ns] = session
        for seq in session.seqs:
            row = self.orders[seq]
            told = row.reason if row.open_wh else ""
            self._close(row, told or MarketReason.INTERVAL_CLOSED)

    def _close(self, row: Row, reason: str) -> None:
        """Also of what is all matched, and may come back: a book says nothing of it, as there nothing waits."""
        if row.waits and not row.closed:
            self.orders.end(row.order.seq, Wh(row.open_wh), reason, is_closed=True)

    def _open_rows(self, session: Session) -> list[Row]:
        return [row for seq in session.seqs if (row := self.orders[seq]).open_wh]

    def _session_of(self, start_ns: int) -> Session:
        session = self.sessions.get(start_ns)
        if session is None:
            raise Refused(
                MarketReason.INTERVAL_UNKNOWN, f"no interval at {start_ns} is open or being settled"
            )
        return session

    # Outcomes

    def _outcome(self, answer: T) -> Outcome[T]:
        """All that has changed since the last one."""
        records: list[Record] = [NonceRecord(*each) for each in self._nonces.items()]
        records += self.orders.changed()
        records += [_record_of(row) for row in self._trades.values()]
        records += [session.record() for session in self._sessions.values()]
        records += self._records
        effects = self._effects
        self._nonces, self._trades, self._records, self._effects = {}, {}, [], []
        ended = [each for each in self._sessions.values() if each.phase is Phase.ENDED]
        self._sessions = {}
        for session in ended:
            self._forget(session)
        return Outcome(answer, records, effects)

    def _forget(self, session: Session) -> None:
        """The journal and the ledger have it."""
        del self.sessions[session.start_ns]
        for trade_id in session.trades:
            del self._of_trade[trade_id]
        self._desk.forget(self.orders.forget(session.seqs))
        self.positions.forget(session.interval)


def _role_of(party: str, trade: Trade) -> Party:
    for role, name in ((Party.BUYER, trade.buyer), (Party.SELLER, trade.seller)):
        if name == party:
            return role
    raise Refused(
        MarketReason.NOT_A_PARTY, f"{party} neither buys nor sells in trade {trade.trade_id!r}"
    )


def _check_statement(statement: str) -> None:
    if len(statement) > MAX_STATEMENT or not statement.isprintable():
        raise Refused(
            MarketReason.STATEMENT_UNFIT,
            f"statement has {len(statement)} characters; it must be up to {MAX_STATEMENT} printable ones",
            "statement",
        )


def _record_of(row: TradeRow) -> TradeRecord:
    copy = msgspec.structs.replace(row.trade)
    return TradeRecord(copy, row.number, row.mechanism, row.matched_ns, row.confirmed_ns)


def _what_is_open(row: Row) -> Order:
    order = row.order
    if row.open_wh == order.wh:
        return order
    return msgspec.structs.replace(
        order, wh=Wh(row.open_wh), min_fill_wh=Wh(min(order.min_fill_wh, row.open_wh))
    )
