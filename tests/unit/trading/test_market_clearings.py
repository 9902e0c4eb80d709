"""Auctions of a market: orders wait until the gate, are cleared, and cleared anew where the network refuses a match."""

from typing import Any

import msgspec

from tests.support.market_journal import MemoryJournal
from tests.support.market_settings import SETTINGS
from tests.support.market_steps import (
    CALLED,
    CONTINUOUS,
    FOUR,
    GATE_NS,
    HELD,
    asked_to_clear,
    at_gate,
    clear,
    cleared,
    holds,
    records,
    taken,
    tender,
)
from trading.core.orders import Side
from trading.core.trades import Refusal, Released
from trading.core.units import MicroPerKwh, Wh
from trading.exchange.services.codec import clearing_record_to_pb
from trading.market.calendar import MAX_PER_TURN
from trading.market.market import Market
from trading.market.outcome import Clear, Cleared, Outcome
from trading.market.records import ClearingRecord, IntervalRecord, OrderRecord
from trading.market.restoring import Journalled
from trading.mechanisms.book import SelfTrade
from trading.mechanisms.choices import Choices
from trading.mechanisms.mechanism import Clearing
from trading.reasons import MarketReason

R = MarketReason


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


def test_an_order_that_is_good_till_a_date_is_not_cleared_after_it() -> None:
    dated = tender("ann", Side.BUY, 10, 250_000, nonce=5, expires_ns=GATE_NS)
    market, asked = at_gate(dated, FOUR[0])
    assert [order.seq for order in asked.orders] == [2]
    assert market.order("ann", "o5").reason == R.EXPIRED


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
