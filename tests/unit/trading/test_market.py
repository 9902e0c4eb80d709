"""One market, command by command: what is taken, cancelled, forgotten, and what is refused."""

import msgspec
import pytest

from digitalgrid.units import NS_PER_S
from tests.support.garbage import left_by
from tests.support.market_journal import MemoryJournal
from tests.support.market_settings import SETTINGS
from tests.support.market_steps import (
    CALLED,
    CONTINUOUS,
    FOUR,
    GATE_NS,
    NOW_NS,
    asked_to_clear,
    billed,
    records,
    refused_by,
    taken,
    tender,
)
from trading.core.orders import Constraints, Interval, Side
from trading.core.trades import Closed, Hold
from trading.market.market import Market
from trading.market.outcome import Ask
from trading.market.phases import Phase
from trading.market.records import IntervalRecord, OrderRecord
from trading.market.restoring import Journalled
from trading.mechanisms.book import SelfTrade
from trading.reasons import MarketReason, Refused

R = MarketReason


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


def test_a_batch_that_is_refused_leaves_nothing_for_the_garbage_collector() -> None:
    market = Market(SETTINGS)
    taken(market, tender("ann", Side.BUY, 1, 200_000, nonce=100))
    stale = [tender("ann", Side.BUY, 1, 200_000, nonce=nonce) for nonce in range(50)]
    assert all(isinstance(each, Refused) for each in taken(market, *stale).answer)
    assert left_by(lambda: taken(market, *stale)) < len(stale)


def test_a_word_that_is_said_again_leaves_nothing_for_the_garbage_collector() -> None:
    market = Market(SETTINGS)
    taken(market, tender("ann", Side.BUY, 1, 200_000, nonce=100))
    market.cancel("ann", 101, "o100", NOW_NS)

    def again() -> None:
        for _ in range(50):
            market.cancel("ann", 101, "o100", NOW_NS)

    assert left_by(again) < 50
