"""Whoever was refused for its rate is heard seldom for a while, whichever word it says; no other party waits for it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from tests.unit.trading.test_market_service import Parties, among
from trading.exchange.services import settlement, turns
from trading.exchange.services.turns import Pauses


def words(parties: Parties, party: str) -> dict[str, Any]:
    """Each that a party can sign for, as a call that is ready to be sent; the operator has more of them."""
    tender = parties.of(f"of {party}", "buy" if party == "ann" else "sell")
    said = {
        "CreateTenders": (parties.market, pb.CreateTendersRequest(tenders=[tender])),
        "CancelTender": (parties.market, pb.CancelTenderRequest(order_id="none")),
        "OpenDispute": (parties.settlement, pb.OpenDisputeRequest(trade_id="t", line="energy")),
        "Refund": (parties.ledger, ledger_pb.RefundRequest(trade_id="t")),
    }
    if party == "operator":
        said |= {
            "Deposit": (parties.ledger, ledger_pb.DepositRequest(key="d", account="ann", nano=1)),
            "Withdraw": (parties.ledger, ledger_pb.WithdrawRequest(key="w", account="ann", nano=1)),
            "RotateKey": (parties.ledger, ledger_pb.RotateKeyRequest(key="r")),
        }
    return {
        name: lambda name=name, to=to, request=request: getattr(to, name)(
            parties.signed(party, name, request)
        )
        for name, (to, request) in said.items()
    }


async def is_paused(call: Any) -> bool:
    try:
        await call()
    except grpc.aio.AioRpcError as error:
        details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
        return b"RATE_LIMIT" in details
    return False


@pytest.mark.parametrize("hasty", ["ann", "operator"])
def test_each_word_of_a_hasty_party_waits_for_its_pause_and_those_of_others_for_none(
    hasty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def any_trade(_exchange: object, trade_id: str) -> Any:
        return SimpleNamespace(trade=SimpleNamespace(trade_id=trade_id))

    monkeypatch.setattr(settlement, "trade_of", any_trade)
    # Who is hasty may have nothing waiting, so that a word which does not wait is told from one that does.
    monkeypatch.setattr(turns, "_MOST_WAITING", 0)

    async def story(parties: Parties) -> None:
        monkeypatch.setattr(Pauses, "_is_hasty", lambda _, party: party == hasty)
        for party in ("ann", "bob", "operator"):
            for name, call in words(parties, party).items():
                assert await is_paused(call) is (party == hasty), (name, party)

    among(tmp_path, story)
