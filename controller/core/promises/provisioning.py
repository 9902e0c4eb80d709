"""Carries out what clients ask: circuits for requests, other powers for circuits, releases."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from controller.core.admission.admission import Admission
from controller.core.admission.batch import route_batch
from controller.core.admission.preemption import Displacement
from controller.core.admission.protected import ProtectedAdmission, Served
from controller.core.admission.standby_search import Standby
from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.generation import Phase
from controller.core.circuits.hold import HoldWord
from controller.core.circuits.protection import Guard
from controller.core.circuits.request import PowerRequest, check_power, check_request
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.core.programming.programming import Programmer
from controller.core.promises.holding import Holder
from controller.core.promises.lifetimes import Lifetimes
from controller.core.promises.mover import Mover
from controller.core.promises.preempting import Preempter
from controller.core.promises.protector import Protector
from digitalgrid.garbage_collector import without_frames
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason, RefusalCode

# Circuits that may wait for their turn to be programmed: some ten seconds of a few routers that are late.
MAX_QUEUED = 4096
_HOLD_EXPIRED = "its hold has expired"
_TIME_OVER = "its time is over"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a request would get, and the circuits that would be displaced for it."""

    served: list[Served]
    displaced_ids: tuple[int, ...] = ()

    @property
    def routes(self) -> list[Route]:
        return [each.route for each in self.served]

    @property
    def reason(self) -> str:
        """What there is to say of it."""
        ids = ", ".join(map(str, self.displaced_ids))
        return f"would displace {ids}" if ids else ""


