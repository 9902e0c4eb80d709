"""What a standby knows: the leader's decisions as they become durable, and the network as routers tell it.

It answers reads, decides nothing, and says nothing to routers. Whoever is to lead takes its ``network`` over.
"""

from collections.abc import Collection, Iterable

from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import PHASES, PhaseEvent
from controller.core.circuits.guarding import show_protection
from controller.core.circuits.protection import ProtectionEvent
from controller.core.circuits.records import Counters, StateChange, StoredState
from controller.core.circuits.reservations import Reservations
from controller.core.effects import CircuitChanged, Effect, TopologyChanged
from controller.core.messages import CircuitStatus, CircuitTable, TransactionResult
from controller.core.network.network import Network
from controller.core.network.owners import RefusedClaim
from controller.core.network.view import GridView, change_of, limited_converters
from controller.core.promises.blame import note_lost_paths
from controller.core.promises.missing_energy import note_missing
from controller.core.questions import Questions
from controller.core.role import Core
from controller.core.settings import CoreSettings
from digitalgrid.capabilities import UNSAID, Capability
from digitalgrid.model import CircuitGeneration, FlowState, RouterLsa

NOTHING_STORED = StoredState(0, (), Counters())


class Replica(Core):
    """A warm copy."""

    def __init__(self, network: Network, now_ns: int) -> None:
        self._view = network.view(now_ns)
        # Of the last event of a router.
        self._now_ns = now_ns
        effects: list[Effect] = []
        book = CircuitBook(NOTHING_STORED, effects.append)
        super().__init__(network, book, Reservations(), effects)

    @classmethod
    def new(cls, settings: CoreSettings, now_ns: int) -> "Replica":
        """Nothing is known yet of anything."""
        return cls(Network(settings.lsa_max_age_ns), now_ns)

    @classmethod
    def succeeding(cls, before: Core, now_ns: int) -> "Replica":
        """The network is known as ``before`` knew it; of circuits nothing is known to be durable."""
        return cls(before._network, now_ns)

    # The leader's decisions

    def on_state(self, stored: StoredState) -> None:
        """All that is durable, in place of what was known."""
        self._reservations = Reservations()
        self._book = CircuitBook(stored, self._effects.append)
        self._questions = Questions(self._network, self._book, self._reservations)
        self._network.adopt_owners(stored.routers)
        self._network.admin.adopt(stored.drains)
        self._view = self._network.view(self._now_ns)
        self._reservations.limit(frozenset(limited_converters(self._view)))
        for circuit in list(self._book.live.values()):
            self._take_up(circuit)
        self._effects.append(TopologyChanged())

    def on_change(self, change: StateChange) -> None:
        """What has become durable since."""
        for record in change.circuits:
            before = self._drop(self._book.circuits.get(record.circuit_id))
            circuit = self._book.replace(record)
            self._take_up(circuit)
            for key in before - {each.key for each in circuit.generations.values()}:
                self._network.forget(key)
            self._effects.append(CircuitChanged(record.circuit_id))
        for circuit_id in change.forgotten_ids:
            for key in self._drop(self._book.circuits.get(circuit_id)):
                self._network.forget(key)
            self._book.drop(circuit_id)
            self._effects.append(CircuitChanged(circuit_id))
        if change.routers or change.forgotten_router_ids:
            self._network.follow_owners(change.routers, change.forgotten_router_ids)
            self._look(self._now_ns)
        if change.drains or change.undrained_ids:
            self._network.admin.follow(change.drains, change.undrained_ids)
            self._look(self._now_ns)

    def _take_up(self, circuit: Circuit) -> None:
        if circuit.is_held:
            self._reservations.hold(circuit.circuit_id)
        for generation in circuit.generations.values():
            self._reservations.restore(circuit, generation)
            for status in self._network.measured_of(
                generation.key, generation.route.sink_router_id
            ):
                self._measure(circuit, status)
        self._show_without_supply(circuit)
        show_protection(self._view, circuit)

    def _show_without_supply(self, circuit: Circuit) -> None:
        """A sink that never had power says nothing; where the source has nothing for it, that is all it will get.

        The leader, which waits until its hops are committed, shows the circuit so from then on.
        """
        newest, curtailed = circuit.newest(), circuit.curtailed
        if newest is None or curtailed is None or curtailed.granted_w > 0.0:
            return
        if not circuit.left_short_by(newest.route.source_id):
            return
        if (newest.phase, PhaseEvent.MEASURED) in PHASES:
            newest.apply(PhaseEvent.MEASURED)
            newest.starved = True
            circuit.show_measured()

    def _drop(self, circuit: Circuit | None) -> set[CircuitGeneration]:
        """Release what a circuit holds; the generations that it had."""
        if circuit is None:
            return set()
        keys = {each.key for each in circuit.generations.values()}
        for key in keys:
            self._reservations.release(key)
        self._reservations.end_hold(circuit.circuit_id)
        return keys

    # Routers

    def on_connected(
        self,
        router_id: str,
        now_ns: int,
        instance_id: bytes = b"",
        capabilities: Collection[Capability] = UNSAID,
    ) -> None:
        self._network.connect(router_id, instance_id, capabilities)

    def on_disconnected(self, router_id: str, now_ns: int) -> None:
        self._network.disconnect(router_id)
        self._look(now_ns)

    def on_lsa(self, lsa: RouterLsa, now_ns: int) -> tuple[RefusedClaim, ...] | None:
        if self._network.install(lsa, now_ns):
            self._look(now_ns)
        return self._network.changed_refusals(lsa.router_id)

    def on_sync_done(self, router_id: str, now_ns: int) -> None:
        if not self._network.has_session(router_id):
            return
        self._network.set_in_step(router_id)
        self._look(now_ns)

    def on_result(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        """An answer to somebody who led before."""

    def awaits_table(self, router_id: str, read_id: int) -> bool:
        return False

    def on_table_slice(self, router_id: str, table: CircuitTable, now_ns: int) -> None:
        """An answer to somebody who led before."""

    def abandon_reads(self, read_ids: Iterable[int]) -> None:
        """A standby asks for no tables."""

    def on_status(self, router_id: str, status: CircuitStatus, now_ns: int) -> None:
        self._network.measure(router_id, status, self._sink_of)
        circuit = self._book.circuits.get(status.key.circuit_id)
        at_unix_ns = self._book.audit.at_unix_ns
        if note_missing(self._network, circuit, router_id, status, at_unix_ns):
            self._effects.append(CircuitChanged(status.key.circuit_id))
        generation = circuit.generations.get(status.key.generation) if circuit else None
        if circuit is None or generation is None:
            if status.state is FlowState.DRAINED:
                self._network.forget(status.key)
            return
        if generation.route.sink_router_id == router_id:
            self._measure(circuit, status)
            show_protection(self._view, circuit)
            self._effects.append(CircuitChanged(circuit.circuit_id))

    def _sink_of(self, key: CircuitGeneration) -> str | None:
        """The router where a generation ends; None for one that is not known."""
        circuit = self._book.circuits.get(key.circuit_id)
        generation = circuit.generations.get(key.generation) if circuit is not None else None
        return generation.route.sink_router_id if generation is not None else None

    def _measure(self, circuit: Circuit, status: CircuitStatus) -> None:
        """Show the circuit as its sink measures it."""
        self._measure_standby(circuit, status)
        newest = circuit.newest()
        if newest is None or newest.key != status.key:
            return
        if status.state is FlowState.ARRIVED:
            circuit.note_arrival(status.arrived_at_ns, status.interruption_ns)
        elif status.state in (FlowState.ACTUATED, FlowState.STARVED):
            newest.starved = status.state is FlowState.STARVED
            if (newest.phase, PhaseEvent.MEASURED) in PHASES:
                newest.apply(PhaseEvent.MEASURED)
            circuit.show_measured()

    def _measure_standby(self, circuit: Circuit, status: CircuitStatus) -> None:
        newest, standbys = circuit.newest(), circuit.standbys()
        if status.state is FlowState.SWITCHED and newest is not None and newest.key == status.key:
            circuit.guard.apply_if_possible(ProtectionEvent.RETURNED)
        standby = next((each for each in standbys if each.key == status.key), None)
        if standby is None:
            return
        if status.state is FlowState.SWITCHED:
            why = "its sink selected the standby"
            circuit.guard.apply_if_possible(ProtectionEvent.SWITCHED, why)
        elif status.state in (FlowState.CHARGED, FlowState.DISCHARGED):
            standby.charged = status.state is FlowState.CHARGED

    def _look(self, now_ns: int) -> None:
        self._now_ns = now_ns
        view = self._network.view(now_ns)
        if view != self._view:
            self._note_lost(view)
            self._view = view
            self._reservations.limit(frozenset(limited_converters(view)))
            self._effects.append(TopologyChanged())
            for circuit in self._book.live.values():
                if show_protection(view, circuit):
                    self._effects.append(CircuitChanged(circuit.circuit_id))

    def _note_lost(self, view: GridView) -> None:
        """Whose paths may have failed, for when their sinks tell what that cost."""
        change = change_of(self._view, view)
        live = self._book.live
        over = self._reservations.circuits_over(change.links)
        circuits = (live[each] for each in over if each in live)
        note_lost_paths(view, self._reservations, circuits, self._book.audit.at_unix_ns)

    # Effects and time

    def next_deadline_ns(self) -> int | None:
        return None

    def on_timer(self, now_ns: int) -> None:
        """Nothing is ever due."""
