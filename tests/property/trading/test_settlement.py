"""Settlement over random trades and meters: every nano that is locked goes somewhere, and nothing beyond it."""

from fractions import Fraction
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given, settings

from trading.core.attribution import Cause, Missed, within
from trading.core.orders import Interval
from trading.core.readings import Ends, Evidence, Reading, evidence_of
from trading.core.settlement import (
    DISPUTABLE,
    LineKind,
    LossPayer,
    Party,
    Tariff,
    Terms,
    fee_of,
    locks_of,
    paid_before,
    postings_of,
    settle,
    undisputed,
)
from trading.core.units import MAX_PRICE, MJ_PER_WH, MicroPerKwh, Millijoule, Wh

PRICES = st.integers(-MAX_PRICE, MAX_PRICE) | st.integers(-20, 20)
RATES = st.integers(0, MAX_PRICE) | st.integers(0, 20)
ENERGIES = st.integers(0, 3_000 * MJ_PER_WH) | st.integers(0, 10)


@st.composite
def trades(draw: st.DrawFn) -> Terms:
    low, high = sorted((draw(PRICES), draw(PRICES)))
    tariff = Tariff(
        utility_price=MicroPerKwh(draw(PRICES)),
        refusal_price=MicroPerKwh(draw(RATES)),
        firm_price=MicroPerKwh(draw(RATES)),
        overdraw_price=MicroPerKwh(draw(RATES)),
        max_over=Millijoule(draw(ENERGIES)),
        loss_price=MicroPerKwh(draw(RATES)),
        loss_payer=draw(st.sampled_from(LossPayer)),
        dispute_fee_ppm=draw(st.integers(0, 100_000)),
    )
    return Terms(
        Wh(draw(st.integers(1, 2_000))),
        MicroPerKwh(high),
        MicroPerKwh(low),
        tariff,
        MicroPerKwh(draw(RATES)),
        Millijoule(draw(ENERGIES)),
    )


@st.composite
def proofs(draw: st.DrawFn) -> Evidence:
    def register() -> list[Reading]:
        rising = sorted(draw(st.lists(ENERGIES, max_size=3)))
        return [Reading(1, seq, Millijoule(each)) for seq, each in enumerate(rising)]

    generations = [
        Ends(register(), register(), draw(st.integers(1_000_000, 1_300_000)))
        for _ in range(draw(st.integers(1, 3)))
    ]
    return evidence_of(generations)


CAUSES = st.lists(
    st.builds(Missed, st.just(0), st.just(1), st.sampled_from(Cause), ENERGIES), max_size=4
)


@settings(max_examples=300)
@given(trades(), proofs(), CAUSES)
def test_lines_never_come_to_more_than_is_locked_and_all_of_it_goes_somewhere(
    terms: Terms, evidence: Evidence, causes: list[Missed]
) -> None:
    locks = locks_of(terms)
    settlement = settle(terms, evidence, causes)
    assert all(line.nano > 0 and line.price > 0 for line in settlement.lines)
    postings = postings_of(settlement.lines, locks)
    assert sum(each.nano for each in postings) == locks.buyer + locks.seller + locks.operator
    for party in Party:
        assert sum(p.nano for p in postings if p.payer is party) == locks.of(party)
    shares = settlement.shares
    undelivered = shares.short + shares.curtailed + shares.refused + shares.unknown
    taken = evidence.undisputed if evidence.is_disputed else evidence.delivered
    assert undelivered == max(0, terms.contract - taken)


