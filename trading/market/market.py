"""A market: tenders, matches, trades and intervals, from commands to records and effects. Pure: the time is passed in.

Whoever runs it makes an outcome's records durable, and only then tells the answer and begins the effects. From what is
durable the market begins anew where it was, and asks again for what was not answered (:meth:`Market.resume`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from digitalgrid.garbage_collector import without_frames
from trading.core.asking import pending
from trading.core.orders import Interval, Meter, Order, Tender
from trading.core.positions import Positions
from trading.core.readings import Ends
from trading.core.tenders import Desk, Registered, most_due, nowhere
from trading.core.trades import (
    Bind,
    Effect,
    GiveBack,
    Resolved,
    State,
    TimeOver,
    Trade,
    TradeEvent,
    Wait,
)
from trading.core.units import Nano, Wh
from trading.market.calendar import Calendar
from trading.market.changes import Changes
from trading.market.deadlines import Deadlines, Of
from trading.market.dealings import Dealings
from trading.market.disputes import (
    Objection,
    check_statement,
    has_decided,
    has_objected,
    role_of,
)
from trading.market.forecasts import Forecasts
from trading.market.moves import Moves
from trading.market.order_table import OrderTable, Row, record_of
from trading.market.outcome import Clear, Cleared, Outcome, T
from trading.market.phases import Phase
from trading.market.records import ForecastRecord, OrderRecord
from trading.market.restoring import NOTHING, Journalled, fill, sessions_of, standings_of
from trading.market.sessions import Session, TradeRow
from trading.market.settings import MarketSettings
from trading.reasons import MarketReason, Refused

# Deadlines that are looked at in one turn: a thousand trades begin at once, and tenders do not wait for all of them.
MAX_PER_TICK = 256


class Market:
    """``journalled``: what was durable of it when it ended last."""

    def __init__(self, settings: MarketSettings, journalled: Journalled = NOTHING) -> None:
        self.settings = settings
        self._utility_price = settings.tariff.utility_price
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
        self.sessions = sessions_of(journalled, settings.self_trade)
        self.moves = Moves(self.meters, self.positions)
        self._deadlines, self._changes = Deadlines(), Changes()
        parts = (settings, self.orders, self._deadlines, self._changes)
        self._dealings = Dealings(*parts, self.sessions)
        self._calendar = Calendar(*parts, self._dealings, self.sessions)
        self._forecasts = Forecasts(self.meters, self.positions, self.orders, self._calendar)
        for row in self.orders.rows():
            self._set_expiry(row.order)

    # Commands

    def resume(self, now_ns: int) -> Outcome[None]:
        """After a start: everything that was asked and may not have been answered is asked again."""
        self._calendar.open(now_ns)
        for session in list(self.sessions.values()):
            for row in session.trades.values():
                if not row.trade.state.ended:
                    self._dealings.resume(row, now_ns)
            self._calendar.look(session, now_ns)
        return self._outcome(None)

    def create(
        self,
        tenders: Sequence[Tender],
        now_ns: int,
        *,
        mandate_holds: bool,
        free: Callable[[str], Nano],
        registered: Registered = nowhere,
    ) -> Outcome[list[OrderRecord | Refused]]:
        """Takes tenders in order, each by itself. ``free``: what an account has that is in no escrow; ``registered``:
        since when the log has a meter.

        ``mandate_holds``: the party's signature covers all of them.
        """
        answers: list[Row | Refused] = []
        # Nothing is locked meanwhile.
        money, settled = _Money(free), self.moves.settled(registered)
        for tender in tenders:
            try:
                answers.append(self._take(tender, now_ns, mandate_holds, money, settled))
            except Refused as refused:
                answers.append(without_frames(refused))
        told = [each if isinstance(each, Refused) else record_of(each) for each in answers]
        return self._outcome(told)

    def cancel(self, party: str, nonce: int, order_id: str, now_ns: int) -> Outcome[OrderRecord]:
        """What waits of an order ends; what is matched stays so. Of one that has ended, nothing changes.

        Raises Refused.
        """
        unheard = self._desk.hear(party, nonce, now_ns)
        ended = self._ended(party, order_id)
        if ended is not None:
            return self._outcome(record_of(ended))
        if unheard is not None:
            raise unheard
        row = self._row_of(party, order_id)
        session = self._calendar.of(row.order.interval.start_ns)
        if session.phase is not Phase.OPEN:
            raise Refused(
                MarketReason.INTERVAL_CLOSED,
                f"the gate of the interval at {session.start_ns} has closed: {order_id!r} is being cleared",
            )
        self._calendar.end(row, MarketReason.CANCELLED, now_ns)
        return self._outcome(record_of(row))

    def forecast(
        self, party: str, nonce: int, meter_id: str, start_ns: int, most: int, now_ns: int
    ) -> Outcome[tuple[Meter, Interval]]:
        """A meter is not expected to give more than ``most`` Wh in an interval: it sells no more, and its offers beyond
        that end. By its party or the operator; the same again changes nothing. Raises Refused.
        """
        meter = self._forecasts.meter_of(party, meter_id, self.settings.operator)
        unheard = self._desk.hear(party, nonce, now_ns)
        session = self._calendar.of(start_ns)
        if session.forecasts.get(meter_id) != most:
            if unheard is not None:
                raise unheard
            self._forecasts.set(session, meter, most, now_ns)
            self._changes.note(ForecastRecord(session.interval, meter_id, Wh(most)))
        return self._outcome((meter, session.interval))

    def object_to(
        self, party: str, nonce: int, trade_id: str, objection: Objection, now_ns: int
    ) -> Outcome[Trade]:
        """A buyer or seller does not agree with a line of a bill that is not paid yet; the same again changes nothing.

        Raises Refused.
        """
        unheard = self._desk.hear(party, nonce, now_ns)
        row = self.trade(trade_id)
        if row is not None and has_objected(row.trade, party, objection):
            return self._outcome(row.trade)
        if unheard is not None:
            raise unheard
        if row is None:
            raise Refused(MarketReason.NOT_OPEN_TO_OBJECTIONS, f"trade {trade_id!r} is over")
        trade = row.trade
        role = role_of(party, trade)
        if trade.state is not State.BILLED:
            raise Refused(
                MarketReason.NOT_OPEN_TO_OBJECTIONS, f"trade {trade_id!r} is {trade.state}"
            )
        self._hear(trade_id, objection.of(role), now_ns)
        return self._outcome(trade)

    def resolve(
        self,
        party: str,
        nonce: int,
        trade_id: str,
        ends: tuple[Ends, ...],
        decision: str,
        now_ns: int,
    ) -> Outcome[Trade]:
        """Whoever runs the market decides a dispute: these registers count. The same again changes nothing.

        Raises Refused.
        """
        row = self.trade(trade_id)
        if row is not None and has_decided(row.trade, ends, decision):
            return self._outcome(row.trade)
        self._desk.use(party, nonce, now_ns)
        if row is None or row.trade.state is not State.DISPUTED:
            state = "over" if row is None else row.trade.state
            raise Refused(
                MarketReason.NOT_DISPUTED,
                f"trade {trade_id!r} is {state}, and not disputed",
                "trade_id",
            )
        check_statement(decision, "decision")
        if not self._hear(trade_id, Resolved(ends, row.trade.missed, decision), now_ns):
            raise Refused(
                MarketReason.NOT_DISPUTED,
                "what is decided contradicts itself, or takes back what was undisputed; nothing has changed",
                "deliveries",
            )
        return self._outcome(row.trade)

    def use_nonce(self, party: str, nonce: int, now_ns: int) -> Outcome[None]:
        """Of a word that something else than the market hears, or that is not heard at all. Raises Refused for one that
        was used, or of a party that says more than it may; the operator may as much as it likes.
        """
        if party == self.settings.operator:
            self._desk.use(party, nonce, now_ns)
        elif (unheard := self._desk.hear(party, nonce, now_ns)) is not None:
            raise unheard
        return self._outcome(None)

    def pass_over(self, party: str, nonce: int, now_ns: int) -> Outcome[None]:
        """Words of a party that were refused unheard: none up to this nonce is heard later."""
        self._desk.pass_over(party, nonce, now_ns)
        return self._outcome(None)

    def refused(self) -> Outcome[None]:
        """What a command has changed that raised Refused: nothing but that its nonce is used up, which whoever saw its
        request must not be able to forget.
        """
        return self._outcome(None)

    def tick(self, now_ns: int) -> Outcome[None]:
        """Deadlines that have come, some of them at a time; see :meth:`next_deadline_ns`."""
        self._calendar.open(now_ns)
        for _ in range(MAX_PER_TICK):
            due = self._deadlines.pop(now_ns)
            if due is None:
                break
            at_ns, of, key = due
            if isinstance(key, str):
                self._hear(key, TimeOver(at_ns), now_ns)
            elif of is Of.ORDER:
                self._calendar.expire(key, now_ns)
            elif key in self.sessions:
                self._calendar.advance(self.sessions[key], now_ns)
        self._calendar.go_on(now_ns)
        return self._outcome(None)

    def cleared(self, start_ns: int, round_: int, cleared: Cleared, now_ns: int) -> Outcome[bool]:
        """A worker's answer; False where it came too late, and nothing is matched."""
        session = self.sessions.get(start_ns)
        if session is None or not session.awaits(round_):
            return self._outcome(False)
        self._calendar.cleared(session, cleared, now_ns)
        return self._outcome(True)

    def held_up(
        self, start_ns: int, round_: int, reason: MarketReason | None, now_ns: int
    ) -> Outcome[None]:
        """What a clearing has to wait for: parties are told it where the interval begins before there is an answer."""
        session = self.sessions.get(start_ns)
        if session is not None and session.awaits(round_):
            session.uncleared = reason
        return self._outcome(None)

    def hear(self, trade_id: str, event: TradeEvent, now_ns: int) -> Outcome[bool]:
        """Something has happened to a trade; False where that changes nothing, or nobody knows the trade any more."""
        return self._outcome(self._hear(trade_id, event, now_ns))

    def preview(self, start_ns: int, mechanism: str | None = None) -> Clear:
        """What would be cleared if the gate closed now; nothing is changed. Raises Refused."""
        session = self._calendar.of(start_ns)
        return self._calendar.to_clear(session, mechanism or session.mechanism, 0)

    # Reads

    def next_deadline_ns(self) -> int | None:
        """When :meth:`tick` has something to do; it is over where something is left of what was begun."""
        return 0 if self._calendar.is_busy else self._deadlines.next_ns()

    def trade(self, trade_id: str) -> TradeRow | None:
        session = self._dealings.session_of(trade_id)
        return None if session is None else session.trades[trade_id]

    def trades(self) -> Iterable[TradeRow]:
        """Of all intervals that have not ended."""
        return (row for session in self.sessions.values() for row in session.trades.values())

    def is_newer(self, party: str, nonce: int, now_ns: int) -> bool:
        """Whether a party has used no such nonce yet; of all others it can only be a repeat."""
        return self._desk.is_newer(party, nonce, now_ns)

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
        return trade_id if leg and self.trade(trade_id) is not None else None

    def awaits(self, start_ns: int, round_: int) -> bool:
        """Whether an interval waits for the answer of this round's clearing."""
        session = self.sessions.get(start_ns)
        return session is not None and session.awaits(round_)

    def order(self, party: str, order_id: str) -> OrderRecord:
        """Raises Refused."""
        return record_of(self._row_of(party, order_id))

    # Tenders

    def _take(
        self,
        tender: Tender,
        now_ns: int,
        mandate_holds: bool,
        money: Mapping[str, Nano],
        registered: Registered,
    ) -> Row:
        party, interval = tender.party, tender.interval
        cost = most_due(tender, self._utility_price)
        taken = self._desk.take(
            tender,
            now_ns,
            signature_holds=mandate_holds,
            funds=Nano(money[party] - self.orders.committed(party)),
            cost=cost,
            beside=self._calendar.beside(interval),
            registered=registered,
        )
        order = taken.order
        if not taken.is_new:
            return self.orders[order.seq]
        row = self.orders.add(order, cost)
        session = self._calendar.begun(interval)
        if not session.seqs:
            # Its record names its first order.
            self._changes.session(session)
        session.seqs.append(order.seq)
        if order.expires_ns is not None:
            self._set_expiry(order)
        if session.book is not None:
            self._dealings.apply(session, session.book.submit(order, now_ns), now_ns)
        return row

    def _ended(self, party: str, order_id: str) -> Row | None:
        """The order, if nothing of it waits any more."""
        standing = self._desk.standings().get(party)
        order = None if standing is None else standing.orders.get(order_id)
        row = None if order is None else self.orders[order.seq]
        return row if row is not None and (row.closed or not row.waits) else None

    def _set_expiry(self, order: Order) -> None:
        if order.expires_ns is not None:
            self._deadlines.add_order(order.expires_ns, order.seq)

    def _row_of(self, party: str, order_id: str) -> Row:
        standing = self._desk.standings().get(party)
        order = None if standing is None else standing.orders.get(order_id)
        if order is None:
            raise Refused(
                MarketReason.ORDER_UNKNOWN, f"party {party} has no order {order_id!r} here"
            )
        return self.orders[order.seq]

    def _hear(self, trade_id: str, event: TradeEvent, now_ns: int) -> bool:
        session = self._dealings.session_of(trade_id)
        if session is None or not self._dealings.hear(session, trade_id, event, now_ns):
            return False
        self._calendar.look(session, now_ns)
        return True

    def _outcome(self, answer: T) -> Outcome[T]:
        """All that has changed since the last one; intervals that have ended are forgotten."""
        for party, nonce in self._desk.used().items():
            self._changes.nonce(party, nonce)
        outcome, sessions = self._changes.outcome(answer, self.orders)
        for session in sessions:
            if session.phase is Phase.ENDED:
                self._forget(session)
        return outcome

    def _forget(self, session: Session) -> None:
        """The journal and the ledger have it."""
        del self.sessions[session.start_ns]
        self._dealings.forget(session)
        self._desk.forget(self.orders.forget(session.start_ns, session.seqs))
        self.positions.forget(session.interval)


class _Money(dict[str, Nano]):
    """What accounts have, each asked for once."""

    def __init__(self, free: Callable[[str], Nano]) -> None:
        super().__init__()
        self._free = free

    def __missing__(self, account: str) -> Nano:
        nano = self[account] = self._free(account)
        return nano
