"""The gRPC service that routers dial."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import grpc

from controller.core.messages import ToRouter
from controller.runtime.runtime import Runtime
from controller.southbound import codec
from controller.southbound.inbox import SessionInbox
from controller.southbound.sessions import RouterSession, SessionOver, SessionRefused, Sessions
from controller.southbound.violation import Violation
from controller.southbound.writer import SessionWriter
from controller.tallies import SessionEvent
from digitalgrid.capabilities import Capability
from digitalgrid.convert import election_id_to_pb
from digitalgrid.counters import COUNTERS
from digitalgrid.model import PROTOCOL_VERSION
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.rpc.decoding import MalformedMessage, check_decoded, decoded
from digitalgrid.rpc.limits import ServerLimits
from digitalgrid.rpc.listening import listen_on
from digitalgrid.supervision import first_to_end
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1 import southbound_pb2_grpc
from digitalgrid.v1.power_link_pb2 import RouterMeters

if TYPE_CHECKING:
    from controller.tracing.tracing import Tracing

_log = logging.getLogger(__name__)
_KEEPALIVE = (
    ("grpc.keepalive_time_ms", 2000),
    # Late is not dead: both ends may share a machine with hundreds of routers, and gRPC's threads get no time either.
    # So late either may be before its session is given up, which costs a read-back. That a router is dead its
    # neighbours notice long before, and each answer has a timeout of its own. gRPC 1.85 goes by the second.
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
)
# A router has one stream, and a second one for a moment when it reconnects. Who connects and opens none is closed.
LIMITS = ServerLimits(connections=2048, streams=8, handshake_s=5.0, idle_s=10.0)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """A stream that does not begin with a hello within ``hello_s`` is closed; ``lsa_per_s`` of a session are taken, the
    latest first; so many ``routers`` can be known.
    """

    hello_s: float = 20.0
    lsa_per_s: float = 20.0
    routers: int = 20_000


Context: TypeAlias = grpc.aio.ServicerContext


class SouthboundService(southbound_pb2_grpc.SouthboundServiceServicer):
    """Maps sessions to events of the core, and the core's messages to sessions."""

    def __init__(self, runtime: Runtime, limits: SessionLimits | None = None) -> None:
        self._runtime = runtime
        self._limits = limits or SessionLimits()
        self._sessions = Sessions()
        self._limited_log = LimitedLog(_log)
        runtime.feeds.roles.subscribe(self._greet_all)
        if runtime.tracing is not None:
            runtime.feeds.circuits.subscribe(partial(_trace_change, runtime, runtime.tracing))

    async def Session(self, request_iterator: object, context: Context) -> None:
        """One router's stream, from its hello to its end."""
        try:
            session = await self._accept(context)
        except SessionRefused as refusal:
            self._note_refused(context.peer(), refusal)
            await context.abort(refusal.code, str(refusal))
        _log.info("router %s connected, boot %d", session.router_id, session.boot_id)
        self._greet(session)
        self._attach(session)
        writer = SessionWriter(session, context, self._runtime.may_act)
        try:
            over = await self._serve(session, writer, context)
        finally:
            if not self._sessions.close(session):
                self._runtime.tallies.sessions[SessionEvent.REPLACED] += 1
            else:
                _log.info("router %s disconnected", session.router_id)
                self._runtime.detach(session.router_id)
                if self._runtime.tracing is not None:
                    self._runtime.tracing.orders.lost(session.router_id)
        # Not before it is closed: one that does not read may never hear why.
        await writer.stop()
        if over is not None:
            await context.abort(over.code, str(over))

    async def _accept(self, context: Context) -> RouterSession:
        """SessionRefused where the stream does not begin as it should, or there is no room for another router."""
        try:
            async with asyncio.timeout(self._limits.hello_s):
                hello = await _receive_hello(context)
        except TimeoutError as error:
            message = f"no hello within {self._limits.hello_s:g} s"
            raise SessionRefused(grpc.StatusCode.DEADLINE_EXCEEDED, message) from error
        known = self._runtime.registered_router_ids()
        if hello.router_id not in known:
            # Those that have not advertised anything yet count too.
            unheard = sum(each not in known for each in self._sessions.router_ids())
            if len(known) + unheard >= self._limits.routers:
                raise SessionRefused(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{self._limits.routers} routers are known, which is limits.routers; `dgc"
                    " forget-router` makes room",
                )
        first_device = self._runtime.first_device(hello.router_id)
        session = self._sessions.accept(hello, first_device)
        if first_device not in (b"", session.instance_id):
            self._limited_log.warning(
                time.monotonic_ns(),
                f"another device {session.router_id}",
                "router %s: another device than the one that had this id first uses it now, and gives way"
                " when that returns; if that never does, `dgc forget-router` lets this one be the first",
                session.router_id,
            )
        return session

    def _greet(self, session: RouterSession) -> None:
        """Say who this controller is; the router obeys nobody whose election id is lower."""
        elected, leads = self._runtime.election_id, self._runtime.leads
        role = pb.CONTROLLER_ROLE_LEADER if leads else pb.CONTROLLER_ROLE_STANDBY
        hello = pb.ControllerHello(
            protocol_version=PROTOCOL_VERSION, role=role, election_id=election_id_to_pb(elected)
        )
        session.send(pb.ControllerMessage(hello=hello))
        seen = session.highest_election_id
        if leads and seen > elected:
            _log.critical(
                "router %s obeys election id %s, this controller has %s: another leads, or this store"
                " is an old copy of the one that did; the router will refuse all changes",
                session.router_id,
                seen,
                elected,
            )

    def _greet_all(self) -> None:
        """The role is another one."""
        for session in self._sessions.all():
            self._greet(session)

    def _attach(self, session: RouterSession) -> None:
        runtime, router_id, tracing = self._runtime, session.router_id, self._runtime.tracing

        def send(message: ToRouter) -> None:
            said = codec.to_pb(message, runtime.election_id)
            if tracing is not None:
                said.traceparents.extend(
                    tracing.orders.sent(router_id, message, runtime.questions.circuits)
                )
            session.send(said)

        runtime.attach(router_id, send, session.instance_id, session.capabilities)

    async def _serve(
        self, session: RouterSession, writer: SessionWriter, context: Context
    ) -> SessionOver | None:
        """Until the stream ends, or the session is ended, and then why."""
        try:
            await first_to_end(
                self._read(session, context), session.until_ended(), writer.until_ended()
            )
        except ValueError as error:
            self._note_violation(session.router_id, error)
            return SessionOver(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except SessionOver as over:
            return over
        return None

    async def _read(self, session: RouterSession, context: Context) -> None:
        """ValueError on a message that makes no sense: it ends the session, and nothing else."""
        inbox = SessionInbox(session, self._runtime, self._limited_log, self._limits.lsa_per_s)
        try:
            while (message := await _receive(context)) is not None:
                if not self._sessions.is_live(session):
                    return
                pause_s = await inbox.take(message)
                if pause_s:
                    await asyncio.sleep(pause_s)
        finally:
            inbox.close()

    def _note_refused(self, peer: str, refusal: SessionRefused) -> None:
        COUNTERS.add("southbound_sessions_refused", refusal.code.name)
        kind = f"refused {refusal.code.name}"
        self._limited_log.warning(
            time.monotonic_ns(), kind, "session of %s refused: %s", peer, refusal
        )

    def _note_violation(self, router_id: str, error: ValueError) -> None:
        """Refused, counted, and told in the log, of which a router that comes again and again gets little."""
        kind = error.kind if isinstance(error, Violation) else "malformed"
        COUNTERS.add("southbound_violations", kind)
        now_ns = time.monotonic_ns()
        self._limited_log.warning(now_ns, f"{router_id} {kind}", "router %s: %s", router_id, error)

    async def read_meters(self, timeout_s: float = 1.0) -> tuple[list[RouterMeters], list[str]]:
        """The books of all connected routers, and the ids of known routers that did not answer."""
        reads: dict[str, asyncio.Future[RouterMeters]] = {}
        asked = []
        for session in self._sessions.all():
            if Capability.METERS not in session.capabilities:
                continue
            read_id, reads[session.router_id] = session.meter_reads.ask(session.send)
            asked.append((session.meter_reads, read_id))
        if reads:
            await asyncio.wait(reads.values(), timeout=timeout_s)
        for meter_reads, read_id in asked:
            meter_reads.abandon(read_id)
        meters = [reads[key].result() for key in sorted(reads) if reads[key].done()]
        answered = {key for key, read in reads.items() if read.done()}
        return meters, sorted(self._runtime.view.routers.keys() - answered)


def _trace_change(runtime: Runtime, tracing: "Tracing", circuit_id: int) -> None:
    # Who does not lead tells routers nothing, and may not know the state.
    if runtime.leads:
        tracing.orders.changed(circuit_id, runtime.questions.circuits.get(circuit_id))


async def _receive(context: Context) -> pb.RouterMessage | None:
    """The next message; None at the end of the stream, MalformedMessage for bytes that are none."""
    message = await context.read()
    check_decoded(message)
    return message if isinstance(message, pb.RouterMessage) else None


async def _receive_hello(context: Context) -> pb.RouterHello:
    """SessionRefused where the stream begins with anything else."""
    try:
        first = await _receive(context)
    except MalformedMessage as error:
        raise SessionRefused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
    if first is None or first.WhichOneof("message") != "hello":
        raise SessionRefused(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be a hello")
    return first.hello


class _DecodingInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets the service see, and answer, bytes that are no message."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler = await continuation(call_details)
        if handler is None or not handler.stream_stream:
            return handler
        return grpc.stream_stream_rpc_method_handler(
            handler.stream_stream,
            decoded(handler.request_deserializer),
            handler.response_serializer,
        )


async def start_server(
    runtime: Runtime,
    listen: Sequence[str],
    session_limits: SessionLimits | None = None,
    limits: ServerLimits = LIMITS,
) -> tuple[grpc.aio.Server, SouthboundService]:
    """Listen for routers. OSError, which says what to do, where an address is taken."""
    options = (*_KEEPALIVE, *limits.options())
    server = grpc.aio.server(interceptors=[_DecodingInterceptor()], options=options)
    service = SouthboundService(runtime, session_limits)
    southbound_pb2_grpc.add_SouthboundServiceServicer_to_server(service, server)
    for address in listen:
        listen_on(server, address, "southbound.listen", "routers")
    await server.start()
    return server, service
