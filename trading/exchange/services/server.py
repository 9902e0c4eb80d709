"""Puts the services of an exchange on one gRPC server, with health checking and reflection."""

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from digitalgrid.market.v1 import ledger_service_pb2, market_pb2, meter_service_pb2
from digitalgrid.market.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from digitalgrid.market.v1.market_pb2_grpc import (
    add_MarketServiceServicer_to_server,
    add_SettlementServiceServicer_to_server,
)
from digitalgrid.market.v1.meter_service_pb2_grpc import add_MeterServiceServicer_to_server
from digitalgrid.rpc.limits import ServerLimits
from digitalgrid.rpc.listening import listen_on
from trading.exchange.exchange import Exchange
from trading.exchange.services.hearing import Hearing
from trading.exchange.services.ledger import LedgerService
from trading.exchange.services.market import MarketService
from trading.exchange.services.meters import MeterService
from trading.exchange.services.serving import Interceptor
from trading.exchange.services.settlement import SettlementService

# As those of the controller, whose clients are as many.
LIMITS = ServerLimits(connections=2000, streams=8192, handshake_s=5.0, idle_s=60.0)
_OPTIONS = (
    # Clients notice within seconds that their market is gone.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    # A watcher that has vanished is forgotten.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


async def start_server(exchange: Exchange, listen: str) -> tuple[grpc.aio.Server, int]:
    """Serve on ``listen``; with the port. Raises OSError, which says what to do, where the address is taken."""
    server = grpc.aio.server(interceptors=[Interceptor()], options=(*_OPTIONS, *LIMITS.options()))
    hearing = Hearing(exchange.runtime)
    add_MarketServiceServicer_to_server(MarketService(exchange, hearing), server)
    add_SettlementServiceServicer_to_server(SettlementService(exchange, hearing), server)
    ledger = LedgerService(exchange.ledger, exchange.mandates, hearing)
    add_LedgerServiceServicer_to_server(ledger, server)
    config = exchange.config
    meters = MeterService(
        *(exchange.ledger, exchange.mandates, hearing), config.market_meters, config.logs
    )
    add_MeterServiceServicer_to_server(meters, server)
    names = [
        each.full_name
        for module in (market_pb2, ledger_service_pb2, meter_service_pb2)
        for each in module.DESCRIPTOR.services_by_name.values()
    ]
    checks = health.aio.HealthServicer()
    for name in ("", *names):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    port = listen_on(server, listen, "listen", "clients")
    await server.start()
    return server, port
