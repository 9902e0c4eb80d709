"""Regaining: circuits that are curtailed are given another source, or their power back, as soon as there is room.

Of those that a source leaves short the least urgent go first, and no more of them than must go: what they leave serves
the others. Where no other source has all of a circuit's power, one that has clearly more than is left of it will do.
Moves are made before the old path is broken, so what a circuit has left it keeps meanwhile.
"""

from collections import deque
from collections.abc import Mapping

from controller.core.admission.admission import Admission
from controller.core.circuits import resources as resource
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.curtailed import BY_WHAT_IS_LEFT
from controller.core.circuits.generation import Phase
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.promises.curtailing import Curtailer
from controller.core.promises.mover import Mover
from controller.core.promises.pacing import MAX_AT_ONCE, RETRY_LATER_NS, RETRY_SOON_NS, urgency

# The longest pause (ns) between two rounds in vain; what is known to make room begins another at once.
_MAX_PAUSE_NS = 16 * RETRY_LATER_NS
# Of its power, what another source is asked for: each costs a search.
_PARTS = (1.0, 0.75, 0.5, 0.25)
# What a part must be more than is left, of the circuit's power: a move wears converters.
_WORTH_A_MOVE = 0.125


class Regainer:
    """Searches for circuits that get less than was asked for."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        reservations: Reservations,
        admission: Admission,
        mover: Mover,
        curtailer: Curtailer,
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._admission = admission
        self._mover = mover
        self._curtailer = curtailer
        self._to_search: deque[int] = deque()
        self._due_ns: int | None = None
        self._pause_ns = RETRY_LATER_NS
        # What was known when the last round began: where that differs, a search may find something.
        self._known = (0, 0)

    def next_deadline_ns(self) -> int | None:
        return self._due_ns

    def look(self, now_ns: int) -> None:
        """See whether anybody is curtailed, or there is anything new for those that are."""
        if not self._curtailer.circuit_ids:
            self._due_ns, self._to_search = None, deque()
            return
        known = (self._mover.room_version, self._curtailer.changes)
        if known != self._known:
            self._known, self._pause_ns = known, RETRY_LATER_NS
            due_ns = now_ns + RETRY_SOON_NS
            self._due_ns = due_ns if self._due_ns is None else min(self._due_ns, due_ns)

    def on_timer(self, now_ns: int) -> None:
        """Search for some of them; for the others in the next event."""
        if self._due_ns is None or now_ns < self._due_ns:
            return
        if not self._to_search:
            self._curtailer.forget_ended()
            found = [self._circuits[each] for each in self._curtailer.circuit_ids]
            found.sort(key=urgency, reverse=True)
            self._to_search.extend(each.circuit_id for each in found)
        moved = False
        for _ in range(min(MAX_AT_ONCE, len(self._to_search))):
            circuit = self._circuits.get(self._to_search.popleft())
            if circuit is not None and circuit.curtailed is not None:
                moved |= self._regain(circuit)
        if self._to_search:
            self._due_ns = now_ns
        else:
            self._pause_ns = RETRY_LATER_NS if moved else min(2 * self._pause_ns, _MAX_PAUSE_NS)
            self._due_ns = now_ns + self._pause_ns

    def _regain(self, circuit: Circuit) -> bool:
        """Whether there is a better route for a circuit, which it then takes."""
        newest = circuit.newest()
        rests = newest is not None and newest.phase is Phase.CARRYING
        served = circuit.state in (CircuitState.ACTIVE, CircuitState.DEGRADED)
        if (
            newest is None
            or not rests
            or not served
            or len(circuit.generations) > 1 + len(circuit.standbys())
        ):
            return False
        short = self._curtailer.leaves_short(newest.route.source_id)
        route = (
            self._elsewhere(circuit, newest.route)
            if short
            else self._in_full(circuit, newest.route)
        )
        if route is None:
            return False
        circuit.apply(CircuitEvent.MOVING, f"was {circuit.curtailed}")
        self._mover.begin(circuit, route, seamless=True, displaced_by=BY_WHAT_IS_LEFT)
        return True

    def _in_full(self, circuit: Circuit, present: Route) -> Route | None:
        if present.power_w >= circuit.power_w:
            return None
        return self._mover.rerouting.find(circuit, circuit.power_w)

    def _elsewhere(self, circuit: Circuit, present: Route) -> Route | None:
        """A route from a source that is not short, as long as too many are at the present one."""
        if not self._too_many_at(present.source_id):
            return None
        view = self._admission.view
        candidates = [
            each
            for each in circuit.source_ids or view.sources
            if each != present.source_id and not self._admission.is_short(each)
        ]
        if not candidates or circuit.sink_id not in view.loads:
            return None
        left_w = circuit.curtailed.granted_w if circuit.curtailed is not None else 0.0
        least_w = max(circuit.floor_w, left_w + _WORTH_A_MOVE * circuit.power_w)
        for power_w in (part * circuit.power_w for part in _PARTS):
            if power_w < circuit.power_w and power_w < least_w:
                break
            route = self._admission.route(
                circuit.sink_id,
                power_w,
                candidates,
                circuit.constraints,
                circuit_id=circuit.circuit_id,
            )
            if route is not None:
                return route
        return None

    def _too_many_at(self, source_id: str) -> bool:
        """Whether a source is short even without those that are on their way to others."""
        left_w = 0.0
        wanted_w = self._reservations.working_by_circuit(resource.source(source_id))
        for circuit_id, each_w in wanted_w.items():
            circuit = self._circuits.get(circuit_id)
            newest = circuit.newest() if circuit is not None else None
            if newest is not None and newest.route.source_id == source_id:
                left_w += each_w
        return left_w > self._admission.view.sources[source_id][1].max_power_w
