"""Network-constrained clearing against an independent cone program, and its matches as circuits, one after another."""

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from controller.routing.graph import graph_of_links
from digitalgrid.physics import sent_w
from tests.support.cases import cases
from tests.support.market_networks import at, greatest_welfare, network_of, random_market
from trading.core.orders import Constraints, Order, Side, TimeInForce
from trading.core.units import Wh, power_w
from trading.mechanisms.duality import figures_of
from trading.mechanisms.mechanism import Clearing, NodalPrices
from trading.mechanisms.network import MarketNetwork
from trading.mechanisms.nodal import NodalAuction
from trading.mechanisms.verify import verify
from trading.reasons import MarketReason

pytestmark = pytest.mark.filterwarnings("ignore:Solution may be inaccurate:UserWarning")


@pytest.mark.parametrize("seed", cases("NETWORKS", 15))
def test_welfare_is_what_a_cone_program_finds_and_prices_prove_it(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    orders, network = random_market(seed)
    clearing = NodalAuction().clear(orders, network, 0)
    record_property("networks", 1)
    assert verify(orders, network, clearing) == []
    if clearing.certificate is None:
        assert len({order.side for order in orders}) < 2
        return
    assert isinstance(clearing.certificate, NodalPrices)
    figures = figures_of(orders, network, clearing.certificate)
    best = greatest_welfare(orders, network)
    assert figures.welfare == pytest.approx(best, rel=1e-6, abs=1e-6 * figures.value)
    assert figures.complementarity_per_mwh <= 1e-3
    assert figures.surplus == pytest.approx(figures.rents, abs=1e-9 * max(figures.value, 1.0))
    assert figures.surplus >= -1e-6 * figures.value
    assert_admitted(orders, network, clearing)
    record_property("circuits", len(clearing.matches))
    assert_whole(orders, clearing, clearing.certificate)


def assert_admitted(orders: list[Order], network: MarketNetwork, clearing: Clearing) -> None:
    """One circuit after another, as they are matched: each finds room, and its source gives what was planned."""
    graph = network.graph.snapshot()
    by_seq = {order.seq: order for order in orders}
    number = {name: index for index, name in enumerate(network.link_ids)}
    injected: dict[int, float] = {}
    for match in clearing.matches:
        buy, sell = by_seq[match.buy_seq], by_seq[match.sell_seq]
        node = network.router_of[buy.meter_id]
        delivered_w = power_w(match.wh, buy.interval.length_ns)
        entering_w = delivered_w / graph.efficiency[node]
        for link in reversed(match.path):
            (arc,) = (
                k
                for k in range(graph.start[node], graph.start[node + 1])
                if graph.link[k] == number[link]
            )
            before_a, volt = float(graph.load_a[arc]), float(graph.voltage_v[arc])
            assert entering_w / volt <= graph.headroom_a[arc] * (1 + 1e-6) + 1e-9
            sent = sent_w(entering_w, float(graph.resistance_ohm[arc]), volt, before_a)
            graph.set_load(arc, before_a + entering_w / volt)
            node = int(graph.tail[arc])
            entering_w = sent / graph.efficiency[node]
        assert node == network.router_of[sell.meter_id]
        # What was planned for it, and the rest of a Wh that the rounding of others before it may cost.
        assert entering_w <= delivered_w * match.injected_ppm / 1e6 * (1 + 1e-6)
        injected[sell.seq] = injected.get(sell.seq, 0.0) + entering_w
    for seq, watts in injected.items():
        assert watts <= power_w(by_seq[seq].wh, by_seq[seq].interval.length_ns) * (1 + 1e-6)


def assert_whole(orders: list[Order], clearing: Clearing, certificate: NodalPrices) -> None:
    """Of what is planned, less than a Wh a circuit is lost to whole numbers, and nothing else that would be missed."""
    for order in orders:
        if order.side is Side.BUY:
            mine = [match for match in clearing.matches if match.buy_seq == order.seq]
            planned_w = certificate.power_w[order.seq]
            rest = planned_w - sum(power_w(m.wh, order.interval.length_ns) for m in mine)
            gain = order.limit / 1e3 - max((match.buyer_price / 1e3 for match in mine), default=0.0)
            assert rest <= len(mine) + 1 or gain <= 0.002


def test_the_order_in_which_orders_are_handed_over_changes_nothing() -> None:
    for seed in range(5):
        orders, network = random_market(seed, 12)
        shuffled = [orders[n] for n in np.random.default_rng(seed).permutation(len(orders))]
        assert NodalAuction().clear(shuffled, network, 0) == NodalAuction().clear(
            orders, network, 0
        )


def test_least_fills_are_kept_or_their_orders_are_left_out() -> None:
    left_out = 0
    for seed in range(25):
        orders, network = random_market(seed, 12)
        rng = np.random.default_rng(seed)
        picky = [
            replace(o, tif=TimeInForce.FOK)
            if rng.random() < 0.3
            else replace(o, min_fill_wh=Wh(int(rng.integers(0, o.wh))))
            for o in orders
        ]
        clearing = NodalAuction().clear(picky, network, 0)
        assert verify(picky, network, clearing) == []
        left_out += sum(each.reason is MarketReason.LEAST_FILL for each in clearing.unmatched)
    assert left_out


def three_in_line(ampacity_a: float = 100.0) -> MarketNetwork:
    graph = graph_of_links([0.98] * 3, [0, 1], [1, 2], [1.0, 1.0], [20_000.0] * 2, [ampacity_a] * 2)
    return network_of(graph)


@pytest.mark.parametrize("kw", [1, 10, 100, 1_000])
def test_books_whose_losses_are_less_than_a_millionth_have_prices_that_prove_them_too(
    kw: int,
) -> None:
    """All that is offered goes to who pays the most for it, but for half a milliwatt that is lost on the way."""
    graph = graph_of_links([1.0] * 3, [0, 1], [1, 2], [0.1] * 2, [20_000.0] * 2, [400.0] * 2)
    for third in (100_001, 150_000):
        orders = [
            at(Side.BUY, 2, kw, 200_000, 1),
            at(Side.SELL, 0, kw, 100_000, 2),
            at(Side.BUY, 2, kw, third, 3),
        ]
        clearing = NodalAuction().clear(orders, network_of(graph), 0)
        assert verify(orders, network_of(graph), clearing) == []
        assert sum(match.wh for match in clearing.matches) >= 999 * kw


def test_a_full_line_parts_prices_and_the_operator_keeps_the_difference() -> None:
    network = three_in_line(ampacity_a=50.0)
    orders = [
        at(Side.SELL, 0, 3000, 50_000, 1),
        at(Side.SELL, 2, 3000, 150_000, 2),
        at(Side.BUY, 2, 2000, 300_000, 3),
    ]
    clearing = NodalAuction().clear(orders, network, 0)
    assert verify(orders, network, clearing) == []
    price = {each.router_id: each.price for each in clearing.prices}
    # The dear source is at the load's router, and sets its price; the cheap one sets that of its own.
    assert price["r2"] == pytest.approx(150_000 / 0.98, rel=1e-4)
    assert price["r0"] == pytest.approx(50_000 / 0.98, rel=1e-4)
    near, far = sorted(clearing.matches, key=lambda match: len(match.path))
    assert (near.sell_seq, far.sell_seq) == (2, 1)
    assert far.path == ("l0", "l1")
    # 50 A at 20 kV arrive over the first line; converted, over the second line, and converted again.
    assert far.wh == pytest.approx(0.98 * 977_610, abs=2)
    kept = sum((m.buyer_price - m.seller_price) * m.wh for m in clearing.matches)
    assert kept > 0 and far.buyer_price > 2 * far.seller_price


def test_who_is_not_there_or_cannot_be_reached_is_told_so() -> None:
    islands = network_of(graph_of_links([1.0] * 3, [0], [1], [1.0], [20_000.0], [100.0]))
    orders = [
        at(Side.SELL, 0, 10, 50_000, 1),
        at(Side.BUY, 2, 10, 90_000, 2),
        at(Side.BUY, 7, 10, 90_000, 3),
    ]
    clearing = NodalAuction().clear(orders, islands, 0)
    assert verify(orders, islands, clearing) == []
    told = {each.seq: str(each.reason) for each in clearing.unmatched}
    assert told[3] == "METER_GONE" and told[2] == "NO_ROUTE"
    assert clearing.matches == () and clearing.prices == ()
    only = NodalAuction().clear(orders[1:], islands, 0)
    assert {str(each.reason) for each in only.unmatched} == {"ONE_SIDED", "METER_GONE"}
    assert NodalAuction().clear([], islands, 0).matches == ()


def test_a_seller_whose_way_loses_everything_sells_nothing() -> None:
    # 100 kOhm: what is sent is lost.
    graph = graph_of_links([1.0, 1.0], [0], [1], [100_000.0], [20_000.0], [100.0])
    network = network_of(graph)
    orders = [at(Side.SELL, 0, 3000, 50_000, 1), at(Side.BUY, 1, 3000, 60_000, 2)]
    clearing = NodalAuction().clear(orders, network, 0)
    assert verify(orders, network, clearing) == []
    # A little comes through, at the price of what the last watt loses.
    assert sum(match.wh for match in clearing.matches) < 1_000
    assert {each.seq for each in clearing.unmatched} == {1, 2}


def test_negative_limits_never_cost_the_operator_or_anybody_beyond_his_limit() -> None:
    for seed in range(20):
        orders, network = random_market(seed, 12)
        shifted = [replace(order, limit=order.limit - 120_000) for order in orders]
        clearing = NodalAuction().clear(shifted, network, 0)
        assert verify(shifted, network, clearing) == []


def test_converters_that_are_full_limit_what_is_matched() -> None:
    network = three_in_line()
    network.graph.through_w[1] = 100_000.0
    orders = [at(Side.SELL, 0, 3000, 50_000, 1), at(Side.BUY, 2, 500, 300_000, 2)]
    clearing = NodalAuction().clear(orders, network, 0)
    assert verify(orders, network, clearing) == []
    (match,) = clearing.matches
    assert 90_000 < match.wh < 100_000


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"max_loss_ppm": 10}, "LOSES_TOO_MUCH"),
        ({"avoid_ids": ("r1",)}, "AVOIDED"),
        ({"avoid_ids": ("l0",)}, "AVOIDED"),
        ({"max_loss_ppm": 200_000, "avoid_ids": ("r9",)}, None),
    ],
)
def test_what_an_order_asks_of_the_way_is_kept(wish: dict[str, object], reason: str | None) -> None:
    network = three_in_line()
    buy = at(Side.BUY, 2, 500, 300_000, 2)
    asks = replace(buy, constraints=Constraints(**wish))  # type: ignore[arg-type]
    orders = [at(Side.SELL, 0, 3000, 50_000, 1), asks]
    clearing = NodalAuction().clear(orders, network, 0)
    assert verify(orders, network, clearing) == []
    assert bool(clearing.matches) == (reason is None)
    assert reason is None or {str(each.reason) for each in clearing.unmatched} >= {reason}


def test_a_clearing_that_was_tampered_with_is_found_out() -> None:
    orders, network = random_market(3)
    clearing = NodalAuction().clear(orders, network, 0)
    assert isinstance(clearing.certificate, NodalPrices)
    first, *rest = clearing.matches
    for wrong in (
        replace(first, buyer_price=first.buyer_price + 10**6),
        replace(first, seller_price=0),
        replace(first, wh=Wh(first.wh * 100)),
        replace(first, wh=Wh(0)),
    ):
        assert verify(orders, network, replace(clearing, matches=(wrong, *rest)))
    prices = clearing.certificate.price_per_mwh
    dearer = replace(clearing.certificate, price_per_mwh=tuple(p * 1.01 for p in prices))
    assert verify(orders, network, replace(clearing, certificate=dearer))
    flows = clearing.certificate.received_w
    unbalanced = replace(clearing.certificate, received_w=tuple(f * 0.9 for f in flows))
    assert verify(orders, network, replace(clearing, certificate=unbalanced))
