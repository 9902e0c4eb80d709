"""Why a price, a loss and each line of a bill are as they are, and how they are objected to."""

import json

import pytest

from digitalgrid.market.v1 import market_pb2 as pb
from tests.integration.dgctl.market.conftest import Run, asked, squeezed
from tests.support import fake_market
from tests.support.fake_market import LENGTH_NS, START_NS, FakeMarket


def test_an_explanation_says_match_price_way_causes_and_each_line_of_the_bill(dgctl: Run) -> None:
    told = squeezed(dgctl("explain", "t1"))
    for part in (
        "trade t1: partial; 1 kWh from bob to ann",
        "buys ann m1 1 0.25 0.2 0.05",
        "order 2 of bob, who sells 1.5 kWh at 0.2 has this limit and set it",
        "circuit 7 (request t1/1) over r2-r3 r3-r1",
        "as it was matched 1.05 kWh 1 kWh 50 Wh 4.76 %",
        "planned, as it was held 1.049 kWh 1 kWh 49 Wh 4.67 %",
        "measured (both ends) 840 Wh 800 Wh 40 Wh 4.76 %",
        "the seller is short of 150 Wh, the network cut 50 Wh",
        "30 s link down the network's 50 Wh",
        "energy ann bob 800 Wh 0.2 0.16 min(delivered, agreed) x price",
        "all together 0",
        "locked before: 0.202 by the buyer",
    ):
        assert part in told, part


def test_what_came_beyond_what_was_bought_is_said(dgctl: Run, market: FakeMarket) -> None:
    over = fake_market.settlement(delivered_mj=1_001 * 3_600_000, injected_mj=1_051 * 3_600_000)
    market.answers["GetSettlement"] = pb.GetSettlementResponse(settlement=over)
    assert "delivered: all that was agreed, and 1 Wh beyond it" in squeezed(dgctl("explain", "t1"))


def test_a_bill_that_was_objected_to_is_not_said_to_be_of_ends_that_contradict(
    dgctl: Run, market: FakeMarket
) -> None:
    objected = fake_market.settlement(disputed=True, objected_by="ann", objected_line="shortfall")
    objected.statement = "the line was cut"
    objected.evidence.extend(["c7", "log 41"])
    market.answers["GetSettlement"] = pb.GetSettlementResponse(settlement=objected)
    billed = fake_market.trade(state=pb.TRANSACTION_STATE_DISPUTED)
    market.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=billed)
    for verb in ("settle", "explain"):
        told = squeezed(dgctl(verb, "t1"))
        assert "ann objects to the line shortfall" in told and "contradict" not in told
        assert "objected: ann, to shortfall: the line was cut evidence: c7, log 41" in told
    market.answers["GetSettlement"].settlement.CopyFrom(fake_market.settlement(disputed=True))
    assert "contradict each other; what follows is what neither denies" in squeezed(
        dgctl("settle", "t1")
    )


@pytest.mark.parametrize(
    ("quality", "why"),
    [
        ("source only", "what counts comes of the source's, and the path's formula"),
        ("last reading", "for what neither network nor buyer is known to have caused"),
        ("unread", "what is not known is not paid for"),
    ],
)
def test_of_a_bill_that_is_estimated_it_is_said_why(
    quality: str, why: str, dgctl: Run, market: FakeMarket
) -> None:
    bill = fake_market.settlement(quality=quality, estimated=True)
    market.answers["GetSettlement"] = pb.GetSettlementResponse(
        transaction=fake_market.trade(), settlement=bill
    )
    assert why in squeezed(dgctl("settle", "t1"))
    assert f"estimated ({quality})" in squeezed(dgctl("explain", "t1"))


