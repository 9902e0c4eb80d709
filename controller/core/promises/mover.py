"""Rerouting and restoration: which circuits a change of the network moves, and what they leave behind."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from controller.core.admission.admission import Admission
from controller.core.admission.trickle import with_trickle
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.generation import RETIRING_PHASES, Generation, Phase, Role
from controller.core.circuits.hold import HELD_REASON
from controller.core.circuits.path_state import other_physics, path_down
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import load, source
from controller.core.circuits.route import Route
from controller.core.effects import CircuitChanged, Effect
from controller.core.network.view import GridView, change_of, figures_of
from controller.core.programming.programming import Programmer
from controller.core.promises.pacing import MAX_AT_ONCE, RETRY_LATER_NS, RETRY_SOON_NS, urgency
from controller.core.promises.protector import Protector
from controller.core.promises.rerouting import Rerouting
from controller.core.promises.waiting import WaitingCircuits
from digitalgrid.model import CircuitGeneration

# Attempts in a row to program a circuit that routers refuse; then it waits before it is tried again (backoff).
MAX_ATTEMPTS = 5
# Generations that wait to be programmed at which mass rerouting brakes, and for how long: as many as are under way when
# routers are quick, and a fraction of the time in which those are done.
MAX_QUEUED_MOVES = 256
BRAKED_NS = 2_000_000
_PATH_DOWN = "its path is down"


class Mover:
    """Reroutes circuits make-before-break where they still carry power; those without a path wait (backoff).

    ``persist`` writes a circuit and the decision just made for it; ``cut`` is told of one whose route has less power
    than was asked for, and who displaced the rest; ``note_lost`` of one whose path may have failed.
    """

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        reservations: Reservations,
        admission: Admission,
        programmer: Programmer,
        protector: Protector,
        next_admission_seq: Callable[[], int],
        persist: Callable[[Circuit], None],
        cut: Callable[[Circuit, Route, str], None],
        last_resort: Callable[[], GridView | None],
        note_lost: Callable[[Iterable[Circuit]], None],
        emit: Callable[[Effect], None],
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._admission = admission
        self._programmer = programmer
        self._protector = protector
        self._next_admission_seq = next_admission_seq
        self._persist = persist
        self._cut = cut
        self._note_lost = note_lost
        self._emit = emit
        # Version of the room that those who wait could use; what moves made for them free does not count.
        self.room_version = 0
        # Circuits that are being moved to make room.
        self.making_room: set[int] = set()
        # Generations that were displaced, and by whom: room is made by their going.
        self.displaced: dict[CircuitGeneration, str] = {}
        self.rerouting = Rerouting(admission, self.displaced.keys(), last_resort)
        self.waiting = WaitingCircuits(
            circuits=circuits,
            admission=admission,
            resume=self._resume,
            stands=lambda: self.stands,
            emit=emit,
        )
        # Circuits that stayed on a route which no longer fits.
        self._unfit: set[int] = set()
        # Counts the views that were adopted.
        self._views = 0
        # Circuits that a change concerns and that are still to be looked at, in this order.
        self._leaving: deque[int] = deque()
        self._readmitting: deque[int] = deque()
        self._go_on_ns: int | None = None

    def next_deadline_ns(self) -> int | None:
        due = (self.waiting.next_deadline_ns(), self._go_on_ns)
        return min((each for each in due if each is not None), default=None)

    # Starting

    def begin(
        self,
        circuit: Circuit,
        route: Route,
        *,
        seamless: bool,
        admission_seq: int = 0,
        displaced_by: str = "",
    ) -> None:
        """Reserve the next generation, at the tail of every link, and program it.

        Without an ``admission_seq`` that its route was worked out for, it is admitted after all others.
        """
        seq, view = admission_seq or self._next_admission_seq(), self._admission.view
        if route.power_w < circuit.power_w:
            self._cut(circuit, route, displaced_by)
        if seamless:
            route = with_trickle(self._admission, route, circuit.circuit_id)
        generation = circuit.next_generation(seq, route, view.version, seamless=seamless)
        generation.charges_first = seamless and view.routers[route.sink_router_id].stands_by
        self._reservations.reserve(generation.key, route, idle=seamless)
        self.launch(circuit, generation)
        self._protector.working_moves(circuit)

    def launch(self, circuit: Circuit, generation: Generation) -> None:
        """Program a generation that is reserved already."""
        self._programmer.start(generation)
        if circuit.is_held:
            circuit.attempts = 0
            if circuit.state is CircuitState.REROUTING:
                circuit.apply(CircuitEvent.HELD)
            circuit.explain(HELD_REASON)
        self._persist(circuit)

    def reserve_elsewhere(
        self, circuit: Circuit, route: Route, displaced_by: str, now_ns: int
    ) -> None:
        """Have a held circuit reserve this route instead of its present one; its routers hear of neither."""
        newest = circuit.newest()
        circuit.apply(CircuitEvent.MOVING)
        self.begin(circuit, route, seamless=False, displaced_by=displaced_by)
        if newest is not None:
            self._programmer.retire(newest, now_ns, drain=False)

    # Moving

    @property
    def stands(self) -> int:
        """Counts what has changed for a search: views, and what was reserved and freed."""
        return self._reservations.changes + self._views

    @property
    def has_to_move(self) -> bool:
        """Whether circuits wait for their turn to move from what has changed."""
        return bool(self._leaving or self._readmitting)

    def on_view(self, before: GridView, now_ns: int) -> None:
        """Reroute what a new grid view broke at once; admit again what it made differ; then try what waits."""
        self._views += 1
        concerned = {*self._leaving, *self._readmitting, *self._affected(before)}
        circuits = sorted(
            (self._circuits[each] for each in concerned if each in self._circuits), key=urgency
        )
        self._leaving.clear()
        self._note_lost(circuits)
        for circuit in circuits:
            self._withdraw_dead(circuit, now_ns)
            if not self._is_down(circuit):
                self._stays(circuit)
            elif not self._protector.takes_over(circuit, now_ns):
                self._leaving.append(circuit.circuit_id)
        self._protector.on_view(circuits, now_ns)
        # The least urgent first: where something can carry less than before, it is they who must go.
        self._readmitting = deque(each.circuit_id for each in reversed(circuits))
        self._go_on_moving(now_ns)
        for circuit_id in self._leaving:
            if (left := self._circuits.get(circuit_id)) and left.state is CircuitState.ACTIVE:
                left.apply(CircuitEvent.STARVED, _PATH_DOWN)
                self._emit(CircuitChanged(circuit_id))

    def _go_on_moving(self, now_ns: int) -> None:
        """Some of those that a change concerns: the first to move must not wait until the last is decided.

        The brake: while many wait to be programmed no more are decided, and what changes meanwhile is known by then.
        """
        if self._programmer.queued >= MAX_QUEUED_MOVES:
            self._go_on_ns = now_ns + BRAKED_NS
            return
        left = MAX_AT_ONCE
        while self._leaving and left:
            circuit = self._circuits.get(self._leaving.popleft())
            if circuit is not None and (newest := circuit.newest()):
                if self._is_down(circuit):
                    if not self._protector.takes_over(circuit, now_ns):
                        self._leave(circuit, newest, now_ns)
                    left -= 1
                else:
                    self._stays(circuit)
        while self._readmitting and not self._leaving and left:
            circuit = self._circuits.get(self._readmitting.popleft())
            if circuit is not None and (newest := circuit.newest()) and self.outdated(newest.route):
                self._readmit(circuit, newest, now_ns)
                self._unfit.add(circuit.circuit_id)
                left -= 1
        self._go_on_ns = now_ns if self._leaving or self._readmitting else None
        if self._go_on_ns is None:
            self.room_version += 1
            self.waiting.retry_soon(now_ns)

    def _withdraw_dead(self, circuit: Circuit, now_ns: int) -> None:
        """What is being drained arrives no more over a path that is down, and standbys wait for its going."""
        for generation in list(circuit.retiring()):
            if generation.phase is Phase.DRAINING and self.path_down(generation.route):
                self._programmer.withdraw(generation, now_ns)

    def _is_down(self, circuit: Circuit) -> bool:
        newest = circuit.newest()
        return newest is not None and self.path_down(newest.route)

    def _stays(self, circuit: Circuit) -> None:
        """Cancel a reroute: the path is up again before its turn came, and the sink may never have noticed."""
        if circuit.state is CircuitState.DEGRADED and circuit.show_measured():
            self._emit(CircuitChanged(circuit.circuit_id))

    def _leave(self, circuit: Circuit, newest: Generation, now_ns: int) -> None:
        if newest.phase is Phase.CARRYING:
            self.move(circuit, _PATH_DOWN, now_ns)
        else:
            # Its Failed outcome leads to the move.
            self._programmer.fail(newest, now_ns, _PATH_DOWN)

    def _readmit(self, circuit: Circuit, newest: Generation, now_ns: int) -> None:
        reason = "what it was admitted with has changed"
        if newest.phase is Phase.CARRYING:
            self.move(circuit, reason, now_ns)
        elif newest.phase in (Phase.QUEUED, Phase.STAGING):
            self._programmer.fail(newest, now_ns, reason)
        # What is being committed is looked at again once it delivers.

    def _affected(self, before: GridView) -> set[int]:
        """Ids of circuits on something that has changed; and those that could not leave what did not fit any more."""
        view = self._admission.view
        change = change_of(before, view)
        held = self._reservations
        ids = held.circuits_over(change.links)
        ids |= held.circuits_with(map(source, change.sources))
        ids |= held.circuits_with(map(load, change.loads))
        # Whether a router takes new circuits is nothing to those that run over it.
        routers = [
            each
            for each in change.routers
            if figures_of(before.routers.get(each)) != figures_of(view.routers.get(each))
        ]
        ids |= {key.circuit_id for key in held.held_at(routers)}
        if change.routers or change.sources or change.loads:
            ids |= self._unfit
            self._unfit = set()
        return {key for key in ids if key in self._circuits and _stands(self._circuits[key])}

    def path_down(self, route: Route) -> bool:
        """Whether the grid view says that the route cannot carry power: a link or router of it is down."""
        return path_down(self._admission.view, route)

    def outdated(self, route: Route) -> bool:
        """Whether a route was admitted with other losses, or for limits that have been lowered since."""
        return other_physics(self._admission.view, route) or self._admission.overloaded(route)

    def move(self, circuit: Circuit, reason: str, now_ns: int) -> None:
        """Reroute: make the next generation, beside the old one where that still carries power."""
        carrying = circuit.carrying()
        alive = carrying is not None and self.can_stay(carrying.route)
        if not alive and self._protector.takes_over(circuit, now_ns):
            return
        displaced_by = self.displaced.get(carrying.key, "") if carrying is not None else ""
        route = None
        if circuit.attempts < MAX_ATTEMPTS:
            for power_w in (circuit.power_w, *_less_w(circuit, carrying, displaced_by)):
                route = self.rerouting.find_any(circuit, power_w, last_resort=not alive)
                if route is not None:
                    break
        if route is not None:
            circuit.apply(CircuitEvent.MOVING, reason)
            self.begin(circuit, route, seamless=alive, displaced_by=displaced_by)
        elif alive and carrying is not None and not displaced_by:
            self._revert(circuit, carrying, reason)
        else:
            if circuit.attempts:
                # Routers would not take it: each time in a row it waits twice as long.
                delay_ns = min(RETRY_SOON_NS << circuit.setbacks, RETRY_LATER_NS)
                circuit.retry_after_ns = now_ns + delay_ns
                circuit.setbacks += 1
            self.wait(circuit, reason, now_ns)

    def can_stay(self, route: Route) -> bool:
        """Whether a route that carries power may go on: up, and nothing on it beyond a lowered limit."""
        return not self.path_down(route) and not self._admission.overloaded(route)

    def _revert(self, circuit: Circuit, carrying: Generation, reason: str) -> None:
        circuit.attempts = 0
        circuit.excluded_ids = frozenset()
        circuit.power_w = carrying.asked_w or carrying.route.power_w
        if circuit.state in (CircuitState.REROUTING, CircuitState.COMMITTING):
            circuit.revert(f"a move was given up: {reason}")
        self._persist(circuit)

    def wait(self, circuit: Circuit, reason: str, now_ns: int) -> None:
        """Break before make: nothing fits while the old path is held; let go of it, and try again once it is free."""
        for generation in list(circuit.generations.values()):
            if generation.phase is not Phase.WITHDRAWING:
                self._programmer.retire(generation, now_ns, drain=False)
        if circuit.state is not CircuitState.WAITING:
            circuit.apply(CircuitEvent.NO_PATH, f"no path now: {reason}")
            self._persist(circuit)
        self._protector.tend(circuit, now_ns)
        self.waiting.add(circuit)
        self.room_version += 1
        self.waiting.retry_soon(now_ns)

    def freed(self, circuit: Circuit, now_ns: int) -> None:
        """All routers have released one of its generations."""
        if circuit.circuit_id in self.making_room:
            if not circuit.retiring():
                self.making_room.discard(circuit.circuit_id)
        else:
            self.room_version += 1
        self.waiting.retry_soon(now_ns)

    def on_timer(self, now_ns: int) -> None:
        """Go on with what a change concerns; try the circuits that wait, most urgent first, some in each event."""
        if self._go_on_ns is not None:
            self._go_on_moving(now_ns)
        self.waiting.on_timer(now_ns)

    def _resume(self, circuit: Circuit) -> bool:
        """Whether there is a path for a circuit that waits, which is then taken."""
        circuit.attempts = 0
        circuit.excluded_ids = frozenset()
        route = self.rerouting.find_any(circuit, circuit.power_w)
        if route is None:
            return False
        circuit.apply(CircuitEvent.MOVING, "a path is free again")
        self.begin(circuit, route, seamless=False)
        return True

    def retire_older(self, circuit: Circuit, newest: Generation, now_ns: int) -> None:
        """The newest delivers: drain what came before it, or withdraw it where its path is down."""
        self._reservations.demanded(newest.key)
        for older in list(circuit.generations.values()):
            stays = older.role is Role.STANDBY or older.phase in RETIRING_PHASES
            if older.key.generation < newest.key.generation and not stays:
                self._programmer.retire(older, now_ns, drain=not self.path_down(older.route))


def _less_w(circuit: Circuit, carrying: Generation | None, displaced_by: str) -> list[float]:
    """With what a circuit has to be content that has less already, or is displaced: what it has, or its floor."""
    if not displaced_by and circuit.curtailed is None:
        return []
    less_w = [min(circuit.floor_w, circuit.power_w)]
    if carrying is not None and not displaced_by and carrying.route.power_w < circuit.power_w:
        less_w.append(carrying.route.power_w)
    return sorted({each for each in less_w if each > 0.0}, reverse=True)


def _stands(circuit: Circuit) -> bool:
    return circuit.admin_up and not circuit.state.ended
