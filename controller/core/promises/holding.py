"""Holds: circuits that are reserved until their clients activate them, and released when their time to live is over."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import Phase, Role
from controller.core.circuits.hold import Hold, HoldEvent, HoldWord
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import load, source
from controller.core.errors import Refusal
from controller.core.programming.agenda import Agenda
from controller.core.programming.programming import Programmer
from controller.core.promises.curtailing import Curtailer
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason, RefusalCode
from digitalgrid.units import NS_PER_MS, format_power, format_unix_ns

# Holds that end in one event; others have their turn between.
_AT_ONCE = 64
# Of all that has a part of what binds, how many are looked at for what may be free again soon.
_MOST_LOOKED_AT = 64


class Holder:
    """Keeps holds, and activates them. ``calendar_ns`` says what calendar time an event has: holds outlive daemons."""

    def __init__(
        self,
        *,
        book: CircuitBook,
        programmer: Programmer,
        curtailer: Curtailer,
        reservations: Reservations,
        calendar_ns: Callable[[int], int],
        now_ns: int,
    ) -> None:
        self._book = book
        self._programmer = programmer
        self._curtailer = curtailer
        self._reservations = reservations
        self._calendar_ns = calendar_ns
        self._due: Agenda[int] = Agenda()
        for circuit in book.live.values():
            self._watch(circuit, now_ns)

    def next_deadline_ns(self) -> int | None:
        return self._due.next_ns()

    def hold(self, circuit: Circuit, ttl_ms: int, now_ns: int) -> None:
        """A new circuit is to carry nothing until it is activated, and to end if it is not within its time to live."""
        circuit.hold = Hold(self._calendar_ns(now_ns) + ttl_ms * NS_PER_MS)
        self._watch(circuit, now_ns)

    def _watch(self, circuit: Circuit, now_ns: int) -> None:
        if circuit.is_held and circuit.hold is not None:
            left_ns = circuit.hold.until_unix_ns - self._calendar_ns(now_ns)
            self._due.set(circuit.circuit_id, now_ns + left_ns)
            self._reservations.hold(circuit.circuit_id)

    def beside(self, request: PowerRequest, refusal: Refusal) -> Refusal:
        """The same, which says so where what is lacking may be free again soon: holds have it, or circuits that end by
        themselves. At the boundary of two intervals both are in the way.
        """
        circuits = self._among(self._in_the_way(request, refusal))
        held = [each for each in circuits if each.is_held]
        ending = [each for each in circuits if _ends_by_itself(each)]
        if held:
            what = f"is held for {_that(held, 'carries', 'carry')} nothing yet"
            refusal = _saying(refusal, held, what, "held_w")
        if ending:
            ends_ns = min(each.until_unix_ns or 0 for each in ending)
            first = ", the first" if len(ending) > 1 else ""
            what = f"goes to {_that(ending, 'ends', 'end')}{first} at {format_unix_ns(ends_ns)}"
            refusal = _saying(refusal, ending, what, "ending_w")
            refusal.metadata["ends_unix_ns"] = str(ends_ns)
        return refusal

    def _among(self, keys: Iterable[CircuitGeneration]) -> list[Circuit]:
        """The first few are looked at: a refusal is to cost no more for many circuits."""
        ids = dict.fromkeys(key.circuit_id for key in islice(keys, _MOST_LOOKED_AT))
        return [self._book.live[each] for each in ids if each in self._book.live]

    def _in_the_way(self, request: PowerRequest, refusal: Refusal) -> Iterable[CircuitGeneration]:
        """Who has a part of what a request was refused for."""
        held = self._reservations
        if refusal.reason is Reason.LOAD_LIMIT_EXCEEDED:
            return held.held_of(load(request.sink_id))
        if refusal.code is not RefusalCode.RESOURCE_EXHAUSTED:
            return ()
        links = refusal.metadata.get("bottleneck_links", "")
        if links:
            return held.generations_over(links.split(","))
        # Else sources are what binds.
        return chain.from_iterable(held.held_of(source(each)) for each in request.source_ids)

    def activate(self, circuit_id: int, now_ns: int) -> Circuit:
        """Have it carry. A second activation changes nothing, nor does one of a circuit that was no hold."""
        circuit = self._book.get(circuit_id)
        hold = circuit.hold
        if hold is not None and hold.word is HoldWord.EXPIRED:
            raise Refusal(
                Reason.HOLD_EXPIRED,
                f"the hold of circuit {circuit_id} has expired, and what it reserved may be others' by"
                " now; request power anew",
                field="circuit_id",
                metadata={
                    "circuit_id": str(circuit_id),
                    "until_unix_ns": str(hold.until_unix_ns),
                },
            )
        circuit = self._book.get_live(circuit_id)
        if circuit.is_held:
            self._begin(circuit, now_ns)
        return circuit

    def _begin(self, circuit: Circuit, now_ns: int) -> None:
        self.forget(circuit)
        circuit.end_hold(HoldEvent.ACTIVATE)
        # What its client waits for begins now.
        circuit.requested_at_ns = now_ns
        for generation in list(circuit.generations.values()):
            if generation.role is Role.WORKING and generation.phase is Phase.QUEUED:
                # A daemon that is restarted must know that its routers were to hear of it before they do.
                generation.durable = False
                self._programmer.start(generation)
                self._curtailer.demanded_at(generation.route.source_id)
        if circuit.newest() is not None:
            circuit.explain("")
        self._book.persist(circuit)

    def forget(self, circuit: Circuit) -> None:
        """It carries, or is released."""
        self._due.drop(circuit.circuit_id)
        self._reservations.end_hold(circuit.circuit_id)

    def expire(self, now_ns: int) -> list[Circuit]:
        """Some of those that nobody has activated in time, which are to be released; the others in the next event."""
        expired = []
        for circuit_id in self._due.due(now_ns)[:_AT_ONCE]:
            self._due.drop(circuit_id)
            circuit = self._book.live.get(circuit_id)
            if circuit is not None and circuit.is_held:
                circuit.end_hold(HoldEvent.EXPIRE)
                expired.append(circuit)
        return expired


def _saying(refusal: Refusal, circuits: Sequence[Circuit], what: str, figure: str) -> Refusal:
    """With what of that which is in the way is these circuits', in words and as a figure."""
    power_w = sum(each.power_w for each in circuits)
    return Refusal(
        refusal.reason,
        f"{refusal}; {format_power(power_w)} at least of what is promised there {what}",
        field=refusal.field,
        metadata=refusal.metadata | {figure: repr(power_w)},
    )


def _ends_by_itself(circuit: Circuit) -> bool:
    """Whether it carries, or is to, and nobody needs to release it; one that is being withdrawn is on its way out."""
    return circuit.admin_up and not circuit.is_held and circuit.until_unix_ns is not None


def _that(circuits: Sequence[Circuit], does: str, do: str) -> str:
    return f"{len(circuits)} circuits that {do}" if len(circuits) > 1 else f"1 circuit that {does}"
