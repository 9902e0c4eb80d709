"""Tenders that are taken, and those that are not: each with its reason, and what of it is wrong."""

from dataclasses import dataclass, field

import msgspec
import pytest

from digitalgrid.units import NS_PER_S
from tests.support.markets import INTERVAL, LENGTH_NS, NOW_NS, meters, tender
from trading.core.orders import (
    MAX_TEXT_BYTES,
    Constraints,
    Interval,
    MarketRules,
    Meter,
    Order,
    Side,
    Tender,
    TimeInForce,
    check_tender,
)
from trading.core.positions import Positions
from trading.core.tenders import Desk, Standing, Taken, most_due
from trading.core.units import MicroPerKwh, Nano, Wh
from trading.mechanisms.book import OrderBook
from trading.reasons import MarketReason, Refused

RULES = MarketRules(tick=MicroPerKwh(10))


@dataclass
class Market:
    """A desk with two parties, one meter each; its third meter is a load only."""

    rules: MarketRules = RULES
    positions: Positions = field(default_factory=Positions)

    def __post_init__(self) -> None:
        load = Meter("load", "ann", "r1", max_drawn_w=4000.0)
        self.meters = {**meters("ann", "bob", power_w=4000.0), "load": load}
        self.desk = Desk(self.rules, self.meters, self.positions)

    def take(
        self, each: Tender, now_ns: int = NOW_NS, *, funds: int = 10**18, signed: bool = True
    ) -> Taken:
        cost = most_due(each)
        return self.desk.take(each, now_ns, signature_holds=signed, funds=Nano(funds), cost=cost)


def of_ann(side: Side = Side.BUY, wh: int = 100, limit: int = 200_000, **rest: object) -> Tender:
    made = tender(side, wh, limit, party="ann", meter_id="meter of ann")
    return msgspec.structs.replace(made, **rest)


def refusal(each: Tender, market: Market | None = None, **given: object) -> Refused:
    with pytest.raises(Refused) as refused:
        (market or Market()).take(each, **given)  # type: ignore[arg-type]
    return refused.value


R = MarketReason
DAY_NS = 86_400 * NS_PER_S
LATE = INTERVAL.start_ns - RULES.gate_ns
OF_THE_PAST = Interval(0, LENGTH_NS)


