"""Bad input to the mechanisms of a market, row by row: what is traded all the same, and why the rest is not.

==========================================  ====================================  =====================================
row                                         reason, and its field                 where it is tried
==========================================  ====================================  =====================================
nobody; an empty side; one order            ONE_SIDED                             below, all three mechanisms
all prices equal                            none                                  below, all three
limits that do not meet                     NO_CROSS, BEYOND_PRICE                below, all three
a party on both sides                       SELF_TRADE                            below, all three; test_call, test_book
a source that vanished                      METER_GONE: meter_id                  below (nodal), test_controller_port
a market with no route                      NO_ROUTE: meter_id                    below (nodal), test_market (the saga)
a seller whose route loses everything       AT_MARGIN                             below (nodal)
100,000 orders at one price                 AT_MARGIN                             test_call, test_book; below (nodal)
quantity 0, below 0; 2**63                  QUANTITY_NOT_POSITIVE, _TOO_LARGE: wh test_tenders
not a number, half a number                 NOT_A_WHOLE_NUMBER: its field         test_tenders
one id twice                                DUPLICATE_ORDER: order_id             test_tenders
after the gate, exactly at it; of the past  INTERVAL_CLOSED: interval             test_tenders
an interval shorter than a router's tick    INTERVAL_TOO_SHORT: interval          test_tenders
a bid beyond the load's power; two of one   POSITION_LIMIT: wh                    test_tenders
==========================================  ====================================  =====================================
"""

import pytest
from msgspec.structs import replace

from controller.routing.graph import graph_of_links
from tests.support.market_networks import at, network_of
from trading.core.orders import Order, Side
from trading.mechanisms.call import CallAuction
from trading.mechanisms.continuous import ContinuousAuction
from trading.mechanisms.mechanism import Mechanism
from trading.mechanisms.network import MarketNetwork
from trading.mechanisms.nodal import NodalAuction
from trading.mechanisms.verify import verify

MECHANISMS: dict[str, Mechanism] = {
    "call": CallAuction(),
    "continuous": ContinuousAuction(),
    "nodal": NodalAuction(),
}
BUY, SELL = Side.BUY, Side.SELL


def in_line(links: int = 2, resistance_ohm: float = 0.1) -> MarketNetwork:
    """Three routers, of which the first lines are there."""
    a, b = [0, 1][:links], [1, 2][:links]
    return network_of(
        graph_of_links([1.0] * 3, a, b, [resistance_ohm] * links, [2e4] * links, [400.0] * links)
    )


def of_one_party(*orders: Order) -> list[Order]:
    return [replace(each, party="ann") for each in orders]


# Orders, and what is traded at least (Wh), by each mechanism or by all; then the reasons of all others.
ROWS: dict[str, tuple[list[Order], int, dict[str, set[str]]]] = {
    "nobody": ([], 0, {"": set()}),
    "one order": ([at(BUY, 2, 1, 100_000, 1)], 0, {"": {"ONE_SIDED"}}),
    "an empty side": (
        [at(SELL, 0, 1, 100_000, 1), at(SELL, 2, 1, 100_000, 2)],
        0,
        {"": {"ONE_SIDED"}},
    ),
    "all prices equal": (
        [
            *(at(BUY, 1, 1, 100_000, 1), at(BUY, 1, 1, 100_000, 2)),
            *(at(SELL, 1, 1, 100_000, 3), at(SELL, 1, 1, 100_000, 4)),
        ],
        1_000,
        # Nobody gains anything, so that no more has to be traded where welfare is what counts.
        {"": set(), "nodal": {"AT_MARGIN"}},
    ),
    "limits that do not meet": (
        [at(BUY, 2, 1, 100_000, 1), at(SELL, 0, 1, 200_000, 2)],
        0,
        {"": {"NO_CROSS"}, "nodal": {"BEYOND_PRICE"}},
    ),
    "a party on both sides": (
        of_one_party(at(BUY, 2, 1, 200_000, 1), at(SELL, 0, 1, 100_000, 2)),
        0,
        # Of a continuous book the newer one ends, and the other waits.
        {"": {"SELF_TRADE"}, "continuous": {"SELF_TRADE", "NO_CROSS"}},
    ),
}


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("row", ROWS)
def test_of_a_book_that_cannot_be_cleared_whole_each_order_is_told_why(
    row: str, mechanism: str
) -> None:
    orders, least_wh, reasons = ROWS[row]
    network = in_line()
    clearing = MECHANISMS[mechanism].clear(orders, network, 0)
    assert verify(orders, network, clearing) == []
    traded = sum(match.wh for match in clearing.matches)
    assert traded >= least_wh and bool(traded) == bool(least_wh)
    assert len(clearing.prices) == bool(traded), "no trade has no price"
    assert {str(each.reason) for each in clearing.unmatched} == reasons.get(mechanism, reasons[""])
    left = {each.seq: each.wh for each in clearing.unmatched}
    for order in orders:
        matched = [
            each.wh for each in clearing.matches if order.seq in (each.buy_seq, each.sell_seq)
        ]
        assert all(matched) and sum(matched) + left.get(order.seq, 0) == order.wh


PAIR = [at(BUY, 2, 1, 200_000, 1), at(SELL, 0, 1, 100_000, 2)]


@pytest.mark.parametrize(
    ("orders", "network", "reasons"),
    [
        (
            [PAIR[0], replace(PAIR[1], meter_id="gone")],
            in_line(),
            {1: "ONE_SIDED", 2: "METER_GONE"},
        ),
        (
            [replace(PAIR[0], meter_id="gone"), PAIR[1]],
            in_line(),
            {1: "METER_GONE", 2: "ONE_SIDED"},
        ),
        (PAIR, in_line(links=1), {1: "NO_ROUTE", 2: "NO_ROUTE"}),
        (PAIR, in_line(links=0), {1: "NO_ROUTE", 2: "NO_ROUTE"}),
        # A kW comes through with half of it lost; at most half of that again is worth it.
        (PAIR, in_line(resistance_ohm=1e9), {1: "AT_MARGIN", 2: "AT_MARGIN"}),
    ],
)
def test_of_a_network_that_cannot_carry_it_each_order_is_told_why(
    orders: list[Order], network: MarketNetwork, reasons: dict[int, str]
) -> None:
    clearing = NodalAuction().clear(orders, network, 0)
    assert verify(orders, network, clearing) == []
    assert sum(match.wh for match in clearing.matches) < 10
    assert {each.seq: str(each.reason) for each in clearing.unmatched} == reasons


def test_thousands_of_orders_at_one_price_are_no_trouble_for_prices_on_a_network() -> None:
    network = in_line()
    orders = [
        at(BUY, seq % 3, 1, 200_000, seq) if seq % 2 else at(SELL, seq % 3, 1, 100_000, seq)
        for seq in range(1, 4_001)
    ]
    clearing = NodalAuction().clear(orders, network, 0)
    assert verify(orders, network, clearing) == []
    assert sum(match.wh for match in clearing.matches) > 0.999 * 2_000 * 1_000
