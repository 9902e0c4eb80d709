"""Keeper of promises: follows what became of generations until nothing is left to follow, also over a restart."""

from collections.abc import Callable, Sequence

from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.generation import Generation, Role
from controller.core.circuits.reservations import Reservations
from controller.core.effects import CircuitChanged, Effect
from controller.core.messages import CircuitStatus
from controller.core.network.network import Network
from controller.core.programming.outcomes import (
    Actuated,
    Failed,
    Freed,
    Gone,
    Outcome,
    Promoted,
    RunsAsWorking,
    StandsBy,
    Starved,
)
from controller.core.programming.programming import Programmer
from controller.core.programming.read_back import ReadBack
from controller.core.promises.curtailing import Curtailer
from controller.core.promises.missing_energy import is_over, note_missing
from controller.core.promises.mover import Mover
from controller.core.promises.preempting import Preempter
from controller.core.promises.protector import Protector
from controller.core.promises.provisioning import Provisioner
from digitalgrid.model import FlowState

# Of a generation: a router, or all of them, hold nothing of it any more.
_LETS_GO = (Freed, Gone)


class Keeper:
    """Joins the programmer, which says what became of a generation, to the mover, which makes the next one."""

    def __init__(
        self,
        *,
        network: Network,
        book: CircuitBook,
        reservations: Reservations,
        programmer: Programmer,
        read_back: ReadBack,
        mover: Mover,
        curtailer: Curtailer,
        preempter: Preempter,
        protector: Protector,
        provisioner: Provisioner,
        emit: Callable[[Effect], None],
    ) -> None:
        self._network = network
        self._book = book
        self._reservations = reservations
        self._programmer = programmer
        self._read_back = read_back
        self._mover = mover
        self._curtailer = curtailer
        self._preempter = preempter
        self._protector = protector
        self._provisioner = provisioner
        self._emit = emit

    # A term begins

    def restore(self, now_ns: int) -> None:
        """Hold what the store says is promised, and go on with what was being taken down."""
        for circuit in list(self._book.live.values()):
            for generation in circuit.generations.values():
                self._reservations.restore(circuit, generation)
                if not circuit.is_held:
                    self._programmer.resume(generation, now_ns)
                elif generation.role is Role.STANDBY:
                    self._protector.maker.held_back.add(generation.key)
            if circuit.state is CircuitState.WITHDRAWING:
                self._provisioner.take_down(circuit, now_ns)

    def take_over(self, now_ns: int) -> None:
        """Routers that have a session already: believe what their sinks measure, and soon read back what they run,
        beginning where circuits were under way.
        """
        for router_id, status in list(self._network.measured()):
            self.hear(router_id, status, now_ns)
        under_way = {
            router_id
            for circuit in self._book.live.values()
            if circuit.state is not CircuitState.ACTIVE
            for generation in circuit.generations.values()
            for router_id in generation.route.router_ids
        }
        in_step = self._network.in_step()
        self._read_back.read_soon(
            [*sorted(in_step & under_way), *sorted(in_step - under_way)], now_ns
        )

    # What sinks measure

    def hear(self, router_id: str, status: CircuitStatus, now_ns: int) -> None:
        """Only the sink's own router may speak for a circuit's power."""
        generation = self._programmer.find(status.key)
        circuit = self._book.circuits.get(status.key.circuit_id)
        at_unix_ns = self._book.audit.at_unix_ns
        if note_missing(self._network, circuit, router_id, status, at_unix_ns):
            self._emit(CircuitChanged(status.key.circuit_id))
        if generation is None and status.missing is not None:
            self._end_promise(circuit, router_id, status)
        if generation is None or generation.route.sink_router_id != router_id:
            return
        self._protector.hear(self._book.circuits[status.key.circuit_id], generation, status, now_ns)
        if status.state is FlowState.ARRIVED:
            circuit = self._book.circuits[status.key.circuit_id]
            circuit.note_arrival(status.arrived_at_ns, status.interruption_ns)
            self._emit(CircuitChanged(circuit.circuit_id))
        self._programmer.answers.on_status(status, now_ns)

    def _end_promise(self, circuit: Circuit | None, router_id: str, status: CircuitStatus) -> None:
        """A sink's router that counts what is missing of a circuit which is over has not heard so."""
        starved = status.state is FlowState.STARVED
        if starved and is_over(self._network, circuit, router_id):
            self._programmer.repairs.remove(router_id, (status.key,))

    # What became of generations

    def settle(self, now_ns: int) -> None:
        """Follow outcomes until none is left."""
        while outcomes := self._programmer.take_outcomes():
            self._follow_all(outcomes, now_ns)

    def go_ahead(self, now_ns: int) -> None:
        """Program what was decided, and what waited for its turn; then follow what comes of it."""
        self._programmer.go_ahead(now_ns)
        while outcomes := self._programmer.take_outcomes():
            self._follow_all(outcomes, now_ns)
            self._programmer.go_ahead(now_ns)

    def _follow_all(self, outcomes: Sequence[Outcome], now_ns: int) -> None:
        """What was let go of is written before anybody is given it, by what is decided for another of these too."""
        for outcome in outcomes:
            if isinstance(outcome, _LETS_GO):
                circuit = self._book.circuits.get(outcome.key.circuit_id)
                if circuit is not None and isinstance(outcome, Gone) and outcome.withdrawn:
                    self._book.persist_gone(circuit, outcome.withdrawn)
                elif circuit is not None:
                    self._book.persist(circuit)
        for outcome in outcomes:
            self._follow(outcome, now_ns)

    def _follow(self, outcome: Outcome, now_ns: int) -> None:
        circuit = self._book.circuits.get(outcome.key.circuit_id)
        if circuit is None:
            return
        match outcome:
            case Actuated():
                self._on_actuated(circuit, outcome, now_ns)
            case Starved():
                self._on_starved(circuit, outcome, now_ns)
            case Failed():
                self._on_failed(circuit, outcome, now_ns)
            case StandsBy():
                circuit.guard.excluded_ids = frozenset()
                self._protector.tend(circuit, now_ns)
            case Promoted():
                self._protector.promoted(circuit, now_ns)
            case RunsAsWorking():
                self._on_runs_as_working(circuit, outcome, now_ns)
            case Freed():
                # A standby may have waited for this router to let go, and others never may.
                self._protector.tend(circuit, now_ns)
            case Gone():
                if outcome.withdrawn is not None:
                    # Of one that routers never ran, what is said is of another that has its number from a successor.
                    self._network.forget(outcome.key)
                self._provisioner.finish_if_gone(circuit)
                self._mover.freed(circuit, now_ns)
                self._preempter.gone(outcome.key)
                self._protector.tend(circuit, now_ns)
        self._emit(CircuitChanged(circuit.circuit_id))

    def _on_runs_as_working(self, circuit: Circuit, outcome: RunsAsWorking, now_ns: int) -> None:
        """Somebody has promoted it before that was known here."""
        standby = circuit.generations.get(outcome.key.generation)
        if standby in circuit.standbys() and standby is not None and circuit.admin_up:
            why = "routers run it as the working one"
            self._protector.adopt(circuit, standby, why, now_ns, reported=False)

    def on_timer(self, now_ns: int) -> None:
        """Circuits that were to switch and cannot any more look for another path."""
        for circuit in self._protector.on_timer(now_ns):
            self._mover.move(circuit, "its path is down", now_ns)

    def _on_starved(self, circuit: Circuit, outcome: Starved, now_ns: int) -> None:
        newest = circuit.newest()
        if newest is None or newest.key != outcome.key:
            return
        if circuit.left_short_by(newest.route.source_id):
            self._delivers(circuit, newest, now_ns)
        elif circuit.show_measured():
            self._read_back.read_route(circuit, now_ns)

    def _on_actuated(self, circuit: Circuit, outcome: Actuated, now_ns: int) -> None:
        newest = circuit.newest()
        if newest is None or newest.key != outcome.key:
            return
        # Nothing to look for where all is as it was admitted.
        changed = newest.view_version != self._network.last_view.version
        if changed and self._mover.path_down(newest.route):
            # Late news: the link-state database says otherwise by now.
            self._mover.move(circuit, "its path is down", now_ns)
            return
        self._delivers(circuit, newest, now_ns)
        if changed and self._mover.outdated(newest.route):
            # Something changed while the circuit was being made, or the daemon was away.
            self._mover.move(circuit, "what it was admitted with has changed", now_ns)

    def _delivers(self, circuit: Circuit, newest: Generation, now_ns: int) -> None:
        """Its newest generation has what is to be had."""
        circuit.attempts = circuit.setbacks = 0
        circuit.excluded_ids = frozenset()
        self._curtailer.delivers(circuit, newest.route)
        circuit.show_measured()
        self._mover.retire_older(circuit, newest, now_ns)
        self._protector.tend(circuit, now_ns)

    def _on_failed(self, circuit: Circuit, outcome: Failed, now_ns: int) -> None:
        if outcome.standby:
            self._protector.failed(circuit, outcome.router_id, outcome.reason, now_ns)
            return
        newest = circuit.newest()
        superseded = newest is not None and newest.key > outcome.key
        if not circuit.admin_up or circuit.state.ended or superseded:
            return
        setting_up = circuit.state in (CircuitState.STAGING, CircuitState.COMMITTING)
        # With more than one generation, a router may just have no room for another yet.
        if outcome.permanent and setting_up and outcome.key.generation == 1:
            circuit.apply(CircuitEvent.REFUSED, outcome.reason)
            circuit.admin_up = False
            self._book.persist(circuit)
            self._provisioner.take_down(circuit, now_ns)
            return
        circuit.attempts += 1
        if outcome.router_id:
            circuit.excluded_ids |= {outcome.router_id}
        self._mover.move(circuit, outcome.reason, now_ns)
