"""Objections: a bill waits to be objected to; what the objection is about is frozen, and all else is paid at once."""

import msgspec
import pytest

from digitalgrid.units import NS_PER_S
from tests.support.sagas import NOW_NS, START_NS, TIMES, TO_METERS, kinds, read, trade
from trading.core.asking import pending
from trading.core.attribution import Cause, Missed
from trading.core.readings import Ends
from trading.core.saga import step
from trading.core.settlement import LineKind, LossPayer, Party, Posting, Tariff
from trading.core.trades import (
    Close,
    Closed,
    Effect,
    Objected,
    PartPaid,
    Pay,
    Read,
    Resolved,
    State,
    TimeOver,
    Trade,
    TradeEvent,
    Wait,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule
from trading.exchange.entries import Entries
from trading.exchange.services.bills import settlement_to_pb

WAITING = msgspec.structs.replace(TIMES, object_ns=60 * NS_PER_S)
SHORT = Missed(START_NS, START_NS + 1, Cause.SOURCE_SHORT, Millijoule(300 * MJ_PER_WH))


def told(one: Trade, *events: TradeEvent) -> list[Effect]:
    effects: list[Effect] | None = None
    for event in events:
        effects = step(one, event, NOW_NS, WAITING)
        assert effects is not None, event
    return effects or []


def billed(dispute_fee_ppm: int = 0) -> Trade:
    """Of 1,000 Wh 700 came; the loss is the buyer's to pay."""
    one = trade()
    tariff = Tariff(
        firm_price=MicroPerKwh(10_000),
        loss_payer=LossPayer.BUYER,
        dispute_fee_ppm=dispute_fee_ppm,
    )
    one.terms = msgspec.structs.replace(one.terms, tariff=tariff)
    (waits,) = told(one, *TO_METERS, Read(read(735, 700).ends, (SHORT,)))
    assert isinstance(waits, Wait) and waits.until_ns == one.until_ns
    assert one.state is State.BILLED
    return one


def lines_of(one: Trade) -> dict[LineKind, int]:
    assert one.settlement is not None
    return {line.kind: line.nano for line in one.settlement.lines}


def test_a_bill_that_nobody_objects_to_is_paid_when_its_time_is_over() -> None:
    one = billed()
    assert set(lines_of(one)) == {
        LineKind.ENERGY,
        LineKind.TOLL,
        LineKind.SHORTFALL,
        LineKind.LOSS,
    }
    assert one.until_ns is not None
    assert kinds(told(one, TimeOver(one.until_ns))) == [Close]
    assert one.state is State.SETTLING


def test_a_bill_that_is_estimated_waits_twice_as_long() -> None:
    windows = []
    for readings in (read(1050, 1000), read(1050, None)):
        one = trade()
        told(one, *TO_METERS, readings)
        if one.state is State.METERING:
            # Whoever is silent is waited for.
            assert one.until_ns is not None
            step(one, TimeOver(one.until_ns), NOW_NS, WAITING)
        assert one.state is State.BILLED and one.until_ns is not None
        windows.append(one.until_ns - NOW_NS)
    assert windows == [60 * NS_PER_S, 120 * NS_PER_S]


@pytest.mark.parametrize(
    ("line", "frozen"),
    [
        (LineKind.ENERGY, set(LineKind)),
        (LineKind.TOLL, set(LineKind)),
        (LineKind.SHORTFALL, {LineKind.SHORTFALL}),
        # None of it is on the bill, and that is what is objected to.
        (LineKind.CURTAILMENT, {LineKind.SHORTFALL}),
        (LineKind.LOSS, {LineKind.LOSS}),
    ],
)
def test_what_comes_of_the_same_figures_is_frozen_and_the_rest_paid(
    line: LineKind, frozen: set[LineKind]
) -> None:
    one = billed()
    rest = set(lines_of(one)) - frozen
    effects = told(one, Objected(line, Party.BUYER, "my meter says 690"))
    assert one.state is State.DISPUTED and one.statement == "my meter says 690"
    paid = [each for each in effects if isinstance(each, Pay)]
    assert {each.kind for pay in paid for each in pay.lines} == rest
    assert len(paid) == bool(rest)


@pytest.mark.parametrize(
    ("line", "by"),
    [
        # The buyer has paid nearly all that is locked for the lines; the fee was locked beside it.
        (LineKind.ENERGY, Party.BUYER),
        (LineKind.ENERGY, Party.SELLER),
        (LineKind.SHORTFALL, Party.SELLER),
    ],
)
def test_who_objects_in_vain_pays_the_operator_a_part_of_the_line(
    line: LineKind, by: Party
) -> None:
    one = billed(dispute_fee_ppm=10_000)
    before = lines_of(one)
    told(one, Objected(line, by))
    told(one, Resolved(one.ends, one.missed, "it is right"))
    after = lines_of(one)
    assert after == {**before, LineKind.FEE: before[line] // 100}
    assert one.settlement is not None
    fee = one.settlement.lines[-1]
    assert (fee.payer, fee.payee) == (by, Party.OPERATOR)
    if one.is_part_due:
        told(one, PartPaid())
    (close,) = [each for each in pending(one, WAITING) if isinstance(each, Close)]
    assert Posting(by, Party.OPERATOR, fee.nano) in close.postings
    bill = settlement_to_pb(one, one.settlement, "joe")
    formula = f"{before[line]} nano ({line}, objected to in vain) x 10000 / 1000000, rounded down"
    assert bill.lines[-1].formula == formula


def test_who_objected_with_reason_or_to_nothing_pays_no_fee() -> None:
    by_network = Missed(START_NS, START_NS + 1, Cause.LINK_DOWN, Millijoule(300 * MJ_PER_WH))
    for line, missed in (
        (LineKind.SHORTFALL, (by_network,)),
        # None of it was on the bill, and none is.
        (LineKind.REFUSAL, (SHORT,)),
    ):
        one = billed(dispute_fee_ppm=10_000)
        told(one, Objected(line, Party.SELLER))
        told(one, Resolved(one.ends, missed, "the line was cut"))
        assert LineKind.FEE not in lines_of(one)


def test_of_a_dispute_that_nobody_decides_or_that_nobody_began_no_fee_is_due() -> None:
    one = billed(dispute_fee_ppm=10_000)
    told(one, Objected(LineKind.ENERGY, Party.BUYER))
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns))
    assert one.state is State.SETTLING and LineKind.FEE not in lines_of(one)
    contradicted = trade()
    tariff = msgspec.structs.replace(contradicted.terms.tariff, dispute_fee_ppm=100_000)
    contradicted.terms = msgspec.structs.replace(contradicted.terms, tariff=tariff)
    told(contradicted, *TO_METERS, read(1050, 600), Resolved(read(1050, 1000).ends))
    assert LineKind.FEE not in lines_of(contradicted)


