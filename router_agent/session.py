"""The router's session with one controller: it dials, says what it is, then does what it is told, in order."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

import grpc

from digitalgrid.capabilities import Capability
from digitalgrid.channels import asyncio_channel, proxy_note
from digitalgrid.convert import election_id_from_pb, election_id_to_pb
from digitalgrid.convert_lsa import lsa_to_pb
from digitalgrid.model import PROTOCOL_VERSION, ElectionId, ResultCode, RouterLsa
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.supervision import first_to_end
from digitalgrid.tracing.context import TraceContext
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1 import southbound_pb2_grpc as pb_grpc
from router_agent.codec import (
    meters_reply,
    meters_to_pb,
    mutation_from_pb,
    outcome_to_pb,
    status_to_pb,
    table_to_pb,
)
from router_agent.device.device import RouterDevice
from router_agent.device.mutation import Mutation, Outcome
from router_agent.device.sink import FlowStatus
from router_agent.outbox import Outbox

if TYPE_CHECKING:
    from router_agent.tracing import OrderSpans

_log = logging.getLogger(__name__)

# Redialling, with jitter: routers are back within a second of their controller, and not all at once.
_FIRST_BACKOFF_S = 0.1
_BACKOFF_FACTOR = 1.5
_MAX_BACKOFF_S = 1.0
# A controller that is lost is most often started again at once, and needs a second or two. Its first admission waits
# for the routers, so for some seconds they pause no longer than this; a dial in vain costs a millisecond of CPU.
_RESTART_S = 5.0
_MAX_RESTART_BACKOFF_S = 0.25
# A controller that accepts and says nothing for so long is as good as none. Late is not dead: one that hundreds of
# routers dial at once must not be dialled again by those that it has not come to yet.
_HELLO_TIMEOUT_S = 20.0
# A controller that lets so many messages wait, or twice those that the session begins with where that is more, is given
# up, however well its connection looks.
_OUTBOX_MESSAGES = 10_000
_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 2000),
    # Likewise: to begin anew costs an end that is late more than to go on. gRPC 1.85 goes by the second.
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Backing off is done here; gRPC's own would wait much longer.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
)

_Stream: TypeAlias = grpc.aio.StreamStreamCall


class SessionEnded(Exception):
    """The controller closed the stream, or does not keep to the protocol."""


class Router(Protocol):
    """What a session needs of the router that it speaks for."""

    device: RouterDevice
    instance_id: bytes
    # None where nothing is traced.
    order_spans: "OrderSpans | None"

    def next_session_no(self) -> int: ...

    def mutate(self, mutation: Mutation, answer: Callable[[Outcome], None]) -> None: ...

    def greeted(self, controller: str, election_id: ElectionId) -> None:
        """The controller of that address says that it leads. OSError where that cannot be kept durably."""


class Backoff:
    """Exponential backoff between dials, from when the controller was lost, or first looked for."""

    def __init__(self, lost_s: float) -> None:
        self._lost_s = lost_s
        self._next_s = _FIRST_BACKOFF_S

    def pause_s(self, now_s: float) -> float:
        """How long to wait before the next dial, without jitter."""
        restarting = now_s < self._lost_s + _RESTART_S
        longest_s = _MAX_RESTART_BACKOFF_S if restarting else _MAX_BACKOFF_S
        pause_s = self._next_s = min(self._next_s, longest_s)
        self._next_s *= _BACKOFF_FACTOR
        return pause_s


class ControllerSession:
    """Keeps one controller's address dialled until it is cancelled."""

    def __init__(self, address: str, router: Router) -> None:
        self.address = address
        self._router = router
        # Only while the controller knows all that came before.
        self._begun = False
        self._outbox_limit = _OUTBOX_MESSAGES
        self._outbox: Outbox | None = None
        self._overflowed = asyncio.Event()
        self._refusals = LimitedLog(_log)

    @property
    def stands(self) -> bool:
        """Whether the controller knows the router's state, and is told what changes."""
        return self._outbox is not None

    def advertise(self, lsa: RouterLsa) -> None:
        self._say(pb.RouterMessage(lsa=lsa_to_pb(lsa)))

    def report(self, status: FlowStatus) -> None:
        if self._outbox is not None and self._has_room(self._outbox):
            self._outbox.report(status)

    async def run(self) -> None:
        """Dial, and dial again with backoff when the session ends, for ever."""
        backoff, last_reason = Backoff(time.monotonic()), ""
        while True:
            try:
                await self._session()
            except (grpc.RpcError, SessionEnded, TimeoutError) as error:
                # An absent controller is news once, however often it is dialled.
                reason = _reason(error, self.address)
                level = logging.DEBUG if reason == last_reason else logging.INFO
                last_reason = reason
                self._log(level, "%s", reason)
            if self._begun:
                # The next attempt is a first one.
                self._begun = False
                backoff, last_reason = Backoff(time.monotonic()), ""
            await asyncio.sleep(backoff.pause_s(time.monotonic()) * random.uniform(0.8, 1.2))

    async def _session(self) -> None:
        async with asyncio_channel(self.address, _CHANNEL_OPTIONS) as channel:
            stream: _Stream = pb_grpc.SouthboundServiceStub(channel).Session()
            try:
                async with asyncio.timeout(_HELLO_TIMEOUT_S):
                    await _send(stream, self._hello())
                    greeting = await stream.read()
                self._take_greeting(_hello_of(greeting))
                self._overflowed.clear()
                self._outbox = self._first_messages()
                self._outbox_limit = max(_OUTBOX_MESSAGES, 2 * len(self._outbox))
                self._begun = True
                await first_to_end(
                    self._write(stream, self._outbox), self._read(stream), self._until_overflow()
                )
            finally:
                self._outbox = None
                stream.cancel()

    def _hello(self) -> pb.RouterMessage:
        device = self._router.device
        return pb.RouterMessage(
            hello=pb.RouterHello(
                protocol_version=PROTOCOL_VERSION,
                router_id=device.config.router_id,
                instance_id=self._router.instance_id,
                boot_id=device.boot_id,
                session_no=self._router.next_session_no(),
                capabilities=list(Capability),
                table_version=device.table.version,
                highest_election_id=election_id_to_pb(device.table.highest_election_id),
            )
        )

    def _first_messages(self) -> Outbox:
        device, outbox = self._router.device, Outbox()
        outbox.put(pb.RouterMessage(lsa=lsa_to_pb(device.lsa())))
        for status in device.statuses():
            outbox.report(status)
        outbox.put(pb.RouterMessage(sync_done=pb.SyncDone()))
        return outbox

    def _say(self, message: pb.RouterMessage) -> None:
        """Queue a message. Nothing is kept for a controller that is away: it hears the state when it is back."""
        if self._outbox is not None and self._has_room(self._outbox):
            self._outbox.put(message)

    def _has_room(self, outbox: Outbox) -> bool:
        """Backpressure ends the session."""
        if len(outbox) >= self._outbox_limit:
            self._overflowed.set()
        return not self._overflowed.is_set()

    async def _write(self, stream: _Stream, outbox: Outbox) -> None:
        while True:
            message = await outbox.get()
            if isinstance(message, FlowStatus):
                status_pb = status_to_pb(message, self._router.device.late_ns)
                message = pb.RouterMessage(status=status_pb)
            await _send(stream, message)

    async def _until_overflow(self) -> None:
        await self._overflowed.wait()
        raise SessionEnded(f"reads too slowly, {_OUTBOX_MESSAGES} messages wait")

    async def _read(self, stream: _Stream) -> None:
        while True:
            message = await stream.read()
            if not isinstance(message, pb.ControllerMessage):
                raise SessionEnded("closed the session")
            self._obey(message)

    def _obey(self, message: pb.ControllerMessage) -> None:
        mutation = mutation_from_pb(message, self.address)
        if mutation is not None:
            traceparents = message.traceparents
            answer: Callable[[Outcome], None] = partial(self._answer, traceparents)
            spans = self._router.order_spans
            if spans is not None and traceparents:
                answer = spans.around(mutation.operation, traceparents, answer)
            self._router.mutate(mutation, answer)
            return
        device = self._router.device
        match message.WhichOneof("message"):
            case "hello":
                self._take_greeting(message.hello)
            case "read_table":
                for table in table_to_pb(device.table, message.read_table):
                    self._say(pb.RouterMessage(table=table))
            case "read_meters":
                now_ns, now_unix_ns = time.monotonic_ns(), time.time_ns()
                meters = meters_to_pb(device, now_ns)
                meters.time_unix_ns = now_unix_ns
                for reply in meters_reply(meters, message.read_meters):
                    self._say(pb.RouterMessage(meters=reply))
            case "claims_refused":
                self._note_refused(message.claims_refused)
            case other:
                self._log(logging.WARNING, "ignored a message %r", other)

    def _note_refused(self, refused: pb.ClaimsRefused) -> None:
        """What of the advertisement does not count there, for others had it first."""
        for claim in refused.claims:
            self._log(
                logging.WARNING,
                "%s %s belongs to %s, and does not count as this router's",
                *(claim.kind, claim.id, " and ".join(claim.owner_router_ids)),
                fields={"claimed": claim.kind, "claimed_id": claim.id},
            )
        if refused.total > len(refused.claims):
            more = refused.total - len(refused.claims)
            self._log(logging.WARNING, "%d more belong to others", more)

    def _take_greeting(self, hello: pb.ControllerHello) -> None:
        """At the beginning of the session, and when the controller's role changes."""
        leads = hello.role == pb.CONTROLLER_ROLE_LEADER
        if leads:
            try:
                self._router.greeted(self.address, election_id_from_pb(hello.election_id))
            except OSError as error:
                # After a crash the one before would be obeyed again.
                message = f"leads, but its election id cannot be kept: {error.strerror}"
                raise SessionEnded(message) from error
        self._log(logging.INFO, "%s", "leads" if leads else "stands by")

    def _answer(self, traceparents: Sequence[str], outcome: Outcome) -> None:
        if outcome.code is not ResultCode.OK:
            self._note_unkept(traceparents, outcome)
        result = outcome_to_pb(outcome, self._router.device.late_ns)
        self._say(pb.RouterMessage(result=result))

    def _note_unkept(self, traceparents: Sequence[str], outcome: Outcome) -> None:
        """An order that was refused, as its controller is told too; of the circuits in it the first that was in the
        way.
        """
        operation, code = outcome.operation.name, outcome.code.name
        fields: dict[str, object] = {
            "controller": self.address,
            "transaction": outcome.txn_id,
            "result": code,
        }
        bad = next((each for each in outcome.entries if each.code is not ResultCode.OK), None)
        if bad is not None:
            fields |= {"circuit_id": bad.key.circuit_id, "generation": bad.key.generation}
        traced = TraceContext.of(traceparents[0]) if traceparents else None
        if traced is not None:
            fields |= {"trace_id": f"{traced.trace_id:032x}"}
        self._refusals.log(
            time.monotonic_ns(),
            logging.INFO,
            f"{operation} {code}",
            "controller %s: %s %d is answered %s: %s",
            *(self.address, operation, outcome.txn_id, code, outcome.message),
            fields=fields,
        )

    def _log(
        self, level: int, what: str, *arguments: object, fields: Mapping[str, object] | None = None
    ) -> None:
        """A line that says of which controller."""
        extra = {"controller": self.address, **(fields or {})}
        _log.log(level, f"controller %s: {what}", self.address, *arguments, extra=extra)


async def _send(stream: _Stream, message: pb.RouterMessage) -> None:
    try:
        await stream.write(message)
    except asyncio.InvalidStateError as error:
        # gRPC's word for a stream that ended before its end was read.
        raise SessionEnded("closed the session") from error


def _hello_of(greeting: object) -> pb.ControllerHello:
    if not isinstance(greeting, pb.ControllerMessage) or not greeting.HasField("hello"):
        raise SessionEnded("did not begin with a hello")
    version = greeting.hello.protocol_version
    if version != PROTOCOL_VERSION:
        raise SessionEnded(f"speaks protocol {version}, this router {PROTOCOL_VERSION}")
    return greeting.hello


def _reason(error: BaseException, address: str) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        away = error.code() is grpc.StatusCode.UNAVAILABLE
        return f"{error.code().name}: {error.details()}{proxy_note(address) if away else ''}"
    return str(error) or type(error).__name__
