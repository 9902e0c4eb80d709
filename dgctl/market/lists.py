"""Orders, clearings, trades and positions as lists: columns that people choose, sort by and filter by."""

from collections.abc import Callable
from typing import TypeVar

from dgctl.listing import Column, Listing
from dgctl.market import wording
from digitalgrid.columns import Styled
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import format_duration_ns, parse_duration_s, parse_si, parse_unix_ns

T = TypeVar("T")
_MICRO = 1_000_000


def _energy(name: str, wh: Callable[[T], int]) -> Column[T]:
    return Column(
        name,
        lambda row: wording.energy(wh(row)),
        wh,
        lambda text: parse_si(text, "Wh"),
        head=name.replace("-", " "),
        right=True,
    )


def _micro_per_kwh(text: str) -> int:
    return round(float(text) * _MICRO)


def _price(name: str, micro_per_kwh: Callable[[T], int]) -> Column[T]:
    return Column(
        name,
        lambda row: wording.price(micro_per_kwh(row)),
        micro_per_kwh,
        _micro_per_kwh,
        head=name.replace("-", " "),
        right=True,
    )


def _number(name: str, of: Callable[[T], int]) -> Column[T]:
    """Of what is there: 0 is none."""
    return Column(name, lambda row: str(of(row) or "-"), lambda row: of(row) or None, right=True)


def _from(interval: Callable[[T], pb.Interval]) -> Column[T]:
    return Column(
        "from",
        lambda row: wording.begins(interval(row)),
        lambda row: interval(row).start_unix_ns,
        parse_unix_ns,
        head="interval from",
    )


def matches(cleared: pb.Clearing) -> int:
    """How many, those among them that an answer has no room for."""
    return len(cleared.matches) + cleared.matches_left_out


def traded_wh(cleared: pb.Clearing) -> int:
    return sum(match.wh for match in cleared.matches) + cleared.wh_left_out


def _lowest_price(cleared: pb.Clearing) -> int | None:
    """Where nothing is traded there is none, which is not a price of 0."""
    return min((price.micro_per_kwh for price in cleared.prices), default=None)


def _prices(cleared: pb.Clearing) -> str:
    prices = sorted({price.micro_per_kwh for price in cleared.prices})
    if not prices:
        return "-"
    least, most = wording.price(prices[0]), wording.price(prices[-1])
    return least if len(prices) < 2 else f"{least} to {most}"


ORDERS: Listing[pb.Order] = Listing(
    "orders",
    (
        Column("order", lambda order: order.tender.order_id),
        _number("seq", lambda order: order.seq),
        Column("party", lambda order: order.party),
        Column("meter", lambda order: order.tender.meter_id),
        Column("side", lambda order: wording.side(order.tender.side)),
        _energy("energy", lambda order: order.tender.wh),
        _price("limit", lambda order: order.tender.limit_micro_per_kwh),
        _from(lambda order: order.tender.interval),
        _energy("waits", lambda order: order.open_wh),
        _energy("matched", lambda order: order.matched_wh),
        Column("reason", lambda order: order.ended_reason, head="ended because of"),
    ),
    worst=lambda order: -order.seq,
)
CLEARINGS: Listing[pb.Clearing] = Listing(
    "clearings",
    (
        _from(lambda cleared: cleared.interval.interval),
        Column("mechanism", lambda cleared: cleared.interval.mechanism),
        Column("matches", lambda cleared: str(matches(cleared)), matches, right=True),
        _energy("traded", traded_wh),
        Column("price", _prices, _lowest_price, _micro_per_kwh, right=True),
        Column(
            "welfare",
            lambda cleared: wording.money(cleared.welfare_nano),
            lambda cleared: cleared.welfare_nano,
            lambda text: round(float(text) * 10**9),
            right=True,
        ),
        Column(
            "took",
            lambda cleared: format_duration_ns(cleared.took_ns),
            lambda cleared: cleared.took_ns,
            lambda text: parse_duration_s(text) * 10**9,
            right=True,
        ),
        Column(
            "certificate",
            lambda cleared: (
                "checked"
                if cleared.verified
                else Styled(cleared.verification or "not right", "red")
            ),
        ),
    ),
    worst=lambda cleared: -cleared.interval.interval.start_unix_ns,
)
TRADES: Listing[pb.Transaction] = Listing(
    "trades",
    (
        Column("trade", lambda trade: trade.trade_id),
        Column("state", lambda trade: Styled(wording.state(trade), wording.state_style(trade))),
        Column("seller", lambda trade: trade.seller),
        Column("buyer", lambda trade: trade.buyer),
        _energy("energy", lambda trade: trade.wh),
        _price("buyer-pays", lambda trade: trade.buyer_micro_per_kwh),
        _price("seller-gets", lambda trade: trade.seller_micro_per_kwh),
        _from(lambda trade: trade.interval),
        _number("circuit", lambda trade: trade.circuit_id),
        Column("reason", lambda trade: trade.reason, head="because of"),
    ),
    worst=lambda trade: -trade.matched_unix_ns,
)
POSITIONS: Listing[pb.Position] = Listing(
    "positions",
    (
        Column("meter", lambda position: position.meter_id),
        _from(lambda position: position.interval),
        _energy("bought", lambda position: position.bought_wh),
        _energy("sold", lambda position: position.sold_wh),
        _energy("tendered-to-buy", lambda position: position.open_bought_wh),
        _energy("tendered-to-sell", lambda position: position.open_sold_wh),
        _energy("may-buy", lambda position: position.most_bought_wh),
        _energy("may-sell", lambda position: position.most_sold_wh),
    ),
    worst=lambda position: (position.interval.start_unix_ns, position.meter_id),
)