def test_of_a_dispute_that_is_decided_the_rest_is_paid_by_what_was_decided() -> None:
    one = billed()
    told(one, Objected(LineKind.SHORTFALL, Party.SELLER), PartPaid())
    before = lines_of(one)
    by_network = Missed(START_NS, START_NS + 1, Cause.LINK_DOWN, Millijoule(300 * MJ_PER_WH))
    (close,) = told(one, Resolved(one.ends, (by_network,), "the line was cut"))
    assert one.state is State.SETTLING and one.decision == "the line was cut"
    after = lines_of(one)
    assert LineKind.SHORTFALL not in after and after[LineKind.CURTAILMENT] == 3_000_000
    assert all(after[kind] == before[kind] for kind in (LineKind.ENERGY, LineKind.TOLL))
    assert isinstance(close, Close)
    assert told(one, Closed()) == [] and one.state is State.PARTIAL


def test_a_decision_about_a_sinks_register_changes_all_that_comes_of_it() -> None:
    one = billed()
    told(one, Objected(LineKind.ENERGY, Party.BUYER))
    assert one.part == ()
    ends: tuple[Ends, ...] = read(725, 690).ends
    told(one, Resolved(ends, one.missed))
    assert lines_of(one)[LineKind.ENERGY] == 690 * 200_000


def test_a_decision_that_would_take_back_what_was_undisputed_is_none() -> None:
    one = billed()
    told(one, Objected(LineKind.LOSS, Party.BUYER), PartPaid())
    less = read(525, 500).ends
    assert step(one, Resolved(less, one.missed), NOW_NS, WAITING) is None
    assert one.state is State.DISPUTED


def test_an_objection_that_nobody_decides_about_lapses_and_the_bill_stands() -> None:
    one = billed()
    before = lines_of(one)
    told(one, Objected(LineKind.LOSS, Party.BUYER), PartPaid())
    assert one.until_ns is not None
    (close,) = told(one, TimeOver(one.until_ns))
    assert isinstance(close, Close) and lines_of(one) == before
    paid = {posting.nano for posting in close.postings if posting.payer is not posting.payee}
    assert paid == {before[LineKind.LOSS]}


def test_a_bill_that_is_being_paid_is_not_open_to_objections() -> None:
    one = billed()
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns))
    assert step(one, Objected(LineKind.LOSS, Party.BUYER), NOW_NS, WAITING) is None
    at_once = trade()
    for event in (*TO_METERS, read(1050, 1000)):
        assert step(at_once, event, NOW_NS, TIMES) is not None
    assert at_once.state is State.SETTLING


def estimated(*last_wh: int) -> Trade:
    """No end ever speaks; the controller had heard of the load before."""
    one = trade()
    told(one, *TO_METERS)
    for wh in last_wh:
        told(one, Read((), (), Millijoule(wh * MJ_PER_WH)))
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns))
    return one


