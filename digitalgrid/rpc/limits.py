"""Limits of a gRPC server: who connects and says nothing is closed, and there are only so many at a time."""

from dataclasses import dataclass

# Calls that gRPC takes before our own limits answer them. With its default of 1,000 it sheds a burst of more at random,
# with CANCELLED, which says neither why nor when to try again.
_MAX_PENDING = 20_000
_MAX_PENDING_AT_ALL = 30_000
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """``connections`` at a time, each with so many ``streams``. Who has not finished its handshake after
    ``handshake_s``, or has no call for ``idle_s``, is closed.
    """

    connections: int
    streams: int
    handshake_s: float
    idle_s: float

    def options(self) -> tuple[tuple[str, int], ...]:
        handshake_ms = int(self.handshake_s * 1000)
        return (
            # Silent connections and half handshakes; then half a preface of HTTP/2. One does not cover the other.
            ("grpc.server_handshake_timeout_ms", handshake_ms),
            ("grpc.http2.settings_timeout", handshake_ms),
            ("grpc.max_connection_idle_ms", int(self.idle_s * 1000)),
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.max_concurrent_streams", self.streams),
            ("grpc.server.max_pending_requests", _MAX_PENDING),
            ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING_AT_ALL),
            # Two daemons on one port would share its clients.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", 4 * _MIB),
        )
