"""Positions: what each meter has sold and bought for an interval, and the limits that no tender passes.

The first of the layers against selling twice. What is tendered counts as if all of it were matched, so a match never
has to be refused for it, in whatever order matches come. What a meter buys back frees what it can sell, once that
trade is binding: one that can still be undone frees nothing.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from trading.core.orders import BUY, Interval, Meter, Order, Side, Tender
from trading.core.units import Wh, wh_below
from trading.reasons import MarketReason, Refused

Key = tuple[str, Interval]


class Position(msgspec.Struct, frozen=True, gc=False):
    """Of one meter and interval. ``open``: tendered and not matched yet; ``bound``: the part of what is matched that
    nothing undoes any more.
    """

    bought: Wh = Wh(0)
    sold: Wh = Wh(0)
    open_bought: Wh = Wh(0)
    open_sold: Wh = Wh(0)
    bound_bought: Wh = Wh(0)
    bound_sold: Wh = Wh(0)

    @property
    def most_injected(self) -> int:
        """If all that is offered is sold, and of what is bought only stays what has to."""
        return self.sold + self.open_sold - self.bound_bought

    @property
    def most_drawn(self) -> int:
        return self.bought + self.open_bought - self.bound_sold


_NONE = Position()
# Registered powers are few, and asked about with each tender.
_most = lru_cache(maxsize=4_096)(wh_below)


class Positions:
    """The table, the only place where positions change."""

    def __init__(self, rows: Mapping[Key, Position] | None = None) -> None:
        self._rows: dict[Key, Position] = dict(rows or {})
        self._forecasts: dict[Key, Wh] = {}

    def rows(self) -> Mapping[Key, Position]:
        return self._rows

    def of(self, meter_id: str, interval: Interval) -> Position:
        return self._rows.get((meter_id, interval), _NONE)

    def busy(self, meter_id: str, now_ns: int) -> tuple[Interval, Position] | None:
        """An interval that is not over, of which something of the meter is tendered or agreed; the first, if any."""
        held = [
            (interval, position)
            for (of, interval), position in self._rows.items()
            if of == meter_id and interval.end_ns > now_ns and position != _NONE
        ]
        return min(held, key=lambda each: each[0].start_ns, default=None)

    def last_end_ns(self) -> int:
        """Of all intervals of which something is tendered or agreed; 0 where nothing is."""
        held = (interval.end_ns for (_, interval), row in self._rows.items() if row != _NONE)
        return max(held, default=0)

    def forecast(self, meter_id: str, interval: Interval, most: Wh) -> None:
        """A source is not expected to give more: it sells no more from now on."""
        self._forecasts[meter_id, interval] = most

    def most(self, meter: Meter, interval: Interval, side: Side) -> Wh:
        """What the meter can give or take in the interval, by its power, and by the forecast if there is one."""
        if side is BUY:
            return _most(meter.max_drawn_w, interval.length_ns)
        registered = _most(meter.max_injected_w, interval.length_ns)
        return min(registered, self._forecasts.get((meter.meter_id, interval), registered))

    def tender(self, tender: Tender, meter: Meter) -> None:
        """Counts what is tendered. Raises Refused where the meter could not give or take it."""
        side, key = tender.side, (tender.meter_id, tender.interval)
        most = self.most(meter, tender.interval, side)
        before = self._rows.get(key, _NONE)
        reached = tender.wh + (before.most_drawn if side is BUY else before.most_injected)
        if reached > most:
            raise Refused(
                MarketReason.POSITION_LIMIT,
                f"{tender.wh} Wh more would make {reached} Wh of meter {tender.meter_id} in the interval;"
                f" {most} Wh is the most",
            )
        self._rows[key] = _with(before, side, 0, tender.wh)

    def restore(self, order: Order, open_wh: int, agreed_wh: int, bound_wh: int) -> None:
        """What was counted of an order before; whether its meter may still do so is not asked."""
        key = order.meter_id, order.interval
        self._rows[key] = _with(self.of(*key), order.side, agreed_wh, open_wh, bound_wh)

    def match(self, order: Order, wh: Wh) -> None:
        """So much of an open order is agreed; in the transaction that notes the match."""
        self._change(order, wh, open_wh=-wh)

    def bind(self, order: Order, wh: Wh) -> None:
        """So much of what is matched is binding from now on."""
        self._change(order, bound_wh=wh)

    def put_back(self, order: Order, wh: Wh) -> None:
        """What was matched is not to be, and its order waits for another match."""
        self._change(order, -wh, open_wh=wh)

    def unwind(self, order: Order, wh: Wh) -> None:
        """What was matched is not to be, and its order is over."""
        self._change(order, -wh)

    def close(self, order: Order, wh: Wh) -> None:
        """So much of an open order is cancelled, or has ended otherwise."""
        self._change(order, open_wh=-wh)

    def forget(self, interval: Interval) -> None:
        """It has ended, and its trades stand in the ledger."""
        for table in (self._rows, self._forecasts):
            for key in [key for key in table if key[1] == interval]:
                del table[key]

    def _change(self, order: Order, wh: int = 0, open_wh: int = 0, bound_wh: int = 0) -> None:
        before = self.of(order.meter_id, order.interval)
        after = _with(before, order.side, wh, open_wh, bound_wh)
        agreed = after.bought if order.side is BUY else after.sold
        bound = after.bound_bought if order.side is BUY else after.bound_sold
        if min(after.open_bought, after.open_sold, agreed - bound) < 0:
            changed = abs(wh or open_wh or bound_wh)
            raise ValueError(
                f"order {order.seq} gives back or binds {changed} Wh that its meter does not have"
            )
        self._rows[order.meter_id, order.interval] = after


def _with(
    position: Position, side: Side, wh: int = 0, open_wh: int = 0, bound_wh: int = 0
) -> Position:
    # In place of `msgspec.structs.replace`, which is for names.
    of = msgspec.structs.astuple(position)
    bought, sold, open_bought, open_sold, bound_bought, bound_sold = of
    if side is BUY:
        bought, open_bought, bound_bought = (
            bought + wh,
            open_bought + open_wh,
            bound_bought + bound_wh,
        )
    else:
        sold, open_sold, bound_sold = sold + wh, open_sold + open_wh, bound_sold + bound_wh
    return Position(bought, sold, open_bought, open_sold, bound_bought, bound_sold)
