"""A market that remembers what it was asked and answers what the test told it to, over real gRPC."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import ledger_service_pb2_grpc as ledger_services
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1 import market_pb2_grpc as services
from digitalgrid.market.v1 import meter_service_pb2 as meter_pb
from digitalgrid.market.v1 import meter_service_pb2_grpc as meter_services
from digitalgrid.units import NS_PER_S
from tests.support.ledgers import KEY
from tests.support.market_receipts import settled

START_NS = 1_796_000_000 * NS_PER_S
LENGTH_NS = 900 * NS_PER_S
INTERVAL = pb.Interval(start_unix_ns=START_NS, length_ns=LENGTH_NS)
_WH_MJ = 3_600_000


@dataclass
class FakeMarket(
    services.MarketServiceServicer,
    services.SettlementServiceServicer,
    ledger_services.LedgerServiceServicer,
    meter_services.MeterServiceServicer,
):
    """Answers every call with the message under its name; refuses all while ``refusal`` is set."""

    answers: dict[str, Any] = field(default_factory=dict)
    refusal: status_pb2.Status | None = None
    requests: list[Message] = field(default_factory=list)
    server: str = ""

    def answer(self, method: str, request: Message, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        if self.refusal is not None:
            context.abort_with_status(rpc_status.to_status(self.refusal))
        answer = self.answers[method]
        return answer(request) if callable(answer) else answer


def _unary(method: str) -> Any:
    def handler(self: FakeMarket, request: Message, context: grpc.ServicerContext) -> Any:
        return self.answer(method, request, context)

    return handler


for _file in (pb, ledger_pb, meter_pb):
    for _service in _file.DESCRIPTOR.services_by_name.values():
        for _method in _service.methods:
            if not _method.server_streaming:
                setattr(FakeMarket, _method.name, _unary(_method.name))


@contextmanager
def served() -> Iterator[FakeMarket]:
    fake = FakeMarket(answers=usual_answers())
    server = grpc.server(ThreadPoolExecutor(4))
    services.add_MarketServiceServicer_to_server(fake, server)
    services.add_SettlementServiceServicer_to_server(fake, server)
    ledger_services.add_LedgerServiceServicer_to_server(fake, server)
    meter_services.add_MeterServiceServicer_to_server(fake, server)
    fake.server = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(grace=None).wait(5)


def market(**changed: Any) -> pb.GetMarketResponse:
    answer = pb.GetMarketResponse(
        name="street",
        log_public_key=KEY.public_key,
        now_unix_ns=START_NS - 60 * NS_PER_S,
        length_ns=LENGTH_NS,
        gate_ns=5 * NS_PER_S,
        tick_micro_per_kwh=1_000,
        tariff=pb.Tariff(
            utility_micro_per_kwh=300_000,
            feed_in_micro_per_kwh=80_000,
            loss_micro_per_kwh=100_000,
            loss_payer="included",
        ),
        operator="operator",
        parties=[
            pb.MarketParty(
                party="ann",
                meters=[
                    pb.MarketMeter(meter_id="m1", load_id="load1", router_id="r1", max_drawn_w=5e3)
                ],
            ),
            pb.MarketParty(
                party="bob",
                meters=[
                    pb.MarketMeter(
                        meter_id="m2", source_id="pv2", router_id="r2", max_injected_w=5e3
                    )
                ],
            ),
        ],
        intervals=[
            pb.MarketInterval(
                interval=pb.Interval(
                    start_unix_ns=START_NS + number * LENGTH_NS, length_ns=LENGTH_NS
                ),
                mechanism=mechanism,
                phase=pb.INTERVAL_PHASE_OPEN,
                gate_unix_ns=START_NS + number * LENGTH_NS - 5 * NS_PER_S,
            )
            for number, mechanism in enumerate(("call", "nodal"))
        ],
        controller_reachable=True,
    )
    answer.MergeFrom(pb.GetMarketResponse(**changed))
    return answer


def order(
    seq: int, party: str, side: pb.Side.ValueType, wh: int, limit: int, **more: Any
) -> pb.Order:
    tender = pb.Tender(
        order_id=f"o{seq}",
        meter_id=f"m{seq}",
        side=side,
        wh=wh,
        limit_micro_per_kwh=limit,
        interval=INTERVAL,
    )
    return pb.Order(seq=seq, party=party, tender=tender, **more)


def trade(**changed: Any) -> pb.Transaction:
    made = pb.Transaction(
        trade_id="t1",
        state=pb.TRANSACTION_STATE_PARTIAL,
        buyer="ann",
        seller="bob",
        buy_meter_id="m1",
        sell_meter_id="m2",
        buy_seq=1,
        sell_seq=2,
        interval=INTERVAL,
        mechanism="call",
        wh=1_000,
        injected_wh=1_050,
        held_injected_ppm=1_049_000,
        buyer_micro_per_kwh=200_000,
        seller_micro_per_kwh=200_000,
        toll_micro_per_kwh=2_000,
        circuit_id=7,
        request_id="t1/1",
        path=["r2-r3", "r3-r1"],
        locked=pb.Locked(buyer_nano=202_000_000, seller_nano=100_000_000),
    )
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def settlement(**changed: Any) -> pb.Settlement:
    made = pb.Settlement(
        trade_id="t1",
        outcome="part",
        contract_mj=1_000 * _WH_MJ,
        injected_mj=840 * _WH_MJ,
        delivered_mj=800 * _WH_MJ,
        short_mj=150 * _WH_MJ,
        curtailed_mj=50 * _WH_MJ,
        quality="both ends",
        lines=[
            pb.BillLine(
                kind="energy",
                payer="ann",
                payee="bob",
                energy_mj=800 * _WH_MJ,
                micro_per_kwh=200_000,
                nano=160_000_000,
                formula="min(delivered, agreed) x price",
            ),
            pb.BillLine(
                kind="shortfall",
                payer="bob",
                payee="ann",
                energy_mj=150 * _WH_MJ,
                micro_per_kwh=100_000,
                nano=15_000_000,
                formula="what the seller did not give x (utility's price - price)",
            ),
        ],
        missed=[
            pb.MissedEnergy(
                from_unix_ns=START_NS,
                to_unix_ns=START_NS + 30 * NS_PER_S,
                cause="link down",
                blame="network",
                missing_mj=50 * _WH_MJ,
            )
        ],
        final_unix_ns=START_NS + 2_000 * NS_PER_S,
    )
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def clearing() -> pb.Clearing:
    return pb.Clearing(
        interval=market().intervals[0],
        matches=[
            pb.Match(
                buy_seq=1,
                sell_seq=2,
                wh=1_000,
                injected_wh=1_050,
                buyer_micro_per_kwh=200_000,
                seller_micro_per_kwh=200_000,
                path=["r2-r3", "r3-r1"],
            )
        ],
        prices=[pb.MarketPrice(micro_per_kwh=200_000)],
        unmatched=[pb.UnmatchedOrder(seq=2, wh=500, reason="AT_MARGIN")],
        at_unix_ns=START_NS,
        took_ns=2_000_000,
        verified=True,
        rounds=1,
        welfare_nano=50_000_000,
    )


ORDERS = (
    order(1, "ann", pb.SIDE_BUY, 1_000, 250_000, matched_wh=1_000),
    order(2, "bob", pb.SIDE_SELL, 1_500, 200_000, matched_wh=1_000, ended_reason="AT_MARGIN"),
)


def usual_answers() -> dict[str, Any]:
    """Of every call, about one trade."""
    book, _, receipt = settled()
    open_order = order(3, "ann", pb.SIDE_BUY, 700, 220_000, open_wh=700)
    head = book.head()
    return {
        "GetMarket": market(log_id=book.log_id),
        "CreateTenders": lambda request: pb.CreateTendersResponse(
            results=[
                pb.TenderResult(
                    order=pb.Order(seq=3, party=request.mandate.party, tender=each, open_wh=each.wh)
                )
                for each in request.tenders
            ]
        ),
        "CancelTender": pb.CancelTenderResponse(order=open_order),
        "ListTenders": pb.ListTendersResponse(orders=[*ORDERS, open_order]),
        "GetBook": pb.GetBookResponse(
            interval=market().intervals[0],
            bids=[pb.BookLevel(limit_micro_per_kwh=220_000, wh=700, orders=1)],
            asks=[pb.BookLevel(limit_micro_per_kwh=230_000, wh=900, orders=2)],
        ),
        "PreviewClearing": pb.PreviewClearingResponse(clearing=clearing()),
        "ListClearings": pb.ListClearingsResponse(clearings=[clearing()]),
        "GetTransaction": pb.GetTransactionResponse(transaction=trade()),
        "ListTransactions": pb.ListTransactionsResponse(transactions=[trade()]),
        "ListPositions": pb.ListPositionsResponse(
            positions=[
                pb.Position(meter_id="m1", interval=INTERVAL, bought_wh=1_000, most_bought_wh=1_250)
            ]
        ),
        "SetForecast": pb.SetForecastResponse(
            position=pb.Position(meter_id="m2", interval=INTERVAL, most_sold_wh=700)
        ),
        "GetSettlement": pb.GetSettlementResponse(transaction=trade(), settlement=settlement()),
        "GetReceipt": pb.GetReceiptResponse(receipt=receipt),
        "OpenDispute": pb.OpenDisputeResponse(settlement=settlement(disputed=True)),
        "ResolveDispute": pb.ResolveDisputeResponse(settlement=settlement()),
        "GetHead": ledger_pb.GetHeadResponse(head=head, log_public_key=book.public_key),
        "GetConsistency": lambda request: ledger_pb.GetConsistencyResponse(
            proof=book.consistency(request.from_size, request.to_size)
        ),
        "ListEntries": lambda request: ledger_pb.ListEntriesResponse(
            entries=book.entries(request.from_seq, request.page_size)
        ),
        "GetBalance": ledger_pb.GetBalanceResponse(
            free_nano=12_500_000_000, locked_nano=154_000_000
        ),
        "Deposit": ledger_pb.DepositResponse(seq=9, free_nano=12_500_000_000),
        "Withdraw": ledger_pb.WithdrawResponse(seq=9, free_nano=1),
        "Refund": ledger_pb.RefundResponse(seq=10),
        "RotateKey": ledger_pb.RotateKeyResponse(seq=11, log_public_key=KEY.public_key),
        **_of_meters(KEY.public_key),
    }


def _of_meters(public_key: bytes) -> dict[str, Message]:
    """One that was released, and is registered again by whoever asks."""
    left = meter_pb.MeterStanding(
        meter_id="m1",
        public_key=public_key,
        party="ann",
        epoch=1,
        registration_seq=4,
        release_seq=12,
        released_unix_ns=START_NS,
        to_log_id=bytes(32),
    )
    here = meter_pb.MeterStanding(
        meter_id="m1",
        public_key=public_key,
        party="ann",
        epoch=2,
        registered=True,
        registration_seq=13,
        not_before_unix_ns=START_NS,
    )
    departure = ledger_pb2.MeterDeparture(inclusion=[bytes(32)])
    return {
        "GetMeter": meter_pb.GetMeterResponse(standing=left, departure=departure),
        "RegisterMeter": meter_pb.RegisterMeterResponse(seq=13, standing=here),
        "ReleaseMeter": meter_pb.ReleaseMeterResponse(seq=12, standing=left, departure=departure),
    }
