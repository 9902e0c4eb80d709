"""Deadlines: when an interval or a trade has to be looked at again, the soonest first."""

from enum import IntEnum
from heapq import heappop, heappush


class Of(IntEnum):
    """At one time in this order: an order that is good till the gate is not matched at it."""

    ORDER = 0
    INTERVAL = 1
    TRADE = 2


class Deadlines:
    """Nothing is ever taken out before its time: who is looked at in vain has nothing to do."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Of, str | int]] = []

    def add_order(self, at_ns: int, seq: int) -> None:
        heappush(self._heap, (at_ns, Of.ORDER, seq))

    def add_interval(self, at_ns: int, start_ns: int) -> None:
        heappush(self._heap, (at_ns, Of.INTERVAL, start_ns))

    def add_trade(self, at_ns: int, trade_id: str) -> None:
        heappush(self._heap, (at_ns, Of.TRADE, trade_id))

    def next_ns(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def pop(self, now_ns: int) -> tuple[int, Of, str | int] | None:
        """One that has come."""
        if self._heap and self._heap[0][0] <= now_ns:
            return heappop(self._heap)
        return None
