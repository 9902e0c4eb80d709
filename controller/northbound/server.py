"""Puts the northbound services on one gRPC server, with health checking and reflection."""

import logging

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from controller.northbound.health import Health
from controller.northbound.interceptor import Interceptor
from controller.northbound.services import Services
from digitalgrid.rpc.limits import ServerLimits
from digitalgrid.rpc.listening import listen_on
from digitalgrid.v1 import northbound_pb2 as pb

_log = logging.getLogger(__name__)

_MIB = 1024 * 1024
_OPTIONS = (
    # All circuits of a large network in one answer.
    ("grpc.max_send_message_length", 64 * _MIB),
    # Clients notice within seconds that their controller is gone.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    # A client that has vanished must not keep its place among the watchers. gRPC 1.85 goes by the ping timeout
    # (a minute, if it is not given), and not by that of keepalive.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


# A full batch is a fraction of a message's 4 MiB. Streams of a connection: what is beyond them gRPC's core refuses with
# RST_STREAM, without a word that a client could act on, so bursts must fit; the load gate bounds what is under way.
LIMITS = ServerLimits(connections=2000, streams=8192, handshake_s=5.0, idle_s=60.0)


async def start_server(
    services: Services, listen: str, limits: ServerLimits = LIMITS
) -> grpc.aio.Server:
    """Serve clients on ``listen`` (host:port). Raises OSError, which says what to do, where the address is taken."""
    options = (*_OPTIONS, *limits.options())
    server = grpc.aio.server(interceptors=[Interceptor(services.guard)], options=options)
    services.add_to(server)
    names = [each.full_name for each in pb.DESCRIPTOR.services_by_name.values()]
    checks = Health(services.runtime)
    await checks.tell()
    health_pb2_grpc.add_HealthServicer_to_server(checks.servicer, server)
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    listen_on(server, listen, "northbound.listen", "clients")
    await server.start()
    return server
