"""Protection of circuits: standbys are found, followed, adopted once their sinks have switched to them, and made anew.

The sink alone decides by which generation a circuit is served. What it did is made durable here, then told to the
other routers (``Promote``); a standby is never rerouted to, and nobody is moved back.
"""

from collections.abc import Callable, Iterable, Mapping

from controller.core.admission.admission import Admission
from controller.core.admission.standby_search import Standby, StandbySearch
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import Generation, Phase, Role
from controller.core.circuits.guarding import SEARCHING, fits_beside, show_protection
from controller.core.circuits.path_state import path_down
from controller.core.circuits.protection import Protection, ProtectionEvent
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.effects import CircuitChanged, Effect
from controller.core.messages import CircuitStatus
from controller.core.programming.agenda import Agenda
from controller.core.programming.programming import Programmer
from controller.core.promises.fitness import Fitness
from controller.core.promises.standby_making import StandbyMaker
from controller.core.promises.standby_renewing import standby_request
from controller.core.promises.switching import Switches
from digitalgrid.model import FlowState, SwitchCause
from digitalgrid.units import NS_PER_S

# A standby that replaces another fills its buffers first, for so long at most: as long as it takes where there is room.
_REPLACES_WITHIN_NS = 12 * NS_PER_S
_CAUSES = {
    SwitchCause.GRANT_LOST: "no power was granted any more over its other path",
    SwitchCause.POWER_MISSED: "power was missing over its other path",
    SwitchCause.OTHER_LOST: "its other path was lost",
}


