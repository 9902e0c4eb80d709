"""The saga of a trade, step by step: what is asked when, what each answer does, and that nothing is ever stuck."""

import ast
from pathlib import Path

import pytest
from msgspec import structs

from tests.support.sagas import (
    BEGINS,
    ENDS,
    HELD,
    NOW_NS,
    START_NS,
    TIMES,
    TO_CONFIRMED,
    TO_METERS,
    kinds,
    read,
    told,
    trade,
)
from trading.core.asking import pending
from trading.core.attribution import Cause, Missed
from trading.core.saga import TRANSITIONS, Word, resumed, step
from trading.core.settlement import LineKind, LossPayer, Party, Tariff
from trading.core.state_diagram import trade_diagram
from trading.core.trades import (
    Activate,
    Activated,
    AskMeters,
    Begin,
    Bind,
    Cancel,
    Close,
    Closed,
    GiveBack,
    Hold,
    HoldLost,
    Lock,
    Locked,
    PartPaid,
    Pay,
    Read,
    Refusal,
    Release,
    Released,
    Resolved,
    Revoke,
    Sign,
    Signed,
    State,
    TimeOver,
    Trade,
    TradeEvent,
    Unsigned,
    Wait,
    decoded,
    encoded,
)
from trading.core.units import MAX_PRICE, MJ_PER_WH, MicroPerKwh, Millijoule
from trading.reasons import MarketReason

ROOT = Path(__file__).resolve().parents[3]


def test_a_trade_holds_capacity_then_money_then_delivers_and_is_paid_from_its_meters() -> None:
    one = trade()
    assert kinds(told(one, Begin())) == [Hold, Wait]
    assert kinds(told(one, HELD)) == [Lock, Sign, Wait]
    assert kinds(told(one, Locked())) == [Sign, Wait]
    assert kinds(told(one, Signed())) == [Bind, Wait]
    assert kinds(told(one, BEGINS)) == [Activate, Wait]
    assert kinds(told(one, Activated())) == [Wait]
    assert kinds(told(one, ENDS)) == [Release, Wait]
    assert kinds(told(one, Released())) == [AskMeters, Wait]
    (close,) = told(one, read(1050, 1000))
    assert isinstance(close, Close)
    assert one.state is State.SETTLING
    assert told(one, Closed()) == []
    assert one.state is State.SETTLED


@pytest.mark.parametrize("count", range(len(TO_METERS) + 2))
def test_after_a_crash_at_any_step_it_goes_on_where_the_journal_has_it(count: int) -> None:
    events = (*TO_METERS, read(1050, 1000), Closed())
    whole, crashed = trade(), trade()
    for at, event in enumerate(events):
        asked = step(whole, event, NOW_NS, TIMES)
        if at == count:
            crashed = decoded(encoded(crashed))
            before = resumed(crashed, NOW_NS, TIMES)
            assert pending(crashed, TIMES) == before
        # What the crash began anew is not begun twice.
        again = step(crashed, event, NOW_NS, TIMES)
        assert again == asked or (at == count == 0 and again is None)
    assert encoded(whole) == encoded(crashed)
    assert crashed.state is State.SETTLED


# What may be signed for already is first made sure not to be.
SIGNED_FOR = [Revoke, Close, Release]
ANSWERS: dict[type, TradeEvent] = {Revoke: Unsigned(), Close: Closed(), Release: Released()}


