"""Orders of a market that have not been forgotten: what of each waits, is matched, or has ended. Changed here only."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from trading.core.orders import Order
from trading.core.positions import Positions
from trading.core.tenders import Desk, due_per_wh
from trading.core.units import MicroPerKwh, Nano, Wh
from trading.market.levels import Levels
from trading.market.records import OrderRecord


class Row(msgspec.Struct, gc=False):
    """``away_wh``: the part of what is matched that may still be undone. ``record``: as it is, if that was asked for
    since it changed last.
    """

    order: Order
    open_wh: int
    matched_wh: int = 0
    away_wh: int = 0
    reason: str = ""
    closed: str = ""
    record: OrderRecord | None = None

    @property
    def waits(self) -> bool:
        """Whether anything of it waits, or may come back."""
        return self.open_wh > 0 or self.away_wh > 0


class OrderTable:
    """Positions and the desk hear of every change, so that they never say anything else than the orders do."""

    def __init__(self, desk: Desk, positions: Positions, utility_price: MicroPerKwh) -> None:
        self._desk = desk
        self._positions = positions
        self._utility_price = utility_price
        self._rows: dict[int, Row] = {}
        self._committed: defaultdict[str, int] = defaultdict(int)
        self._levels: defaultdict[int, Levels] = defaultdict(Levels)
        # Of what has changed since :meth:`changed` was asked.
        self._touched: dict[int, Row] = {}

    def __getitem__(self, seq: int) -> Row:
        return self._rows[seq]

    def __contains__(self, seq: int) -> bool:
        return seq in self._rows

    def rows(self) -> Iterable[Row]:
        return self._rows.values()

    def levels(self, start_ns: int) -> Levels:
        """What waits for the interval that begins then. Not to be changed."""
        return self._levels.get(start_ns) or Levels()

    def committed(self, party: str) -> Nano:
        """What a party's open orders can come to, and those matches for which no money is locked yet."""
        return Nano(self._committed.get(party, 0))

    def add(self, order: Order, most_due: Nano) -> Row:
        """The desk has taken it, and its position counts already. ``most_due``: what it can come to."""
        row = self._rows[order.seq] = self._touched[order.seq] = Row(order, order.wh)
        self._committed[order.party] += most_due
        self._levels[order.interval.start_ns].change(order.side, order.limit, order.wh, 1)
        return row

    def restore(self, record: OrderRecord, away_wh: int) -> None:
        """As it was journalled; ``away_wh`` as trades say."""
        order = record.order
        row = Row(order, record.open_wh, record.matched_wh, away_wh, record.reason, record.closed)
        self._rows[order.seq] = row
        self._count(row, 0)
        self._positions.restore(order, record.open_wh, record.matched_wh, row.matched_wh - away_wh)
        self._commit(row, row.open_wh + away_wh)

    def match(self, seq: int, wh: Wh) -> Order:
        """So much of it is agreed."""
        row = self._touch(seq)
        self._positions.match(row.order, wh)
        self._wait(row, -wh)
        row.matched_wh += wh
        row.away_wh += wh
        return row.order

    def bind(self, seq: int, wh: Wh) -> None:
        """So much of what is agreed is not undone any more."""
        row = self._touch(seq)
        self._positions.bind(row.order, wh)
        row.away_wh -= wh
        self._commit(row, -wh)
        self._end_if_done(row)

    def put_back(self, seq: int, wh: Wh) -> None:
        """The network refused the match; its order waits for another."""
        row = self._touch(seq)
        self._positions.put_back(row.order, wh)
        row.reason = ""
        self._wait(row, wh)
        row.matched_wh -= wh
        row.away_wh -= wh

    def unwind(self, seq: int, wh: Wh, reason: str) -> None:
        """A match is not to be, and so much of its order is over."""
        row = self._touch(seq)
        self._positions.unwind(row.order, wh)
        row.matched_wh -= wh
        row.away_wh -= wh
        self._commit(row, -wh)
        if not row.open_wh:
            row.reason = row.reason or reason
        self._end_if_done(row)

    def end(self, seq: int, wh: Wh, reason: str, *, is_closed: bool) -> None:
        """So much of what waits does not any more. ``is_closed``: and nothing of the order ever will."""
        row = self._touch(seq)
        if wh:
            self._positions.close(row.order, wh)
            self._wait(row, -wh)
            self._commit(row, -wh)
            row.reason = reason
        if is_closed:
            row.closed = row.closed or reason
        self._end_if_done(row)

    def tell(self, seq: int, reason: str) -> None:
        """Why it was not matched this time."""
        self._touch(seq).reason = reason

    def changed(self) -> Iterator[OrderRecord]:
        """Records of what has changed since this was asked last, by seq."""
        for _, row in sorted(self._touched.items()):
            yield record_of(row)
        self._touched.clear()

    def forget(self, start_ns: int, seqs: Iterable[int]) -> list[Order]:
        """Of the interval that begins then."""
        self._levels.pop(start_ns, None)
        return [self._rows.pop(seq).order for seq in seqs]

    def _wait(self, row: Row, wh: int) -> None:
        """So much more of it waits."""
        before_wh = row.open_wh
        row.open_wh += wh
        self._count(row, before_wh)

    def _count(self, row: Row, before_wh: int) -> None:
        order, open_wh = row.order, row.open_wh
        if open_wh != before_wh:
            self._levels[order.interval.start_ns].change(
                order.side, order.limit, open_wh - before_wh, (open_wh > 0) - (before_wh > 0)
            )

    def _touch(self, seq: int) -> Row:
        row = self._touched[seq] = self._rows[seq]
        row.record = None
        return row

    def _commit(self, row: Row, wh: int) -> None:
        per_wh = due_per_wh(row.order, self._utility_price)
        left = self._committed[row.order.party] + wh * per_wh
        if left:
            self._committed[row.order.party] = left
        else:
            del self._committed[row.order.party]

    def _end_if_done(self, row: Row) -> None:
        if not row.waits:
            self._desk.ended(row.order)


def record_of(row: Row) -> OrderRecord:
    if row.record is None:
        row.record = OrderRecord(
            row.order, Wh(row.open_wh), Wh(row.matched_wh), row.reason, row.closed
        )
    return row.record
