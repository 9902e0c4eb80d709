"""What an operator may decide: registers that a circuit can have carried, in words that can be kept and shown."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from digitalgrid.limits import MAX_INT64
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.market_steps import CALLED, billed
from tests.support.sagas import NOW_NS, TIMES, TO_METERS, read, told, trade
from trading.core.readings import Ends, Reading, most_register
from trading.core.saga import step
from trading.core.trades import Resolved, State, Trade
from trading.core.units import Millijoule
from trading.exchange.services.bills import settlement_to_pb
from trading.exchange.services.settlement import SettlementService
from trading.market.disputes import MAX_STATEMENT, Objection, check_evidence, check_statement
from trading.market.records import TradeRecord
from trading.reasons import MarketReason, Refused


def disputed() -> Trade:
    one = trade()
    told(one, *TO_METERS, read(1050, 600))
    assert one.state is State.DISPUTED
    return one


def decided(one: Trade, request: pb.ResolveDisputeRequest) -> Refused:
    async def found(trade_id: str) -> TradeRecord:
        return TradeRecord(one, 1, "call", 0, 0)

    async def resolve(
        party: str, nonce: int, trade_id: str, ends: tuple[Ends, ...], decision: str
    ) -> Trade:
        check_statement(decision, "decision")
        step(one, Resolved(ends, one.missed, decision), NOW_NS, TIMES)
        return one

    exchange: Any = SimpleNamespace(
        mandates=SimpleNamespace(check_operator=lambda method, message: None),
        runtime=SimpleNamespace(
            find_trade=found, resolve=resolve, market=SimpleNamespace(trade=lambda trade_id: None)
        ),
    )
    hearing: Any = None
    with pytest.raises(Refused) as refused:
        asyncio.run(SettlementService(exchange, hearing).ResolveDispute(request, None))
    return refused.value


@pytest.mark.parametrize("register_mj", [MAX_INT64, most_register(trade().terms.contract) + 1, -1])
@pytest.mark.parametrize("end", ["injected_mj", "delivered_mj"])
def test_a_register_that_no_circuit_can_have_carried_is_refused(end: str, register_mj: int) -> None:
    one = disputed()
    deliveries = [pb.Delivery(generation=each, **{end: register_mj}) for each in (0, 1, 2)]
    refused = decided(one, pb.ResolveDisputeRequest(trade_id="t1", deliveries=deliveries))
    assert refused.reason is MarketReason.REGISTER_OUT_OF_RANGE
    assert one.state is State.DISPUTED


@pytest.mark.parametrize("words", ["x" * (MAX_STATEMENT + 1), "\x1b[2J"])
def test_a_decision_has_words_that_can_be_kept_and_shown(words: str) -> None:
    one = disputed()
    refused = decided(one, pb.ResolveDisputeRequest(trade_id="t1", decision=words))
    assert (refused.reason, refused.field) == (MarketReason.STATEMENT_UNFIT, "decision")
    assert one.state is State.DISPUTED and not one.decision


def test_what_no_bill_can_tell_is_no_decision() -> None:
    one = disputed()
    ends = [
        Ends((Reading(0, 0, Millijoule(MAX_INT64)),), (), 1_050_000, generation=each)
        for each in range(3)
    ]
    assert step(one, Resolved(tuple(ends)), NOW_NS, TIMES) is None
    assert one.settlement is not None
    assert settlement_to_pb(one, one.settlement, "operator").delivered_mj > 0


@pytest.mark.parametrize(
    "evidence", [("c7",) * 17, ("",), ("c7", "x" * 129), ("c7\n",), ("\x1b[2J",)]
)
def test_evidence_that_cannot_be_kept_and_shown_is_refused(evidence: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as refused:
        check_evidence(evidence)
    assert (refused.value.reason, refused.value.field) == (MarketReason.EVIDENCE_UNFIT, "evidence")


def test_as_much_evidence_as_is_looked_at_is_kept() -> None:
    check_evidence(("x" * 128,) * 16)


def objected(request: pb.OpenDisputeRequest) -> pb.Settlement:
    market, trade_id = billed()

    async def told(read: Any) -> Any:
        """At once."""
        return read

    async def object_to(party: str, nonce: int, asked: str, objection: Objection) -> Trade:
        return market.object_to(party, nonce, asked, objection, CALLED).answer

    exchange: Any = SimpleNamespace(
        mandates=SimpleNamespace(party_of=lambda method, message: "ann"),
        runtime=SimpleNamespace(told=told, object_to=object_to, market=market),
    )
    hearing: Any = SimpleNamespace(turn=lambda party, nonce: nullcontext())
    request.mandate.nonce = 9
    request.trade_id = trade_id
    return asyncio.run(SettlementService(exchange, hearing).OpenDispute(request, None)).settlement


def test_what_a_party_names_as_evidence_stands_with_its_bill() -> None:
    told = objected(pb.OpenDisputeRequest(line="energy", evidence=["c7", "log 41"]))
    assert (told.objected_by, told.objected_line) == ("ann", "energy")
    assert list(told.evidence) == ["c7", "log 41"]


def test_evidence_that_is_not_fit_is_refused_by_its_field() -> None:
    with pytest.raises(Refused) as refused:
        objected(pb.OpenDisputeRequest(line="energy", evidence=["c7"] * 17))
    assert (refused.value.reason, refused.value.field) == (MarketReason.EVIDENCE_UNFIT, "evidence")


def test_nobody_objects_to_the_fee_of_having_objected() -> None:
    with pytest.raises(Refused) as refused:
        objected(pb.OpenDisputeRequest(line="fee"))
    assert (refused.value.reason, refused.value.field) == (MarketReason.LINE_UNKNOWN, "line")
