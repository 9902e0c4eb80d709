"""The call auction on random books: the greatest volume and welfare, and nobody worse off than by his limit."""

import os

import numpy as np
import pytest

from tests.support.markets import book, merit_order, random_book, welfare
from trading.core.orders import Order, Side
from trading.core.units import MicroPerKwh
from trading.mechanisms.call import CallAuction, Margin
from trading.mechanisms.mechanism import Clearing
from trading.mechanisms.network import no_network
from trading.mechanisms.verify import verify
from trading.reasons import MarketReason

# `BOOKS=10000 .venv/bin/pytest tests/property/trading/test_call.py` tries as many as are promised.
BOOKS = int(os.environ.get("BOOKS", "500"))
NETWORK = no_network()


def cleared(orders: list[Order], auction: CallAuction | None = None) -> Clearing:
    clearing = (auction or CallAuction()).clear(orders, NETWORK, 0)
    assert verify(orders, NETWORK, clearing) == []
    return clearing


def matched(clearing: Clearing) -> list[tuple[int, int, int]]:
    return [(match.buy_seq, match.sell_seq, match.wh) for match in clearing.matches]


@pytest.mark.parametrize("margin", Margin)
def test_volume_and_welfare_are_the_greatest_that_brute_force_finds(margin: Margin) -> None:
    for seed in range(BOOKS):
        orders = random_book(seed)
        clearing = cleared(orders, CallAuction(margin=margin))
        gain, volume = merit_order(orders)
        assert sum(match.wh for match in clearing.matches) == volume, seed
        assert welfare(orders, matched(clearing)) == gain, seed


def test_buyers_pay_what_sellers_get_to_the_last_nano_at_one_price() -> None:
    for seed in range(BOOKS):
        clearing = cleared(random_book(seed))
        assert all(match.buyer_price == match.seller_price for match in clearing.matches)
        assert len({match.buyer_price for match in clearing.matches}) <= 1
        assert len(clearing.prices) == bool(clearing.matches)


def test_the_order_in_which_orders_are_handed_over_changes_nothing() -> None:
    for seed in range(BOOKS // 4):
        orders = random_book(seed, parties=4, least_fills=True)
        shuffled = [orders[at] for at in np.random.default_rng(seed).permutation(len(orders))]
        assert cleared(shuffled) == cleared(orders)


def test_least_fills_are_kept_or_their_orders_are_left_out() -> None:
    for seed in range(BOOKS):
        for margin in Margin:
            orders = random_book(seed, least_fills=True)
            clearing = cleared(orders, CallAuction(margin=margin))
            assert sum(match.wh for match in clearing.matches) <= merit_order(orders)[1]


def test_parties_that_trade_with_themselves_lose_no_more_than_they_must() -> None:
    for seed in range(BOOKS):
        orders = random_book(seed, parties=3)
        clearing = cleared(orders)
        party = {order.seq: order.party for order in orders}
        alone = [each for each in clearing.unmatched if each.reason is MarketReason.SELF_TRADE]
        volume = merit_order(orders)[1]
        own: dict[str, int] = {}
        for match in clearing.matches:
            for seq in (match.buy_seq, match.sell_seq):
                own[party[seq]] = own.get(party[seq], 0) + match.wh
        lost = volume - sum(match.wh for match in clearing.matches)
        assert sum(each.wh for each in alone) >= 2 * lost
        if lost:
            # Only one party is left over, and it is in every match that there is.
            (name,) = {party[each.seq] for each in alone}
            assert own.get(name, 0) == volume - lost


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
