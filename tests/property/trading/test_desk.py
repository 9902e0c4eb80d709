"""Desk, order book and positions together over random days: no meter is ever sold beyond what it can give."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from tests.support.markets import INTERVAL, NOW_NS, meters, tender
from trading.core.orders import MarketRules, Order, Side, TimeInForce
from trading.core.positions import Positions
from trading.core.tenders import Desk, most_due
from trading.core.units import Nano, Wh
from trading.mechanisms.book import BookEvent, Ended, Matched, OrderBook
from trading.reasons import MarketReason, Refused

PARTIES = ("ann", "bob", "eve", "joe")
# For a quarter of an hour.
MOST_WH = 1_000


@dataclass
class Day:
    """What an exchange does with each event of the book, in one transaction."""

    seed: int
    orders: dict[int, Order] = field(default_factory=dict)
    left: Counter[int] = field(default_factory=Counter)
    agreed: dict[int, Matched] = field(default_factory=dict)
    refusals: Counter[MarketReason] = field(default_factory=Counter)
    bound: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.positions, self.book = Positions(), OrderBook()
        self.meters = meters(*PARTIES, power_w=4.0 * MOST_WH)
        self.desk = Desk(MarketRules(), self.meters, self.positions)
        self.nonce = 0

    def step(self) -> None:
        draw = self.rng.random()
        if draw < 0.65:
            self.tender()
        elif draw < 0.75 and self.orders:
            self.cancel(int(self.rng.choice(list(self.orders))))
        elif self.agreed:
            number = int(self.rng.choice(list(self.agreed)))
            if draw < 0.85:
                self.confirm(number)
            elif draw < 0.95:
                self.refuse(number)

    def tender(self) -> None:
        self.nonce += 1
        party = str(self.rng.choice(PARTIES))
        asked = tender(
            Side.BUY if self.rng.random() < 0.5 else Side.SELL,
            int(self.rng.integers(1, 400)),
            int(self.rng.integers(1, 9)),
            party=party,
            meter_id=f"meter of {party}",
            order_id=str(self.nonce),
            tif=list(TimeInForce)[int(self.rng.choice([0, 0, 2, 3]))],
            nonce=self.nonce,
        )
        try:
            order = self.desk.take(
                asked, NOW_NS, signature_holds=True, funds=Nano(10**18), cost=most_due(asked)
            ).order
        except Refused as refused:
            self.refusals[refused.reason] += 1
            return
        self.orders[order.seq] = order
        self.left[order.seq] = order.wh
        self.apply(self.book.submit(order, NOW_NS))

    def cancel(self, seq: int) -> None:
        try:
            self.apply(self.book.cancel(seq))
        except Refused as refused:
            self.refusals[refused.reason] += 1

    def confirm(self, number: int) -> None:
        match = self.agreed.pop(number)
        self.bound += 1
        self.book.confirm(number)
        for seq in (match.buy_seq, match.sell_seq):
            self.positions.bind(self.orders[seq], match.wh)

    def refuse(self, number: int) -> None:
        """The network does not hold a circuit: what was agreed is open again, and then whatever the book says of it."""
        match = self.agreed.pop(number)
        for seq in (match.buy_seq, match.sell_seq):
            self.positions.put_back(self.orders[seq], match.wh)
            self.left[seq] += match.wh
        self.apply(self.book.refuse(number, NOW_NS))

    def apply(self, events: list[BookEvent]) -> None:
        for event in events:
            if isinstance(event, Matched):
                self.agreed[event.number] = event
                for seq in (event.buy_seq, event.sell_seq):
                    self.positions.match(self.orders[seq], event.wh)
                    self.left[seq] -= event.wh
            elif isinstance(event, Ended):
                self.positions.close(self.orders[event.seq], event.wh)
                self.left[event.seq] -= event.wh

    def check(self) -> None:
        assert min(self.left.values(), default=0) >= 0
        waiting = {o.seq: wh for side in Side for o, wh in self.book.resting(side)}
        assert waiting == {seq: wh for seq, wh in self.left.items() if wh}
        for meter_id, meter in self.meters.items():
            position = self.positions.of(meter_id, INTERVAL)
            assert position.most_injected <= MOST_WH and position.most_drawn <= MOST_WH
            # Whatever of all that comes to pass, and whatever is undone.
            assert position.bound_sold - position.bound_bought <= MOST_WH
            for side, counted in (
                (Side.BUY, position.open_bought),
                (Side.SELL, position.open_sold),
            ):
                assert counted == sum(
                    wh
                    for seq, wh in waiting.items()
                    if self.orders[seq].side is side and self.orders[seq].party == meter.party
                )


def test_no_meter_is_promised_beyond_its_power_and_positions_are_what_the_book_has() -> None:
    refusals: Counter[MarketReason] = Counter()
    matches = 0
    for seed in range(15):
        day = Day(seed)
        for _ in range(150):
            day.step()
            day.check()
        day.apply(day.book.close())
        for position in day.positions.rows().values():
            assert position.open_bought == position.open_sold == 0
        refusals += day.refusals
        matches += day.bound
    assert matches > 50 and refusals[MarketReason.POSITION_LIMIT] > 20


def test_of_a_thousand_racing_sells_of_one_meter_no_more_are_taken_than_it_can_give() -> None:
    day = Day(0)
    sold = 0
    for number in range(1_000):
        asked = tender(
            Side.SELL,
            7,
            1,
            party="ann",
            meter_id="meter of ann",
            order_id=str(number),
            nonce=number,
        )
        try:
            day.desk.take(asked, NOW_NS, signature_holds=True, funds=Nano(0), cost=Nano(0))
            sold += 7
        except Refused as refused:
            day.refusals[refused.reason] += 1
    assert MOST_WH - 7 < sold <= MOST_WH
    assert set(day.refusals) == {MarketReason.POSITION_LIMIT}
    assert day.positions.of("meter of ann", INTERVAL).open_sold == Wh(sold)
