"""The order book against a plain one over random events, and what must be true of it after each."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.cases import cases
from tests.support.markets import INTERVAL, random_book, tender
from tests.support.plain_book import PlainBook, Told
from trading.core.orders import Order, Side, Tender, TimeInForce, order_of
from trading.core.units import Wh
from trading.mechanisms.book import BookEvent, Ended, Matched, OrderBook, SelfTrade
from trading.mechanisms.continuous import ContinuousAuction
from trading.mechanisms.network import no_network
from trading.mechanisms.verify import verify
from trading.reasons import MarketReason, Refused

# After so many events the gate closes, and a new interval begins.
_OF_A_BOOK = 150
SEEDS = cases("BOOKS", 110)


class Both:
    """Ours and the plain one, told the same; ``journal`` is what was done, for a replay."""

    def __init__(self, seed: int, self_trade: SelfTrade) -> None:
        self.rng = np.random.default_rng(seed)
        self.self_trade = self_trade
        self.ours, self.plain = OrderBook(self_trade), PlainBook(self_trade)
        self.now_ns = 0
        self.orders: dict[int, Order] = {}
        self.journal: list[tuple[str, object, int]] = []
        self.events: list[BookEvent] = []

    def step(self) -> None:
        self.now_ns += int(self.rng.integers(0, 3))
        does = self.rng.random()
        pending = sorted(self.plain.pending)
        if pending and does < 0.35:
            verb = "confirm" if self.rng.random() < 0.7 else "refuse"
            self.do(verb, int(self.rng.choice(pending)))
        elif self.orders and does < 0.45:
            self.do("cancel", int(self.rng.integers(1, len(self.orders) + 1)))
        elif does < 0.48:
            self.do("expire", 0)
        else:
            self.do("submit", self.drawn())

    def drawn(self) -> Order:
        rng = self.rng
        party = f"p{rng.integers(6)}"
        tif = list(TimeInForce)[int(rng.choice(4, p=[0.5, 0.2, 0.2, 0.1]))]
        wh = int(rng.integers(1, 12))
        seq = len(self.orders) + 1
        order = order_of(
            tender(
                Side.BUY if rng.random() < 0.5 else Side.SELL,
                wh,
                int(rng.integers(-3, 8)),
                party=party,
                # A party has two.
                meter_id=f"m{rng.integers(2)} of {party}",
                tif=tif,
                min_fill_wh=int(rng.integers(1, wh + 1)) if rng.random() < 0.2 else 0,
                expires_ns=self.now_ns + int(rng.integers(1, 40))
                if tif is TimeInForce.GTD
                else None,
            ),
            seq,
        )
        self.orders[seq] = order
        return order

    def do(self, verb: str, what: object) -> None:
        self.journal.append((verb, what, self.now_ns))
        told = applied(self.ours, verb, what, self.now_ns)
        self.plain.told = []
        if verb == "cancel":
            known = self.plain.cancel(what)  # type: ignore[arg-type]
            assert (told is None) == (not known)
            told = told or []
        elif verb in ("submit", "refuse"):
            getattr(self.plain, verb)(what, self.now_ns)
        elif verb == "expire":
            self.plain.expire(self.now_ns)
        elif verb == "close":
            self.plain.close()
        else:
            self.plain.confirm(what)  # type: ignore[arg-type]
        assert [plainly(event) for event in told or []] == self.plain.told
        self.events += told or []


def applied(book: OrderBook, verb: str, what: object, now_ns: int) -> list[BookEvent] | None:
    """None where a cancelled order is unknown."""
    if verb == "cancel":
        try:
            return book.cancel(what)  # type: ignore[arg-type]
        except Refused as refused:
            assert refused.reason is MarketReason.ORDER_UNKNOWN
            return None
    if verb == "confirm":
        book.confirm(what)  # type: ignore[arg-type]
        return []
    if verb == "close":
        return book.close()
    if verb == "expire":
        return book.expire(now_ns)
    found: list[BookEvent] = getattr(book, verb)(what, now_ns)
    return found


def plainly(event: BookEvent) -> Told:
    if isinstance(event, Matched):
        return ("matched", event.number, event.buy_seq, event.sell_seq, event.wh, event.price)
    return ("ended", event.seq, event.wh, str(event.reason))


@pytest.mark.parametrize("self_trade", SelfTrade)
def test_it_does_what_the_plain_one_does_over_random_events_and_the_same_again_byte_for_byte(
    self_trade: SelfTrade, record_property: Callable[[str, object], None]
) -> None:
    reasons = set()
    events = 0
    for seed in SEEDS:
        both = Both(seed, self_trade)
        for number in range(_OF_A_BOOK):
            both.step()
            if number % 10 == 0:
                assert_same_book(both)
        both.do("close", None)
        assert_same_book(both)
        assert_replayed(both)
        events += len(both.journal)
        reasons |= {event.reason for event in both.events if isinstance(event, Ended)}
    record_property("events", events)
    assert reasons == {
        MarketReason.CANCELLED,
        MarketReason.EXPIRED,
        MarketReason.INTERVAL_CLOSED,
        MarketReason.LEAST_FILL,
        MarketReason.NOT_FILLED,
        MarketReason.SELF_TRADE,
    }


def assert_same_book(both: Both) -> None:
    for side in Side:
        ours = {order.seq: wh for order, wh in both.ours.resting(side)}
        plain = {e.order.seq: e.left for e in both.plain.all if e.left and e.order.side is side}
        assert ours == plain


def assert_replayed(both: Both) -> None:
    """Of the same events, also by one that was put down half way."""
    whole, halfway = OrderBook(both.self_trade), OrderBook(both.self_trade)
    for at, (verb, what, now_ns) in enumerate(both.journal):
        if at == len(both.journal) // 2:
            halfway = OrderBook.restored(halfway.snapshot(), both.self_trade)
        assert applied(halfway, verb, what, now_ns) == applied(whole, verb, what, now_ns)
    assert whole.snapshot() == halfway.snapshot() == both.ours.snapshot()


def test_nobody_waits_who_could_trade_and_each_trade_is_within_both_limits() -> None:
    for seed in range(10):
        both = Both(seed, SelfTrade.CANCEL_NEWEST)
        for _ in range(_OF_A_BOOK):
            both.step()
            barred = {each.order.seq: each.barred for each in both.plain.all}
            for bid, wanted in both.ours.resting(Side.BUY):
                for ask, offered in both.ours.resting(Side.SELL):
                    wh = min(wanted, offered)
                    assert (
                        bid.limit < ask.limit
                        or bid.party == ask.party
                        or ask.seq in barred[bid.seq]
                        or wh < min(bid.min_fill_wh, wanted)
                        or wh < min(ask.min_fill_wh, offered)
                        # As much as both had left when they met, if not now.
                        or both.plain.is_refused(bid, ask, max(bid.wh, ask.wh))
                    )
        matches = [event for event in both.events if isinstance(event, Matched)]
        assert len(matches) > 10
        for match in matches:
            buy, sell = both.orders[match.buy_seq], both.orders[match.sell_seq]
            assert sell.limit <= match.price <= buy.limit and match.wh > 0
            assert match.price == min(buy, sell, key=lambda order: order.seq).limit


def of(side: Side, wh: int, limit: int, seq: int, party: str = "", **rest: int) -> Order:
    return order_of(tender(side, wh, limit, party=party, **rest), seq)  # type: ignore[arg-type]


def test_who_is_refused_by_the_network_keeps_his_place_and_never_meets_the_other_again() -> None:
    book = OrderBook()
    book.submit(of(Side.SELL, 5, 7, 1), 0)
    (match,) = book.submit(of(Side.BUY, 5, 9, 2), 0)
    # Meanwhile somebody comes who would like to buy for less, and a seller behind the first.
    assert book.submit(of(Side.BUY, 5, 8, 3), 0) == []
    assert book.submit(of(Side.SELL, 5, 8, 4), 0) == [Matched(2, 3, 4, 5, 8)]  # type: ignore[arg-type]
    assert isinstance(match, Matched)
    assert book.refuse(match.number, 0) == []
    assert [order.seq for order, _ in book.resting(Side.SELL)] == [1]
    assert [order.seq for order, _ in book.resting(Side.BUY)] == [2]
    # Refused twice is refused once.
    assert book.refuse(match.number, 0) == []
    # The first in line is the first to trade, at its own limit.
    elsewhere = order_of(tender(Side.BUY, 5, 9, meter_id="another meter"), 5)
    (again,) = book.submit(elsewhere, 0)
    assert (again.sell_seq, again.price) == (1, 7)  # type: ignore[union-attr]


def test_what_the_network_refuses_between_two_meters_it_is_not_asked_again_by_their_other_orders() -> (
    None
):
    """Of a source that has no more to give, a hundred sells would be refused with each of a hundred buyers."""
    book, many = OrderBook(), 100
    for seq in range(1, many + 1):
        book.submit(of(Side.SELL, 5, 7, seq), 0)
    refused, told = 0, []
    for seq in range(many + 1, 2 * many + 1):
        told += book.submit(of(Side.BUY, 5, 9, seq), 0)
    while told:
        (match, *told) = told
        assert isinstance(match, Matched)
        told += book.refuse(match.number, 0)
        refused += 1
    assert refused == many
    for each in (book, OrderBook.restored(book.snapshot())):
        assert each.submit(of(Side.BUY, 5, 9, 201), 0) == []
        # Less may fit, and so may another meter.
        assert each.submit(of(Side.BUY, 4, 9, 202), 0)
        assert each.submit(order_of(tender(Side.BUY, 5, 9, meter_id="another meter"), 203), 0)


def test_what_was_cancelled_meanwhile_does_not_come_back() -> None:
    book = OrderBook()
    book.submit(of(Side.SELL, 5, 7, 1), 0)
    book.submit(of(Side.BUY, 3, 9, 2), 0)
    assert book.cancel(1) == [Ended(1, 2, MarketReason.CANCELLED)]  # type: ignore[arg-type]
    assert Ended(1, 3, MarketReason.CANCELLED) in book.refuse(1, 0)  # type: ignore[arg-type]
    assert [order.seq for order, _ in book.resting(Side.BUY)] == [2]
    with pytest.raises(Refused):
        book.cancel(1)


@pytest.mark.parametrize(
    "newer",
    [tender(Side.BUY, 9, 9, min_fill_wh=8), tender(Side.BUY, 9, 9, tif=TimeInForce.FOK)],
)
def test_where_both_are_to_go_both_do_also_where_the_newer_one_had_not_enough(
    newer: Tender,
) -> None:
    book = OrderBook(SelfTrade.CANCEL_BOTH)
    book.submit(of(Side.SELL, 2, 6, 1), 0)
    book.submit(order_of(tender(Side.SELL, 5, 7, party=newer.party), 2), 0)
    book.submit(of(Side.SELL, 3, 8, 3), 0)
    assert book.submit(order_of(newer, 4), 0) == [
        Ended(2, Wh(5), MarketReason.SELF_TRADE),
        Ended(4, Wh(9), MarketReason.SELF_TRADE),
    ]
    assert [order.seq for order, _ in book.resting(Side.SELL)] == [1, 3]


def test_as_a_mechanism_it_is_verified_and_deaf_to_the_order_of_its_input() -> None:
    network = no_network(frozenset({(1, 2), (3, 1)}))
    for seed in range(300):
        orders = random_book(seed, parties=4, least_fills=True)
        for mode in SelfTrade:
            clearing = ContinuousAuction(mode).clear(orders, network, seed)
            assert verify(orders, network, clearing) == []
            shuffled = [orders[n] for n in np.random.default_rng(seed).permutation(len(orders))]
            assert ContinuousAuction(mode).clear(shuffled, network, seed) == clearing
    assert ContinuousAuction().clear([], network, 0).prices == ()


def test_a_hundred_thousand_orders_at_one_price_are_no_trouble() -> None:
    book = OrderBook()
    for seq in range(1, 50_001):
        book.submit(of(Side.BUY, 1, 7, seq), 0)
    (*matches,) = book.submit(of(Side.SELL, 50_000, 7, 50_001), 0)
    assert len(matches) == 50_000
    assert [each.buy_seq for each in matches[:3]] == [1, 2, 3]  # type: ignore[union-attr]
    assert INTERVAL.length_ns and book.resting(Side.BUY) == []
