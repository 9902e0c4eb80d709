"""Clearings as messages: one of thousands of orders is long in the making, and is made once for all who look at it."""

from digitalgrid.market.v1 import market_pb2 as pb
from trading.exchange.services.codec import clearing_record_to_pb
from trading.market.records import ClearingRecord

# Of those that were asked for last: what watchers are told, and what a page shows.
_MOST = 32


class Clearings:
    """A clearing never changes once it is durable."""

    def __init__(self, gate_ns: int) -> None:
        self._gate_ns = gate_ns
        self._made: dict[tuple[int, int], pb.Clearing] = {}

    def of(self, record: ClearingRecord) -> pb.Clearing:
        """Not to be changed."""
        key = (record.interval.start_ns, record.round)
        made = self._made.pop(key, None)
        if made is None:
            made = clearing_record_to_pb(record, self._gate_ns)
        self._made[key] = made
        if len(self._made) > _MOST:
            del self._made[next(iter(self._made))]
        return made
