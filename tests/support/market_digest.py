"""All that a market knows and that must survive, to be compared with that of another."""

from tests.support.market_settings import PARTIES
from trading.core.positions import Position
from trading.core.units import Nano
from trading.market.market import Market
from trading.market.order_table import Row
from trading.market.sessions import Closing, Session


def _closing(session: Session) -> list[int]:
    return [each.seq for each in session.work if isinstance(each, Closing)]


def _is_open(row: Row) -> bool:
    return row.open_wh > 0 or (row.waits and not row.closed)


def digest(market: Market) -> object:
    """All that a market knows and that must survive; two of one digest do the same from now on."""
    positions = {key: each for key, each in market.positions.rows().items() if each != Position()}
    sessions = {
        start_ns: (
            session.record(),
            session.forecasts,
            sorted(session.barred),
            {
                name: (r.trade, r.number, r.matched_ns, r.confirmed_ns)
                for name, r in session.trades.items()
            },
            session.book.snapshot() if session.book else None,
            (session.with_network, session.live, session.seqs),
            [each for each in session.work if not isinstance(each, Closing)],
            # Those that are closed by other things meanwhile are in it to no purpose.
            [seq for seq in _closing(session) if _is_open(market.orders[seq])],
        )
        for start_ns, session in market.sessions.items()
        if session.seqs
    }
    standings = {
        party: (each.nonce, each.orders, each.open_orders)
        for party, each in market._desk.standings().items()
    }
    orders = [
        (r.order, r.open_wh, r.matched_wh, r.away_wh, r.reason, r.closed)
        for r in market.orders.rows()
    ]
    committed: dict[str, Nano] = {party: market.orders.committed(party) for party in PARTIES}
    return positions, sessions, standings, orders, committed, market._desk._next_seq
