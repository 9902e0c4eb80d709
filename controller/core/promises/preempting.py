"""Soft pre-emption: circuits give way to one of a higher setup priority, which waits and claims their room meanwhile.

Victims keep their power until another route of theirs delivers, or are cut to their floors, or wait (RFC 5712). What
they leave is claimed from the beginning, so that nobody else takes it. A claim is not durable: after a restart whoever
waits looks for room again, and displaces again whom it must.

There are no loops. Whoever is displaced holds with less than whoever displaces is set up with, and no setup priority is
above its hold priority: so each chain descends.
"""

from dataclasses import dataclass

from controller.core.admission.admission import Admission
from controller.core.admission.preemption import Displacement, Preemption
from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.curtailed import by_circuit
from controller.core.circuits.generation import Phase
from controller.core.circuits.path_state import other_physics, path_down
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.shortfall import Blame, ShortCause
from controller.core.promises.mover import Mover
from controller.core.promises.pacing import RETRY_LATER_NS, urgency
from controller.core.promises.protector import Protector
from controller.core.promises.waiting import waits
from digitalgrid.model import CircuitGeneration

# Circuits that wait and are searched for in one event, and the pause (ns) before the next: a search among ten thousand
# circuits takes some 20 ms, so all of them take a tenth of the loop's time at the most.
_AT_ONCE = 1
_PAUSE_NS = 200_000_000


@dataclass(slots=True)
class _Claim:
    """Room that is being made for a circuit, and the generations that still have to go."""

    displacement: Displacement
    admission_seq: int
    left: set[CircuitGeneration]


