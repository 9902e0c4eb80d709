"""The call auction on random books: the greatest volume and welfare, and nobody worse off than by his limit."""

from collections.abc import Callable, Collection
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from tests.support.cases import cases
from tests.support.markets import book, merit_order, random_book, welfare
from trading.core.orders import Order, Side
from trading.core.units import MicroPerKwh, Wh
from trading.mechanisms.call import CallAuction, Margin
from trading.mechanisms.mechanism import Clearing
from trading.mechanisms.network import no_network
from trading.mechanisms.possible_trades import most_at_one_price
from trading.mechanisms.verify import verify
from trading.reasons import MarketReason

SEEDS = cases("BOOKS", 500)
NETWORK = no_network()


def cleared(orders: list[Order], auction: CallAuction | None = None) -> Clearing:
    clearing = (auction or CallAuction()).clear(orders, NETWORK, 0)
    assert verify(orders, NETWORK, clearing) == []
    return clearing


def matched(clearing: Clearing) -> list[tuple[int, int, int]]:
    return [(match.buy_seq, match.sell_seq, match.wh) for match in clearing.matches]


@pytest.mark.parametrize("margin", Margin)
def test_volume_and_welfare_are_the_greatest_that_brute_force_finds(
    margin: Margin, record_property: Callable[[str, object], None]
) -> None:
    traded = 0
    for seed in SEEDS:
        orders = random_book(seed)
        clearing = cleared(orders, CallAuction(margin=margin))
        gain, volume = merit_order(orders)
        assert sum(match.wh for match in clearing.matches) == volume, seed
        assert welfare(orders, matched(clearing)) == gain, seed
        traded += bool(volume)
    record_property("books", len(SEEDS))
    record_property("books_that_trade", traded)


def test_buyers_pay_what_sellers_get_to_the_last_nano_at_one_price() -> None:
    for seed in SEEDS:
        clearing = cleared(random_book(seed))
        assert all(match.buyer_price == match.seller_price for match in clearing.matches)
        assert len({match.buyer_price for match in clearing.matches}) <= 1
        assert len(clearing.prices) == bool(clearing.matches)


