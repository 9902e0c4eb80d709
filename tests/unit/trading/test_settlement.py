"""Bills, line by line, where everything goes as agreed and where it does not."""

import msgspec
import pytest

from trading.core.attribution import BLAME, Blame, Cause, Missed, all_missed, shares_of, within
from trading.core.orders import Interval
from trading.core.readings import Evidence, Quality
from trading.core.settlement import (
    Line,
    LineKind,
    LossPayer,
    Outcome,
    Party,
    Settlement,
    Tariff,
    Terms,
    locks_of,
    paid_before,
    postings_of,
    settle,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Wh

K = LineKind
BUYER, SELLER, OPERATOR = Party.BUYER, Party.SELLER, Party.OPERATOR


def mj(wh: float) -> Millijoule:
    return Millijoule(round(wh * MJ_PER_WH))


def terms(**tariff: object) -> Terms:
    price = MicroPerKwh(200_000)
    changed = msgspec.structs.replace(Tariff(), **tariff)
    return Terms(Wh(1000), price, price, changed, max_loss=mj(100))


def evidence(
    delivered: float, injected: float | None = None, quality: Quality = Quality.BOTH_ENDS
) -> Evidence:
    sent = delivered * 1.05 if injected is None else injected
    return Evidence(mj(sent), mj(delivered), mj(delivered), quality, False, 0)


def missed(cause: Cause, wh: float) -> Missed:
    return Missed(0, 1, cause, mj(wh))


def bill(settlement: Settlement) -> dict[tuple[LineKind, Party, Party], int]:
    return {(line.kind, line.payer, line.payee): line.nano for line in settlement.lines}


def test_what_is_delivered_is_paid_and_nothing_else() -> None:
    whole = settle(terms(), evidence(1000))
    # 1 kWh at 0.20.
    assert bill(whole) == {(K.ENERGY, BUYER, SELLER): 200_000_000}
    assert whole.outcome is Outcome.WHOLE


def test_a_source_that_falls_short_makes_the_buyer_whole() -> None:
    short = settle(terms(), evidence(600), [missed(Cause.SOURCE_SHORT, 400)])
    assert bill(short) == {
        (K.ENERGY, BUYER, SELLER): 120_000_000,
        # 400 Wh at the difference to the utility's 0.30.
        (K.SHORTFALL, SELLER, BUYER): 40_000_000,
    }
    bought_elsewhere = 400 * 300_000
    assert 120_000_000 - 40_000_000 + bought_elsewhere == 1000 * 200_000
    # What nobody else is known to have caused is the seller's too.
    assert bill(settle(terms(), evidence(600))) == bill(short)


@pytest.mark.parametrize("cause", [c for c, blame in BLAME.items() if blame is Blame.NETWORK])
def test_for_what_the_network_curtailed_nobody_pays_and_the_seller_is_not_blamed(
    cause: Cause,
) -> None:
    cut = settle(terms(), evidence(600), [missed(cause, 400)])
    assert bill(cut) == {(K.ENERGY, BUYER, SELLER): 120_000_000}
    firm = settle(terms(firm_price=50_000), evidence(600), [missed(cause, 400)])
    assert bill(firm)[K.CURTAILMENT, OPERATOR, BUYER] == 20_000_000


def test_a_buyer_who_refuses_costs_the_seller_no_penalty() -> None:
    refused = settle(terms(), evidence(600), [missed(Cause.SINK_REFUSED, 400)])
    assert bill(refused) == {(K.ENERGY, BUYER, SELLER): 120_000_000}
    take_or_pay = settle(
        terms(refusal_price=120_000), evidence(600), [missed(Cause.SINK_REFUSED, 400)]
    )
    assert bill(take_or_pay)[K.REFUSAL, BUYER, SELLER] == 48_000_000


def test_whoever_draws_more_than_he_bought_pays_nobody_unless_it_was_agreed() -> None:
    assert bill(settle(terms(), evidence(1100))) == {(K.ENERGY, BUYER, SELLER): 200_000_000}
    agreed = terms(overdraw_price=250_000, max_over=mj(50))
    assert bill(settle(agreed, evidence(1100)))[K.OVERDRAW, BUYER, SELLER] == 12_500_000


def test_several_causes_are_parted_and_none_is_counted_twice() -> None:
    causes = [
        missed(Cause.LINK_DOWN, 100),
        missed(Cause.SINK_REFUSED, 200),
        missed(Cause.SOURCE_SHORT, 50),
    ]
    shares = shares_of(mj(400), causes)
    assert (shares.curtailed, shares.refused, shares.short) == (mj(100), mj(200), mj(100))
    # What was missing at one time and came at another is not missing.
    assert shares_of(mj(150), causes).refused == mj(50)
    assert shares_of(mj(0), causes) == shares_of(mj(-5), causes)


def test_causes_that_are_told_twice_or_in_pieces_are_the_same_causes() -> None:
    begun, done = Missed(0, 1, Cause.LINK_DOWN, mj(1)), Missed(0, 5, Cause.LINK_DOWN, mj(9))
    other = Missed(0, 5, Cause.SOURCE_SHORT, mj(2))
    assert all_missed([begun], [other, done]) == (done, other)
    assert all_missed([done, other], [begun]) == all_missed([done, other], []) == (done, other)


@pytest.mark.parametrize(
    ("from_ns", "to_ns", "counted_wh"),
    [
        (900, 1_000, None),  # Before it: the circuit is told a little early.
        (900, 1_100, 50),
        (1_000, 2_000, 100),
        (1_500, 1_600, 100),
        (1_900, 2_300, 25),
        (2_000, 2_100, None),
        (0, 4_000, 25),
        # Never promised, which has no time of its own; and what a clock that runs late told.
        (1_000, 1_000, 100),
        (999, 999, None),
        (1_200, 1_100, 100),
    ],
)
def test_what_was_short_outside_the_interval_was_not_bought(
    from_ns: int, to_ns: int, counted_wh: int | None
) -> None:
    told = Missed(from_ns, to_ns, Cause.LINK_DOWN, mj(100))
    counted = within([told], Interval(1_000, 1_000))
    assert [each.missing_mj for each in counted] == ([] if counted_wh is None else [mj(counted_wh)])


def test_what_no_meter_saw_is_paid_by_nobody_and_blamed_on_nobody() -> None:
    unread = settle(terms(), evidence(700, quality=Quality.UNREAD))
    assert bill(unread) == {(K.ENERGY, BUYER, SELLER): 140_000_000}
    assert unread.shares.unknown == mj(300) and unread.shares.short == 0
    nothing = settle(terms(), evidence(0, 0, Quality.UNREAD))
    assert nothing.lines == () and nothing.outcome is Outcome.NOTHING


def test_losses_and_tolls_are_lines_of_their_own() -> None:
    priced = Terms(
        Wh(1000),
        MicroPerKwh(200_000),
        MicroPerKwh(180_000),
        Tariff(loss_payer=LossPayer.BUYER),
        toll_price=MicroPerKwh(2_000),
        max_loss=mj(60),
    )
    assert bill(settle(priced, evidence(1000))) == {
        (K.ENERGY, BUYER, SELLER): 180_000_000,
        (K.NETWORK, BUYER, OPERATOR): 20_000_000,
        (K.TOLL, BUYER, OPERATOR): 2_000_000,
        # 50 Wh at 0.10.
        (K.LOSS, BUYER, OPERATOR): 5_000_000,
    }
    # A reroute that loses more than was held is the operator's cost.
    assert bill(settle(priced, evidence(1000, 1200)))[K.LOSS, BUYER, OPERATOR] == 6_000_000


@pytest.mark.parametrize(
    ("buyer", "seller", "expected"),
    [
        (-10_000, -10_000, {(K.ENERGY, SELLER, BUYER): 10_000_000}),
        (
            -10_000,
            -30_000,
            {(K.ENERGY, SELLER, BUYER): 10_000_000, (K.NETWORK, SELLER, OPERATOR): 20_000_000},
        ),
        (
            20_000,
            -30_000,
            {(K.NETWORK, BUYER, OPERATOR): 20_000_000, (K.NETWORK, SELLER, OPERATOR): 30_000_000},
        ),
    ],
)
def test_below_a_price_of_nothing_the_seller_pays(
    buyer: int, seller: int, expected: dict[tuple[LineKind, Party, Party], int]
) -> None:
    trade = Terms(Wh(1000), MicroPerKwh(buyer), MicroPerKwh(seller))
    assert bill(settle(trade, evidence(1000))) == expected


def test_of_a_disputed_trade_the_undisputed_part_is_paid_and_the_rest_when_it_is_resolved() -> None:
    disputed = Evidence(mj(1050), mj(600), mj(600), Quality.BOTH_ENDS, True, 0)
    first = settle(terms(), disputed)
    assert bill(first) == {(K.ENERGY, BUYER, SELLER): 120_000_000}
    assert first.shares.short == 0
    # Not even whom the controller names, before it is known what came.
    causes = [missed(Cause.LINK_DOWN, 100), missed(Cause.SINK_REFUSED, 100)]
    blamed = settle(terms(firm_price=50_000, refusal_price=50_000), disputed, causes)
    assert blamed == first
    resolved = settle(terms(), evidence(990))
    rest = paid_before(resolved.lines, first.lines)
    assert {line.kind: line.nano for line in rest} == {
        K.ENERGY: 78_000_000,
        K.SHORTFALL: 1_000_000,
    }
    assert paid_before(resolved.lines, resolved.lines) == ()
    with pytest.raises(ValueError, match="less than what was paid"):
        paid_before(first.lines, resolved.lines)


def test_lines_beyond_what_is_locked_are_no_split() -> None:
    (line,) = settle(terms(), evidence(1000)).lines
    with pytest.raises(ValueError, match="more than is locked"):
        postings_of([line, line], locks_of(terms()))
    assert isinstance(line, Line)


@pytest.mark.parametrize(
    "wrong",
    [
        {"wh": Wh(0)},
        {"buyer_price": MicroPerKwh(1), "seller_price": MicroPerKwh(2)},
        {"toll_price": MicroPerKwh(-1)},
        {"tariff": Tariff(firm_price=MicroPerKwh(-1))},
    ],
)
def test_terms_that_cannot_be_are_none(wrong: dict[str, object]) -> None:
    right: dict[str, object] = {
        "wh": Wh(1),
        "buyer_price": MicroPerKwh(1),
        "seller_price": MicroPerKwh(1),
    }
    with pytest.raises(ValueError, match=r"no trade|below 0"):
        Terms(**(right | wrong))  # type: ignore[arg-type]