class Preempter:
    """Displaces circuits for others, and sets these up once there is room."""

    def __init__(
        self,
        *,
        book: CircuitBook,
        admission: Admission,
        preemption: Preemption,
        mover: Mover,
        protector: Protector,
    ) -> None:
        self._book = book
        self._admission = admission
        self._preemption = preemption
        self._mover = mover
        self._protector = protector
        self._claims: dict[int, _Claim] = {}
        # Whom to displace at the end of the event, and for whom.
        self._to_displace: dict[int, Circuit] = {}
        # Those for whom it was tried in vain, and how things stood.
        self._tried: dict[int, int] = {}
        self._due_ns: int | None = None

    def next_deadline_ns(self) -> int | None:
        return self._due_ns

    # Claims

    def find(self, request: PowerRequest, circuit_id: int = 0) -> Displacement | None:
        """Whom a request would displace, if its setup priority lets it; nothing is changed."""
        load = self._admission.view.loads[request.sink_id][1]
        setup_priority, _ = request.priorities(load.priority)
        return self._preemption.find(request, setup_priority, circuit_id)

    def claim(self, circuit: Circuit, displacement: Displacement) -> None:
        """Have a circuit wait for the room that victims will leave; :meth:`displace` makes them go."""
        key = _claim_key(circuit.circuit_id)
        self._admission.claims.release(key)
        self._admission.claims.reserve(key, displacement.route)
        left = {key for each in displacement.victims for key in _keys(each)}
        seq = self._book.next_admission_seq()
        self._claims[circuit.circuit_id] = _Claim(displacement, seq, left)
        by = by_circuit(circuit.circuit_id)
        self._mover.displaced.update(dict.fromkeys(left, by))
        self._to_displace |= dict.fromkeys(
            [each.circuit_id for each in displacement.victims], circuit
        )
        ids = ", ".join(str(each.circuit_id) for each in displacement.victims)
        reason = f"waits until {ids} gave way to it"
        if not waits(circuit):
            circuit.apply(CircuitEvent.NO_PATH, reason)
        circuit.explain(reason)
        self._mover.waiting.add_claiming(circuit)
        self._book.persist(circuit)

    def displace(self, now_ns: int) -> None:
        """Have all victims go that were claimed from since; the most urgent has the first choice."""
        to_displace, self._to_displace = self._to_displace, {}
        live = self._book.live
        for victim in sorted((live[each] for each in to_displace if each in live), key=urgency):
            by = to_displace[victim.circuit_id]
            reason = (
                f"displaced by circuit {by.circuit_id}, whose setup priority {by.setup_priority} is"
                f" above its hold priority {victim.priority}"
            )
            if victim.state is CircuitState.ACTIVE or victim.lost is None:
                # What it lacks until it has power again, should it have to wait.
                at_unix_ns = self._book.audit.at_unix_ns
                victim.lost = Blame(ShortCause.PREEMPTED, str(by.circuit_id), at_unix_ns)
            self._displace(victim, reason, now_ns)

    def _displace(self, victim: Circuit, reason: str, now_ns: int) -> None:
        """It gets another route, else its floor, else it waits; what protects it goes at once."""
        self._protector.give_way(victim, reason, now_ns)
        newest = victim.newest()
        if newest is not None and newest.phase is Phase.CARRYING:
            self._mover.move(victim, reason, now_ns)
        elif victim.admin_up and not victim.state.ended and not waits(victim):
            self._mover.wait(victim, reason, now_ns)

    def gone(self, key: CircuitGeneration) -> None:
        """No router holds this generation any more."""
        if self._mover.displaced.pop(key, None) is None:
            return
        for circuit_id, claim in list(self._claims.items()):
            claim.left.discard(key)
            if not claim.left:
                self._set_up(circuit_id)

    def _set_up(self, circuit_id: int) -> None:
        """All victims have gone: the route is taken as it was worked out, or another is looked for."""
        claim = self._give_up(circuit_id)
        circuit = self._book.live.get(circuit_id)
        if circuit is None or not waits(circuit):
            return
        route, view = claim.displacement.route, self._admission.view
        stands = not path_down(view, route) and not other_physics(view, route)
        if stands and self._admission.has_room(route, circuit_id):
            circuit.apply(CircuitEvent.MOVING, "others gave way to it")
            self._mover.begin(circuit, route, seamless=False, admission_seq=claim.admission_seq)

    def _give_up(self, circuit_id: int) -> _Claim:
        """Nobody has to go for this circuit any more."""
        claim = self._claims.pop(circuit_id)
        self._admission.claims.release(_claim_key(circuit_id))
        self._mover.waiting.claiming.discard(circuit_id)
        others = {key for each in self._claims.values() for key in each.left}
        for key in claim.left - others:
            self._mover.displaced.pop(key, None)
        return claim

    # Those that wait

    def look(self, now_ns: int) -> None:
        """Give up claims of those that wait no more; look again for those that wait in vain, when anything changed."""
        for circuit_id in list(self._claims):
            circuit = self._book.live.get(circuit_id)
            if circuit is None or not waits(circuit):
                self._give_up(circuit_id)
        if not self._mover.waiting.any_in_vain:
            self._due_ns = None
            self._tried.clear()
        elif self._due_ns is None:
            self._due_ns = now_ns

    def on_timer(self, now_ns: int) -> None:
        """Displace others for circuits that wait, the most urgent first, a few in each round."""
        if self._due_ns is None or now_ns < self._due_ns:
            return
        self._due_ns = now_ns + RETRY_LATER_NS
        lowest = min(
            (each.priority for each in self._book.live.values() if each.generations), default=0
        )
        left = _AT_ONCE
        with self._book.together():
            for circuit in self._mover.waiting.in_vain():
                stands, circuit_id = self._mover.stands, circuit.circuit_id
                if circuit.setup_priority <= lowest or circuit_id in self._claims:
                    continue
                if circuit.is_held:
                    # It carries nothing, and displaces nobody who does.
                    continue
                if self._tried.get(circuit_id) == stands:
                    continue
                if not left:
                    self._due_ns = now_ns + _PAUSE_NS
                    break
                left -= 1
                self._tried[circuit_id] = stands
                found = self._preemption.find(
                    _as_request(circuit), circuit.setup_priority, circuit_id
                )
                if found is not None:
                    self.claim(circuit, found)
                    self.displace(now_ns)


def _claim_key(circuit_id: int) -> CircuitGeneration:
    """Of a claim; no generation has it."""
    return CircuitGeneration(circuit_id, 0)


def _keys(circuit: Circuit) -> list[CircuitGeneration]:
    return [each.key for each in circuit.generations.values()]


def _as_request(circuit: Circuit) -> PowerRequest:
    return PowerRequest(
        circuit.request_id,
        circuit.sink_id,
        circuit.power_w,
        circuit.source_ids,
        circuit.constraints,
    )