def test_the_order_in_which_orders_are_handed_over_changes_nothing() -> None:
    for seed in SEEDS[: len(SEEDS) // 4]:
        orders = random_book(seed, parties=4, least_fills=True)
        shuffled = [orders[at] for at in np.random.default_rng(seed).permutation(len(orders))]
        assert cleared(shuffled) == cleared(orders)


@pytest.mark.parametrize("parties", [0, 4])
def test_least_fills_are_kept_or_their_orders_are_left_out_by_either_margin(parties: int) -> None:
    """And the one trades where the other does, but where somebody's least hangs on somebody else's."""
    only_one = 0
    for seed in SEEDS:
        orders = random_book(seed, parties=parties, least_fills=True)
        traded = [
            sum(match.wh for match in cleared(orders, CallAuction(margin=margin)).matches)
            for margin in Margin
        ]
        assert max(traded) <= merit_order(orders)[1]
        only_one += bool(traded[0]) != bool(traded[1])
    assert only_one <= len(SEEDS) // 200


def test_between_two_prices_a_party_is_not_left_alone_with_itself() -> None:
    """Of this book nobody has more than half at any limit that somebody named: p2 has all there is between two."""
    orders = random_book(5846, parties=4, least_fills=True)
    (match,) = cleared(orders).matches
    assert match.wh == 1


@pytest.mark.parametrize("wh", [10, 100])
@pytest.mark.parametrize("margin", Margin)
def test_of_those_who_cannot_all_have_their_least_the_last_come_goes_without(
    margin: Margin, wh: int
) -> None:
    orders = [
        msgspec.structs.replace(order, min_fill_wh=Wh(wh * 6 // 10 * (order.seq > 1)))
        for order in book([(9, wh)], [(9, wh)] * 3)
    ]
    clearing = cleared(orders, CallAuction(margin=margin))
    assert matched(clearing) == [(1, 2, wh)]
    # Who came first leaves nothing to be too little.
    why = MarketReason.LEAST_FILL if margin is Margin.PRO_RATA else MarketReason.AT_MARGIN
    assert [each.reason for each in clearing.unmatched] == [why, why]


def test_shares_are_of_those_who_can_have_their_least() -> None:
    least = {2: 20, 3: 40, 4: 40, 5: 40}
    orders = [
        msgspec.structs.replace(order, min_fill_wh=Wh(least.get(order.seq, 0)))
        for order in book([(9, 100)], [(9, 50)] * 4)
    ]
    clearing = cleared(orders, CallAuction(margin=Margin.PRO_RATA))
    assert matched(clearing) == [(1, 2, 50), (1, 3, 50)]


@pytest.mark.parametrize("margin", Margin)
def test_whom_only_the_least_of_others_keeps_from_trading_is_told_so(margin: Margin) -> None:
    orders = book([(9, 10), (2, 10)], [(5, 100), (12, 7)])
    orders[2] = msgspec.structs.replace(orders[2], min_fill_wh=Wh(60))
    clearing = cleared(orders, CallAuction(margin=margin))
    assert {each.seq: each.reason for each in clearing.unmatched} == {
        1: MarketReason.LEAST_FILL,
        2: MarketReason.NO_CROSS,
        3: MarketReason.LEAST_FILL,
        4: MarketReason.NO_CROSS,
    }


@pytest.mark.parametrize("margin", Margin)
def test_ten_thousand_who_take_all_or_nothing_at_one_price_are_no_trouble(margin: Margin) -> None:
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 200, 10_000).tolist()
    orders = [
        msgspec.structs.replace(order, min_fill_wh=Wh(int(rng.integers(1, order.wh + 1))))
        if order.side is Side.SELL
        else order
        for order in book([(7, sum(sizes) // 3)], [(7, wh) for wh in sizes])
    ]
    clearing = CallAuction(margin=margin).clear(orders, NETWORK, 0)
    assert verify(orders, NETWORK, clearing) == []
    assert sum(match.wh for match in clearing.matches) == sum(sizes) // 3


@pytest.mark.parametrize("margin", Margin)
def test_parties_on_both_sides_lose_no_more_than_they_must_at_any_one_price(margin: Margin) -> None:
    for seed in SEEDS[: len(SEEDS) // 2]:
        orders = random_book(seed, parties=int(seed % 4) + 2)
        clearing = cleared(orders, CallAuction(margin=margin))
        traded = sum(match.wh for match in clearing.matches)
        assert traded == max((flow(orders, price) for price in prices(orders)), default=0), seed
        assert traded == most_at_one_price(orders), seed
        if clearing.prices:
            # At the price there is no better choice among those who trade either.
            gain = welfare(orders, matched(clearing))
            assert gain == greatest_gain(orders, clearing.prices[0].price, traded), seed
        else:
            assert traded == 0


@pytest.mark.parametrize(
    ("ask", "price"),
    # At the margin, and beyond the price that both curves cross at.
    [(5, 5), (7, 7)],
)
def test_a_party_on_both_sides_of_the_margin_leaves_no_third_out(ask: int, price: int) -> None:
    orders = [
        msgspec.structs.replace(order, party=party)
        for order, party in zip(book([(9, 10)], [(5, 10), (ask, 10)]), "aab", strict=True)
    ]
    for margin in Margin:
        clearing = cleared(orders, CallAuction(margin=margin))
        assert matched(clearing) == [(1, 3, 10)]
        assert clearing.prices[0].price == price
        assert [(each.seq, each.reason) for each in clearing.unmatched] == [
            (2, MarketReason.SELF_TRADE)
        ]


def test_who_would_only_trade_with_himself_is_told_so() -> None:
    orders = [
        msgspec.structs.replace(order, party=party)
        for order, party in zip(book([(9, 10), (3, 1)], [(5, 10), (12, 4)]), "abac", strict=True)
    ]
    clearing = cleared(orders)
    assert not clearing.matches and not clearing.prices
    assert {each.seq: each.reason for each in clearing.unmatched} == {
        1: MarketReason.SELF_TRADE,
        3: MarketReason.SELF_TRADE,
        2: MarketReason.NO_CROSS,
        4: MarketReason.NO_CROSS,
    }


def test_where_the_network_bars_pairs_no_more_can_be_had_at_the_price() -> None:
    left_for_it = 0
    for seed in SEEDS[: len(SEEDS) // 2]:
        orders = random_book(seed, parties=int(seed % 4) + 2)
        rng = np.random.default_rng(seed)
        barred = {
            (int(rng.integers(1, 13)), int(rng.integers(1, 13)))
            for _ in range(int(rng.integers(1, 20)))
        }
        network = no_network(frozenset(barred))
        clearing = CallAuction().clear(orders, network, 0)
        assert verify(orders, network, clearing) == [], seed
        left_for_it += any(each.reason is MarketReason.BARRED for each in clearing.unmatched)
        if clearing.prices:
            traded = sum(match.wh for match in clearing.matches)
            assert traded == flow(orders, clearing.prices[0].price, barred), seed
    assert left_for_it > len(SEEDS) // 40


def prices(orders: list[Order]) -> list[int]:
    """All that could make a difference: each limit, and between two."""
    limits = sorted({order.limit for order in orders})
    return limits + [one + 1 for one, other in pairwise(limits) if other > one + 1]


def flow(orders: list[Order], price: int, barred: Collection[tuple[int, int]] = ()) -> int:
    """The greatest flow from buyers to sellers of other parties, by another library."""
    bids = [o for o in orders if o.side is Side.BUY and o.limit >= price]
    asks = [o for o in orders if o.side is Side.SELL and o.limit <= price]
    count = len(bids) + len(asks) + 2
    capacity = np.zeros((count, count), dtype=np.int32)
    for at, bid in enumerate(bids, 1):
        capacity[0, at] = bid.wh
        for other, ask in enumerate(asks, len(bids) + 1):
            if bid.party != ask.party and (bid.seq, ask.seq) not in barred:
                capacity[at, other] = 1_000
    for other, ask in enumerate(asks, len(bids) + 1):
        capacity[other, count - 1] = ask.wh
    found = maximum_flow(csr_array(capacity), 0, count - 1)
    return int(found.flow_value)


def greatest_gain(orders: list[Order], price: int, volume: int) -> int:
    """The greatest welfare of so much at the price, as a linear program."""
    bids = [o for o in orders if o.side is Side.BUY and o.limit >= price]
    asks = [o for o in orders if o.side is Side.SELL and o.limit <= price]
    pairs = [(bid, ask) for bid in bids for ask in asks if bid.party != ask.party]
    gains = np.array([bid.limit - ask.limit for bid, ask in pairs], dtype=float)
    of = np.array([[order in pair for pair in pairs] for order in (*bids, *asks)], dtype=float)
    found = linprog(
        -gains,
        A_ub=of,
        b_ub=[order.wh for order in (*bids, *asks)],
        A_eq=np.ones((1, len(pairs))),
        b_eq=[volume],
    )
    return round(float(-found.fun))


def test_where_both_sides_are_short_of_each_other_the_price_lies_between_what_is_left() -> None:
    orders = book(bids=[(11, 4), (6, 2), (1, 8)], asks=[(2, 4), (7, 2), (8, 3)])
    (price,) = cleared(orders).prices
    assert 6 <= price.price <= 7
    (price,) = cleared(orders, CallAuction(reference=MicroPerKwh(9))).prices
    assert price.price == 7


def test_a_published_book_of_an_energy_exchange_clears_more_than_its_own_algorithm_does() -> None:
    # kWh and currency per kWh; that exchange's own test has 95 kWh at a price of 2.
    bids = [(1_500_000, 40_000), (2_000_000, 45_000), (6_000_000, 50_000)]
    asks = [(1_000_000, 55_000), (5_000_000, 60_000), (1_000_000, 65_000)]
    clearing = cleared(book(bids, asks))
    assert sum(match.wh for match in clearing.matches) == 120_000
    (price,) = clearing.prices
    assert price.price == 1_500_000


def test_a_published_book_with_unserved_demand_clears_at_what_it_is_worth() -> None:
    # MWh and currency per MWh; a published simulator's own test sets 100, and 200 MWh at 3000 stay unserved.
    orders = book(bids=[(3_000_000, 700)], asks=[(100_000, 300), (50_000, 200)])
    clearing = cleared(orders)
    assert sum(match.wh for match in clearing.matches) == 500
    assert clearing.prices[0].price == 3_000_000
    assert [(each.wh, each.reason) for each in clearing.unmatched] == [
        (200, MarketReason.AT_MARGIN)
    ]


def test_each_side_is_told_why_it_goes_without() -> None:
    def reasons(orders: list[Order]) -> dict[int, MarketReason]:
        return {each.seq: each.reason for each in cleared(orders).unmatched}

    assert reasons(book([(5, 1)], [])) == {1: MarketReason.ONE_SIDED}
    assert reasons(book([], [(5, 1), (4, 1)])) == dict.fromkeys((1, 2), MarketReason.ONE_SIDED)
    assert reasons(book([(4, 1)], [(5, 1)])) == dict.fromkeys((1, 2), MarketReason.NO_CROSS)
    assert reasons(book([(9, 2), (8, 1)], [(5, 2)]))[2] is MarketReason.BEYOND_PRICE
    assert reasons([]) == {}


def test_pairs_that_the_network_has_refused_are_not_matched_again() -> None:
    orders = book([(9, 2), (9, 2)], [(5, 2), (5, 2)])
    network = no_network(frozenset({(1, 3), (2, 4)}))
    clearing = CallAuction().clear(orders, network, 0)
    assert verify(orders, network, clearing) == []
    assert matched(clearing) == [(1, 4, 2), (2, 3, 2)]
    alone = no_network(frozenset({(1, 3), (1, 4)}))
    clearing = CallAuction().clear(orders, alone, 0)
    assert verify(orders, alone, clearing) == []
    assert {each.seq: each.reason for each in clearing.unmatched}[1] is MarketReason.BARRED


def test_the_margin_is_shared_by_quantity_or_goes_to_who_came_first() -> None:
    orders = book([(9, 3), (9, 2)], [(1, 1), (1, 2)])
    first, shared = cleared(orders), cleared(orders, CallAuction(margin=Margin.PRO_RATA))
    assert {buy: wh for buy, _, wh in _by_buyer(first)} == {1: 3}
    assert {buy: wh for buy, _, wh in _by_buyer(shared)} == {1: 2, 2: 1}


def _by_buyer(clearing: Clearing) -> list[tuple[int, int, int]]:
    got: dict[int, int] = {}
    for buy, _, wh in matched(clearing):
        got[buy] = got.get(buy, 0) + wh
    return [(buy, 0, wh) for buy, wh in sorted(got.items())]


def test_a_hundred_thousand_orders_at_one_price_are_no_trouble() -> None:
    half = 50_000
    orders = book([(7, 1)] * half, [(7, 1)] * half)
    clearing = CallAuction().clear(orders, NETWORK, 0)
    assert sum(match.wh for match in clearing.matches) == half
    assert {order.side for order in orders} == set(Side)