@settings(max_examples=300)
@given(
    trades(),
    proofs(),
    CAUSES,
    CAUSES,
    st.sampled_from(sorted(DISPUTABLE)),
    st.sampled_from((Party.BUYER, Party.SELLER)),
)
def test_whoever_objects_to_whatever_and_however_it_is_decided_every_nano_goes_somewhere(
    terms: Terms,
    evidence: Evidence,
    causes: list[Missed],
    decided: list[Missed],
    objected: LineKind,
    by: Party,
) -> None:
    locks = locks_of(terms)
    before = settle(terms, evidence, causes).lines
    after = settle(terms, evidence, decided).lines
    fee = fee_of(terms, after, before, objected, by)
    was, is_now = ([each for each in of if each.kind is objected] for of in (before, after))
    assert not fee or was == is_now
    exact = Fraction(sum(each.nano for each in was) * terms.tariff.dispute_fee_ppm, 1_000_000)
    if was == is_now:
        assert 0 <= exact - sum(each.nano for each in fee) < 1
    part = undisputed(before, objected)
    left = locks
    for line in part:
        left = left.without(line.payer, line.nano)
    try:
        rest = paid_before((*after, *fee), part)
    except ValueError:
        # It would take back what was undisputed, and is no decision.
        return
    postings = postings_of(rest, left)
    assert sum(each.nano for each in postings) == left.buyer + left.seller + left.operator


@settings(max_examples=200)
@given(trades(), proofs(), CAUSES)
def test_no_line_is_above_what_it_exactly_is_nor_a_nano_below(
    terms: Terms, evidence: Evidence, causes: list[Missed]
) -> None:
    for line in settle(terms, evidence, causes).lines:
        exact = Fraction(line.energy * line.price, MJ_PER_WH)
        assert 0 <= exact - line.nano < 1


@settings(max_examples=200)
@given(trades(), st.integers(0, 2_000 * MJ_PER_WH))
def test_a_buyer_whose_seller_falls_short_pays_no_more_than_he_agreed(
    terms: Terms, delivered: int
) -> None:
    register = [Reading(1, 1, Millijoule(delivered))]
    evidence = evidence_of([Ends(register, register, 1_000_000)])
    settlement = settle(terms, evidence)
    paid = sum(
        line.nano * (1 if line.payer is Party.BUYER else -1)
        for line in settlement.lines
        if Party.BUYER in (line.payer, line.payee)
        and line.kind.value in ("energy", "network", "shortfall")
    )
    dearer = max(terms.tariff.utility_price, terms.buyer_price)
    elsewhere = Fraction(settlement.shares.short * dearer, MJ_PER_WH)
    agreed = terms.wh * terms.buyer_price
    assert abs(paid + elsewhere - agreed) < 4


@settings(max_examples=200)
@given(trades(), proofs())
def test_what_is_undisputed_is_a_part_of_whatever_is_resolved(
    terms: Terms, evidence: Evidence
) -> None:
    first = settle(terms, evidence).lines if evidence.is_disputed else ()
    sure = evidence_of(
        [
            Ends(
                [Reading(1, 1, evidence.injected)],
                [
                    Reading(
                        1, 1, max(evidence.undisputed, min(evidence.delivered, evidence.injected))
                    )
                ],
                1_000_000,
            )
        ]
    )
    if not sure.is_disputed:
        rest = paid_before(settle(terms, sure).lines, first)
        assert sum(line.nano for line in (*rest, *first)) == sum(
            line.nano for line in settle(terms, sure).lines
        )


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 3_000), min_size=2, max_size=8, unique=True).map(sorted),
    st.integers(0, 10**12),
)
def test_what_is_told_in_pieces_counts_for_no_more_than_the_whole(
    cuts: list[int], missing_mj: int
) -> None:
    whole = Missed(cuts[0], cuts[-1], Cause.LINK_DOWN, Millijoule(missing_mj))
    interval = Interval(1_000, 1_000)
    pieces = [
        Missed(a, b, Cause.LINK_DOWN, Millijoule(missing_mj * (b - a) // (cuts[-1] - cuts[0])))
        for a, b in pairwise(cuts)
    ]
    counted = sum(each.missing_mj for each in within(pieces, interval))
    of_whole = sum(each.missing_mj for each in within([whole], interval))
    assert of_whole - 2 * len(pieces) <= counted <= of_whole <= missing_mj
