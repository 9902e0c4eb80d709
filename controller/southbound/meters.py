"""Reading routers' meters: each answer is bound to the session that was asked, and checked before anybody sees it."""

import asyncio
import math
from collections.abc import Callable
from itertools import chain

from controller.core.network.view import GridView
from controller.southbound.violation import Violation
from digitalgrid.limits import MAX_ADVERTISED
from digitalgrid.message_checks import check_ids
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import LinkMeter, LoadMeter, RouterMeters, SourceMeter

# Of a kind. Former links, sources and loads stay in the books of a router, so there may be more than it advertises, and
# more with each change: of what is beyond this, those that it has by now are shown first.
_MAX_METERS = 2 * MAX_ADVERTISED

_Meter = LinkMeter | SourceMeter | LoadMeter


class MeterReads:
    """Questions under way of one session: only its own router can answer them."""

    def __init__(self, router_id: str, boot_id: int) -> None:
        self._router_id = router_id
        self._boot_id = boot_id
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[RouterMeters]] = {}

    def ask(
        self, send: Callable[[pb.ControllerMessage], None]
    ) -> tuple[int, asyncio.Future[RouterMeters]]:
        self._last_id += 1
        answer: asyncio.Future[RouterMeters] = asyncio.get_running_loop().create_future()
        self._waiting[self._last_id] = answer
        send(pb.ControllerMessage(read_meters=pb.ReadMeters(read_id=self._last_id, in_parts=True)))
        return self._last_id, answer

    def awaits(self, read_id: int) -> bool:
        return read_id in self._waiting

    def abandon(self, read_id: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(read_id, None)

    def take(self, reply: pb.MetersReply, view: GridView) -> tuple[int, int]:
        """How many of the meters are of what others have by now, and how many too many were left out.

        Violation for another router's meters, or those that cannot be true. A reply that comes too late is dropped.
        """
        if not 0 < reply.read_id <= self._last_id:
            raise Violation("meters", f"meters for read {reply.read_id}, which was never asked")
        answer = self._waiting.pop(reply.read_id, None)
        if answer is None or answer.done():
            return 0, 0
        self._check_sender(reply.meters)
        left_out = _leave_out(self._router_id, reply.meters, view)
        _check_meters(reply.meters)
        former = _mark_former(self._router_id, reply.meters, view)
        answer.set_result(reply.meters)
        return former, left_out

    def _check_sender(self, meters: RouterMeters) -> None:
        if meters.router_id != self._router_id:
            raise Violation(
                "meters", f"meters of {meters.router_id!r} in the session of {self._router_id!r}"
            )
        if meters.boot_id != self._boot_id:
            raise Violation(
                "meters", f"meters of boot {meters.boot_id}, the session is of {self._boot_id}"
            )


def _owner_ids(meter: _Meter, view: GridView) -> tuple[str, ...]:
    """Who has by now what the meter is of; nobody where no router advertises it."""
    if isinstance(meter, LinkMeter):
        link = view.links.get(meter.link_id)
        return (link.a, link.b) if link is not None else ()
    if isinstance(meter, SourceMeter):
        return tuple(view.sources[meter.source_id][:1]) if meter.source_id in view.sources else ()
    return tuple(view.loads[meter.load_id][:1]) if meter.load_id in view.loads else ()


def _leave_out(router_id: str, meters: RouterMeters, view: GridView) -> int:
    """Bound the meters of each kind: those of what the router has by now come first. How many were too many."""
    left_out = 0
    for entries in (meters.links, meters.sources, meters.loads):
        if len(entries) <= _MAX_METERS:
            continue
        left_out += len(entries) - _MAX_METERS
        entries.sort(key=lambda each: router_id not in _owner_ids(each, view))
        del entries[_MAX_METERS:]
    return left_out


def _mark_former(router_id: str, meters: RouterMeters, view: GridView) -> int:
    """Mark what others have by now, a load that has moved for example: its energy was this router's, and stays in its
    books, or they would not balance. How many there are.
    """
    count = 0
    entries = chain[_Meter](meters.links, meters.sources, meters.loads)
    for each in entries:
        owner_ids = _owner_ids(each, view)
        each.former = bool(owner_ids) and router_id not in owner_ids
        count += each.former
    return count


def _check_meters(meters: RouterMeters) -> None:
    """Violation for figures that cannot be true, and for ids that are none or stand there twice."""
    _check_figures(meters)
    for kind, ids in (
        ("link_id", [each.link_id for each in meters.links]),
        ("source_id", [each.source_id for each in meters.sources]),
        ("load_id", [each.load_id for each in meters.loads]),
    ):
        try:
            check_ids("meters", kind, ids)
        except ValueError as error:
            raise Violation("meters", str(error)) from error


def _check_figures(meters: RouterMeters) -> None:
    """No meter runs backwards from zero. Whatever figure is added to the messages is checked too."""
    for name, message in (
        ("router", meters),
        *((f"link {each.link_id!r}", each) for each in meters.links),
        *((f"source {each.source_id!r}", each) for each in meters.sources),
        *((f"load {each.load_id!r}", each) for each in meters.loads),
        *((f"circuit {each.circuit_id}", each) for each in meters.circuits),
        *((f"promise of circuit {each.circuit_id}", each) for each in meters.promises),
        *((f"promise of circuit {each.circuit_id}", each.missing) for each in meters.promises),
    ):
        for field, value in message.ListFields():
            if isinstance(value, int | float) and not 0 <= value < math.inf:
                raise Violation(
                    "meters", f"meters: {name}: {field.name} must be 0 or more, not {value!r}"
                )