@pytest.mark.parametrize(
    ("events", "asks", "state"),
    [
        ((Begin(), Refusal("NO_ROUTE", "l1")), [Release], State.REJECTED),
        ((Begin(), HELD, Refusal("FUNDS")), SIGNED_FOR, State.REJECTED),
        ((Begin(), HELD, Locked(), Refusal("SIGNATURE")), SIGNED_FOR, State.REJECTED),
        ((Begin(), HELD, HoldLost()), SIGNED_FOR, State.EXPIRED),
        ((Begin(), HELD, Locked(), HoldLost()), SIGNED_FOR, State.EXPIRED),
        ((Begin(), Cancel("OPERATOR")), [Release], State.CANCELLED),
        ((Begin(), TimeOver(NOW_NS + TIMES.hold_ns)), [Release], State.EXPIRED),
        ((Begin(), HELD, TimeOver(NOW_NS + TIMES.fund_ns)), SIGNED_FOR, State.EXPIRED),
        ((Begin(), HELD, Cancel("OPERATOR")), SIGNED_FOR, State.CANCELLED),
        ((Begin(), HELD, Locked(), TimeOver(START_NS)), SIGNED_FOR, State.EXPIRED),
        ((Begin(), HELD, Locked(), Cancel("OPERATOR")), SIGNED_FOR, State.CANCELLED),
    ],
)
def test_what_is_refused_or_late_is_undone_in_reverse_and_then_given_back(
    events: tuple[TradeEvent, ...], asks: list[type], state: State
) -> None:
    one = trade()
    effects = told(one, *events)
    assert one.state is (State.REVOKING if Revoke in asks else State.UNWINDING)
    for asked in asks:
        assert kinds(effects) == [asked]
        effects = told(one, ANSWERS[asked])
    assert one.state is state
    (back,) = effects
    # Only where the network refused do both orders go back to their places.
    assert isinstance(back, GiveBack) and (back.wh, back.injected_wh) == (1000, 1050)
    assert back.is_barred == (state is State.REJECTED and len(events) == 2)


@pytest.mark.parametrize(
    ("limit", "toll", "reason"),
    [
        (202_000, 2_000, ""),
        (202_000, 2_001, MarketReason.TOLL_BEYOND_LIMIT),
        # Tendered before the limit was kept with the trade.
        (None, 2_001, ""),
        (None, MAX_PRICE + 1, MarketReason.PATH_OUT_OF_RANGE),
        (None, 10**30, MarketReason.PATH_OUT_OF_RANGE),
    ],
)
def test_a_path_whose_tolls_are_beyond_the_limit_is_let_go_before_any_money_is_locked(
    limit: int | None, toll: int, reason: str
) -> None:
    one = trade()
    one.buyer_limit = None if limit is None else MicroPerKwh(limit)
    held = structs.replace(HELD, toll_price=MicroPerKwh(toll))
    effects = told(one, Begin(), held)
    assert (one.reason, one.is_barred) == (reason, bool(reason))
    assert kinds(effects) == ([Release] if reason else [Lock, Sign, Wait])
    # Late or twice, and after a crash, it is as it was.
    one = decoded(encoded(one))
    assert step(one, held, NOW_NS, TIMES) is None and one.reason == reason


def test_a_loss_that_no_ledger_can_count_is_refused_as_the_network_does() -> None:
    one = trade()
    one.terms = structs.replace(one.terms, tariff=Tariff(loss_payer=LossPayer.BUYER))
    told(one, Begin(), structs.replace(HELD, max_loss=Millijoule(10**30)))
    assert (one.state, one.reason) == (State.UNWINDING, MarketReason.PATH_OUT_OF_RANGE)


def test_prices_that_have_the_path_in_them_are_charged_no_toll() -> None:
    one = trade()
    one.is_path_priced, one.buyer_limit = True, MicroPerKwh(200_000)
    told(one, Begin(), structs.replace(HELD, toll_price=MicroPerKwh(10**30)))
    assert (one.state, one.terms.toll_price) == (State.HELD, 0)


def test_a_match_that_is_refused_before_anything_was_asked_is_over_at_once() -> None:
    one = trade()
    assert kinds(told(one, Refusal("POSITION_LIMIT"))) == [GiveBack]
    assert (one.state, one.reason) == (State.REJECTED, "POSITION_LIMIT")


