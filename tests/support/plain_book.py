"""A continuous double auction written plainly, which looks at every order in every step: what ours is held against."""

from dataclasses import dataclass, field

from trading.core.orders import Order, Side, TimeInForce
from trading.mechanisms.book import SelfTrade

Told = tuple[object, ...]


@dataclass
class Waiting:
    order: Order
    left: int
    away: int = 0
    over: bool = False
    why: str = ""
    barred: set[int] = field(default_factory=set)


class PlainBook:
    """All orders in one list, looked through from its beginning for every step."""

    def __init__(self, self_trade: SelfTrade) -> None:
        self.self_trade = self_trade
        self.all: list[Waiting] = []
        self.pending: dict[int, tuple[Waiting, Waiting, int]] = {}
        self.number = 0
        self.told: list[Told] = []
        # Of each refusal: both meters, what was to be kept, and how much it was.
        self.refused: list[tuple[str, str, object, int]] = []

    def submit(self, order: Order, now_ns: int) -> None:
        self.expire(now_ns)
        self.all.append(Waiting(order, order.wh))
        self.enter(self.all[-1])

    def cancel(self, seq: int) -> bool:
        for each in self.all:
            if each.order.seq == seq and not each.over and (each.left or each.away):
                self.end(each, "CANCELLED")
                return True
        return False

    def expire(self, now_ns: int) -> None:
        due = [
            each
            for each in self.all
            if not each.over
            and (each.left or each.away)
            and each.order.expires_ns is not None
            and each.order.expires_ns <= now_ns
        ]
        for each in sorted(due, key=lambda each: (each.order.expires_ns or 0, each.order.seq)):
            self.end(each, "EXPIRED")

    def close(self) -> None:
        for each in self.all:
            if not each.over and (each.left or each.away):
                self.end(each, "INTERVAL_CLOSED")

    def confirm(self, number: int) -> None:
        buyer, seller, wh = self.pending.pop(number)
        buyer.away -= wh
        seller.away -= wh

    def refuse(self, number: int, now_ns: int) -> None:
        self.expire(now_ns)
        buyer, seller, wh = self.pending.pop(number)
        buyer.barred.add(seller.order.seq)
        seller.barred.add(buyer.order.seq)
        self.refused.append((*meters(buyer.order, seller.order), wh))
        for each in sorted((buyer, seller), key=lambda each: each.order.seq):
            each.away -= wh
            if each.over:
                self.told.append(("ended", each.order.seq, wh, each.why))
            else:
                each.left += wh
                self.enter(each)

    def is_refused(self, one: Order, other: Order, wh: int) -> bool:
        """Whether the network has refused as much, or less, between their meters."""
        way = meters(one, other)
        return any(each[:3] == way and wh >= each[3] for each in self.refused)

    def best(self, entry: Waiting, passed: set[int]) -> Waiting | None:
        """The best order of the other side that it reaches and that was not passed over."""
        found = None
        for each in self.all:
            order = each.order
            if not each.left or order.side is entry.order.side or order.seq in passed:
                continue
            if entry.order.side is Side.BUY:
                if order.limit > entry.order.limit:
                    continue
                better = found is None or (order.limit, order.seq) < (
                    found.order.limit,
                    found.order.seq,
                )
            else:
                if order.limit < entry.order.limit:
                    continue
                better = found is None or (-order.limit, order.seq) < (
                    -found.order.limit,
                    found.order.seq,
                )
            if better:
                found = each
        return found

    def enter(self, entry: Waiting) -> None:
        order, left = entry.order, entry.left
        takes: list[tuple[Waiting, int]] = []
        own: list[Waiting] = []
        passed: set[int] = set()
        stopped = False
        while left and (other := self.best(entry, passed)) is not None:
            passed.add(other.order.seq)
            if other.order.party == order.party:
                if self.self_trade in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
                    own.append(other)
                if self.self_trade in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                    stopped = True
                    break
                continue
            wh = min(left, other.left)
            if other.order.seq in entry.barred or wh < min(other.order.min_fill_wh, other.left):
                continue
            if self.is_refused(order, other.order, wh):
                continue
            takes.append((other, wh))
            left -= wh
        taken = sum(wh for _, wh in takes)
        wanted = entry.left if order.tif is TimeInForce.FOK else order.min_fill_wh
        enough = taken >= min(wanted, entry.left)
        if enough:
            for other, wh in takes:
                self.match(entry, other, wh)
        if enough or stopped:
            for each in own:
                self.end(each, "SELF_TRADE")
        if not entry.left:
            return
        if stopped:
            self.end(entry, "SELF_TRADE")
        elif order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            least = not enough and order.tif is TimeInForce.IOC
            why = "LEAST_FILL" if least else "NOT_FILLED"
            self.told.append(("ended", order.seq, entry.left, why))
            entry.left = 0

    def match(self, entry: Waiting, other: Waiting, wh: int) -> None:
        self.number += 1
        buyer, seller = (entry, other) if entry.order.side is Side.BUY else (other, entry)
        first = min(buyer.order, seller.order, key=lambda order: order.seq)
        self.told.append(
            ("matched", self.number, buyer.order.seq, seller.order.seq, wh, first.limit)
        )
        self.pending[self.number] = (buyer, seller, wh)
        for each in (entry, other):
            each.left -= wh
            each.away += wh

    def end(self, each: Waiting, why: str) -> None:
        if each.left or each.away:
            self.told.append(("ended", each.order.seq, each.left, why))
        each.left, each.over, each.why = 0, True, why


def meters(one: Order, other: Order) -> tuple[str, str, object]:
    buy, sell = (one, other) if one.side is Side.BUY else (other, one)
    return buy.meter_id, sell.meter_id, (buy.constraints, sell.constraints)
