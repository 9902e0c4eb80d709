"""The order book of a continuous double auction: price, then seq; each match at the limit of the order that came first.

Events in, events out; the book of the same events is the same byte for byte (:meth:`OrderBook.snapshot`). A match is a
proposal: until it is confirmed, the network may refuse it, and then both orders are back at their places, and the two
are never matched with each other again. Nor are others of the same two meters for as much: a hundred orders of a source
that has no more to give would else be refused with each of a hundred buyers.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from heapq import heapify, heappop, heappush

import msgspec

from trading.core.orders import Constraints, Order, Side, TimeInForce
from trading.core.units import MicroPerKwh, Wh
from trading.reasons import MarketReason, Refused


class SelfTrade(StrEnum):
    """Self-trade prevention: which order is cancelled where two of one party would be matched."""

    CANCEL_NEWEST = "cancel newest"
    CANCEL_OLDEST = "cancel oldest"
    CANCEL_BOTH = "cancel both"


class Matched(msgspec.Struct, frozen=True, tag=True):
    """``number`` counts matches of this book."""

    number: int
    buy_seq: int
    sell_seq: int
    wh: Wh
    price: MicroPerKwh


class Ended(msgspec.Struct, frozen=True, tag=True):
    """So much of an order, all that was left of it, is not in the book any more. 0 where all of it is matched, and what
    is not confirmed of that does not come back.
    """

    seq: int
    wh: Wh
    reason: MarketReason


BookEvent = Matched | Ended


class _Entry(msgspec.Struct):
    """``away``: matched and not confirmed; ``closed``: why nothing of the order comes back, None while it may.

    ``is_queued``: whether its side's heap has it, which is not told apart from whether anything of it is left.
    """

    order: Order
    left: int
    away: int = 0
    closed: MarketReason | None = None
    barred: set[int] = msgspec.field(default_factory=set)
    is_queued: bool = False


class Way(msgspec.Struct, frozen=True):
    """What the network is asked for a match: power from one meter to another, and what it has to keep."""

    sink_meter: str
    source_meter: str
    constraints: Constraints


def way_of(buy: Order, sell: Order) -> Way:
    return Way(buy.meter_id, sell.meter_id, buy.constraints.beside(sell.constraints))


class _Kept(msgspec.Struct, array_like=True):
    """A book as bytes."""

    next_match: int
    entries: list[tuple[Order, int, int, MarketReason | None, list[int]]]
    pending: list[tuple[int, int, int, int]]
    refused: list[tuple[Way, int]] = []


_Queue = list[tuple[int, int]]
_SIGN = {Side.BUY: -1, Side.SELL: 1}
_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


class OrderBook:
    """Of one interval. Times are passed in; they end orders that are good till a date, and decide nothing else."""

    def __init__(self, self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST) -> None:
        self._self_trade = self_trade
        self._entries: dict[int, _Entry] = {}
        self._queues: dict[Side, _Queue] = {Side.BUY: [], Side.SELL: []}
        self._dated: _Queue = []
        self._pending: dict[int, tuple[int, int, int]] = {}
        self._next_match = 1
        # The least that was refused.
        self._refused: dict[Way, int] = {}

    def submit(self, order: Order, now_ns: int, barred: Iterable[int] = ()) -> list[BookEvent]:
        """A new order, of a higher seq than any before; ``barred``: numbers of orders that it is not matched with."""
        events = self.expire(now_ns)
        entry = _Entry(order, order.wh, barred=set(barred))
        self._entries[order.seq] = entry
        for seq in entry.barred & self._entries.keys():
            self._entries[seq].barred.add(order.seq)
        if order.expires_ns is not None:
            heappush(self._dated, (order.expires_ns, order.seq))
        self._enter(entry, events)
        return events

    def cancel(self, seq: int, reason: MarketReason = MarketReason.CANCELLED) -> list[BookEvent]:
        """What is left of an order ends; what is matched stays matched, but does not come back if it is refused."""
        entry = self._entries.get(seq)
        if entry is None or entry.closed is not None:
            raise Refused(MarketReason.ORDER_UNKNOWN, f"the book has no order_id of number {seq}")
        events: list[BookEvent] = []
        self._end(entry, reason, events)
        return events

    def expire(self, now_ns: int) -> list[BookEvent]:
        """Ends what was good till now."""
        events: list[BookEvent] = []
        while self._dated and self._dated[0][0] <= now_ns:
            entry = self._entries.get(heappop(self._dated)[1])
            if entry is not None and entry.closed is None:
                self._end(entry, MarketReason.EXPIRED, events)
        return events

    def close(self) -> list[BookEvent]:
        """The gate: nothing is matched any more, nor comes back."""
        events: list[BookEvent] = []
        for _, entry in sorted(self._entries.items()):
            if entry.closed is None:
                self._end(entry, MarketReason.INTERVAL_CLOSED, events)
        return events

    def confirm(self, number: int) -> None:
        """The network holds a circuit: the match is for good. Once is enough, twice is as good."""
        found = self._pending.pop(number, None)
        if found is not None:
            for seq in found[:2]:
                self._entries[seq].away -= found[2]
                self._forget_if_done(seq)

    def refuse(self, number: int, now_ns: int) -> list[BookEvent]:
        """No circuit was to be had: both orders are back, the older one first, and look for others.

        What comes back of an order that was to be filled or killed is filled at once, or is killed.
        """
        events = self.expire(now_ns)
        found = self._pending.pop(number, None)
        if found is None:
            return events
        buy_seq, sell_seq, wh = found
        buy, sell = self._entries[buy_seq], self._entries[sell_seq]
        buy.barred.add(sell_seq)
        sell.barred.add(buy_seq)
        way = way_of(buy.order, sell.order)
        self._refused[way] = min(wh, self._refused.get(way, wh))
        for seq in sorted((buy_seq, sell_seq)):
            entry = self._entries[seq]
            entry.away -= wh
            if entry.closed is None:
                entry.left += wh
                self._enter(entry, events)
            else:
                events.append(Ended(seq, Wh(wh), entry.closed))
            self._forget_if_done(seq)
        return events

    def resting(self, side: Side) -> list[tuple[Order, Wh]]:
        """What of which orders waits, the best first."""
        found = [e for e in self._entries.values() if e.left and e.order.side is side]
        found.sort(key=lambda entry: _key(entry.order))
        return [(entry.order, Wh(entry.left)) for entry in found]

    def snapshot(self) -> bytes:
        """Everything, the same bytes after the same events."""
        entries = [
            (each.order, each.left, each.away, each.closed, sorted(each.barred))
            for _, each in sorted(self._entries.items())
        ]
        pending = [(number, *pair) for number, pair in sorted(self._pending.items())]
        refused = sorted(self._refused.items(), key=str)
        return msgspec.msgpack.encode(_Kept(self._next_match, entries, pending, refused))

    @classmethod
    def restored(
        cls, snapshot: bytes, self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    ) -> "OrderBook":
        return cls._of(msgspec.msgpack.decode(snapshot, type=_Kept), self_trade)

    @classmethod
    def _of(cls, kept: _Kept, self_trade: SelfTrade) -> "OrderBook":
        book = cls(self_trade)
        book._next_match = kept.next_match
        book._pending = {number: (buy, sell, wh) for number, buy, sell, wh in kept.pending}
        book._refused = dict(kept.refused)
        for order, left, away, closed, barred in kept.entries:
            entry = _Entry(order, left, away, closed, set(barred), is_queued=left > 0)
            book._entries[order.seq] = entry
            if left:
                book._queues[order.side].append(_key(order))
            if order.expires_ns is not None and closed is None:
                book._dated.append((order.expires_ns, order.seq))
        for queue in (*book._queues.values(), book._dated):
            heapify(queue)
        return book

    @classmethod
    def rebuilt(
        cls,
        orders: Iterable[tuple[Order, int, int, MarketReason | None]],
        pending: Mapping[int, tuple[int, int, int]],
        barred: Iterable[tuple[int, int]],
        refused: Iterable[tuple[Way, int]],
        next_match: int,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    ) -> "OrderBook":
        """From what others know of it: of each order what waits, what is matched and not confirmed, and why nothing
        comes back; matches that are not confirmed, all pairs that were refused, and how much on which way.
        """
        least: dict[Way, int] = {}
        for way, wh in refused:
            least[way] = min(wh, least.get(way, wh))
        kept: dict[int, set[int]] = {}
        for pair in barred:
            for one, other in (pair, pair[::-1]):
                kept.setdefault(one, set()).add(other)
        entries = [
            (order, left, away, closed, sorted(kept.get(order.seq, ())))
            for order, left, away, closed in orders
            if left or away
        ]
        matched = [(number, *pair) for number, pair in pending.items()]
        return cls._of(_Kept(next_match, entries, matched, list(least.items())), self_trade)

    def _enter(self, entry: _Entry, events: list[BookEvent]) -> None:
        """Matches what is left of an order as far as it goes; the rest waits, or ends."""
        order = entry.order
        plan = self._planned(entry)
        wanted = entry.left if order.tif is TimeInForce.FOK else order.min_fill_wh
        enough = plan.wh >= min(wanted, entry.left)
        if enough:
            self._carry_out(entry, plan, events)
        if enough or plan.is_stopped:
            # Where both are to go, the older one does so whether or not there was enough before it.
            for other in plan.own:
                self._end(other, MarketReason.SELF_TRADE, events)
        self._put_back(plan.popped)
        if entry.left == 0:
            return
        if plan.is_stopped:
            self._end(entry, MarketReason.SELF_TRADE, events)
        elif order.tif.rests:
            self._queue(entry)
        elif not enough and order.tif is not TimeInForce.FOK:
            self._end(entry, MarketReason.LEAST_FILL, events, for_good=False)
        else:
            self._end(entry, MarketReason.NOT_FILLED, events, for_good=False)

    def _planned(self, entry: _Entry) -> "_Plan":
        """What an order could take, the best first; nothing but places in the queue is changed."""
        order, left = entry.order, entry.left
        queue = self._queues[_OTHER[order.side]]
        # Asks wait at their limits, and bids at the negatives of theirs.
        reach = order.limit if order.side is Side.BUY else -order.limit
        plan = _Plan([], [], [])
        while left and queue and queue[0][0] <= reach:
            other = self._entries.get(queue[0][1])
            if other is None or not other.left:
                heappop(queue)
                if other is not None:
                    other.is_queued = False
                continue
            if other.order.party == order.party:
                if self._self_trade is not SelfTrade.CANCEL_NEWEST:
                    plan.own.append(other)
                if self._self_trade is not SelfTrade.CANCEL_OLDEST:
                    plan.is_stopped = True
                    break
            elif other.order.seq not in entry.barred:
                wh = min(left, other.left)
                if wh >= min(other.order.min_fill_wh, other.left) and self._may_carry(
                    order, other.order, wh
                ):
                    plan.takes.append((other, wh))
                    plan.wh += wh
                    left -= wh
                    if not left and wh < other.left:
                        break
            heappop(queue)
            plan.popped.append(other)
        return plan

    def _may_carry(self, order: Order, other: Order, wh: int) -> bool:
        """Whether the network has not refused as much, or less, between the two meters."""
        if not self._refused:
            return True
        buy, sell = (order, other) if order.side is Side.BUY else (other, order)
        least = self._refused.get(way_of(buy, sell))
        return least is None or wh < least

    def _carry_out(self, entry: _Entry, plan: "_Plan", events: list[BookEvent]) -> None:
        order = entry.order
        for other, wh in plan.takes:
            buy, sell = (order, other.order) if order.side is Side.BUY else (other.order, order)
            first = buy if buy.seq < sell.seq else sell
            events.append(Matched(self._next_match, buy.seq, sell.seq, Wh(wh), first.limit))
            self._pending[self._next_match] = (buy.seq, sell.seq, wh)
            self._next_match += 1
            for each in (entry, other):
                each.left -= wh
                each.away += wh

    def _put_back(self, popped: Iterable[_Entry]) -> None:
        for other in popped:
            other.is_queued = False
            if other.left:
                self._queue(other)

    def _queue(self, entry: _Entry) -> None:
        if not entry.is_queued:
            entry.is_queued = True
            heappush(self._queues[entry.order.side], _key(entry.order))

    def _end(
        self,
        entry: _Entry,
        reason: MarketReason,
        events: list[BookEvent],
        *,
        for_good: bool = True,
    ) -> None:
        """``for_good``: what is matched and then refused does not try again either."""
        events.append(Ended(entry.order.seq, Wh(entry.left), reason))
        entry.left = 0
        if for_good:
            entry.closed = reason
        self._forget_if_done(entry.order.seq)

    def _forget_if_done(self, seq: int) -> None:
        entry = self._entries.get(seq)
        if entry is not None and not entry.left and not entry.away:
            del self._entries[seq]


class _Plan(msgspec.Struct):
    """``takes``: of whom how much; ``own``: orders of the same party that are to be cancelled; ``popped`` had to leave
    the queue to be looked behind. ``is_stopped``: by an order of its own party.
    """

    takes: list[tuple[_Entry, int]]
    own: list[_Entry]
    popped: list[_Entry]
    wh: int = 0
    is_stopped: bool = False


def _key(order: Order) -> tuple[int, int]:
    return (_SIGN[order.side] * order.limit, order.seq)
