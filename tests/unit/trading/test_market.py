"""One market, command by command: what is taken, cleared, cleared anew, cancelled, forgotten, and what is refused."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import pytest

from digitalgrid.units import NS_PER_S
from tests.support.market_exchange import SETTINGS, MemoryJournal, clear
from tests.support.market_steps import CALLED, CONTINUOUS, HELD, NOW_NS, billed, taken, tender
from trading.core.orders import Constraints, Interval, Side, Tender
from trading.core.readings import Ends, Reading
from trading.core.settlement import LineKind, Party
from trading.core.trades import (
    Closed,
    Hold,
    Refusal,
    Released,
    State,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Wh
from trading.exchange.services.codec import clearing_record_to_pb
from trading.market.calendar import MAX_PER_TURN
from trading.market.disputes import Objection
from trading.market.market import Market
from trading.market.outcome import Ask, Clear, Cleared, Outcome
from trading.market.phases import Phase
from trading.market.records import (
    ClearingRecord,
    ForecastRecord,
    IntervalRecord,
    NonceRecord,
    OrderRecord,
)
from trading.market.restoring import Journalled
from trading.market.settings import MarketSettings
from trading.mechanisms.book import SelfTrade
from trading.mechanisms.choices import Choices
from trading.mechanisms.mechanism import Clearing
from trading.reasons import MarketReason, Refused

R = MarketReason
Kind = TypeVar("Kind")
GATE_NS = CALLED - SETTINGS.rules.gate_ns


def at_gate(*tenders: Tender, settings: MarketSettings = SETTINGS) -> tuple[Market, Clear]:
    market = Market(settings)
    for each in tenders:
        (answer,) = taken(market, each).answer
        assert isinstance(answer, OrderRecord), answer
    return market, asked_to_clear(market.tick(GATE_NS))


def asked_to_clear(outcome: Outcome[Any]) -> Clear:
    (asked,) = [each for each in outcome.effects if isinstance(each, Clear)]
    return asked


def cleared(market: Market, asked: Clear) -> Outcome[bool]:
    return market.cleared(asked.interval.start_ns, asked.round, clear(asked), GATE_NS + 1)


def holds(outcome: Outcome[Any]) -> list[str]:
    return [
        e.trade_id for e in outcome.effects if isinstance(e, Ask) and isinstance(e.effect, Hold)
    ]


def records(outcome: Outcome[Any], kind: type[Kind]) -> Sequence[Kind]:
    return [each for each in outcome.records if isinstance(each, kind)]


def refused_by(call: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value


FOUR = (
    tender("bob", Side.SELL, 100, 100_000, nonce=1),
    tender("joe", Side.SELL, 100, 110_000, nonce=2),
    tender("ann", Side.BUY, 100, 250_000, nonce=3),
    tender("eve", Side.BUY, 100, 200_000, nonce=4),
)


def test_intervals_have_the_mechanisms_in_turn() -> None:
    market = Market(SETTINGS)
    market.resume(0)
    taken(market, *FOUR)
    assert market.sessions[CONTINUOUS].mechanism == "continuous"
    assert market.sessions[CALLED].mechanism == "call"


def test_orders_of_an_auction_wait_until_the_gate_and_become_trades_then() -> None:
    market, asked = at_gate(*FOUR)
    assert [order.seq for order in asked.orders] == [1, 2, 3, 4] and asked.round == 1
    outcome = cleared(market, asked)
    assert outcome.answer and holds(outcome) == ["m-20-1", "m-20-2"]
    (record,) = records(outcome, ClearingRecord)
    assert record.welfare == 100 * (250_000 + 200_000 - 100_000 - 110_000)
    assert market.sessions[CALLED].is_over is False


def test_a_match_that_the_network_refuses_is_cleared_anew_without_the_pair() -> None:
    market, asked = at_gate(*FOUR)
    first, second = holds(cleared(market, asked))
    seqs = {row.trade.trade_id: row.trade.buy_seq for row in market.trades()}
    market.hear(first, Refusal("NO_ROUTE", "link l1"), GATE_NS + 2)
    # Not before the network has said what becomes of the other.
    undone = market.hear(first, Released(), GATE_NS + 3)
    assert not [each for each in undone.effects if isinstance(each, Clear)]
    again = asked_to_clear(market.hear(second, HELD, GATE_NS + 4))
    assert again.round == 2 and len(again.orders) == 2
    ((barred_buy, barred_sell),) = again.barred
    assert barred_buy == seqs[first]
    outcome = cleared(market, again)
    # The two that are left are the pair that was refused.
    assert holds(outcome) == []
    told = {each.order.seq: each for each in records(outcome, OrderRecord)}
    assert {told[barred_buy].reason, told[barred_sell].reason} == {R.BARRED}
    assert told[barred_buy].open_wh == 0 and told[barred_buy].closed == R.BARRED


def test_an_interval_is_cleared_so_often_and_not_more() -> None:
    parties = ("ann", "bob", "eve", "joe")
    sells = [tender(p, Side.SELL, 50, 10_000, nonce=n) for n, p in enumerate(parties, 1)]
    buys = [tender(p, Side.BUY, 60, 20_000, nonce=n) for n, p in enumerate(parties, 11)]
    market, asked = at_gate(*sells, *buys)
    rounds = 0
    while True:
        rounds += 1
        outcome = cleared(market, asked)
        last: Outcome[Any] = outcome
        for trade_id in holds(outcome):
            market.hear(trade_id, Refusal("NO_ROUTE"), GATE_NS + 1)
            last = market.hear(trade_id, Released(), GATE_NS + 1)
        found = [each for each in last.effects if isinstance(each, Clear)]
        if not found:
            break
        (asked,) = found
    assert 1 < rounds <= SETTINGS.rounds
    assert market.sessions[CALLED].is_over
    assert not any(row.open_wh for row in market.orders.rows())


def test_of_a_clearing_that_is_wrong_nothing_is_matched() -> None:
    market, asked = at_gate(*FOUR)
    right = clear(asked)
    wrong = Cleared(right.clearing, ("order 1 is left out",), 5)
    outcome = market.cleared(CALLED, 1, wrong, GATE_NS + 1)
    (record,) = records(outcome, ClearingRecord)
    assert record.faults and not record.matches and not holds(outcome)
    told = records(outcome, OrderRecord)
    assert {each.reason for each in told} == {R.NOT_SOLVED}
    assert market.positions.of("meter of ann", asked.interval).open_bought == 0


def test_all_orders_of_a_clearing_that_is_wrong_are_told_so_over_a_restart_too() -> None:
    journal, market, many = MemoryJournal(), Market(SETTINGS), 3 * MAX_PER_TURN
    sells = [tender("bob", Side.SELL, 1, 100_000, nonce=n) for n in range(1, many + 1)]
    journal.write(taken(market, *sells, tender("ann", Side.BUY, 1, 200_000, nonce=1)).records)
    outcome: Outcome[Any] = market.tick(GATE_NS)
    journal.write(outcome.records)
    wrong = Cleared(clear(asked_to_clear(outcome)).clearing, ("order 1 is left out",), 5)
    outcome = market.cleared(CALLED, 1, wrong, GATE_NS + 1)
    while True:
        journal.write(outcome.records)
        if market.next_deadline_ns():
            break
        market = Market(SETTINGS, journal.journalled())
        outcome = market.tick(GATE_NS + 2)
    assert {each.closed for each in journal.orders.values()} == {R.NOT_SOLVED}
    assert market.sessions[CALLED].is_over and not any(r.open_wh for r in market.orders.rows())


def test_what_is_decided_for_many_orders_at_once_is_carried_out_some_at_a_time() -> None:
    journal = MemoryJournal()
    market, many = Market(SETTINGS), 3 * MAX_PER_TURN
    sells = [tender("bob", Side.SELL, 1, 100_000, nonce=n) for n in range(1, many + 1)]
    buys = [tender("ann", Side.BUY, 1, 200_000, nonce=n) for n in range(1, 2 * many + 1)]
    for each in (sells, buys):
        journal.write(taken(market, *each).records)
    outcome: Outcome[Any] = market.tick(GATE_NS)
    journal.write(outcome.records)
    outcome, agreed, told = cleared(market, asked_to_clear(outcome)), 0, 0
    for _ in range(100):
        journal.write(outcome.records)
        assert len(holds(outcome)) <= MAX_PER_TURN
        assert len(records(outcome, OrderRecord)) <= 4 * MAX_PER_TURN
        agreed += len(holds(outcome))
        told += sum(each.reason == R.AT_MARGIN for each in records(outcome, OrderRecord))
        if market.next_deadline_ns():
            break
        # A restart in between goes on there.
        market = Market(SETTINGS, journal.journalled())
        outcome = market.tick(GATE_NS + 2)
    assert (agreed, told) == (many, many)
    assert [row.number for row in market.trades()] == list(range(1, many + 1))
    assert len({row.trade.buy_seq for row in market.trades()}) == many
    # Nobody is kept out by what is left: once the interval begins, all of that is closed, some at a time too.
    closed = 0
    while market.next_deadline_ns() in (0, CALLED):
        outcome = market.tick(CALLED)
        assert len(records(outcome, OrderRecord)) <= 2 * MAX_PER_TURN
        closed += sum(bool(each.closed) for each in records(outcome, OrderRecord))
    assert closed == 3 * many and not any(row.open_wh for row in market.orders.rows())


def test_an_answer_that_comes_too_late_or_twice_matches_nothing() -> None:
    market, asked = at_gate(*FOUR)
    assert market.awaits(CALLED, 1) and not market.awaits(CALLED, 2)
    market.tick(CALLED)
    assert not market.cleared(CALLED, 1, clear(asked), CALLED).answer
    assert market.order("ann", "o3").reason == R.NOT_CLEARED
    again, asked = at_gate(*FOUR)
    assert cleared(again, asked).answer and not cleared(again, asked).answer
    assert not market.cleared(0, 1, Cleared(Clearing((), (), ()), (), 0), CALLED).answer


def test_who_waited_in_vain_is_told_what_the_clearing_waited_for_over_a_restart_too() -> None:
    market, asked = at_gate(*FOUR)
    market.held_up(CALLED, asked.round + 1, R.NOT_CLEARED, GATE_NS)
    market.held_up(CALLED, asked.round, R.CLEARER_LOADING, GATE_NS)
    outcome = market.tick(CALLED)
    assert {each.reason for each in records(outcome, OrderRecord)} == {R.CLEARER_LOADING}
    (interval,) = records(outcome, IntervalRecord)
    assert interval.is_over and interval.uncleared is R.CLEARER_LOADING
    # The exchange ends before it has told them.
    waiting = [OrderRecord(each, each.wh, Wh(0)) for each in asked.orders]
    journalled = Journalled((interval,), tuple(waiting), next_seq=5)
    again = Market(SETTINGS, journalled)
    told = records(again.tick(CALLED), OrderRecord)
    assert [each.reason for each in told] == [R.CLEARER_LOADING] * 4


def test_an_answer_in_time_leaves_nothing_of_what_it_waited_for() -> None:
    market, asked = at_gate(*FOUR[1:])
    market.held_up(CALLED, asked.round, R.CLEARER_LOADING, GATE_NS)
    cleared(market, asked)
    market.tick(CALLED)
    assert market.sessions[CALLED].uncleared is None
    assert R.CLEARER_LOADING not in {row.reason for row in market.orders.rows()}


def test_after_a_long_sleep_an_interval_goes_through_all_its_phases_at_once() -> None:
    market = Market(SETTINGS)
    taken(market, *FOUR)
    outcome = market.tick(CALLED + 100 * NS_PER_S)
    told = records(outcome, OrderRecord)
    assert {each.reason for each in told} == {R.NOT_CLEARED}
    phases = [each.phase for each in records(outcome, IntervalRecord)]
    assert Phase.ENDED in phases
    assert CALLED not in market.sessions and not list(market.orders.rows())
    assert not market.positions.rows() and market.orders.committed("ann") == 0
    # It is not taken again: its nonce was used, and its gate has closed.
    anew = msgspec.structs.replace(FOUR[0], nonce=9)
    for each, reason in ((FOUR[0], R.STALE_NONCE), (anew, R.INTERVAL_CLOSED)):
        (again,) = taken(market, each, now_ns=CALLED + 101 * NS_PER_S).answer
        assert isinstance(again, Refused) and again.reason is reason


def test_what_waits_of_an_order_is_cancelled_once_and_not_after_the_gate() -> None:
    market = Market(SETTINGS)
    taken(market, *FOUR)
    assert refused_by(lambda: market.cancel("ann", 3, "o3", NOW_NS)).reason is R.STALE_NONCE
    assert refused_by(lambda: market.cancel("bob", 9, "o3", NOW_NS)).reason is R.ORDER_UNKNOWN
    # A cancel that is refused does not end an order that comes later.
    assert refused_by(lambda: market.cancel("ann", 8, "o5", NOW_NS)).reason is R.ORDER_UNKNOWN
    assert refused_by(lambda: market.cancel("ann", 8, "o3", NOW_NS)).reason is R.STALE_NONCE
    gone = market.cancel("ann", 9, "o3", NOW_NS).answer
    assert (gone.open_wh, gone.reason, gone.closed) == (0, R.CANCELLED, R.CANCELLED)
    # Whoever did not hear of it may say so again, with whatever nonce.
    again = market.cancel("ann", 9, "o3", NOW_NS)
    assert again.answer == gone and not again.records
    asked = asked_to_clear(market.tick(GATE_NS))
    assert len(asked.orders) == 3
    assert refused_by(lambda: market.cancel("eve", 9, "o4", GATE_NS)).reason is R.INTERVAL_CLOSED


def test_an_order_that_is_good_till_a_date_is_not_cleared_after_it() -> None:
    dated = tender("ann", Side.BUY, 10, 250_000, nonce=5, expires_ns=GATE_NS)
    market, asked = at_gate(dated, FOUR[0])
    assert [order.seq for order in asked.orders] == [2]
    assert market.order("ann", "o5").reason == R.EXPIRED


def test_what_open_orders_can_come_to_is_not_spent_twice() -> None:
    market = Market(SETTINGS)
    (first, second) = taken(
        market,
        tender("ann", Side.BUY, 100, 200_000, nonce=1),
        tender("ann", Side.BUY, 100, 200_000, nonce=2),
        free=30_000_000,
    ).answer
    assert isinstance(first, OrderRecord) and isinstance(second, Refused)
    assert second.reason is R.FUNDS and market.orders.committed("ann") == 20_000_000
    # Who sells cheap may have to make the buyer whole at the utility's price.
    (sold,) = taken(market, tender("bob", Side.SELL, 100, 100_000, nonce=1), free=1).answer
    assert isinstance(sold, Refused) and sold.reason is R.FUNDS
    market.cancel("ann", 9, "o1", NOW_NS)
    assert market.orders.committed("ann") == 0


def test_a_circuit_has_to_keep_what_both_orders_ask_for() -> None:
    market = Market(SETTINGS)
    market.resume(0)
    loss = Constraints(50_000, ("l1",))
    sells = tender("bob", Side.SELL, 9, 10, nonce=1, start_ns=CONTINUOUS, constraints=loss)
    also = Constraints(20_000, ("l1", "r7"))
    buys = tender("ann", Side.BUY, 9, 10, nonce=1, start_ns=CONTINUOUS, constraints=also)
    outcome = taken(market, sells, buys, now_ns=0)
    (asked,) = [each.effect for each in outcome.effects if isinstance(each, Ask)]
    assert isinstance(asked, Hold)
    assert asked.constraints == Constraints(20_000, ("l1", "r7"))


def test_buyer_and_seller_may_object_to_a_bill_and_nobody_else() -> None:
    market, trade_id = billed()

    def object_to(
        party: str, nonce: int, statement: str = "no", evidence: tuple[str, ...] = ()
    ) -> Outcome[Any]:
        objection = Objection(LineKind.ENERGY, statement, evidence)
        return market.object_to(party, nonce, trade_id, objection, CALLED)

    assert refused_by(lambda: object_to("eve", 9)).reason is R.NOT_A_PARTY
    assert refused_by(lambda: object_to("ann", 1)).reason is R.STALE_NONCE
    assert refused_by(lambda: object_to("ann", 9, "x" * 1_001)).reason is R.STATEMENT_UNFIT
    # What was refused is not said by others later.
    assert refused_by(lambda: object_to("ann", 9)).reason is R.STALE_NONCE
    assert records(market.refused(), NonceRecord) == [NonceRecord("eve", 9), NonceRecord("ann", 9)]
    assert refused_by(lambda: object_to("ann", 10, "\x1b")).reason is R.STATEMENT_UNFIT
    unfit = refused_by(lambda: object_to("ann", 11, "no", ("c7", "")))
    assert (unfit.reason, unfit.field) == (R.EVIDENCE_UNFIT, "evidence")
    assert object_to("ann", 12, "no", ("c7",)).records
    row = market.trade(trade_id)
    assert row is not None and row.trade.state is State.DISPUTED
    assert (row.trade.objected, row.trade.objected_by) == (LineKind.ENERGY, Party.BUYER)
    assert row.trade.evidence == ("c7",)
    # With other evidence it is another objection.
    assert not object_to("ann", 12, "no", ("c7",)).records
    assert refused_by(lambda: object_to("ann", 13)).reason is R.NOT_OPEN_TO_OBJECTIONS
    assert refused_by(lambda: object_to("bob", 9)).reason is R.NOT_OPEN_TO_OBJECTIONS
    gone = refused_by(
        lambda: market.object_to("ann", 14, "m-1-1", Objection(LineKind.LOSS), CALLED)
    )
    assert gone.reason is R.NOT_OPEN_TO_OBJECTIONS


def test_a_dispute_is_decided_once_and_whoever_did_not_hear_of_it_may_say_so_again() -> None:
    market, trade_id = billed()
    seen = [Reading(0, 0, Millijoule(90 * MJ_PER_WH))]
    ends = (Ends(seen, seen, 1_000_000),)

    def decide(nonce: int, decision: str = "90") -> Outcome[Any]:
        return market.resolve("joe", nonce, trade_id, ends, decision, CALLED)

    early = refused_by(lambda: decide(5))
    assert (early.reason, early.field) == (R.NOT_DISPUTED, "trade_id")
    market.object_to("ann", 9, trade_id, Objection(LineKind.ENERGY, "no"), CALLED)
    # What came too early is not said by others once there is a dispute.
    assert refused_by(lambda: decide(5)).reason is R.STALE_NONCE
    assert refused_by(lambda: decide(6, "\x1b")).field == "decision"
    assert decide(7).records
    row = market.trade(trade_id)
    assert row is not None and (row.trade.state, row.trade.decision) == (State.SETTLING, "90")
    for nonce in (7, 8):
        assert not decide(nonce).records
    assert refused_by(lambda: decide(9, "80")).reason is R.NOT_DISPUTED
    # Of a trade that was never decided about, no words are those that it was decided with.
    never, trade_id = billed()
    row = never.trade(trade_id)
    assert row is not None
    silent = refused_by(lambda: never.resolve("joe", 5, trade_id, row.trade.ends, "", CALLED))
    assert silent.reason is R.NOT_DISPUTED


def test_an_interval_is_kept_until_its_last_bill_is_paid() -> None:
    market, trade_id = billed()
    assert market.sessions[CONTINUOUS].phase is Phase.SETTLING
    row = market.trade(trade_id)
    assert row is not None and row.trade.until_ns is not None
    market.tick(row.trade.until_ns)
    assert [type(each).__name__ for each in market.wants(trade_id)] == ["Close"]
    outcome = market.hear(trade_id, Closed(), row.trade.until_ns)
    (ended,) = records(outcome, IntervalRecord)
    assert ended.phase is Phase.ENDED
    assert market.trade(trade_id) is None and not market.wants(trade_id)
    # Answers that come later are nobody's.
    assert not market.hear(trade_id, Closed(), row.trade.until_ns).answer


def test_intervals_of_another_length_are_not_opened_beside_those_that_were_signed_for() -> None:
    """An exchange that is started anew with another length keeps to what was tendered for."""
    before = Market(SETTINGS)
    outcome = taken(before, *FOUR)
    kept = Journalled(
        tuple(records(outcome, IntervalRecord)), tuple(records(outcome, OrderRecord)), next_seq=5
    )
    length_ns = 4 * NS_PER_S
    rules = msgspec.structs.replace(SETTINGS.rules, length_ns=length_ns, ahead=5)
    market = Market(msgspec.structs.replace(SETTINGS, rules=rules), kept)
    market.resume(NOW_NS)
    lengths = {at: each.interval.length_ns for at, each in market.sessions.items()}
    # From 20 s to 30 s runs the old one: of those of 4 s one ends at 20 s, and the next begins at 32 s.
    assert lengths == {
        CALLED: 10 * NS_PER_S,
        16 * NS_PER_S: length_ns,
        32 * NS_PER_S: length_ns,
    }
    for at_s in (20, 24, 28):
        wanted = msgspec.structs.replace(
            FOUR[2], interval=Interval(at_s * NS_PER_S, length_ns), order_id="new", nonce=10 + at_s
        )
        (answer,) = taken(market, wanted).answer
        assert isinstance(answer, Refused) and answer.reason is R.INTERVAL_UNKNOWN
        assert "runs until" in str(answer)
    assert set(market.positions.rows()) == {
        (f"meter of {party}", Interval(CALLED, 10 * NS_PER_S))
        for party in ("ann", "bob", "eve", "joe")
    }
    (answer,) = taken(market, FOUR[0]).answer
    assert isinstance(answer, OrderRecord) and answer.order.seq == 1
    asked = asked_to_clear(market.tick(GATE_NS))
    assert (asked.interval.length_ns, len(asked.orders)) == (10 * NS_PER_S, 4)
    market.tick(CALLED + 100 * NS_PER_S)
    assert CALLED not in market.sessions and not market.positions.rows()


def test_seqs_go_on_where_they_ended_whoever_is_remembered() -> None:
    market = Market(SETTINGS, Journalled(next_seq=42))
    (first,) = taken(market, FOUR[0]).answer
    assert isinstance(first, OrderRecord) and first.order.seq == 42


@pytest.mark.parametrize(
    ("mode", "waits"),
    [
        (SelfTrade.CANCEL_NEWEST, [10, 0]),
        (SelfTrade.CANCEL_OLDEST, [0, 10]),
        (SelfTrade.CANCEL_BOTH, [0, 0]),
    ],
)
def test_where_two_orders_of_a_party_would_meet_the_market_says_which_ends(
    mode: SelfTrade, waits: list[int]
) -> None:
    settings = msgspec.structs.replace(SETTINGS, self_trade=mode)
    market, journal = Market(settings), MemoryJournal()
    # The book is as it was after a restart too.
    sells = tender("ann", Side.SELL, 10, 10, nonce=1, start_ns=CONTINUOUS)
    journal.write(taken(market, sells, now_ns=0).records)
    market = Market(settings, journal.journalled())
    buys = tender("ann", Side.BUY, 10, 10, nonce=2, start_ns=CONTINUOUS)
    journal.write(taken(market, buys, now_ns=0).records)
    assert [journal.orders[seq].open_wh for seq in (1, 2)] == waits
    assert R.SELF_TRADE in {each.reason for each in journal.orders.values()}


def test_whoever_clears_is_told_what_the_market_chooses() -> None:
    choices = Choices(MicroPerKwh(7), SelfTrade.CANCEL_BOTH)
    market = Market(
        msgspec.structs.replace(
            SETTINGS, self_trade=choices.self_trade, reference=choices.reference
        )
    )
    market.resume(0)
    assert market.preview(CONTINUOUS).choices == choices
    assert Market(SETTINGS).settings.choices == Choices()


def test_a_clearing_says_by_which_reference_price() -> None:
    reference = MicroPerKwh(0)
    market, asked = at_gate(*FOUR, settings=msgspec.structs.replace(SETTINGS, reference=reference))
    (record,) = records(cleared(market, asked), ClearingRecord)
    told = clearing_record_to_pb(record, 0)
    assert record.reference == told.reference_micro_per_kwh == reference
    # Also where it is 0, which is not none.
    assert told.HasField("reference_micro_per_kwh")
    market, asked = at_gate(*FOUR)
    (record,) = records(cleared(market, asked), ClearingRecord)
    assert record.reference is None


def test_a_forecast_limits_what_a_meter_sells_also_after_a_restart_and_what_is_sold_stays_so() -> (
    None
):
    market, journal = Market(SETTINGS), MemoryJournal()
    journal.write(market.resume(0).records)
    sold = tender("bob", Side.SELL, 60, 10, nonce=1, start_ns=CONTINUOUS)
    bought = tender("ann", Side.BUY, 60, 10, nonce=1, start_ns=CONTINUOUS)
    journal.write(taken(market, sold, bought, now_ns=0).records)

    def foretold(most: int, nonce: int, party: str = "bob", start_ns: int = CONTINUOUS) -> Any:
        return market.forecast(party, nonce, "meter of bob", start_ns, most, 0)

    meter, interval = foretold(50, 2).answer
    assert (meter.meter_id, interval.start_ns) == ("meter of bob", CONTINUOUS)
    position = market.positions.of(meter.meter_id, interval)
    assert (position.sold, position.open_sold) == (60, 0)
    assert market.positions.most(meter, interval, Side.SELL) == 50
    # The same again is answered; another word of an old nonce is none.
    assert not foretold(50, 2).records
    assert refused_by(lambda: foretold(70, 2)).reason is R.STALE_NONCE
    told = foretold(80, 3)
    # Nothing is written down beside it, as what others have said.
    assert {type(each) for each in told.records} == {NonceRecord, ForecastRecord}
    journal.write(told.records)
    market = Market(SETTINGS, journal.journalled())
    (over,) = taken(market, changed(sold, 21, 4), now_ns=0).answer
    assert isinstance(over, Refused) and over.reason is R.POSITION_LIMIT
    (within,) = taken(market, changed(sold, 20, 5), now_ns=0).answer
    assert isinstance(within, OrderRecord)
    (other,) = taken(market, changed(sold, 900, 6, side=Side.BUY), now_ns=0).answer
    assert isinstance(other, OrderRecord)
    # Whose meter it is not says nothing, and nobody anything of a time that is closed or unknown.
    assert refused_by(lambda: foretold(5, 7, "ann")).reason is R.METER_NOT_YOURS
    assert refused_by(lambda: foretold(-1, 8)).reason is R.FORECAST_OUT_OF_RANGE
    assert refused_by(lambda: foretold(5, 9, start_ns=7)).reason is R.INTERVAL_UNKNOWN
    assert foretold(5, 10, "operator").answer[0] == meter
    market.tick(CONTINUOUS)
    assert refused_by(lambda: foretold(6, 11)).reason is R.INTERVAL_CLOSED


@pytest.mark.parametrize(("start_ns", "now_ns"), [(CONTINUOUS, 0), (CALLED, NOW_NS)])
def test_what_a_meter_offers_beyond_its_forecast_ends_the_newest_first(
    start_ns: int, now_ns: int
) -> None:
    market = Market(SETTINGS)
    market.resume(now_ns)
    first = tender("bob", Side.SELL, 30, 10, nonce=1, start_ns=start_ns)
    others = [
        changed(first, 15, 2),
        changed(first, 600, 3),
        tender("bob", Side.BUY, 900, 1, nonce=4, start_ns=start_ns),
    ]
    joe = tender("joe", Side.SELL, 500, 10, nonce=1, start_ns=start_ns)
    taken(market, first, *others, joe, now_ns=now_ns)
    told = market.forecast("operator", 1, "meter of bob", start_ns, 50, now_ns)
    (ended,) = records(told, OrderRecord)
    assert (ended.order.order_id, ended.open_wh) == ("o3", 0)
    assert ended.reason == ended.closed == R.FORECAST
    assert not records(market.forecast("bob", 5, "meter of bob", start_ns, 45, now_ns), OrderRecord)
    ended_too = records(
        market.forecast("bob", 6, "meter of bob", start_ns, 44, now_ns), OrderRecord
    )
    assert [each.order.order_id for each in ended_too] == ["o2"]
    position = market.positions.of("meter of bob", first.interval)
    assert (position.open_sold, position.open_bought) == (30, 900)
    assert market.order("joe", "o1").open_wh == 500


def test_what_is_sold_beyond_a_forecast_is_not_offered_again_if_the_network_refuses_it() -> None:
    market = Market(SETTINGS)
    market.resume(0)
    sold = tender("bob", Side.SELL, 60, 10, nonce=1, start_ns=CONTINUOUS)
    bought = tender("ann", Side.BUY, 60, 10, nonce=1, start_ns=CONTINUOUS)
    (trade_id,) = holds(taken(market, sold, bought, now_ns=0))
    market.forecast("bob", 2, "meter of bob", CONTINUOUS, 50, 0)
    position = market.positions.of("meter of bob", sold.interval)
    assert position.sold == 60 and market.order("bob", "o1").closed == R.FORECAST
    market.hear(trade_id, Refusal("NO_ROUTE"), 1)
    market.hear(trade_id, Released(), 2)
    assert (market.order("bob", "o1").open_wh, market.order("ann", "o1").open_wh) == (0, 60)
    assert market.positions.of("meter of bob", sold.interval).most_injected == 0


def changed(of: Tender, wh: int, nonce: int, side: Side = Side.SELL) -> Tender:
    order_id = f"o{nonce}"
    return msgspec.structs.replace(of, wh=Wh(wh), nonce=nonce, order_id=order_id, side=side)
