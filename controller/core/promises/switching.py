"""Switches: sinks that leave a path are expected to say so, and what they select is adopted.

A standby that its sink runs is the working generation from then on; what was left goes, and standbys that shared its
room make way for it.
"""

from collections.abc import Callable, Collection, Mapping

from controller.core.admission.admission import Admission
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.disjointness import in_common
from controller.core.circuits.generation import Generation, Phase, Role
from controller.core.circuits.guarding import ready_standby
from controller.core.circuits.path_state import path_down
from controller.core.circuits.protection import Against, ProtectionEvent
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.effects import CircuitChanged, Effect
from controller.core.programming.agenda import Agenda
from controller.core.programming.programming import Programmer
from controller.core.promises.fitness import Fitness
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_S

# A sink that leaves a path which is down says so within this; later its standby is adopted without its word.
REPORTED_WITHIN_NS = NS_PER_S


class Switches:
    """``held_back`` are standbys that no router was told of yet. ``retire`` lets go of a standby, ``tend`` looks after
    a circuit, and ``note`` writes an entry of the audit trail.
    """

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        reservations: Reservations,
        admission: Admission,
        fitness: Fitness,
        programmer: Programmer,
        persist: Callable[[Circuit], None],
        note: Callable[[str, str, str, str], None],
        held_back: set[CircuitGeneration],
        retire: Callable[[Circuit, Generation, str, int], None],
        tend: Callable[[Circuit, int], None],
        emit: Callable[[Effect], None],
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._admission = admission
        self._fitness = fitness
        self._programmer = programmer
        self._persist = persist
        self._note = note
        self._held_back = held_back
        self._retire = retire
        self._tend = tend
        self._emit = emit
        # Circuits whose sinks are to say that they have switched, and until when.
        self._expected: Agenda[int] = Agenda()

    def next_deadline_ns(self) -> int | None:
        return self._expected.next_ns()

    def forget(self, circuit: Circuit) -> None:
        """It has ended."""
        self._expected.drop(circuit.circuit_id)

    # Expected

    def takes_over(self, circuit: Circuit, now_ns: int) -> bool:
        """Whether a circuit whose working path is down has a standby to which its sink switches by itself."""
        view = self._admission.view
        if circuit.guard.against is None or ready_standby(view, circuit) is None:
            return False
        carries = [
            each
            for each in circuit.generations.values()
            if each.role is Role.WORKING and each.phase is Phase.CARRYING
        ]
        if any(not path_down(view, each.route) for each in carries):
            return False
        if circuit.circuit_id not in self._expected:
            why = "its path is down; its standby takes over"
            self._expected.set(circuit.circuit_id, now_ns + REPORTED_WITHIN_NS)
            circuit.guard.apply_if_possible(ProtectionEvent.SWITCHED, why)
            if circuit.state is CircuitState.ACTIVE:
                circuit.apply(CircuitEvent.STARVED, why)
            self._emit(CircuitChanged(circuit.circuit_id))
        return True

    def see_return(self, circuit: Circuit) -> None:
        """Nobody has left the working path, and it is up again."""
        newest = circuit.newest()
        if newest is None or circuit.circuit_id not in self._expected:
            return
        if not path_down(self._admission.view, newest.route):
            self._expected.drop(circuit.circuit_id)
            circuit.guard.apply_if_possible(ProtectionEvent.RETURNED)

    def on_timer(self, now_ns: int) -> list[Circuit]:
        """Circuits that are to leave a path which is down, and whose standby is not there any more."""
        return [
            circuit
            for circuit_id in self._expected.due(now_ns)
            if (circuit := self._not_reported(circuit_id, now_ns)) is not None
        ]

    def _not_reported(self, circuit_id: int, now_ns: int) -> Circuit | None:
        """Its sink has said nothing: adopt the standby all the same. The circuit, where that is gone too."""
        self._expected.drop(circuit_id)
        circuit = self._circuits.get(circuit_id)
        if circuit is None or not circuit.admin_up:
            return None
        standby = ready_standby(self._admission.view, circuit)
        if standby is None:
            return circuit
        self.adopt(circuit, standby, "its path is down", now_ns, reported=False)
        return None

    # Adopted

    def adopt(
        self, circuit: Circuit, standby: Generation, why: str, now_ns: int, *, reported: bool
    ) -> None:
        """Its sink runs the standby: that is the working generation from now on, and what it left goes."""
        self._expected.drop(circuit.circuit_id)
        self._held_back.discard(standby.key)
        circuit.guard.apply_if_possible(ProtectionEvent.SWITCHED, why)
        left, shared = self._left(circuit, standby), standby.shares
        self._let_go_of_others(circuit, standby, now_ns)
        standby.promote()
        self._reservations.demanded(standby.key)
        self._programmer.take_over(standby, now_ns, delivers=reported, shared=shared)
        for generation in left:
            drain = not path_down(self._admission.view, generation.route)
            self._programmer.retire(generation, now_ns, drain=drain)
        circuit.attempts = circuit.setbacks = 0
        circuit.excluded_ids = frozenset()
        if circuit.newest() is standby:
            circuit.power_w = standby.asked_w or standby.route.power_w
            self._show_adopted(circuit, f"switched to its standby: {why}", reported=reported)
        self._persist(circuit)
        if shared:
            self._make_room_beside(standby, [each.route for each in left], now_ns)

    def _let_go_of_others(self, circuit: Circuit, selected: Generation, now_ns: int) -> None:
        """What was to replace a standby, and has a line in common with it, is no standby of it; nor is there room."""
        for other in circuit.standbys():
            if other is not selected and in_common(
                self._admission.view, selected.route, other.route, Against.LINK
            ):
                self._free_at_once(other)
                self._retire(circuit, other, "the one that it was to replace is selected", now_ns)

    def _free_at_once(self, standby: Generation) -> None:
        """Its routers are to hold back now, and not only when they have let go of it."""
        if standby.shares:
            standby.covers = frozenset()
            self._reservations.cover(standby.key, standby.covers)

    def _make_room_beside(self, promoted: Generation, left: Collection[Route], now_ns: int) -> None:
        """What it carries is not shared any more; standbys that no longer fit beside it are made anew elsewhere, and of
        those the ones last that the same failure has selected.
        """
        by = promoted.key.circuit_id
        why = f"circuit {by} runs over its standby now, and the rest of their room is too small"
        for standby in self._fitness.crowding(promoted.route):
            self._free_at_once(standby)
        for circuit, standby in list(self._fitness.crowded_out(promoted.route, left)):
            self._free_at_once(standby)
            self._retire(circuit, standby, why, now_ns)
            if circuit.circuit_id in self._expected:
                # Nothing is left to which its sink could switch.
                self._expected.set(circuit.circuit_id, now_ns)
            self._note("protect", str(circuit.circuit_id), "no room for its standby", why)
            self._tend(circuit, now_ns)
            self._persist(circuit)

    def _left(self, circuit: Circuit, standby: Generation) -> list[Generation]:
        """The working generations that do not go on: all but a newer one that is on its way and whose path is up."""
        left = []
        for each in circuit.generations.values():
            if each.role is not Role.WORKING or each.phase in (Phase.DRAINING, Phase.WITHDRAWING):
                continue
            under_way = not each.restored or each.phase is Phase.QUEUED
            comes = under_way and each.phase is not Phase.CARRYING
            newer = each.key.generation > standby.key.generation
            if not (comes and newer) or path_down(self._admission.view, each.route):
                left.append(each)
        return left

    def _show_adopted(self, circuit: Circuit, reason: str, *, reported: bool) -> None:
        if circuit.state is CircuitState.REROUTING:
            circuit.apply(CircuitEvent.REVERTED, reason)
        if reported and circuit.state in (
            *(CircuitState.ACTIVE, CircuitState.DEGRADED, CircuitState.COMMITTING),
        ):
            circuit.apply(CircuitEvent.SWITCHED, reason)
        elif circuit.state is CircuitState.ACTIVE:
            circuit.apply(CircuitEvent.STARVED, reason)