def test_a_reading_that_never_comes_is_the_last_one_before_and_nobody_pays_for_the_rest() -> None:
    one = estimated(400, 300)
    assert one.state is State.BILLED and one.until_ns == NOW_NS + 2 * WAITING.object_ns
    # What was heard is never unheard. Energy and tolls only: no shortfall, and no loss.
    assert lines_of(one) == {LineKind.ENERGY: 80_000_000, LineKind.TOLL: 800_000}
    bill = settlement_to_pb(one, one.settlement, "operator") if one.settlement else None
    assert bill is not None and bill.estimated and bill.quality == "last reading"
    assert (bill.delivered_mj, bill.unknown_mj) == (400 * MJ_PER_WH, 600 * MJ_PER_WH)
    told(one, TimeOver(one.until_ns))
    (close,) = [each for each in pending(one, WAITING) if isinstance(each, Close)]
    back = {each.payer: each.nano for each in close.postings if each.payer is each.payee}
    assert back == {
        # Of 202, 100 and 10 millions that were locked.
        Party.BUYER: 121_200_000,
        Party.SELLER: 100_000_000,
        Party.OPERATOR: 10_000_000,
    }
    entry = Entries("operator", b"secret", 0).close(close, one).entry.close
    other = msgspec.structs.replace(one, last_mj=Millijoule(399 * MJ_PER_WH))
    assert entry.estimated
    assert Entries("operator", b"secret", 0).close(close, other).entry.close != entry


@pytest.mark.parametrize(
    ("cause", "shares_wh"),
    # What of the rest is short, curtailed, refused, and unknown.
    [
        (Cause.SINK_REFUSED, (0, 0, 300, 300)),
        (Cause.LINK_DOWN, (0, 300, 0, 300)),
        (Cause.SOURCE_SHORT, (0, 0, 0, 600)),
    ],
)
def test_beside_what_was_heard_last_network_and_buyer_answer_for_what_they_are_known_to_have_caused(
    cause: Cause, shares_wh: tuple[int, ...]
) -> None:
    one = trade()
    missed = Missed(START_NS, START_NS + 1, cause, Millijoule(300 * MJ_PER_WH))
    told(one, *TO_METERS, Read((), (missed,), Millijoule(400 * MJ_PER_WH)))
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns))
    assert one.settlement is not None
    shares = msgspec.structs.astuple(one.settlement.shares)
    assert shares == tuple(wh * MJ_PER_WH for wh in shares_wh)


def test_what_was_estimated_is_corrected_by_whoever_decides() -> None:
    one = estimated(400)
    told(one, Objected(LineKind.ENERGY, Party.SELLER, "my own meter has 700"))
    told(one, Resolved(read(735, 700).ends))
    assert lines_of(one)[LineKind.ENERGY] == 140_000_000
    assert one.settlement is not None
    assert not settlement_to_pb(one, one.settlement, "operator").estimated


@pytest.mark.parametrize("decided_wh", [500, 450, 10, 700])
def test_what_is_decided_of_one_generation_is_not_made_up_for_by_what_was_heard_last(
    decided_wh: int,
) -> None:
    one = trade()
    (first,) = read(420, 400).ends
    silent = Ends((), (), 1_050_000, generation=1)
    told(one, *TO_METERS, Read((first, silent), (), Millijoule(600 * MJ_PER_WH)))
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns), Objected(LineKind.ENERGY, Party.BUYER, "my own has less"))
    assert lines_of(one)[LineKind.ENERGY] == 120_000_000
    (decided,) = read(decided_wh * 21 // 20, decided_wh).ends
    told(one, Resolved((decided, silent), one.missed, "by the buyer's own meter"))
    assert lines_of(one)[LineKind.ENERGY] == decided_wh * 200_000
    assert one.settlement is not None
    bill = settlement_to_pb(one, one.settlement, "operator")
    assert bill.delivered_mj == decided_wh * MJ_PER_WH


def test_where_an_operator_lets_stand_what_was_read_what_was_heard_last_counts_on() -> None:
    one = estimated(400)
    told(one, Objected(LineKind.ENERGY, Party.BUYER, "it was less"))
    told(one, Resolved(tuple(one.ends), one.missed, "it was not"))
    assert lines_of(one)[LineKind.ENERGY] == 80_000_000
    assert one.settlement is not None
    assert settlement_to_pb(one, one.settlement, "operator").quality == "last reading"


def test_what_was_heard_last_is_never_paid_for_as_more_than_was_bought() -> None:
    one = trade()
    tariff = Tariff(overdraw_price=MicroPerKwh(100_000), max_over=Millijoule(MJ_PER_WH * 100))
    one.terms = msgspec.structs.replace(one.terms, tariff=tariff)
    told(one, *TO_METERS, Read((), (), Millijoule(1_050 * MJ_PER_WH)))
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns))
    assert set(lines_of(one)) <= {LineKind.ENERGY, LineKind.TOLL}