class Protector:
    """Keeps a standby for every circuit that is to have one. ``note`` writes an entry of the audit trail."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        reservations: Reservations,
        admission: Admission,
        search: StandbySearch,
        programmer: Programmer,
        next_admission_seq: Callable[[], int],
        persist: Callable[[Circuit], None],
        note: Callable[[str, str, str, str], None],
        emit: Callable[[Effect], None],
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._admission = admission
        self._search = search
        self._fitness = Fitness(circuits, reservations, admission)
        self._programmer = programmer
        self._persist = persist
        self._note = note
        self._emit = emit
        # Circuits that are moved, and whose standbys are to cover more by now.
        self._to_follow: set[int] = set()
        # Circuits with two standbys, and until when the older is kept for the newer to fill.
        self._replacing: Agenda[int] = Agenda()
        self.maker = StandbyMaker(
            circuits=circuits,
            reservations=reservations,
            admission=admission,
            search=search,
            next_admission_seq=next_admission_seq,
            persist=persist,
            note=note,
            tend=self.tend,
            retire=self._retire,
        )
        self._switches = Switches(
            circuits=circuits,
            reservations=reservations,
            admission=admission,
            fitness=self._fitness,
            programmer=programmer,
            persist=persist,
            note=note,
            held_back=self.maker.held_back,
            retire=self._retire,
            tend=self.tend,
            emit=emit,
        )

    def next_deadline_ns(self) -> int | None:
        follow_at_ns = 0 if self._to_follow else None
        due = (
            self._switches.next_deadline_ns(),
            self._replacing.next_ns(),
            self.maker.next_deadline_ns(),
            follow_at_ns,
        )
        return min((each for each in due if each is not None), default=None)

    # Wanted

    def want(self, circuit: Circuit, standby: Standby | None, unprotected_because: str) -> None:
        """A circuit was admitted with a standby, which is reserved under its next number, or without because."""
        circuit.guard.apply(ProtectionEvent.WANTED, "power must arrive first")
        if standby is not None:
            self.maker.hold(circuit, standby)
        elif unprotected_because:
            circuit.guard.apply(ProtectionEvent.NO_WAY, unprotected_because)

    def check(self, circuit: Circuit, working: Route) -> None:
        """Raise Refusal where a circuit that is reserved on this path could have no standby."""
        request = standby_request(circuit, working.power_w)
        standby = circuit.standby()
        found = self._search.beside(
            working,
            request,
            circuit_id=circuit.circuit_id,
            instead_of=standby.key if standby is not None else None,
        )
        if found is None:
            raise self._search.why_not(working, request, circuit.circuit_id)

    # Looking after a circuit

    def tend(self, circuit: Circuit, now_ns: int) -> None:
        """See that the circuit has the standby that it is to have, and that its word is true."""
        if circuit.guard.against is None:
            return
        if not circuit.admin_up or circuit.state.ended:
            self._end(circuit)
            return
        self._retire_unfit(circuit, now_ns)
        self._switches.see_return(circuit)
        newest, standbys = circuit.newest(), circuit.standbys()
        if newest is not None and newest.phase is Phase.CARRYING:
            for standby in standbys:
                held_back = standby.key in self.maker.held_back
                if held_back and fits_beside(self._reservations, circuit, standby):
                    self.maker.held_back.discard(standby.key)
                    self._programmer.start(standby)
            self.maker.look_at(circuit, now_ns)
        if show_protection(self._admission.view, circuit):
            self._emit(CircuitChanged(circuit.circuit_id))

    def _end(self, circuit: Circuit) -> None:
        circuit.guard.apply_if_possible(ProtectionEvent.ENDED)
        self._switches.forget(circuit)
        self._replacing.drop(circuit.circuit_id)
        self.maker.end(circuit)

    def _retire_unfit(self, circuit: Circuit, now_ns: int) -> None:
        """Let go of standbys that do not protect the circuit as it is now, and of one that is replaced."""
        for standby in sorted(circuit.standbys(), key=lambda each: each.key, reverse=True):
            reason = self._fitness.unfit(circuit, standby)
            if reason := reason or self._spare(circuit, standby, now_ns):
                self._retire(circuit, standby, reason, now_ns)
            else:
                self._follow(circuit, standby, now_ns)
        if len(circuit.standbys()) < 2:
            self._replacing.drop(circuit.circuit_id)

    def _spare(self, circuit: Circuit, standby: Generation, now_ns: int) -> str:
        """Why one of two standbys is not needed; empty where it is.

        The newer replaces the older once it is charged, or is there at least where the older is not charged either. If
        it does not fill in time, the older goes only from what is drained: else the newer does, which protects nobody.
        """
        older, newer = (pick(circuit.standbys(), key=lambda each: each.key) for pick in (min, max))
        if older is newer:
            return ""
        if circuit.circuit_id not in self._replacing:
            self._replacing.set(circuit.circuit_id, now_ns + _REPLACES_WITHIN_NS)
        if newer.phase is not Phase.COMMITTED:
            return ""
        late = circuit.circuit_id in self._replacing.due(now_ns)
        replaces = newer.charged or not older.charged
        if late and not replaces:
            replaces = self._fitness.is_out_of_service(older)
            if standby is newer and not replaces:
                self.maker.did_not_fill(circuit, newer, now_ns)
                return "it does not fill its buffers, and the one that it was to replace has"
        return "another replaces it" if standby is older and replaces else ""

    def replace(self, circuit: Circuit, standby: Generation, reason: str, now_ns: int) -> None:
        """This one is to go, but stays until another stands in its place, if there is a way for one."""
        if standby.phase in (Phase.QUEUED, Phase.STAGING):
            self._retire(circuit, standby, reason, now_ns)
            self.tend(circuit, now_ns)
        else:
            self.maker.replace(circuit, reason, now_ns)

    def give_way(self, circuit: Circuit, reason: str, now_ns: int) -> None:
        """What its standby holds is for others; another is looked for beside them."""
        for standby in circuit.standbys():
            self._retire(circuit, standby, reason, now_ns)

    def _retire(self, circuit: Circuit, standby: Generation, reason: str, now_ns: int) -> None:
        self.maker.held_back.discard(standby.key)
        standby.charged = False
        drain = not path_down(self._admission.view, standby.route)
        self._programmer.retire(standby, now_ns, drain=drain)
        left = circuit.standby()
        if left is None or not left.charged:
            circuit.guard.apply_if_possible(ProtectionEvent.STANDBY_LOST, reason)
            if circuit.guard.word is Protection.PENDING:
                circuit.guard.explain(reason)
        self._emit(CircuitChanged(circuit.circuit_id))

    def _follow(self, circuit: Circuit, standby: Generation, now_ns: int) -> None:
        """Let a shared standby cover what stops its circuit by now; where others need its room then, it goes."""
        covers = self._fitness.covers_anew(circuit, standby)
        if covers is None:
            return
        if not self._fitness.can_cover(standby, covers):
            why = "others need the room of its standby for what that has to cover now"
            self._retire(circuit, standby, why, now_ns)
            return
        self._reservations.cover(standby.key, covers)
        standby.covers = covers
        self._persist(circuit)

    def unprotectable(self) -> Iterable[Circuit]:
        """Circuits without a way for a standby beside their path, where another path may have one."""
        found = map(self._circuits.get, self.maker.without_way())
        return [each for each in found if each is not None]

    def is_paired(self, circuit: Circuit, reason: str) -> None:
        """It is about to move to where there is a way for a standby, which is searched for once it delivers."""
        self.maker.forget(circuit)
        circuit.guard.explain(reason)

    def working_moves(self, circuit: Circuit) -> None:
        """It is to have another path beside the present one, which its standby has to cover too."""
        if any(each.shares for each in circuit.standbys()):
            self._to_follow.add(circuit.circuit_id)

    def on_view(self, circuits: Iterable[Circuit], now_ns: int) -> None:
        """The network has changed, and these may be concerned."""
        self.maker.adopt_view()
        for circuit in circuits:
            self.tend(circuit, now_ns)

    def look(self, now_ns: int) -> None:
        """See whether anything has changed for those that there was no way for, or no room."""
        self.maker.look(now_ns)

    def on_timer(self, now_ns: int) -> list[Circuit]:
        """Circuits that are to leave a path which is down, and whose standby is not there any more."""
        left = self._switches.on_timer(now_ns)
        for circuit_id in sorted({*self._to_follow, *self._replacing.due(now_ns)}):
            if (moved := self._circuits.get(circuit_id)) is not None:
                self.tend(moved, now_ns)
            if circuit_id in self._replacing.due(now_ns):
                # The newer is not there yet, or its circuit has gone.
                self._replacing.drop(circuit_id)
        self._to_follow.clear()
        self.maker.on_timer(now_ns)
        return left

    # Switching

    def takes_over(self, circuit: Circuit, now_ns: int) -> bool:
        """Whether a circuit whose working path is down has a standby to which its sink switches by itself."""
        return self._switches.takes_over(circuit, now_ns)

    def adopt(
        self, circuit: Circuit, standby: Generation, why: str, now_ns: int, *, reported: bool
    ) -> None:
        """Its sink runs the standby, as its own router or another has told."""
        self._switches.adopt(circuit, standby, why, now_ns, reported=reported)

    def hear(
        self, circuit: Circuit, generation: Generation, status: CircuitStatus, now_ns: int
    ) -> None:
        """What the sink's own router says of a standby."""
        if generation.role is not Role.STANDBY or generation not in circuit.standbys():
            return
        if status.state is FlowState.SWITCHED:
            why = _CAUSES.get(status.switch_cause, "its sink selected it")
            self._switches.adopt(circuit, generation, why, now_ns, reported=True)
        elif status.state in (FlowState.CHARGED, FlowState.DISCHARGED):
            generation.charged = status.state is FlowState.CHARGED
            self.tend(circuit, now_ns)

    def promoted(self, circuit: Circuit, now_ns: int) -> None:
        """That the standby is the working generation is durable, and routers are told."""
        circuit.guard.apply_if_possible(ProtectionEvent.PROMOTED, SEARCHING)
        self.tend(circuit, now_ns)

    # What became of a standby

    def failed(self, circuit: Circuit, router_id: str, reason: str, now_ns: int) -> None:
        """It was given up, or a router would not take it."""
        if router_id:
            circuit.guard.excluded_ids |= {router_id}
        if circuit.standby() is None:
            circuit.guard.apply_if_possible(ProtectionEvent.STANDBY_LOST, reason)
            circuit.guard.explain(reason)
        self.tend(circuit, now_ns)
