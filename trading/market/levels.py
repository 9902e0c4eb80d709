"""Price levels: what waits for an interval, by limit, kept as orders come and go; the best first, and nobody named."""

from bisect import bisect_left, bisect_right, insort

import msgspec

from trading.core.orders import Side


class Level(msgspec.Struct):
    """What waits at one limit, of how many orders."""

    limit: int
    wh: int = 0
    orders: int = 0


class _Ladder:
    """One side. A level's rank is its limit, or less it where more is better, so that the best has the least."""

    def __init__(self, side: Side) -> None:
        self._sign = -1 if side is Side.BUY else 1
        self._levels: dict[int, Level] = {}
        self._ranks: list[int] = []

    def change(self, limit: int, wh: int, orders: int) -> None:
        level = self._levels.get(limit)
        if level is None:
            level = self._levels[limit] = Level(limit)
            insort(self._ranks, self._sign * limit)
        level.wh += wh
        level.orders += orders
        if not level.orders:
            del self._levels[limit]
            del self._ranks[bisect_left(self._ranks, self._sign * limit)]

    def best(self, count: int, after: int | None) -> list[Level]:
        first = 0 if after is None else bisect_right(self._ranks, self._sign * after)
        return [self._levels[self._sign * rank] for rank in self._ranks[first : first + count]]


class Levels:
    """Of one interval."""

    def __init__(self) -> None:
        self._ladders = {side: _Ladder(side) for side in Side}

    def change(self, side: Side, limit: int, wh: int, orders: int) -> None:
        """So much more waits at a limit, of so many more orders; less where they are below 0."""
        self._ladders[side].change(limit, wh, orders)

    def best(self, side: Side, count: int, after: int | None = None) -> list[Level]:
        """So many levels, beginning behind the limit ``after``."""
        return self._ladders[side].best(count, after)
