"""What waits in an interval's book, by price; nobody is named."""

from collections.abc import Sequence

from digitalgrid.market.v1 import market_pb2 as pb
from trading.core.orders import Side
from trading.core.units import MAX_PRICE
from trading.exchange.runtime import Runtime
from trading.exchange.services.codec import market_interval
from trading.exchange.services.paging import MOST, place_of, token_of
from trading.market.levels import Level
from trading.market.market import Market
from trading.market.phases import Phase
from trading.market.records import IntervalRecord, OrderRecord, Record
from trading.market.sessions import Session
from trading.reasons import MarketReason, Refused

# Limits of bids and asks, behind which levels are wanted; None: all of them.
Place = tuple[int | None, int | None]
_FIRST: Place = (None, None)
# Dearer than any order.
_ABOVE = MAX_PRICE + 1
# Levels of each side that are made for whoever wants other than the best of all, which are made once for all: a part of
# a millisecond, in which nobody else is heard.
_MOST_MADE = 250


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
        """The best levels of both sides, as many as one answer has. Not to be changed."""
        made = self._made.get(session.start_ns)
        if made is None:
            made = self._made[session.start_ns] = self._page(session, MOST, _FIRST)
        return made

    def page(self, session: Session, count: int, behind: Place) -> pb.GetBookResponse:
        """Up to so many levels of each side, behind others; it may have fewer, and says that there are more."""
        if count == MOST and behind == _FIRST:
            return self.of(session)
        return self._page(session, min(count, _MOST_MADE), behind)

    def _page(self, session: Session, count: int, behind: Place) -> pb.GetBookResponse:
        levels = self._market.orders.levels(session.start_ns)
        bids, asks = (
            # One more tells whether there is another page.
            levels.best(side, count + 1, after)
            for side, after in zip(Side, behind, strict=True)
        )
        answer = pb.GetBookResponse(
            interval=interval_of(self._market, session),
            bids=map(_level, bids[:count]),
            asks=map(_level, asks[:count]),
        )
        if max(len(bids), len(asks)) > count:
            last = (
                each[:count][-1].limit if each else after
                for each, after in zip((bids, asks), behind, strict=True)
            )
            answer.next_page_token = _token(session.start_ns, *last)
        return answer

    def _heard(self, records: Sequence[Record]) -> None:
        if not self._made:
            # Nobody has looked since it changed last.
            return
        for record in records:
            if isinstance(record, OrderRecord):
                self._made.pop(record.order.interval.start_ns, None)
            elif isinstance(record, IntervalRecord):
                self._made.pop(record.interval.start_ns, None)


def _level(level: Level) -> pb.BookLevel:
    return pb.BookLevel(limit_micro_per_kwh=level.limit, wh=level.wh, orders=level.orders)


def _token(start_ns: int, *limits: int | None) -> str:
    """Limits are told as what they are above the least; 0 is none."""
    return token_of(start_ns, *(0 if each is None else each + _ABOVE for each in limits))


def asked_of(request: pb.GetBookRequest) -> tuple[int, Place]:
    """When the interval begins, and behind which limits of bids and asks levels are wanted. Raises Refused."""
    place = place_of(request.page_token, 3)
    if place is None:
        return request.interval_start_unix_ns, _FIRST
    start_ns, bid, ask = place
    return start_ns, (bid - _ABOVE if bid else None, ask - _ABOVE if ask else None)
