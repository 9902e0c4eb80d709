"""The core's front door: every event enters here, and leaves effects to be taken by the edge.

It has one caller, who passes the time in and carries the effects out: first those of one event, then the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from controller.core.access import Call, judge
from controller.core.admission.admission import Admission
from controller.core.admission.alternatives import Alternatives, RoutePair
from controller.core.book.audit import admitted
from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.differences import Differences
from controller.core.circuits.records import StoredState
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.effects import CircuitChanged, Effect, TopologyChanged
from controller.core.errors import Refusal
from controller.core.grid import Grid
from controller.core.messages import CircuitStatus, CircuitTable, TransactionResult
from controller.core.network.network import Network
from controller.core.network.owners import RefusedClaim
from controller.core.network.view import GridView
from controller.core.optimising.dispatching import Dispatcher, LoadOutcome
from controller.core.optimising.question import (
    DispatchAnswer,
    DispatchOrder,
    DispatchQuestion,
)
from controller.core.optimising.reoptimising import (
    Move,
    ReoptimiseLimits,
    ReoptimiseQuestion,
    Reoptimiser,
)
from controller.core.programming.forgetting import Forgetter
from controller.core.programming.outcomes import Actuated, Failed, Freed, Gone, Outcome, Starved
from controller.core.programming.programming import Programmer
from controller.core.programming.read_back import ReadBack
from controller.core.programming.timeouts import Timeouts
from controller.core.promises.mover import Mover
from controller.core.promises.provisioning import Provisioner, starting
from controller.routing.alternatives.disjoint import Disjointness
from controller.routing.assignments.reoptimise import Plan
from digitalgrid.model import CircuitGeneration, FlowState, RouterLsa
from digitalgrid.units import NS_PER_S

_ID_BITS = 32
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CoreSettings:
    timeouts: Timeouts = field(default_factory=Timeouts)
    lsa_max_age_ns: int = 90 * NS_PER_S
    reconcile_interval_ns: int = 10 * NS_PER_S
    # Routers are still coming back to a daemon that has just started: what it does not know may exist.
    starting_ns: int = 0


class Controller(Grid):
    """One digital grid in the hands of its leader: its link state, its circuits and its reservations.

    ``network`` is what was known of routers before this term; nothing if not given. ``began_unix_ns`` is when the
    term begins, for the audit trail. ``followed``: see :class:`CircuitBook`.
    """

    def __init__(
        self,
        stored: StoredState,
        settings: CoreSettings,
        now_ns: int,
        network: Network | None = None,
        began_unix_ns: int = 0,
        followed: CircuitBook | None = None,
    ) -> None:
        self._effects = []
        self.network = network or Network(settings.lsa_max_age_ns)
        self.network.adopt_owners(stored.routers)
        self.reservations = Reservations()
        self.book = CircuitBook(stored, self._effects.append, began_unix_ns, followed)
        self.admission = Admission(self.reservations)
        # No answer to a question of an earlier term is taken for one to a question of this.
        first_id = (stored.epoch << _ID_BITS) + 1
        self._programmer = Programmer(
            self.book.circuits, self.reservations, settings.timeouts, self._effects.append, first_id
        )
        self._mover = Mover(
            self.book.live,
            self.reservations,
            self.admission,
            self._programmer,
            self.book.next_admission_seq,
            self.book.persist,
            self._effects.append,
        )
        self.read_back = ReadBack(
            self.book.live,
            self._programmer,
            self._effects.append,
            settings.reconcile_interval_ns,
            first_id,
        )
        self._forgetter = Forgetter(
            self.book.live, self.network, self.reservations, self._programmer
        )
        self._provisioner = Provisioner(
            self.book,
            self.reservations,
            self.admission,
            self._mover,
            self._programmer,
            now_ns + settings.starting_ns,
        )
        self._alternatives = Alternatives(self.admission)
        self.dispatcher = Dispatcher(
            self.book, self.reservations, self.admission, self._provisioner
        )
        self.reoptimiser = Reoptimiser(self.book, self.reservations, self.admission, self._mover)
        self._restore(now_ns)

    @property
    def view(self) -> GridView:
        return self.admission.view

    def path_down(self, route: Route) -> bool:
        """Whether there is news that a route cannot carry power."""
        return self._mover.path_down(route)

    def _restore(self, now_ns: int) -> None:
        for circuit in list(self.book.live.values()):
            for generation in circuit.generations.values():
                self.reservations.reserve(generation.key, generation.route)
                for router_id in generation.freed:
                    self.reservations.release_hop(generation.key, router_id)
                self._programmer.resume(generation, now_ns)
            if circuit.state is CircuitState.WITHDRAWING:
                self._provisioner.take_down(circuit, now_ns)
        self._store_owners()
        self._take_over(now_ns)
        self._settle(now_ns)

    def _take_over(self, now_ns: int) -> None:
        """Routers that have a session already: believe what their sinks measure, and soon read back what they run,
        beginning where circuits were under way.
        """
        self._adopt_view(now_ns)
        for router_id, status in list(self.network.measured()):
            self._hear(router_id, status, now_ns)
        under_way = {
            router_id
            for circuit in self.book.live.values()
            if circuit.state is not CircuitState.ACTIVE
            for generation in circuit.generations.values()
            for router_id in generation.route.router_ids
        }
        in_step = self.network.in_step()
        self.read_back.read_soon(
            [*sorted(in_step & under_way), *sorted(in_step - under_way)], now_ns
        )

    # Effects and time

    def take_effects(self) -> list[Effect]:
        self.book.write_audit()
        effects = self._effects[:]
        self._effects.clear()
        return effects

    def next_deadline_ns(self) -> int | None:
        deadlines = [self._programmer.next_deadline_ns(), self._mover.next_deadline_ns()]
        deadlines.append(self.read_back.next_deadline_ns())
        return min((each for each in deadlines if each is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        self._programmer.on_timer(now_ns)
        self._mover.on_timer(now_ns)
        self.read_back.on_timer(now_ns)
        self._adopt_view(now_ns)
        self._settle(now_ns)

    def on_durable(self, ticket: int, now_ns: int) -> None:
        """The store has written this and every earlier ticket."""
        self._programmer.made_durable(self.book.made_durable(ticket), now_ns)
        self._settle(now_ns)

    # Routers

    def on_connected(self, router_id: str, now_ns: int, instance_id: bytes = b"") -> None:
        if self.network.has_session(router_id):
            self.on_disconnected(router_id, now_ns)
        self.network.connect(router_id, instance_id)

    def on_disconnected(self, router_id: str, now_ns: int) -> None:
        """No news of its lines: circuits run on, but nothing new is admitted over it."""
        self.network.disconnect(router_id)
        self.read_back.forget(router_id)
        self._programmer.on_disconnected(router_id, now_ns)
        self._adopt_view(now_ns)
        self._settle(now_ns)

    def on_lsa(self, lsa: RouterLsa, now_ns: int) -> tuple[RefusedClaim, ...] | None:
        if self.network.install(lsa, now_ns):
            self._store_owners()
            self._adopt_view(now_ns)
            self._settle(now_ns)
        refused = self.network.refused_anew(lsa.router_id)
        if refused is not None:
            self._effects.append(TopologyChanged())
        return refused

    def _store_owners(self) -> None:
        """Whatever routers have registered or let go of since."""
        self.book.persist_owners(*self.network.lsdb.owners.take_changes())

    def on_sync_done(self, router_id: str, now_ns: int) -> None:
        """Use the router, and read back what it runs."""
        if not self.network.has_session(router_id):
            return
        self.network.set_in_step(router_id)
        self._adopt_view(now_ns)
        self.read_back.read(router_id, now_ns)
        self._settle(now_ns)

    def on_result(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        self._programmer.on_result(router_id, result, now_ns)
        self._settle(now_ns)

    def on_status(self, router_id: str, status: CircuitStatus, now_ns: int) -> None:
        self.network.measure(router_id, status)
        self._hear(router_id, status, now_ns)
        self._settle(now_ns)

    def _hear(self, router_id: str, status: CircuitStatus, now_ns: int) -> None:
        """Only the sink's own router may speak for a circuit's power."""
        generation = self._programmer.find(status.key)
        if generation is None or generation.route.sink_router_id != router_id:
            return
        if status.state is FlowState.ARRIVED:
            circuit = self.book.circuits[status.key.circuit_id]
            circuit.note_arrival(status.arrived_at_ns, status.interruption_ns)
            self._effects.append(CircuitChanged(circuit.circuit_id))
        self._programmer.on_status(status, now_ns)

    def on_table(self, router_id: str, table: CircuitTable, now_ns: int) -> Differences | None:
        if not self.network.has_session(router_id):
            return None
        self.network.set_table_version(router_id, table.table_version)
        found = self.read_back.on_table(router_id, table, now_ns)
        self._settle(now_ns)
        return found

    # Clients

    def answer(
        self, call: Call, at_unix_ns: int, event: Callable[["Controller", int], T], now_ns: int
    ) -> T:
        """Take a client's event. Each is judged, audited and counted here; a Refusal passes on."""
        self.book.audit.begin(at_unix_ns)
        with self.book.audit.answer(call):
            judge(call.principal, call.action)
            return event(self, now_ns)

    def answer_requests(
        self, asked: Sequence[tuple[Call, PowerRequest]], at_unix_ns: int, now_ns: int
    ) -> list[list[Circuit] | Refusal]:
        """Several clients' requests in one event, each as by :meth:`answer`; what is refused is returned."""
        audit = self.book.audit
        audit.begin(at_unix_ns)
        with self.book.together(), audit.answer_many():
            verdicts = [_verdict(call) for call, _ in asked]
            allowed = [
                request
                for (_, request), verdict in zip(asked, verdicts, strict=True)
                if verdict is None
            ]
            decided = iter(self._provisioner.request_batch(allowed, now_ns))
            decisions = [next(decided) if verdict is None else verdict for verdict in verdicts]
            for (call, _), decision in zip(asked, decisions, strict=True):
                if isinstance(decision, Refusal):
                    audit.refuse(call, decision)
                else:
                    audit.accept(call, admitted(decision))
        self._settle(now_ns)
        return decisions

    def note_refusal(self, call: Call, refusal: Refusal, at_unix_ns: int) -> None:
        """A call was refused on its way here, or between its steps."""
        self.book.audit.begin(at_unix_ns)
        self.book.audit.refuse(call, refusal)

    def request(self, request: PowerRequest, now_ns: int) -> list[Circuit]:
        """Admit a request; raises Refusal with nothing reserved. A retry gets the circuits that it made."""
        with self.book.together():
            circuits = self._provisioner.request(request, now_ns)
            self.book.audit.conclude(admitted(circuits))
        self._settle(now_ns)
        return circuits

    def request_batch(
        self, requests: Sequence[PowerRequest], now_ns: int
    ) -> list[list[Circuit] | Refusal]:
        """Each request by itself, in order: its circuits, or why it was refused."""
        with self.book.together():
            decisions = self._provisioner.request_batch(requests, now_ns)
        self._settle(now_ns)
        return decisions

    def compute(self, request: PowerRequest, now_ns: int) -> list[Route]:
        """The routes that :meth:`request` would reserve now."""
        return self._provisioner.compute(request, now_ns)

    def best_routes(self, request: PowerRequest, count: int, now_ns: int) -> list[Route]:
        """The best few routes for a request, each by itself; nothing is reserved."""
        self._provisioner.check(request, now_ns)
        return self._alternatives.best(request, count)

    def disjoint(self, request: PowerRequest, kind: Disjointness, now_ns: int) -> RoutePair:
        """Two routes for a request with as little in common as can be; nothing is reserved."""
        self._provisioner.check(request, now_ns)
        return self._alternatives.pair(request, kind)

    def change(self, circuit_id: int, power_w: float, now_ns: int) -> Circuit:
        """Ask for another power: a new generation, made before the old one is broken."""
        with self.book.together():
            circuit = self._provisioner.change(circuit_id, power_w, now_ns)
            self.book.audit.conclude(admitted([circuit]))
        self._settle(now_ns)
        return circuit

    def release(self, circuit_id: int, now_ns: int) -> Circuit:
        """Take a circuit down; a second release of the same circuit changes nothing."""
        with self.book.together():
            circuit = self._provisioner.release(circuit_id, now_ns)
            self.book.audit.conclude("done")
        self._settle(now_ns)
        return circuit

    def dispatch(
        self,
        order: DispatchOrder,
        question: DispatchQuestion,
        answer: DispatchAnswer,
        now_ns: int,
        *,
        dry_run: bool = False,
    ) -> list[LoadOutcome]:
        """Admit what the solver found for a question of :attr:`dispatcher`; see :meth:`Dispatcher.admit`."""
        with self.book.together():
            outcomes = self.dispatcher.admit(order, question, answer, now_ns, dry_run=dry_run)
            self._conclude_dispatch(outcomes)
        self._settle(now_ns)
        return outcomes

    def recall_dispatch(self, order: DispatchOrder) -> list[LoadOutcome]:
        """What this very order made before; empty where there was none."""
        outcomes = self.dispatcher.retried(order)
        if outcomes:
            self._conclude_dispatch(outcomes)
        return outcomes

    def _conclude_dispatch(self, outcomes: Sequence[LoadOutcome]) -> None:
        refused = sum(each.refusal is not None for each in outcomes)
        self.book.audit.conclude(
            admitted([each for one in outcomes for each in one.circuits]),
            f"{refused} loads refused" if refused else "",
        )

    def forget_router(self, router_id: str, now_ns: int) -> int:
        """Give up a router that never returns: how many hops of circuits that frees."""
        with self.book.together():
            if self._provisioner.is_starting(now_ns):
                raise starting("the router may be on its way; ")
            held = self._forgetter.check(router_id)
            self.book.audit.conclude(f"forgotten: {held} hops freed")
            # Circuits that must move now are noted each by itself.
            self.network.lsdb.remove(router_id)
            self._store_owners()
            self._adopt_view(now_ns)
            self._forgetter.forget(router_id, now_ns)
            self._settle(now_ns)
        return held

    def reoptimise(
        self,
        limits: ReoptimiseLimits,
        question: ReoptimiseQuestion,
        plan: Plan,
        now_ns: int,
        *,
        dry_run: bool,
    ) -> list[Move]:
        """Begin the moves of a plan that pay, or only look at them."""
        with self.book.together():
            moves = self.reoptimiser.look(limits, question, plan)
            begun = [move for move in moves if not move.reason]
            ids = " ".join(str(move.circuit_id) for move in begun)
            self.book.audit.conclude(f"circuits moved: {ids or 'none'}")
            if not dry_run:
                moves = self.reoptimiser.begin(moves)
        self._settle(now_ns)
        return moves

    # Consequences

    def _adopt_view(self, now_ns: int) -> None:
        """Look at the network again; where it differs, move what must move."""
        before = self.view
        view = self.network.view(now_ns)
        if view == before:
            return
        self.admission.adopt(view)
        self._effects.append(TopologyChanged())
        self._mover.on_view(before, now_ns)

    def _settle(self, now_ns: int) -> None:
        """Follow outcomes until none is left, and let those go ahead that waited for their turn."""
        self._programmer.start_queued(now_ns)
        while outcomes := self._programmer.take_outcomes():
            for outcome in outcomes:
                self._follow(outcome, now_ns)
            self._programmer.start_queued(now_ns)

    def _follow(self, outcome: Outcome, now_ns: int) -> None:
        circuit = self.book.circuits.get(outcome.key.circuit_id)
        if circuit is None:
            return
        match outcome:
            case Actuated():
                self._on_actuated(circuit, outcome, now_ns)
            case Starved():
                if circuit.state is CircuitState.ACTIVE and self._is_newest(circuit, outcome.key):
                    circuit.apply(CircuitEvent.STARVED, "its sink gets less than it should")
                    self.read_back.read_route(circuit, now_ns)
            case Failed():
                self._on_failed(circuit, outcome, now_ns)
            case Freed():
                # Before anybody is given what was held there.
                self.book.persist(circuit)
            case Gone():
                self.network.forget(outcome.key)
                self.book.persist(circuit)
                self._provisioner.finish_if_gone(circuit)
                self._mover.retry_soon(now_ns)
        self._effects.append(CircuitChanged(circuit.circuit_id))

    def _is_newest(self, circuit: Circuit, key: CircuitGeneration) -> bool:
        newest = circuit.newest()
        return newest is not None and newest.key == key

    def _on_actuated(self, circuit: Circuit, outcome: Actuated, now_ns: int) -> None:
        newest = circuit.newest()
        if newest is None or newest.key != outcome.key:
            return
        # Nothing to look for where all is as it was admitted.
        changed = newest.view_version != self.view.version
        if changed and self._mover.path_down(newest.route):
            # Late news: the link-state database says otherwise by now.
            self._mover.move(circuit, "its path is down", now_ns)
            return
        circuit.attempts = circuit.setbacks = 0
        circuit.excluded_ids.clear()
        if circuit.state is not CircuitState.ACTIVE and circuit.admin_up:
            circuit.apply(CircuitEvent.ACTUATED)
        self._mover.retire_older(circuit, newest, now_ns)
        if changed and self._mover.outdated(newest.route):
            # Something changed while the circuit was being made, or the daemon was away.
            self._mover.move(circuit, "what it was admitted with has changed", now_ns)

    def _on_failed(self, circuit: Circuit, outcome: Failed, now_ns: int) -> None:
        newest = circuit.newest()
        superseded = newest is not None and newest.key > outcome.key
        if not circuit.admin_up or circuit.state.ended or superseded:
            return
        setting_up = circuit.state in (CircuitState.STAGING, CircuitState.COMMITTING)
        # With more than one generation, a router may just have no room for another yet.
        if outcome.permanent and setting_up and circuit.last_generation == 1:
            circuit.apply(CircuitEvent.REFUSED, outcome.reason)
            circuit.admin_up = False
            self.book.persist(circuit)
            return
        circuit.attempts += 1
        if outcome.router_id:
            circuit.excluded_ids.add(outcome.router_id)
        self._mover.move(circuit, outcome.reason, now_ns)


def _verdict(call: Call) -> Refusal | None:
    try:
        judge(call.principal, call.action)
    except Refusal as refusal:
        return refusal
    return None
