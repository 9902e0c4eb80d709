"""Dealings: from a match to a trade and its saga, and what that does to orders, positions and the book."""

from collections.abc import Iterable, Mapping

from digitalgrid.units import NS_PER_S
from trading.core.saga import resumed, step
from trading.core.settlement import Terms
from trading.core.trades import Begin, Bind, Effect, GiveBack, Trade, TradeEvent, Wait
from trading.market.changes import Changes
from trading.market.deadlines import Deadlines
from trading.market.order_table import OrderTable
from trading.market.outcome import Ask
from trading.market.sessions import Session, TradeRow
from trading.market.settings import MarketSettings
from trading.mechanisms.book import BookEvent, Matched
from trading.mechanisms.mechanism import Match
from trading.reasons import MarketReason

# After these an order may come back, if the network refuses what was matched of it.
_NOT_FOR_GOOD = (MarketReason.NOT_FILLED, MarketReason.LEAST_FILL)


class Dealings:
    """All trades of intervals that have not ended."""

    def __init__(
        self,
        settings: MarketSettings,
        orders: OrderTable,
        deadlines: Deadlines,
        changes: Changes,
        sessions: Mapping[int, Session],
    ) -> None:
        self._settings = settings
        self._orders = orders
        self._deadlines = deadlines
        self._changes = changes
        self._sessions = {
            trade_id: session for session in sessions.values() for trade_id in session.trades
        }

    def session_of(self, trade_id: str) -> Session | None:
        return self._sessions.get(trade_id)

    def apply(self, session: Session, events: Iterable[BookEvent], now_ns: int) -> None:
        """What a continuous book does, in its order."""
        for event in events:
            if isinstance(event, Matched):
                price, wh = event.price, event.wh
                match = Match(event.buy_seq, event.sell_seq, wh, price, price, wh)
                self.agree(session, match, event.number, now_ns)
            else:
                is_for_good = event.reason not in _NOT_FOR_GOOD
                self._orders.end(event.seq, event.wh, event.reason, is_closed=is_for_good)

    def agree(self, session: Session, match: Match, number: int, now_ns: int) -> None:
        """A match becomes a trade, with its positions, in one transaction."""
        buy = self._orders.match(match.buy_seq, match.wh)
        sell = self._orders.match(match.sell_seq, match.injected_wh)
        settings = self._settings
        is_path_priced = session.is_path_priced
        tariff = settings.tariff.without_losses() if is_path_priced else settings.tariff
        trade = Trade(
            f"{settings.trade_prefix}{session.start_ns // NS_PER_S}-{number}",
            buy.seq,
            sell.seq,
            buy.party,
            sell.party,
            buy.meter_id,
            sell.meter_id,
            session.interval,
            Terms(match.wh, match.buyer_price, match.seller_price, tariff),
            match.injected_wh,
            match.path,
            constraints=buy.constraints.beside(sell.constraints),
            buyer_limit=buy.limit,
            is_path_priced=is_path_priced,
            operator=settings.operator,
        )
        row = TradeRow(trade, number, session.mechanism, now_ns)
        effects = step(trade, Begin(), now_ns, settings.times)
        session.add(row)
        self._sessions[trade.trade_id] = session
        self._follow(row, effects or ())

    def hear(self, session: Session, trade_id: str, event: TradeEvent, now_ns: int) -> bool:
        """Whether anything has changed."""
        row = session.trades[trade_id]
        session.count(row, -1)
        effects = step(row.trade, event, now_ns, self._settings.times)
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
        return True

    def resume(self, row: TradeRow, now_ns: int) -> None:
        """What was asked and may not have been answered is asked again."""
        self._follow(row, resumed(row.trade, now_ns, self._settings.times))

    def forget(self, session: Session) -> None:
        for trade_id in session.trades:
            del self._sessions[trade_id]

    def _follow(self, row: TradeRow, effects: Iterable[Effect]) -> None:
        trade_id = row.trade.trade_id
        self._changes.trade(row)
        for effect in effects:
            if isinstance(effect, Wait):
                self._deadlines.add_trade(effect.until_ns, trade_id)
            elif not isinstance(effect, Bind | GiveBack):
                self._changes.ask(Ask(trade_id, effect))

    def _bind(self, session: Session, trade: Trade) -> None:
        for seq, wh in trade.sides:
            self._orders.bind(seq, wh)
        if session.book is not None:
            session.book.confirm(session.number_of(trade))

    def _give_back(self, session: Session, trade: Trade, now_ns: int) -> None:
        if trade.is_barred:
            session.barred.add((trade.buy_seq, trade.sell_seq))
            self._put_back(session, trade, now_ns)
            return
        for seq, wh in trade.sides:
            self._orders.unwind(seq, wh, trade.reason)
        if session.book is not None:
            # For the book this match is over as any that is for good: nothing of it comes back.
            session.book.confirm(session.number_of(trade))

    def _put_back(self, session: Session, trade: Trade, now_ns: int) -> None:
        """The network has refused the match: both orders look for others, as long as anything is matched."""
        for seq, wh in trade.sides:
            self._orders.put_back(seq, wh)
        if session.book is not None:
            self.apply(session, session.book.refuse(session.number_of(trade), now_ns), now_ns)
        elif session.is_over:
            for seq, wh in trade.sides:
                self._orders.end(seq, wh, MarketReason.BARRED, is_closed=True)
        else:
            session.is_due = True
            self._changes.session(session)