def test_answers_that_come_late_or_twice_change_nothing() -> None:
    one = trade()
    told(one, Begin(), HELD, Locked(), Cancel("OPERATOR"), Unsigned())
    before = encoded(one)
    stale: tuple[TradeEvent, ...] = (
        Begin(),
        HELD,
        Locked(),
        Signed(),
        Unsigned(),
        Activated(),
        read(1, 1),
        PartPaid(),
    )
    stale += (TimeOver(START_NS), Refusal("NO_ROUTE"), Cancel("AGAIN"), HoldLost())
    for event in stale:
        assert step(one, event, NOW_NS, TIMES) is None
    assert encoded(one) == before
    told(one, Closed(), Released())
    ended = encoded(one)
    for event in (*stale, Closed(), Released()):
        assert step(one, event, NOW_NS, TIMES) is None
    assert encoded(one) == ended and pending(one, TIMES) == []


def test_a_trade_that_is_confirmed_is_binding() -> None:
    one = trade()
    told(one, *TO_CONFIRMED)
    assert step(one, Cancel("REGRET"), NOW_NS, TIMES) is None
    assert one.state is State.CONFIRMED


def test_a_circuit_that_was_never_activated_is_the_networks_and_costs_the_seller_nothing() -> None:
    one = trade()
    told(one, *TO_CONFIRMED, BEGINS)
    # Asked again for as long as power is due.
    assert step(one, Refusal("HOLD_EXPIRED"), NOW_NS, TIMES) is None
    assert kinds(pending(one, TIMES)) == [Activate, Wait]
    told(one, ENDS, Released(), read(0, 0))
    assert one.settlement is not None
    (line,) = one.settlement.lines
    # Sold as firm: the operator pays.
    assert line.kind is LineKind.CURTAILMENT and line.energy == 1000 * MJ_PER_WH
    told(one, Closed())
    assert one.state is State.UNDELIVERED


def test_readings_that_do_not_come_are_waited_for_and_then_done_without() -> None:
    one = trade()
    told(one, *TO_METERS)
    assert told(one, read(None, 600)) == []
    assert one.state is State.METERING and one.until_ns is not None
    # Kept over a crash, and used when the time is over.
    one = decoded(encoded(one))
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns))
    assert one.state is State.SETTLING and one.settlement is not None
    assert one.settlement.lines[0].nano == 120_000_000


def test_a_circuit_whose_sink_has_seen_power_was_activated_whatever_the_source_says() -> None:
    one = trade()
    told(one, *TO_CONFIRMED, BEGINS, ENDS, Released(), read(None, 400))
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns))
    assert one.settlement is not None
    # The operator of the network owes nothing for what the seller did not give.
    assert {line.kind: line.payer for line in one.settlement.lines} == {
        LineKind.ENERGY: Party.BUYER,
        LineKind.TOLL: Party.BUYER,
        LineKind.SHORTFALL: Party.SELLER,
    }


def test_what_was_read_once_counts_whatever_is_read_later() -> None:
    one = trade()
    told(one, *TO_METERS)
    down = Missed(START_NS, START_NS + 1, Cause.LINK_DOWN, Millijoule(400 * MJ_PER_WH))
    sink, nothing = read(None, 600).ends, read(None, None).ends
    for said in (Read(sink, (down,)), Read(sink, (down,)), Read(nothing), Read(())):
        told(one, said)
        one = decoded(encoded(one))
    assert one.until_ns is not None and one.missed == (down,)
    told(one, TimeOver(one.until_ns))
    assert one.settlement is not None
    nano = {line.kind: line.nano for line in one.settlement.lines}
    assert (nano[LineKind.ENERGY], nano[LineKind.CURTAILMENT]) == (120_000_000, 4_000_000)


def test_ends_that_speak_one_after_the_other_have_both_spoken() -> None:
    one = trade()
    told(one, *TO_METERS, read(None, 1000), read(1050, None))
    assert one.state is State.SETTLING


