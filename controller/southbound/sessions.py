"""Sessions of routers: the newest of the one device that has the id speaks for it, and ends older ones."""

import asyncio
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import grpc

from controller.southbound.meters import MeterReads
from digitalgrid.bounds import ID_PATTERN
from digitalgrid.capabilities import UNSAID, Capability, capabilities_of
from digitalgrid.convert import election_id_from_pb
from digitalgrid.counters import COUNTERS
from digitalgrid.model import PROTOCOL_VERSION, ElectionId
from digitalgrid.v1 import southbound_pb2 as pb

_log = logging.getLogger(__name__)

# Backpressure: a router that does not read this many messages is gone; it is read back when it returns.
MAX_QUEUED = 10_000


class SessionOver(Exception):
    """The controller ends a session; ``code`` is the gRPC status to close the stream with."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class SessionRefused(SessionOver):
    """It has not begun: the hello is not acceptable."""


@dataclass(slots=True, eq=False)
class RouterSession:
    """One stream. ``outbox`` holds what is to be written."""

    router_id: str
    instance_id: bytes
    boot_id: int
    session_no: int
    highest_election_id: ElectionId
    capabilities: frozenset[Capability] = UNSAID
    outbox: asyncio.Queue[pb.ControllerMessage] = field(
        default_factory=lambda: asyncio.Queue(MAX_QUEUED)
    )
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _over: SessionOver | None = None
    meter_reads: MeterReads = field(init=False)

    def __post_init__(self) -> None:
        self.meter_reads = MeterReads(self.router_id, self.boot_id)

    @property
    def order(self) -> tuple[int, int]:
        return (self.boot_id, self.session_no)

    def send(self, message: pb.ControllerMessage) -> None:
        """What waits for a router that does not read is bounded: then the session ends, and it is read back anew."""
        if self._over is not None:
            return
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            reason = (
                f"router {self.router_id!r} reads too slowly: {MAX_QUEUED} messages wait for it;"
                " connect again"
            )
            _log.warning("%s", reason)
            COUNTERS.add("southbound_sessions_ended", "outbox full")
            self.end(SessionOver(grpc.StatusCode.RESOURCE_EXHAUSTED, reason))

    def end(self, over: SessionOver) -> None:
        """The first reason counts."""
        self._over = self._over or over
        self._ended.set()

    async def until_ended(self) -> None:
        """Raises SessionOver once the controller ends the session."""
        await self._ended.wait()
        if self._over is not None:
            raise self._over


class Sessions:
    """Live sessions by router id."""

    def __init__(self) -> None:
        self._live: dict[str, RouterSession] = {}

    def accept(self, hello: pb.RouterHello, first_device: bytes = b"") -> RouterSession:
        """Open a session, and end the half-open one that it replaces; SessionRefused otherwise.

        ``first_device`` is the instance that was the first to have this router id, if that is known: whoever took
        the id while it was away must give way to it.
        """
        if not re.fullmatch(ID_PATTERN, hello.router_id) or not hello.instance_id:
            raise SessionRefused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"hello without instance_id, or with a router_id that does not match {ID_PATTERN}",
            )
        if hello.protocol_version != PROTOCOL_VERSION:
            raise SessionRefused(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"router {hello.router_id!r} speaks protocol version {hello.protocol_version}, this"
                f" controller {PROTOCOL_VERSION}; upgrade the older of the two",
            )
        session = RouterSession(
            hello.router_id,
            bytes(hello.instance_id),
            hello.boot_id,
            hello.session_no,
            election_id_from_pb(hello.highest_election_id),
            _capabilities(hello),
        )
        older = self._live.get(session.router_id)
        if older is not None and older.instance_id != session.instance_id == first_device:
            _log.warning(
                "router %s: the device that had this id first is back; another that used it is closed",
                session.router_id,
            )
            reason = f"router id {session.router_id!r} is another device's, which had it first"
            older.end(SessionOver(grpc.StatusCode.ALREADY_EXISTS, reason))
        elif older is not None:
            self._check_successor(older, session)
            reason = f"a newer session of {session.router_id!r} took over"
            older.end(SessionOver(grpc.StatusCode.ABORTED, reason))
        self._live[session.router_id] = session
        return session

    def _check_successor(self, older: RouterSession, newer: RouterSession) -> None:
        if older.instance_id != newer.instance_id:
            raise SessionRefused(
                grpc.StatusCode.ALREADY_EXISTS,
                f"router id {newer.router_id!r} is taken by another device; give this one its own",
            )
        if newer.order <= older.order:
            raise SessionRefused(
                grpc.StatusCode.ABORTED,
                f"router {newer.router_id!r} has a newer session than boot {newer.boot_id},"
                f" session {newer.session_no}",
            )

    def is_live(self, session: RouterSession) -> bool:
        return self._live.get(session.router_id) is session

    def close(self, session: RouterSession) -> bool:
        """Forget a session; False where it had been replaced already."""
        if not self.is_live(session):
            return False
        del self._live[session.router_id]
        return True

    def router_ids(self) -> Iterable[str]:
        return self._live.keys()

    def all(self) -> list[RouterSession]:
        return list(self._live.values())


def _capabilities(hello: pb.RouterHello) -> frozenset[Capability]:
    found = capabilities_of(hello.capabilities)
    if Capability.CIRCUITS not in found:
        raise SessionRefused(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"router {hello.router_id!r} does not say that it takes circuits, and nothing else is of use here",
        )
    return found
