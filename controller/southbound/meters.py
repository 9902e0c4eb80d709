"""Reading routers' meters: each answer is bound to the session that was asked, and checked before anybody sees it."""

import asyncio
import math
from collections.abc import Callable, Iterator

from controller.core.network.view import GridView
from controller.southbound.violation import Violation
from digitalgrid.convert import check_ids
from digitalgrid.limits import MAX_ADVERTISED
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import RouterMeters

# Former links, sources and loads stay in the books of a router, so there may be more than it advertises.
_MAX_METERS = 2 * MAX_ADVERTISED


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

    def take(self, reply: pb.MetersReply, view: GridView) -> None:
        """Violation for meters that are not this router's, or cannot be true. One that comes too late is dropped."""
        if not 0 < reply.read_id <= self._last_id:
            raise Violation("meters", f"meters for read {reply.read_id}, which was never asked")
        answer = self._waiting.pop(reply.read_id, None)
        if answer is None or answer.done():
            return
        self._check(reply.meters, view)
        answer.set_result(reply.meters)

    def _check(self, meters: RouterMeters, view: GridView) -> None:
        if meters.router_id != self._router_id:
            raise Violation(
                "meters", f"meters of {meters.router_id!r} in the session of {self._router_id!r}"
            )
        if meters.boot_id != self._boot_id:
            raise Violation(
                "meters", f"meters of boot {meters.boot_id}, the session is of {self._boot_id}"
            )
        _check_figures(meters)
        for kind, ids in (
            ("link_id", [each.link_id for each in meters.links]),
            ("source_id", [each.source_id for each in meters.sources]),
            ("load_id", [each.load_id for each in meters.loads]),
        ):
            if len(ids) > _MAX_METERS:
                raise Violation(
                    "meters", f"meters: {len(ids)} of {kind}; {_MAX_METERS} is the most"
                )
            try:
                check_ids("meters", kind, ids)
            except ValueError as error:
                raise Violation("meters", str(error)) from error
        strange = next(_of_others(self._router_id, meters, view), None)
        if strange is not None:
            raise Violation("meters", f"meters: {strange} is another router's")


def _of_others(router_id: str, meters: RouterMeters, view: GridView) -> Iterator[str]:
    """What others have. Former links, sources and loads are in nobody's advertisement, and stay in the books."""
    for link in meters.links:
        known = view.links.get(link.link_id)
        if known is not None and router_id not in (known.a, known.b):
            yield f"link {link.link_id!r}"
    for source in meters.sources:
        if view.sources.get(source.source_id, (router_id,))[0] != router_id:
            yield f"source {source.source_id!r}"
    for load in meters.loads:
        if view.loads.get(load.load_id, (router_id,))[0] != router_id:
            yield f"load {load.load_id!r}"


def _check_figures(meters: RouterMeters) -> None:
    """No meter runs backwards from zero. Whatever figure is added to the messages is checked too."""
    for name, message in (
        ("router", meters),
        *((f"link {each.link_id!r}", each) for each in meters.links),
        *((f"source {each.source_id!r}", each) for each in meters.sources),
        *((f"load {each.load_id!r}", each) for each in meters.loads),
        *((f"circuit {each.circuit_id}", each) for each in meters.circuits),
    ):
        for field, value in message.ListFields():
            if isinstance(value, int | float) and not 0 <= value < math.inf:
                raise Violation(
                    "meters", f"meters: {name}: {field.name} must be 0 or more, not {value!r}"
                )