@pytest.mark.parametrize(
    ("wrong", "reason", "field_"),
    [
        ({"wh": 0}, R.QUANTITY_NOT_POSITIVE, "wh"),
        ({"wh": -5}, R.QUANTITY_NOT_POSITIVE, "wh"),
        ({"wh": 2**63}, R.QUANTITY_TOO_LARGE, "wh"),
        ({"wh": 1.0}, R.NOT_A_WHOLE_NUMBER, "wh"),
        ({"wh": float("nan")}, R.NOT_A_WHOLE_NUMBER, "wh"),
        ({"wh": True}, R.NOT_A_WHOLE_NUMBER, "wh"),
        ({"limit": 0.3}, R.NOT_A_WHOLE_NUMBER, "limit"),
        ({"limit": float("inf")}, R.NOT_A_WHOLE_NUMBER, "limit"),
        ({"nonce": "1"}, R.NOT_A_WHOLE_NUMBER, "nonce"),
        ({"expires_ns": 1e9}, R.NOT_A_WHOLE_NUMBER, "expires_ns"),
        ({"limit": 9_000_010}, R.PRICE_OUT_OF_RANGE, "limit"),
        ({"limit": -9_000_010}, R.PRICE_OUT_OF_RANGE, "limit"),
        ({"limit": 2**63}, R.PRICE_OUT_OF_RANGE, "limit"),
        ({"limit": 200_005}, R.TICK, "limit"),
        ({"nonce": 2**63}, R.NONCE_TOO_FAR, "nonce"),
        ({"nonce": NOW_NS + DAY_NS + 1}, R.NONCE_TOO_FAR, "nonce"),
        ({"tif": TimeInForce.GTD, "expires_ns": 2**63}, R.NUMBER_TOO_LARGE, "expires_ns"),
        ({"signature": b"z" * 65}, R.BAD_SIGNATURE, "signature"),
        ({"tags": ("x",) * 17}, R.TAGS_UNFIT, "tags"),
        ({"tags": ("x" * 65,)}, R.TAGS_UNFIT, "tags"),
        ({"tags": ("a\x1b[2J",)}, R.TAGS_UNFIT, "tags"),
        (
            {"constraints": Constraints(avoid_ids=("r" * 257,))},
            R.AVOIDED_ID_UNFIT,
            "constraints.avoid_ids",
        ),
        (
            {"constraints": Constraints(avoid_ids=("",))},
            R.AVOIDED_ID_UNFIT,
            "constraints.avoid_ids",
        ),
        ({"order_id": ""}, R.ORDER_ID_UNFIT, "order_id"),
        ({"order_id": "x" * 65}, R.ORDER_ID_UNFIT, "order_id"),
        ({"order_id": "a\x1b[2J"}, R.ORDER_ID_UNFIT, "order_id"),
        ({"min_fill_wh": -1}, R.MIN_FILL_OUT_OF_RANGE, "min_fill_wh"),
        ({"min_fill_wh": 101}, R.MIN_FILL_OUT_OF_RANGE, "min_fill_wh"),
        ({"tif": TimeInForce.GTD}, R.EXPIRY_MISSING, "expires_ns"),
        ({"expires_ns": NOW_NS + 1}, R.EXPIRY_UNWANTED, "expires_ns"),
        ({"tif": TimeInForce.GTD, "expires_ns": NOW_NS}, R.EXPIRED, "expires_ns"),
        (
            {"constraints": Constraints(max_loss_ppm=1_000_001)},
            R.LOSS_LIMIT_OUT_OF_RANGE,
            "constraints.max_loss_ppm",
        ),
        (
            {"constraints": Constraints(avoid_ids=("r1",) * 65)},
            R.TOO_MANY_IDS,
            "constraints.avoid_ids",
        ),
        ({"interval": OF_THE_PAST}, R.INTERVAL_CLOSED, "interval"),
        ({"interval": Interval(9 * LENGTH_NS, LENGTH_NS)}, R.INTERVAL_UNKNOWN, "interval"),
        ({"interval": Interval(INTERVAL.start_ns + 1, LENGTH_NS)}, R.INTERVAL_UNKNOWN, "interval"),
        ({"interval": Interval(INTERVAL.start_ns, 10**10)}, R.INTERVAL_UNKNOWN, "interval"),
        ({"interval": Interval(INTERVAL.start_ns, 10**7)}, R.INTERVAL_TOO_SHORT, "interval"),
        ({"interval": Interval(INTERVAL.start_ns, 0)}, R.INTERVAL_TOO_SHORT, "interval"),
        (
            {"interval": Interval(INTERVAL.start_ns, 9e11)},  # type: ignore[arg-type]
            R.NOT_A_WHOLE_NUMBER,
            "interval.length_ns",
        ),
        ({"meter_id": "meter of bob"}, R.METER_NOT_YOURS, "meter_id"),
        ({"meter_id": "no meter"}, R.METER_NOT_YOURS, "meter_id"),
        ({"meter_id": "load", "side": Side.SELL}, R.METER_OTHER_WAY, "side"),
        ({"nonce": -1}, R.STALE_NONCE, "nonce"),
        ({"wh": 1001}, R.POSITION_LIMIT, "wh"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason_and_field(
    wrong: dict[str, object], reason: MarketReason, field_: str
) -> None:
    market = Market()
    refused = refusal(msgspec.structs.replace(of_ann(), **wrong), market)
    assert (refused.reason, refused.field) == (reason, field_)
    assert field_ in str(refused) or reason in (
        R.METER_OTHER_WAY,
        R.METER_NOT_YOURS,
        R.ORDER_ID_UNFIT,
        R.POSITION_LIMIT,
    )
    # Nothing of it is remembered but its nonce: what is right is then order 1.
    assert market.positions.rows() == {}
    assert market.take(of_ann(nonce=1)).order.seq == 1


def test_the_most_that_is_taken_can_be_written_down() -> None:
    most = of_ann(
        order_id="o",
        nonce=NOW_NS + DAY_NS,
        tif=TimeInForce.GTD,
        expires_ns=2**63 - 1,
        tags=("x" * 64,) * 16,
        signature=b"z" * 64,
        constraints=Constraints(avoid_ids=(*("r" * 250,) * 4, "q" * 11)),
    )
    assert len("o" + "meter of ann") + 16 * 64 + 4 * 250 + 11 == MAX_TEXT_BYTES
    more = msgspec.structs.replace(most, order_id="oo")
    assert refusal(more).reason is R.TENDER_TOO_LONG
    book = OrderBook()
    book.submit(Market().take(most).order, NOW_NS)
    assert OrderBook.restored(book.snapshot()).snapshot() == book.snapshot()


def test_the_gate_closes_exactly_when_it_is_said_to() -> None:
    assert Market().take(of_ann(), LATE - 1).is_new
    assert refusal(of_ann(), now_ns=LATE).reason is R.INTERVAL_CLOSED
    assert refusal(of_ann(), now_ns=LATE + 10 * LENGTH_NS).reason is R.INTERVAL_CLOSED


def test_what_is_open_is_what_is_taken() -> None:
    rules = MarketRules(ahead=3)
    for now_ns in (NOW_NS, LATE - 1, LATE, INTERVAL.start_ns):
        for number in range(8):
            interval = Interval(number * LENGTH_NS, LENGTH_NS)
            try:
                check_tender(of_ann(interval=interval), rules, now_ns)
                taken = True
            except Refused:
                taken = False
            assert taken == (interval in rules.open_intervals(now_ns))


def test_negative_prices_are_prices() -> None:
    market = Market()
    assert market.take(of_ann(limit=-50_000)).is_new
    assert most_due(of_ann(limit=-50_000)) == 0
    assert most_due(of_ann(Side.SELL, limit=-50_000)) == 5_000_000


def test_who_is_not_signed_for_or_cannot_pay_is_refused() -> None:
    assert refusal(of_ann(), signed=False).reason is R.BAD_SIGNATURE
    short = refusal(of_ann(), funds=19_999_999)
    assert (short.reason, short.field) == (R.FUNDS, "limit")
    assert Market().take(of_ann(), funds=20_000_000).is_new


def test_a_tender_is_taken_once_however_often_it_is_sent() -> None:
    market = Market()
    first = market.take(of_ann())
    again = market.take(of_ann(nonce=5, signature=b"again"))
    assert again == Taken(first.order, is_new=False)
    other = refusal(of_ann(wh=99), market)
    assert (other.reason, other.field) == (R.DUPLICATE_ORDER, "order_id")
    # Also after its gate, when a client asks what became of it.
    assert market.take(of_ann(), LATE + 1).order == first.order
    assert market.positions.of("meter of ann", INTERVAL).open_bought == 100


def test_bytes_count_and_not_characters() -> None:
    wide = Constraints(avoid_ids=("\U0001f50c" * 250,) * 3)
    assert refusal(of_ann(constraints=wide)).reason is R.TENDER_TOO_LONG


def test_what_was_refused_is_not_placed_later_by_whoever_saw_it() -> None:
    market = Market()
    poor = of_ann(nonce=7)
    assert refusal(poor, market, funds=0).reason is R.FUNDS
    assert refusal(poor, market).reason is R.STALE_NONCE
    assert market.desk.used() == {"ann": 7} and market.desk.used() == {}
    # Nor is what was refused for its id, when that is forgotten.
    taken = market.take(of_ann(nonce=8)).order
    other = of_ann(wh=99, nonce=9)
    assert refusal(other, market).reason is R.DUPLICATE_ORDER
    market.desk.forget([taken])
    assert refusal(other, market).reason is R.STALE_NONCE
    # What nobody signed uses nothing up.
    assert refusal(of_ann(nonce=10), market, signed=False).reason is R.BAD_SIGNATURE
    assert market.take(of_ann(nonce=10)).is_new


def test_a_nonce_far_above_the_clock_does_not_lock_its_party_out() -> None:
    market = Market()
    assert refusal(of_ann(nonce=2**63 - 1), market).reason is R.NONCE_TOO_FAR
    assert market.take(of_ann(nonce=NOW_NS)).is_new


def test_nonces_only_rise() -> None:
    market = Market()
    market.take(of_ann(nonce=7))
    for nonce in (6, 7):
        assert refusal(of_ann(order_id="two", nonce=nonce), market).reason is R.STALE_NONCE
    assert market.take(of_ann(order_id="two", nonce=8)).order.seq == 2


def test_the_sum_of_what_a_meter_offers_is_limited() -> None:
    market = Market()
    market.take(of_ann(Side.SELL, wh=600))
    assert (
        refusal(of_ann(Side.SELL, wh=401, order_id="two", nonce=1), market).reason
        is R.POSITION_LIMIT
    )
    market.take(of_ann(Side.SELL, wh=400, order_id="two", nonce=2))
    # 4 kW for a quarter of an hour; what it buys back, it can sell again once nothing can undo that.
    bought = market.take(of_ann(Side.BUY, wh=300, order_id="three", nonce=3)).order
    assert refusal(of_ann(Side.SELL, wh=1, order_id="four", nonce=4), market).reason
    market.positions.match(bought, Wh(300))
    assert refusal(of_ann(Side.SELL, wh=1, order_id="four", nonce=5), market).reason
    market.positions.bind(bought, Wh(300))
    with pytest.raises(ValueError, match="does not have"):
        market.positions.unwind(bought, Wh(1))
    assert market.take(of_ann(Side.SELL, wh=300, order_id="four", nonce=6)).is_new


def test_a_forecast_limits_what_is_sold_and_not_what_is_bought() -> None:
    market = Market()
    market.positions.forecast("meter of ann", INTERVAL, Wh(50))
    assert refusal(of_ann(Side.SELL, wh=51), market).reason is R.POSITION_LIMIT
    assert market.take(of_ann(Side.SELL, wh=50, nonce=1)).is_new
    assert market.take(of_ann(Side.BUY, wh=900, order_id="two", nonce=2)).is_new


def test_what_ends_makes_room_and_what_never_was_cannot_end() -> None:
    market = Market()
    order = market.take(of_ann(wh=1000)).order
    market.positions.match(order, Wh(400))
    market.positions.close(order, Wh(600))
    assert market.positions.of("meter of ann", INTERVAL).bought == 400
    market.positions.unwind(order, Wh(100))
    market.positions.put_back(order, Wh(300))
    assert market.positions.of("meter of ann", INTERVAL).open_bought == 300
    with pytest.raises(ValueError, match="does not have"):
        market.positions.close(order, Wh(301))
    market.positions.forget(INTERVAL)
    assert market.positions.rows() == {}


def test_a_party_has_so_many_orders_in_the_book_and_tenders_so_often() -> None:
    market = Market(MarketRules(orders_per_party=2))
    orders = [market.take(of_ann(wh=1, order_id=str(n), nonce=n)).order for n in range(2)]
    assert refusal(of_ann(wh=1, order_id="2", nonce=2), market).reason is R.BOOK_FULL
    market.desk.ended(orders[0])
    assert market.take(of_ann(wh=1, order_id="2", nonce=3)).is_new

    busy = Market(MarketRules(orders_per_party=10_000, tick=MicroPerKwh(1)))
    reasons = set()
    for n in range(1_100):
        try:
            busy.take(of_ann(wh=1, limit=n, order_id=str(n), nonce=n))
        except Refused as refused:
            reasons.add(refused.reason)
    assert reasons == {R.RATE_LIMIT, R.POSITION_LIMIT} or reasons == {R.RATE_LIMIT}
    assert busy.take(
        msgspec.structs.replace(of_ann(wh=1), party="bob", meter_id="meter of bob")
    ).is_new


def test_what_was_taken_is_answered_by_its_order_also_where_the_rate_is_spent() -> None:
    market = Market(MarketRules(tender_burst=2, tenders_per_s=1.0))
    first = market.take(of_ann(wh=1)).order
    market.take(of_ann(wh=1, order_id="two", nonce=1))
    assert refusal(of_ann(wh=1, order_id="three", nonce=2), market).reason is R.RATE_LIMIT
    assert market.take(of_ann(wh=1, nonce=3)) == Taken(first, is_new=False)
    for _ in range(9):
        assert market.take(of_ann(wh=1)) == Taken(first, is_new=False)
    assert market.take(of_ann(wh=1, nonce=4)) == Taken(first, is_new=False)
    # Signed anew it is not free.
    assert refusal(of_ann(wh=1, nonce=5), market).reason is R.RATE_LIMIT


def test_a_desk_goes_on_where_another_ended() -> None:
    market = Market()
    first = market.take(of_ann())
    standings = msgspec.msgpack.decode(
        msgspec.msgpack.encode(market.desk.standings()),
        type=dict[str, Standing],
    )
    desk = Desk(RULES, market.meters, Positions(market.positions.rows()), 2, standings)
    again = desk.take(of_ann(), NOW_NS, signature_holds=True, funds=Nano(0), cost=Nano(0))
    assert again == Taken(first.order, is_new=False)
    desk.forget([first.order])
    assert desk.standings()["ann"].orders == {}


def test_orders_have_no_order_but_their_numbers() -> None:
    assert "seq" in Order.__struct_fields__ and not any(
        "time" in f for f in Order.__struct_fields__
    )