def test_a_controller_that_is_away_keeps_nobody_from_his_money() -> None:
    one = trade()
    told(one, *TO_CONFIRMED, BEGINS, Activated(), ENDS)
    assert one.until_ns is not None
    effects = told(one, TimeOver(one.until_ns))
    # No meter was read: nobody pays, and nobody is blamed. The circuit is released when the controller is back.
    assert kinds(effects) == [Release, Close]
    told(one, Closed())
    assert one.state is State.SETTLING
    told(one, Released())
    assert one.state is State.UNDELIVERED


def test_of_a_disputed_trade_the_undisputed_part_is_paid_first_and_once() -> None:
    one = trade()
    (pay, _) = told(one, *TO_METERS, read(1050, 600))
    assert one.state is State.DISPUTED and isinstance(pay, Pay)
    # Resolved before it is known that the part was paid: that is asked first.
    resolved = Resolved(read(1050, 1000).ends)
    assert kinds(told(one, resolved)) == [Pay]
    (close,) = told(one, PartPaid())
    assert isinstance(close, Close)
    first = [line.nano for line in pay.lines if line.payee is Party.SELLER]
    seller = [
        each.nano
        for each in close.postings
        if each.payer is Party.BUYER and each.payee is Party.SELLER
    ]
    assert (first, seller) == ([120_000_000], [80_000_000])
    told(one, Closed())
    assert one.state is State.SETTLED


def test_of_a_disputed_trade_nobody_is_blamed_before_it_is_decided() -> None:
    one = trade()
    down = Missed(START_NS, START_NS + 1, Cause.LINK_DOWN, Millijoule(300 * MJ_PER_WH))
    (pay, _) = told(one, *TO_METERS, Read(read(1050, 500).ends, (down,)))
    assert isinstance(pay, Pay)
    assert [line.kind for line in pay.lines] == [LineKind.ENERGY, LineKind.TOLL]
    # So what is decided may be that all of it came.
    told(one, PartPaid(), Resolved(read(1050, 1000).ends), Closed())
    assert one.state is State.SETTLED


def test_a_dispute_that_nobody_decides_ends_with_what_was_undisputed() -> None:
    one = trade()
    told(one, *TO_METERS, read(1050, 600), PartPaid())
    # What takes back what was undisputed, or contradicts itself again, decides nothing.
    for wrong in (read(600, 500), read(1050, 500)):
        assert step(one, Resolved(wrong.ends), NOW_NS, TIMES) is None
    assert one.until_ns is not None
    told(one, TimeOver(one.until_ns), Closed())
    assert one.state is State.PARTIAL


def test_from_every_state_there_is_a_way_to_an_end_and_none_from_an_end() -> None:
    for state in State:
        reached, waiting = {state}, [state]
        for each in waiting:
            for (before, _), after in TRANSITIONS.items():
                if before is each and after not in reached:
                    reached.add(after)
                    waiting.append(after)
        assert any(each.ended for each in reached)
        assert not state.ended or reached == {state}
    assert {word for _, word in TRANSITIONS} == set(Word)
    assert Cause.LATE_START


def test_no_trade_is_ever_without_something_to_wait_for() -> None:
    for events in ((), *(TO_METERS[: n + 1] for n in range(len(TO_METERS)))):
        one = trade()
        for event in events:
            told(one, event)
        assert one.state is State.MATCHED or pending(one, TIMES)
        assert resumed(one, NOW_NS, TIMES)


def test_the_documentation_shows_the_table_that_the_code_runs_on() -> None:
    assert f"```mermaid\n{trade_diagram()}\n```" in (ROOT / "docs" / "trading.md").read_text()


def test_only_the_saga_changes_a_trade() -> None:
    fields = set(Trade.__struct_fields__)
    changed_in = {
        path.name
        for path in (ROOT / "trading").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "trade"
        and target.attr in fields
    }
    assert changed_in == {"saga.py"}
