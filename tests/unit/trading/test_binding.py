"""What the ledger's log says decides: which trades are binding, and how those end whose escrow is gone."""

import pytest

from tests.support.sagas import (
    BEGINS,
    ENDS,
    HELD,
    NOW_NS,
    START_NS,
    TIMES,
    TO_METERS,
    kinds,
    read,
    told,
    trade,
)
from trading.core.asking import pending
from trading.core.saga import resumed, step
from trading.core.trades import (
    NO_ESCROW,
    REFUNDED,
    Activated,
    Begin,
    Bind,
    Cancel,
    Close,
    Closed,
    Effect,
    HoldLost,
    Lock,
    Locked,
    PartPaid,
    Pay,
    Refusal,
    Release,
    Released,
    Resolved,
    Revoke,
    Sign,
    Signed,
    State,
    TimeOver,
    TradeEvent,
    Unsigned,
    Wait,
    decoded,
    encoded,
)
from trading.ledger.refusals import LedgerReason


@pytest.mark.parametrize("events", [(), (Locked(),)])
@pytest.mark.parametrize("undoes", [None, Cancel("REGRET"), HoldLost(), Refusal("X")])
def test_what_is_signed_for_in_the_log_is_binding_although_its_answer_was_lost(
    undoes: TradeEvent | None, events: tuple[TradeEvent, ...]
) -> None:
    one = trade()
    told(one, Begin(), HELD, *events)
    assert one.until_ns is not None
    (revoke,) = told(one, undoes or TimeOver(one.until_ns))
    # Under the key of the signature, so that the log has one of the two.
    assert isinstance(revoke, Revoke) and revoke.key == "t1/sign"
    assert step(one, Cancel("AGAIN"), NOW_NS, TIMES) is None
    one = decoded(encoded(one))
    assert kinds(resumed(one, NOW_NS, TIMES)) == [Revoke]
    assert kinds(told(one, Signed(), now_ns=START_NS)) == [Bind, Wait]
    assert (one.state, one.ends_in, one.reason) == (State.CONFIRMED, None, "")
    told(one, BEGINS, Activated(), ENDS, Released(), read(1050, 1000), Closed())
    assert one.state is State.SETTLED


def test_each_entry_in_the_log_has_a_key_of_its_own() -> None:
    one = trade()
    asked: list[Effect] = []
    for event in (*TO_METERS, read(1050, 600)):
        asked += told(one, event)
    asked += told(one, PartPaid(), Resolved(read(1050, 1000).ends))
    written = [each for each in asked if isinstance(each, Lock | Sign | Pay | Close)]
    # The signature is asked for with the money, and again where only that is known to stand.
    keys = list(dict.fromkeys(each.key for each in written))
    assert keys == ["t1/lock", "t1/sign", "t1/part", "t1/close"]
    assert {each.trade_id for each in written} == {"t1"}


def test_an_escrow_that_was_closed_before_keeps_no_trade_from_its_end() -> None:
    assert NO_ESCROW == LedgerReason.NO_ESCROW
    one = trade()
    told(one, Begin(), HELD, HoldLost(), Unsigned())
    assert kinds(told(one, Refusal(NO_ESCROW))) == [Release]
    told(one, Released())
    assert (one.state, one.reason) == (State.EXPIRED, "HOLD_EXPIRED")


@pytest.mark.parametrize("at", ["metering", "settling", "refused"])
def test_a_bill_of_an_escrow_that_was_refunded_is_paid_by_nobody_and_ends(at: str) -> None:
    one = trade()
    told(one, *TO_METERS)
    if at == "metering":
        told(one, Closed())
        assert told(one, read(1050, 1000)) == []
    else:
        told(one, read(1050, 1000))
        told(one, Closed(is_refund=True) if at == "settling" else Refusal(NO_ESCROW))
    assert (one.state, one.reason) == (State.UNDELIVERED, REFUNDED)
    # What would have been due is kept.
    assert one.settlement is not None and one.settlement.lines[0].nano == 200_000_000
    assert pending(one, TIMES) == []


@pytest.mark.parametrize(
    ("answer", "state"), [(PartPaid(), State.PARTIAL), (Refusal(NO_ESCROW), State.UNDELIVERED)]
)
def test_a_disputed_trade_that_was_refunded_ends_with_the_part_that_was_paid_before_or_nothing(
    answer: TradeEvent, state: State
) -> None:
    one = trade()
    told(one, *TO_METERS, read(1050, 600))
    # Whether the part was paid before is asked all the same.
    assert kinds(told(one, Closed(is_refund=True))) == [Pay, Wait]
    assert kinds(told(one, Resolved(read(1050, 1000).ends))) == [Pay]
    assert told(one, answer) == []
    assert (one.state, one.reason) == (state, REFUNDED)
