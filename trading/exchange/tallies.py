"""Tallies: what has become of tenders, trades and clearings since the start, in plain numbers, for metrics."""

from collections import Counter
from collections.abc import Iterable

from digitalgrid.metrics.histogram import Histogram
from digitalgrid.units import NS_PER_S
from trading.market.records import ClearingRecord, OrderRecord, Record, TradeRecord
from trading.reasons import Refused

TAKEN, RIGHT, WRONG = "taken", "right", "wrong"
# Of what deciding takes (s): a call of some orders, prices on a large network, and what is given up.
_CLEARING_BOUNDS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0)


class Tallies:
    """``tenders``: taken, or why not. ``trades``: by the state that they ended in. ``clearings``: right, or wrong as
    whoever verifies them finds.
    """

    def __init__(self) -> None:
        self.tenders: Counter[str] = Counter({TAKEN: 0})
        self.trades: Counter[str] = Counter()
        self.clearings: Counter[str] = Counter({RIGHT: 0, WRONG: 0})
        self.clearing_s = Histogram(_CLEARING_BOUNDS_S)

    def answered(self, answers: Iterable[OrderRecord | Refused]) -> None:
        """Tenders that were looked at; one that is repeated was taken again."""
        self.tenders.update(
            str(each.reason) if isinstance(each, Refused) else TAKEN for each in answers
        )

    def written(self, records: Iterable[Record]) -> None:
        """What is durable: a trade has one record of its end."""
        for record in records:
            if isinstance(record, TradeRecord):
                if record.trade.state.ended:
                    self.trades[record.trade.state] += 1
            elif isinstance(record, ClearingRecord):
                self.clearings[WRONG if record.faults else RIGHT] += 1
                self.clearing_s.observe(record.took_ns / NS_PER_S)
