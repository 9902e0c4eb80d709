"""Whoever judges a clearing believes nothing that it says: figures, reasons and certificates are checked."""

import msgspec
import pytest

from controller.routing.graph import graph_of_links
from tests.support.market_networks import at, network_of
from tests.support.markets import book
from trading.core.orders import PPM, Side
from trading.core.units import MicroPerKwh, Wh
from trading.mechanisms.mechanism import (
    Clearing,
    Match,
    NodalPrices,
    UniformPrice,
    Unmatched,
)
from trading.mechanisms.network import MarketNetwork, no_network
from trading.mechanisms.nodal import NodalAuction
from trading.mechanisms.verify import verify
from trading.reasons import MarketReason

R = MarketReason
ORDERS = book([(300_000, 1000)], [(100_000, 1000)])
PRICE = MicroPerKwh(200_000)


def matched(**changed: object) -> Clearing:
    price = MicroPerKwh(100_000)
    match = Match(1, 2, Wh(1000), price, price, Wh(1000), PPM)
    return Clearing((msgspec.structs.replace(match, **changed),), (), (), None)


def left(reason: MarketReason, certificate: object = None) -> Clearing:
    return Clearing(
        (), (), (Unmatched(1, Wh(1000), reason), Unmatched(2, Wh(1000), reason)), certificate
    )


def test_what_is_right_has_no_fault() -> None:
    assert verify(ORDERS, no_network(), matched()) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"injected_wh": Wh(0)}, "0 Wh count, and 1000 have to be injected"),
        ({"injected_wh": Wh(999)}, "999 Wh count, and 1000 have to be injected"),
        # For almost nothing injected he would get almost nothing.
        (
            {"injected_ppm": 1, "buyer_price": MicroPerKwh(1), "seller_price": MicroPerKwh(1)},
            "of a million delivered, 1 are said to be injected",
        ),
        ({"injected_ppm": 1_100_000}, "has 1000 Wh, and 1100 have to be injected"),
        ({"buyer_price": float("nan")}, "no whole number"),
        ({"wh": 1000.0}, "no whole number"),
    ],
)
def test_what_is_delivered_has_to_be_injected_and_to_count(
    changed: dict[str, object], fault: str
) -> None:
    assert any(fault in each for each in verify(ORDERS, no_network(), matched(**changed)))


def test_of_an_ask_no_more_counts_than_is_injected() -> None:
    (wrong,) = verify(
        [ORDERS[0], msgspec.structs.replace(ORDERS[1], wh=Wh(1500))],
        no_network(),
        msgspec.structs.replace(matched(injected_wh=Wh(1500))),
    )
    assert "1500 Wh count, and 1000 have to be injected" in wrong


@pytest.mark.parametrize("reason", [R.LEAST_FILL, R.BARRED, R.SELF_TRADE])
@pytest.mark.parametrize("certificate", [None, UniformPrice(PRICE), UniformPrice(None)])
def test_a_reason_that_excuses_an_order_is_not_believed(
    reason: MarketReason, certificate: object
) -> None:
    faults = verify(ORDERS, no_network(), left(reason, certificate))
    assert sum("is left" in each for each in faults) >= 2


def test_a_least_that_was_reached_is_no_reason_to_leave_the_rest() -> None:
    least = [msgspec.structs.replace(each, min_fill_wh=Wh(100)) for each in ORDERS]
    rest = tuple(Unmatched(seq, Wh(500), R.LEAST_FILL) for seq in (1, 2))
    half = msgspec.structs.replace(matched(wh=Wh(500), injected_wh=Wh(500)), unmatched=rest)
    assert len(verify(least, no_network(), half)) == 2
    assert verify(least, no_network(), left(R.LEAST_FILL, UniformPrice(PRICE))) == []


def test_the_least_of_another_tells_why_an_order_is_left_and_excuses_nobody() -> None:
    buy, sell = ORDERS
    least = msgspec.structs.replace(sell, min_fill_wh=Wh(1))
    told = left(R.LEAST_FILL, UniformPrice(None))
    assert verify([buy, least], no_network(), told) == []
    other = msgspec.structs.replace(sell, seq=3)
    told = msgspec.structs.replace(
        told, unmatched=(*told.unmatched, Unmatched(3, other.wh, R.NO_CROSS))
    )
    faults = verify([buy, least, other], no_network(), told)
    assert "a buyer and a seller are left who could have traded with each other" in faults


def test_who_is_barred_with_nobody_here_is_not_barred() -> None:
    clearing = left(R.BARRED, UniformPrice(PRICE))
    assert verify(ORDERS, no_network(frozenset({(1, 2)})), clearing) == []
    assert verify(ORDERS, no_network(frozenset({(1, 9), (9, 2)})), clearing)


def test_who_trades_on_both_sides_is_not_kept_from_others() -> None:
    orders = book([(9, 5), (9, 5)], [(1, 5), (1, 5)])
    orders = [msgspec.structs.replace(o, party="ab"[o.seq % 2]) for o in orders]
    unmatched = tuple(Unmatched(o.seq, o.wh, R.SELF_TRADE) for o in orders)
    clearing = Clearing((), (), unmatched, UniformPrice(MicroPerKwh(5)))
    faults = verify(orders, no_network(), clearing)
    assert any("could have traded with each other" in fault for fault in faults)
    assert "0 Wh are traded, and 10 Wh could be at one price" in faults
    alone = [msgspec.structs.replace(o, party="a") for o in orders]
    assert verify(alone, no_network(), clearing) == []


