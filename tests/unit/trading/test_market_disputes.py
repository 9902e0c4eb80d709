"""Objections to a bill of a market, and how they are decided: by whom, how often, and said again."""

from typing import Any

from tests.support.market_steps import CALLED, billed, records, refused_by
from trading.core.readings import Ends, Reading
from trading.core.settlement import LineKind, Party
from trading.core.trades import State
from trading.core.units import MJ_PER_WH, Millijoule
from trading.market.disputes import Objection
from trading.market.outcome import Outcome
from trading.market.records import NonceRecord
from trading.reasons import MarketReason

R = MarketReason


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