class Provisioner:
    """Makes, changes and ends circuits. Until ``known_by_ns`` routers are still coming back to a new daemon:
    what it does not know may exist.
    """

    def __init__(
        self,
        *,
        book: CircuitBook,
        reservations: Reservations,
        admission: Admission,
        mover: Mover,
        preempter: Preempter,
        protected: ProtectedAdmission,
        protector: Protector,
        holder: Holder,
        lifetimes: Lifetimes,
        programmer: Programmer,
        known_by_ns: int,
    ) -> None:
        self._book = book
        self._reservations = reservations
        self._admission = admission
        self._mover = mover
        self._preempter = preempter
        self._protected = protected
        self._protector = protector
        self._holder = holder
        self._lifetimes = lifetimes
        self._programmer = programmer
        self._known_by_ns = known_by_ns

    def check(self, request: PowerRequest, now_ns: int) -> None:
        """Raise Refusal for what no state of the network could make right."""
        with self.excused_while_starting(now_ns):
            check_request(request, self._admission.view)
        self._lifetimes.check(request, now_ns)

    def is_starting(self, now_ns: int) -> bool:
        return now_ns < self._known_by_ns

    @contextmanager
    def excused_while_starting(self, now_ns: int) -> Iterator[None]:
        """What is not found may yet come while routers are connecting."""
        try:
            yield
        except Refusal as refusal:
            # Sources that a floor needs are among it.
            unknown = refusal.code is RefusalCode.NOT_FOUND
            unknown |= refusal.reason is Reason.FLOOR_ABOVE_SOURCE
            if unknown and self.is_starting(now_ns):
                raise starting(f"{refusal}; ", refusal) from refusal
            raise

    def request(self, request: PowerRequest, now_ns: int) -> list[Circuit]:
        """Admit a request; raises Refusal with nothing reserved. A retry gets the circuits that it made."""
        known = self._book.of_request(request)
        if known is not None:
            return known
        self._check_backlog()
        self.check(request, now_ns)
        try:
            served = self._protected.admit(request, self.draw_key)
        except Refusal as refusal:
            return [self._displacing(request, refusal, now_ns)]
        # In the order in which they were reserved, by which losses are charged: standbys come after all that carries.
        seqs = [self._book.next_admission_seq() for _ in served]
        with self._book.together():
            return [
                self.launch(request, each.key, each.route, now_ns, protected=each, seq=seq)
                for each, seq in zip(served, seqs, strict=True)
            ]

    def _displacing(self, request: PowerRequest, refusal: Refusal, now_ns: int) -> Circuit:
        """A circuit that waits until others have given way to it; the refusal is raised where none would."""
        found = self._found(request, refusal)
        circuit = self._new_circuit(request, self.draw_key(), found.route, now_ns)
        circuit.apply(CircuitEvent.ADMITTED)
        # Its standby is looked for when it delivers.
        self._want(circuit, Served(CircuitGeneration(circuit.circuit_id, 1), found.route))
        self._preempter.claim(circuit, found)
        return circuit

    def _found(self, request: PowerRequest, refusal: Refusal) -> Displacement:
        """Who would give way; the refusal is raised where nobody would, or a standby is all that found no way."""
        found = None
        unprotected = (Reason.PROTECTION_IMPOSSIBLE, Reason.PROTECTION_NO_ROOM)
        # A hold carries nothing, and displaces nobody who does; nor is another way what was asked for.
        may_displace = request.hold_ms is None and request.explicit_route is None
        if refusal.reason not in unprotected and may_displace:
            found = self._preempter.find(request)
        if found is None:
            raise self._holder.beside(request, refusal)
        return found

    def request_batch(
        self, wanted: Sequence[PowerRequest], now_ns: int
    ) -> list[list[Circuit] | Refusal]:
        """Each as by :meth:`request`, in order; those that are plain and come together, in one compiled call."""
        decisions: list[list[Circuit] | Refusal] = []
        plain: dict[str, PowerRequest] = {}
        for request in wanted:
            if request.request_id not in plain and self._is_new_and_plain(request, now_ns):
                plain[request.request_id] = request
                continue
            decisions += self._admit_plain([*plain.values()], now_ns)
            plain = {}
            try:
                decisions.append(self.request(request, now_ns))
            except Refusal as refusal:
                decisions.append(without_frames(refusal))
        return decisions + self._admit_plain([*plain.values()], now_ns)

    def _is_new_and_plain(self, request: PowerRequest, now_ns: int) -> bool:
        # One compiled call does not know what passes a router after each of its requests.
        if self._admission.arrays.limits_converters:
            return False
        if not request.is_plain or self._book.of_request_id(request.request_id):
            return False
        try:
            self._check_backlog()
            self.check(request, now_ns)
        except Refusal:
            return False
        return True

    def _check_backlog(self) -> None:
        """Backpressure: routers have not caught up with what was promised; whoever asks for more is told."""
        if self._programmer.queued < MAX_QUEUED:
            return
        refusal = Refusal(
            Reason.OVERLOADED,
            f"{MAX_QUEUED} circuits wait for their turn to be programmed; try again in a moment, and see"
            " `dgctl topology` for routers that are late",
        )
        # Nothing was decided, and writing that down would only add to the load.
        refusal.noted = True
        raise refusal

    def _admit_plain(
        self, wanted: Sequence[PowerRequest], now_ns: int
    ) -> list[list[Circuit] | Refusal]:
        if not wanted:
            return []
        decisions: list[list[Circuit] | Refusal] = []
        refused: list[int] = []
        for request, route in zip(wanted, route_batch(self._admission, wanted), strict=True):
            if route is None:
                refused.append(len(decisions))
                decisions.append([])
                continue
            key = self.draw_key()
            self._reservations.reserve(key, route)
            decisions.append([self.launch(request, key, route, now_ns)])
        # Only now do the reservations stand for what the others got.
        for index in refused:
            refusal = self._admission.explain(wanted[index])
            try:
                decisions[index] = [self._displacing(wanted[index], refusal, now_ns)]
            except Refusal as refused_too:
                decisions[index] = without_frames(refused_too)
        return decisions

    def rehearse(self, request: PowerRequest, now_ns: int) -> Rehearsal:
        """What :meth:`request` would do now."""
        known = self._book.of_request(request)
        if known is not None:
            return Rehearsal([each for circuit in known if (each := _as_served(circuit))])
        self.check(request, now_ns)
        try:
            served = self._protected.admit(request, rehearsal_keys())
        except Refusal as refusal:
            found = self._found(request, refusal)
            displaced_ids = tuple(each.circuit_id for each in found.victims)
            return Rehearsal([Served(rehearsal_keys()(), found.route)], displaced_ids)
        self._protected.give_back(served)
        return Rehearsal(served)

    def draw_key(self) -> CircuitGeneration:
        """A name for a circuit that is about to be reserved."""
        return CircuitGeneration(self._book.next_circuit_id(), 1)

    def give_back(self, keys: Sequence[CircuitGeneration]) -> None:
        """Release what was reserved for circuits that are not made after all."""
        for key in keys:
            self._reservations.release(key)

    def launch(
        self,
        request: PowerRequest,
        key: CircuitGeneration,
        route: Route,
        now_ns: int,
        *,
        protected: Served | None = None,
        seq: int = 0,
    ) -> Circuit:
        """Make the circuit of a route that is reserved, and program it. It is the last of all, or has place ``seq``."""
        circuit = self._new_circuit(request, key, route, now_ns)
        seq = seq or self._book.next_admission_seq()
        version = self._admission.view.version
        generation = circuit.next_generation(seq, route, version, seamless=False)
        circuit.apply(CircuitEvent.ADMITTED)
        self._want(circuit, protected or Served(key, route))
        self._mover.launch(circuit, generation)
        return circuit

    def _want(self, circuit: Circuit, served: Served) -> None:
        if circuit.guard.against is not None:
            self._protector.want(circuit, served.standby, served.unprotected_because)

    def _new_circuit(
        self, request: PowerRequest, key: CircuitGeneration, route: Route, now_ns: int
    ) -> Circuit:
        load = self._admission.view.loads[request.sink_id][1]
        setup_priority, hold_priority = request.priorities(load.priority)
        circuit = Circuit(
            circuit_id=key.circuit_id,
            request_id=request.request_id,
            sink_id=request.sink_id,
            source_ids=request.source_ids,
            constraints=request.constraints,
            power_w=route.power_w,
            priority=hold_priority,
            setup_priority=setup_priority,
            # Each part of a split keeps its part of the floor.
            floor_w=request.floor_w * (route.power_w / request.power_w),
            requested_at_ns=now_ns,
            guard=Guard(request.protect, request.dedicated),
            owner=request.owner,
            until_unix_ns=request.until_unix_ns,
        )
        self._book.add(circuit, request)
        self._lifetimes.watch(circuit)
        if request.hold_ms is not None:
            self._holder.hold(circuit, request.hold_ms, now_ns)
        return circuit

    def change(self, circuit_id: int, power_w: float, now_ns: int) -> Circuit:
        """Ask for another power: a new generation, made before the old one is broken."""
        check_power(power_w, "power_w")
        circuit = self._book.get_live(circuit_id)
        carrying = circuit.newest()
        if circuit.power_w == power_w:
            return circuit
        if circuit.is_held:
            raise Refusal(
                Reason.CIRCUIT_HELD,
                f"circuit {circuit_id} is held; activate it first, or release it and request power anew",
                metadata={"circuit_id": str(circuit_id)},
            )
        if circuit.state is CircuitState.WAITING:
            self._admission.check_load_limit(circuit, power_w)
            circuit.power_w = power_w
            self._book.persist(circuit)
            self._mover.room_version += 1
            self._mover.waiting.retry_soon(now_ns)
            return circuit
        if carrying is None or carrying.phase is not Phase.CARRYING:
            raise Refusal(
                Reason.CIRCUIT_IN_TRANSITION,
                f"circuit {circuit_id} is {circuit.state.value}; try again once it is active",
                metadata={"circuit_id": str(circuit_id)},
            )
        route = self._mover.rerouting.find(circuit, power_w)
        if route is None:
            raise self._admission.explain_change(circuit, power_w)
        self._check_standby(circuit, route)
        circuit.power_w = power_w
        circuit.apply(CircuitEvent.MOVING, "its power is being changed")
        self._mover.begin(circuit, route, seamless=True)
        return circuit

    def _check_standby(self, circuit: Circuit, route: Route) -> None:
        """Refuse another power at which a circuit that has a standby could have none."""
        if circuit.standby() is not None:
            key = CircuitGeneration(circuit.circuit_id, circuit.last_generation + 1)
            self._reservations.reserve(key, route)
            try:
                self._protector.check(circuit, route)
            finally:
                self._reservations.release(key)

    def release(self, circuit_id: int, now_ns: int) -> Circuit:
        """Take a circuit down; a second release of the same circuit changes nothing."""
        circuit = self._book.get(circuit_id)
        self._end(circuit, "released", now_ns)
        return circuit

    def next_deadline_ns(self) -> int | None:
        deadlines = (self._holder.next_deadline_ns(), self._lifetimes.next_deadline_ns())
        return min((each for each in deadlines if each is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        """Release the holds that nobody has activated in time, and what was asked for until now."""
        with self._book.together():
            for circuit in self._holder.expire(now_ns):
                self._end(circuit, _HOLD_EXPIRED, now_ns)
            for circuit in self._lifetimes.over(now_ns):
                self._end(circuit, _TIME_OVER, now_ns)

    def _end(self, circuit: Circuit, reason: str, now_ns: int) -> None:
        """Take it down, if it stands."""
        if circuit.admin_up and not circuit.state.ended:
            was_held = circuit.hold is not None and circuit.hold.word is not HoldWord.ACTIVATED
            self._holder.forget(circuit)
            circuit.admin_up = False
            circuit.apply(CircuitEvent.RELEASED, reason)
            self._book.persist(circuit)
            if circuit.newest() is None and not was_held:
                self._end_wait(circuit)
            self.take_down(circuit, now_ns)

    def _end_wait(self, circuit: Circuit) -> None:
        """Its load's router, which counts what is missing meanwhile, hears that nothing is promised any more."""
        owner_id, _ = self._admission.view.loads.get(circuit.sink_id, ("", None))
        if owner_id:
            last = CircuitGeneration(circuit.circuit_id, circuit.last_generation)
            self._programmer.repairs.remove(owner_id, (last,))

    def take_down(self, circuit: Circuit, now_ns: int) -> None:
        """Drain and withdraw all that routers hold of a circuit."""
        self._lifetimes.forget(circuit)
        self._protector.tend(circuit, now_ns)
        for generation in list(circuit.generations.values()):
            if generation.phase not in (Phase.DRAINING, Phase.WITHDRAWING):
                drain = not self._mover.path_down(generation.route)
                self._programmer.retire(generation, now_ns, drain=drain)
        self.finish_if_gone(circuit)

    def finish_if_gone(self, circuit: Circuit) -> None:
        """A released circuit has ended once no router holds anything of it."""
        if circuit.state is CircuitState.WITHDRAWING and not circuit.generations:
            circuit.apply(CircuitEvent.WITHDRAWN, circuit.reason)
            self._book.persist(circuit)


def _as_served(circuit: Circuit) -> Served | None:
    newest, standby = circuit.newest(), circuit.standby()
    if newest is None:
        return None
    stands_by = Standby(standby.route, standby.covers) if standby is not None else None
    return Served(newest.key, newest.route, stands_by)


def rehearsal_keys() -> Callable[[], CircuitGeneration]:
    """Names for what is reserved and given back within one event; no circuit has them."""
    numbers = count(1)
    return lambda: CircuitGeneration(-next(numbers), 1)


def starting(why: str = "", refusal: Refusal | None = None) -> Refusal:
    """Routers are still coming back to a daemon that has just started."""
    return Refusal(
        Reason.ROUTERS_RETURNING,
        f"{why}routers are still connecting, so try again in a moment",
        field=refusal.field if refusal else "",
        metadata=refusal.metadata if refusal else None,
    )
