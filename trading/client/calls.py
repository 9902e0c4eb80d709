"""Connections to a market: its services, how channels are kept, and which calls are tried again."""

import json
import uuid
from collections.abc import Iterable
from typing import Any, Literal

import grpc

from digitalgrid.channels import CLIENT_OPTIONS
from digitalgrid.client.errors import FieldViolation, RequestRefused
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1.ledger_service_pb2_grpc import LedgerServiceStub
from digitalgrid.market.v1.market_pb2_grpc import MarketServiceStub, SettlementServiceStub
from digitalgrid.market.v1.meter_service_pb2_grpc import MeterServiceStub

# Every call is idempotent, so it may be retried: tenders have ids, deposits keys, and what else changes anything says
# what shall be.
_RETRIES = {
    "methodConfig": [
        {
            "name": [
                {"service": "digitalgrid.market.v1.MarketService"},
                {"service": "digitalgrid.market.v1.SettlementService"},
                {"service": "digitalgrid.market.v1.LedgerService"},
                {"service": "digitalgrid.market.v1.MeterService"},
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
# How often a request is signed where another program of the same party used a later nonce meanwhile, or its own answer
# was lost. Each is idempotent: what was done already is answered as it was.
SIGNED_AT_MOST = 3
# Pause (s) between looks at an order that is waited for.
LOOK_AGAIN_S = 0.2
# Entries of a log, and rows of a list, that are asked for at a time; and clearings, which are longer.
ENTRIES = PAGE = 1_000
CLEARINGS = 16
_OPTIONS = (("grpc.service_config", json.dumps(_RETRIES)), *CLIENT_OPTIONS)
TimeInForce = Literal["gtc", "gtd", "ioc", "fok"]


def channel_options(servers: int) -> tuple[tuple[str, object], ...]:
    """A market is one server, whatever is said of several."""
    return _OPTIONS


class Connection:
    """A channel to a market, and its services."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.market = MarketServiceStub(channel)
        self.settlement = SettlementServiceStub(channel)
        self.ledger = LedgerServiceStub(channel)
        self.meters = MeterServiceStub(channel)


def refusal_of(refusal: pb.Refusal) -> RequestRefused:
    """Of one tender among several, as the error that a call of its own would raise."""
    violations = [FieldViolation(refusal.field, refusal.message)] if refusal.field else []
    return RequestRefused(
        grpc.StatusCode.FAILED_PRECONDITION,
        refusal.message,
        reason=refusal.reason,
        violations=violations,
    )


def tender(
    side: Literal["buy", "sell"],
    meter_id: str,
    wh: int,
    limit_micro_per_kwh: int,
    interval: pb.Interval,
    *,
    order_id: str = "",
    time_in_force: TimeInForce = "gtc",
    min_fill_wh: int = 0,
    expires_unix_ns: int = 0,
    max_loss_ppm: int = 0,
    avoid_ids: Iterable[str] = (),
    tags: Iterable[str] = (),
) -> pb.Tender:
    """A tender of ``wh`` at a limit in millionths of the currency per kWh, at the delivery point.

    Without an ``order_id`` it gets one of its own, so that a retry after a lost answer tenders nothing twice.
    """
    return pb.Tender(
        order_id=order_id or uuid.uuid4().hex,
        meter_id=meter_id,
        side=pb.SIDE_BUY if side == "buy" else pb.SIDE_SELL,
        wh=wh,
        limit_micro_per_kwh=limit_micro_per_kwh,
        interval=interval,
        time_in_force=pb.TimeInForce.Value(f"TIME_IN_FORCE_{time_in_force.upper()}"),
        min_fill_wh=min_fill_wh,
        expires_unix_ns=expires_unix_ns,
        max_loss_ppm=max_loss_ppm,
        avoid_ids=avoid_ids,
        tags=tags,
    )
