"""What of a market is durable, in memory."""

from collections.abc import Sequence
from typing import Any

import msgspec

from trading.market.phases import Phase
from trading.market.records import (
    ClearingRecord,
    ForecastRecord,
    IntervalRecord,
    NonceRecord,
    OrderRecord,
    Record,
    TradeRecord,
)
from trading.market.restoring import Journalled


class MemoryJournal:
    """The newest record of each thing."""

    def __init__(self) -> None:
        self.orders: dict[int, OrderRecord] = {}
        self.trades: dict[str, TradeRecord] = {}
        self.intervals: dict[int, IntervalRecord] = {}
        self.clearings: dict[tuple[int, int], ClearingRecord] = {}
        self.nonces: dict[str, NonceRecord] = {}
        self.forecasts: dict[tuple[int, str], ForecastRecord] = {}

    def write(self, records: Sequence[Record]) -> None:
        for each in records:
            # Through bytes, as a file would have it.
            written: Any = msgspec.msgpack.decode(msgspec.msgpack.encode(each), type=type(each))
            match written:
                case OrderRecord():
                    self.orders[written.order.seq] = written
                case TradeRecord():
                    self.trades[written.trade.trade_id] = written
                case IntervalRecord():
                    self.intervals[written.interval.start_ns] = written
                case ClearingRecord():
                    self.clearings[written.interval.start_ns, written.round] = written
                case NonceRecord():
                    self.nonces[written.party] = written
                case ForecastRecord():
                    self.forecasts[written.interval.start_ns, written.meter_id] = written

    def journalled(self) -> Journalled:
        live = {s: each for s, each in self.intervals.items() if each.phase is not Phase.ENDED}
        return Journalled(
            tuple(live.values()),
            tuple(each for each in self.orders.values() if each.order.interval.start_ns in live),
            tuple(each for each in self.trades.values() if each.trade.interval.start_ns in live),
            tuple(self.nonces.values()),
            max(self.orders, default=0) + 1,
            tuple(
                self.clearings[start_ns, each.rounds]
                for start_ns, each in live.items()
                if each.left
            ),
            tuple(each for each in self.forecasts.values() if each.interval.start_ns in live),
        )