def test_an_order_is_told_of_once_and_only_if_there_is_one() -> None:
    twice = left(R.NO_CROSS)
    twice = msgspec.structs.replace(twice, unmatched=(*twice.unmatched, *twice.unmatched[:1]))
    assert any("2 times" in each for each in verify(ORDERS, no_network(), twice))
    nobody = Clearing((), (), (Unmatched(9, Wh(1), R.NO_CROSS),))
    assert any("there is none" in each for each in verify([], no_network(), nobody))


def one_line() -> MarketNetwork:
    return network_of(graph_of_links([1.0, 1.0], [0], [1], [0.001], [20_000.0], [250.0]))


NAN, HUGE = float("nan"), 1e308


@pytest.mark.parametrize(
    "changed",
    [
        {"price_per_mwh": (NAN, NAN)},
        {"price_per_mwh": (float("inf"), 0.0)},
        {"price_per_mwh": (50.0,)},
        {"price_per_mwh": (50.0, 50.0, 50.0)},
        {"price_per_mwh": (HUGE, HUGE)},
        {"received_w": ()},
        {"received_w": (NAN, NAN)},
        {"received_w": (HUGE, HUGE)},
        {"received_w": (-1000.0, 0.0)},
        {"power_w": {1: NAN, 2: NAN}},
        {"power_w": {1: HUGE, 2: HUGE}},
        {"power_w": {1: -1000.0, 2: -1000.0}},
    ],
)
@pytest.mark.parametrize("trades", [True, False])
def test_a_certificate_that_is_not_of_numbers_of_this_network_proves_nothing(
    changed: dict[str, object], trades: bool
) -> None:
    network = one_line()
    orders = [at(Side.SELL, 0, 1000, 50_000, 1), at(Side.BUY, 1, 1000, 300_000, 2)]
    clearing = NodalAuction().clear(orders, network, 0)
    assert isinstance(clearing.certificate, NodalPrices) and clearing.matches
    assert verify(orders, network, clearing) == []
    wrong = msgspec.structs.replace(clearing.certificate, **changed)
    if trades:
        clearing = msgspec.structs.replace(clearing, certificate=wrong)
    else:
        unmatched = tuple(Unmatched(order.seq, order.wh, R.NO_CROSS) for order in orders)
        clearing = Clearing((), (), unmatched, wrong)
    assert verify(orders, network, clearing)


def test_who_is_left_for_his_own_party_and_need_not_be_is_found() -> None:
    """Whoever clears may not leave a third out for the sake of one who trades on both sides."""
    orders = book([(9, 10)], [(5, 10), (5, 10)])
    a, b = (
        msgspec.structs.replace(order, party=name)
        for order, name in zip(orders[1:], "ab", strict=True)
    )
    orders = [msgspec.structs.replace(orders[0], party="a"), a, b]
    nothing = Clearing(
        (), (), tuple(Unmatched(o.seq, o.wh, R.SELF_TRADE) for o in orders), UniformPrice(None)
    )
    assert any("10 Wh could be" in each for each in verify(orders, no_network(), nothing))
    price = MicroPerKwh(5)
    right = Clearing(
        (Match(1, 3, Wh(10), price, price, Wh(10)),),
        (),
        (Unmatched(2, Wh(10), R.SELF_TRADE),),
        UniformPrice(price),
    )
    assert verify(orders, no_network(), right) == []


def test_a_pair_that_could_be_exchanged_so_that_more_is_traded_is_found() -> None:
    """Two who are left are of one party, and two others have each other."""
    bids, asks = [(9, 5), (9, 5)], [(1, 5), (1, 5)]
    orders = [
        msgspec.structs.replace(order, party=party)
        for order, party in zip(book(bids, asks), "acad", strict=True)
    ]
    price = MicroPerKwh(5)
    half = Clearing(
        (Match(2, 4, Wh(5), price, price, Wh(5)),),
        (),
        tuple(Unmatched(seq, Wh(5), R.SELF_TRADE) for seq in (1, 3)),
        UniformPrice(price),
    )
    faults = verify(orders, no_network(), half)
    assert any("5 Wh are traded, and 10 Wh could be" in each for each in faults)
    assert any("something of order 3 is left" in each for each in faults)
    # Also where the network bars somebody else.
    barred = no_network(frozenset({(1, 7)}))
    assert any("is left" in each for each in verify(orders, barred, half))


def test_who_is_left_for_his_own_party_while_a_worse_limit_of_it_trades_is_found() -> None:
    orders = [
        msgspec.structs.replace(order, party=party)
        for order, party in zip(book([(9, 5), (9, 5)], [(1, 5), (2, 5)]), "abaa", strict=True)
    ]
    price = MicroPerKwh(5)

    def of(seq: int, left: int) -> Clearing:
        return Clearing(
            (Match(2, seq, Wh(5), price, price, Wh(5)),),
            (),
            tuple(Unmatched(each, Wh(5), R.SELF_TRADE) for each in (1, left)),
            UniformPrice(price),
        )

    assert verify(orders, no_network(), of(3, 4)) == []
    (fault,) = verify(orders, no_network(), of(4, 3))
    assert "order 3 is left for its own party, and order 4 could give way" in fault


def test_who_is_beyond_the_price_is_not_left_for_his_own_party() -> None:
    orders = [
        msgspec.structs.replace(order, party=party)
        for order, party in zip(book([(9, 5), (3, 5)], [(1, 5), (8, 5)]), "abca", strict=True)
    ]
    price = MicroPerKwh(6)
    clearing = Clearing(
        (Match(1, 3, Wh(5), price, price, Wh(5)),),
        (),
        (Unmatched(2, Wh(5), R.BEYOND_PRICE), Unmatched(4, Wh(5), R.SELF_TRADE)),
        UniformPrice(price),
    )
    (fault,) = verify(orders, no_network(), clearing)
    assert "order 4 is left for its own party, and the price does not reach" in fault