def test_a_fee_is_a_line_of_no_energy(dgctl: Run, market: FakeMarket) -> None:
    settlement = fake_market.settlement()
    formula = "145000000 nano (energy, objected to in vain) x 10000 / 1000000, rounded down"
    settlement.lines.add(kind="fee", payer="bob", payee="joe", nano=1_450_000, formula=formula)
    market.answers["GetSettlement"] = pb.GetSettlementResponse(settlement=settlement)
    told = squeezed(dgctl("settle", "t1"))
    assert f"fee bob joe 0.00145 {formula}" in told and "all together 0" in told


def test_of_a_bill_that_is_not_paid_yet_it_is_said_how_to_object(
    dgctl: Run, market: FakeMarket
) -> None:
    billed = fake_market.trade(
        state=pb.TRANSACTION_STATE_BILLED, until_unix_ns=START_NS + LENGTH_NS
    )
    market.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=billed)
    told = squeezed(dgctl("explain", "t1"))
    assert "unless a party objects" in told and "energy ann bob" in told


def explained(dgctl: Run) -> str:
    rule: str = json.loads(dgctl("explain", "t1", "-o", "json").stdout)["priceRule"]
    return rule


def test_the_rule_of_a_price_names_whose_order_set_it(dgctl: Run, market: FakeMarket) -> None:
    def of(mechanism: str) -> str:
        answer = pb.GetTransactionResponse(transaction=fake_market.trade(mechanism=mechanism))
        market.answers["GetTransaction"] = answer
        return explained(dgctl)

    assert "order 1 of ann, who buys 1 kWh" in of("continuous")
    assert "served in part, and so at the margin: order 2 of bob" in of("nodal")
    assert "plug-in" in of("other")
    between = [fake_market.ORDERS[0], fake_market.order(2, "bob", pb.SIDE_SELL, 1_000, 150_000)]
    between[1].matched_wh = 1_000
    market.answers["ListTenders"] = pb.ListTendersResponse(orders=between)
    assert "between the last seller served, at 0.15, and the last buyer, at 0.25" in of("call")
    assert "reference" not in of("call")
    cleared = market.answers["ListClearings"].clearings[0]
    cleared.reference_micro_per_kwh = 0
    nearest = "it is the nearest to the market's reference, 0"
    assert of("call").endswith(nearest) and "reference" not in of("nodal")
    market.answers["ListTenders"] = pb.ListTendersResponse()
    assert "forgotten" in of("call")
    assert of("call-pro-rata").startswith("call-pro-rata: one price for all, 0.2, at which")


def test_a_trade_that_came_to_nothing_says_why_and_has_no_bill(
    dgctl: Run, market: FakeMarket
) -> None:
    trade = fake_market.trade(
        state=pb.TRANSACTION_STATE_REJECTED,
        reason="INSUFFICIENT_CAPACITY",
        detail="bottleneck_links: r2-r3",
        circuit_id=0,
    )
    market.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=trade)
    told = squeezed(dgctl("explain", "t1"))
    assert "because of INSUFFICIENT_CAPACITY: bottleneck_links: r2-r3" in told
    assert "path: none" in told and "all that was locked went back" in told
    assert not [each for each in market.requests if isinstance(each, pb.GetSettlementRequest)]


def test_readings_that_count_are_told_to_whoever_decides(dgctl: Run, market: FakeMarket) -> None:
    dgctl("resolve", "t1", "--reading", "1:3600:3500", "--because", "seen")
    request = asked(market, pb.ResolveDisputeRequest)
    assert list(request.deliveries) == [
        pb.Delivery(generation=1, injected_mj=3_600, delivered_mj=3_500)
    ]
    assert dgctl("resolve", "t1", "--reading", "1:x:2").exit_code == 2


def test_what_speaks_for_an_objection_is_told_with_it(dgctl: Run, market: FakeMarket) -> None:
    dgctl("dispute", "t1", "--line", "loss", "--evidence", "c7", "--evidence", "log 41")
    request = asked(market, pb.OpenDisputeRequest)
    assert (request.line, list(request.evidence)) == ("loss", ["c7", "log 41"])
