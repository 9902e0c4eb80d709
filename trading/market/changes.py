"""Changes: what a command has touched, until its outcome is made of it."""

from collections.abc import Sequence

import msgspec

from trading.market.order_table import OrderTable
from trading.market.outcome import Ask, Clear, Outcome, T
from trading.market.records import NonceRecord, Record, TradeRecord
from trading.market.sessions import Session, TradeRow


class Changes:
    """Of everything that is touched there is one record, as it is when the command is done."""

    def __init__(self) -> None:
        self._nonces: dict[str, int] = {}
        self._trades: dict[str, TradeRow] = {}
        self._sessions: dict[int, Session] = {}
        self._records: list[Record] = []
        self._effects: list[Ask | Clear] = []

    def nonce(self, party: str, nonce: int) -> None:
        self._nonces[party] = nonce

    def trade(self, row: TradeRow) -> None:
        self._trades[row.trade.trade_id] = row

    def session(self, session: Session) -> None:
        self._sessions[session.start_ns] = session

    def note(self, record: Record) -> None:
        self._records.append(record)

    def ask(self, effect: Ask | Clear) -> None:
        self._effects.append(effect)

    def outcome(self, answer: T, orders: OrderTable) -> tuple[Outcome[T], Sequence[Session]]:
        """All of it, and the intervals that were touched."""
        records: list[Record] = [NonceRecord(*each) for each in self._nonces.items()]
        records += orders.changed()
        records += [_record_of(row) for row in self._trades.values()]
        records += [session.record() for session in self._sessions.values()]
        records += self._records
        found = Outcome(answer, records, self._effects), tuple(self._sessions.values())
        self._nonces, self._trades, self._sessions = {}, {}, {}
        self._records, self._effects = [], []
        return found


def _record_of(row: TradeRow) -> TradeRecord:
    copy = msgspec.structs.replace(row.trade)
    return TradeRecord(copy, row.number, row.mechanism, row.matched_ns, row.confirmed_ns)
