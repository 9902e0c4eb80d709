"""What waits in an interval's book, by price; nobody is named."""

from collections import defaultdict
from collections.abc import Sequence

from digitalgrid.market.v1 import market_pb2 as pb
from trading.core.orders import Side
from trading.exchange.runtime import Runtime
from trading.exchange.services.codec import market_interval
from trading.market.market import Market
from trading.market.phases import Phase
from trading.market.records import IntervalRecord, OrderRecord, Record
from trading.market.sessions import Session
from trading.reasons import MarketReason, Refused


def session_at(market: Market, start_ns: int) -> Session:
    """0: the next whose gate closes. Raises Refused."""
    if start_ns:
        session = market.sessions.get(start_ns)
    else:
        is_open = [each for each in market.sessions.values() if each.phase is Phase.OPEN]
        session = min(is_open, key=lambda each: each.start_ns, default=None)
    if session is None:
        raise Refused(
            MarketReason.INTERVAL_UNKNOWN,
            f"no interval at {start_ns} is open or being settled",
            "interval_start_unix_ns",
        )
    return session


def interval_of(market: Market, session: Session) -> pb.MarketInterval:
    gate_ns = market.settings.rules.gate_ns
    return market_interval(session.interval, session.mechanism, session.phase, gate_ns)


class Books:
    """Books as messages, each made anew only when something of it has changed, however many look at it."""

    def __init__(self, runtime: Runtime) -> None:
        self._market = runtime.market
        self._made: dict[int, pb.GetBookResponse] = {}
        runtime.subscribe(self._heard)

    def of(self, session: Session) -> pb.GetBookResponse:
        made = self._made.get(session.start_ns)
        if made is None:
            made = self._made[session.start_ns] = _book(self._market, session)
        return made

    def _heard(self, records: Sequence[Record]) -> None:
        for record in records:
            if isinstance(record, OrderRecord):
                self._made.pop(record.order.interval.start_ns, None)
            elif isinstance(record, IntervalRecord):
                self._made.pop(record.interval.start_ns, None)


def _book(market: Market, session: Session) -> pb.GetBookResponse:
    """The best first."""
    levels: dict[Side, defaultdict[int, list[int]]] = {each: defaultdict(list) for each in Side}
    for seq in session.seqs:
        row = market.orders[seq]
        if row.open_wh:
            levels[row.order.side][row.order.limit].append(row.open_wh)
    bids, asks = levels[Side.BUY], levels[Side.SELL]
    return pb.GetBookResponse(
        interval=interval_of(market, session),
        bids=[_level(limit, bids[limit]) for limit in sorted(bids, reverse=True)],
        asks=[_level(limit, asks[limit]) for limit in sorted(asks)],
    )


def _level(limit: int, quantities: list[int]) -> pb.BookLevel:
    return pb.BookLevel(limit_micro_per_kwh=limit, wh=sum(quantities), orders=len(quantities))
