"""What a standby knows: the leader's decisions as they become durable, and the network as routers tell it.

It answers reads, decides nothing, and says nothing to routers. Whoever is to lead takes its ``network`` over.
"""

from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState, Phase
from controller.core.circuits.records import Counters, StateChange, StoredState
from controller.core.circuits.reservations import Reservations
from controller.core.effects import CircuitChanged, Effect, TopologyChanged
from controller.core.grid import Grid
from controller.core.messages import CircuitStatus, CircuitTable, TransactionResult
from controller.core.network.network import Network
from controller.core.network.owners import RefusedClaim
from controller.core.network.view import GridView
from digitalgrid.model import CircuitGeneration, FlowState, RouterLsa

NOTHING_STORED = StoredState(0, (), Counters())


class Replica(Grid):
    """A warm copy."""

    def __init__(self, network: Network, now_ns: int) -> None:
        self._effects = []
        # Of the last event of a router.
        self._now_ns = now_ns
        self._view = network.view(now_ns)
        self.network = network
        self.reservations = Reservations()
        self.book = CircuitBook(NOTHING_STORED, self._effects.append)

    @property
    def view(self) -> GridView:
        return self._view

    # The leader's decisions

    def on_state(self, stored: StoredState) -> None:
        """All that is durable, in place of what was known."""
        self.reservations = Reservations()
        self.book = CircuitBook(stored, self._effects.append)
        for circuit in list(self.book.live.values()):
            self._take_up(circuit)
        self.network.adopt_owners(stored.routers)
        self._view = self.network.view(self._now_ns)
        self._effects.append(TopologyChanged())

    def on_change(self, change: StateChange) -> None:
        """What has become durable since."""
        for record in change.circuits:
            before = self._drop(self.book.circuits.get(record.circuit_id))
            circuit = self.book.replace(record)
            self._take_up(circuit)
            for key in before - {each.key for each in circuit.generations.values()}:
                self.network.forget(key)
            self._effects.append(CircuitChanged(record.circuit_id))
        for circuit_id in change.forgotten_ids:
            for key in self._drop(self.book.circuits.get(circuit_id)):
                self.network.forget(key)
            self.book.drop(circuit_id)
            self._effects.append(CircuitChanged(circuit_id))
        self.network.follow_owners(change.routers, change.forgotten_router_ids)
        self._look(self._now_ns)

    def _take_up(self, circuit: Circuit) -> None:
        for generation in circuit.generations.values():
            self.reservations.reserve(generation.key, generation.route)
            for router_id in generation.freed:
                self.reservations.release_hop(generation.key, router_id)
            for status in self.network.measured_of(generation.key, generation.route.sink_router_id):
                self._measure(circuit, status)

    def _drop(self, circuit: Circuit | None) -> set[CircuitGeneration]:
        """Release what a circuit holds; the generations that it had."""
        keys = {each.key for each in circuit.generations.values()} if circuit else set()
        for key in keys:
            self.reservations.release(key)
        return keys

    # Routers

    def on_connected(self, router_id: str, now_ns: int, instance_id: bytes = b"") -> None:
        self.network.connect(router_id, instance_id)

    def on_disconnected(self, router_id: str, now_ns: int) -> None:
        self.network.disconnect(router_id)
        self._look(now_ns)

    def on_lsa(self, lsa: RouterLsa, now_ns: int) -> tuple[RefusedClaim, ...] | None:
        if self.network.install(lsa, now_ns):
            self._look(now_ns)
        return self.network.refused_anew(lsa.router_id)

    def on_sync_done(self, router_id: str, now_ns: int) -> None:
        if not self.network.has_session(router_id):
            return
        self.network.set_in_step(router_id)
        self._look(now_ns)

    def on_result(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        """An answer to somebody who led before."""

    def on_table(self, router_id: str, table: CircuitTable, now_ns: int) -> None:
        """An answer to somebody who led before."""

    def on_status(self, router_id: str, status: CircuitStatus, now_ns: int) -> None:
        self.network.measure(router_id, status)
        circuit = self.book.circuits.get(status.key.circuit_id)
        generation = circuit.generations.get(status.key.generation) if circuit else None
        if circuit is None or generation is None:
            return
        if generation.route.sink_router_id == router_id:
            self._measure(circuit, status)
            self._effects.append(CircuitChanged(circuit.circuit_id))

    def _measure(self, circuit: Circuit, status: CircuitStatus) -> None:
        """Show the circuit as its sink measures it."""
        newest = circuit.newest()
        if newest is None or newest.key != status.key:
            return
        if status.state is FlowState.ARRIVED:
            circuit.note_arrival(status.arrived_at_ns, status.interruption_ns)
        elif status.state is FlowState.ACTUATED:
            newest.phase = Phase.CARRYING
            if circuit.state in (CircuitState.COMMITTING, CircuitState.DEGRADED):
                circuit.apply(CircuitEvent.ACTUATED)
        elif status.state is FlowState.STARVED and circuit.state is CircuitState.ACTIVE:
            circuit.apply(CircuitEvent.STARVED, "its sink gets less than it should")

    def _look(self, now_ns: int) -> None:
        self._now_ns = now_ns
        view = self.network.view(now_ns)
        if view != self._view:
            self._view = view
            self._effects.append(TopologyChanged())

    # Effects and time

    def take_effects(self) -> list[Effect]:
        effects = self._effects[:]
        self._effects.clear()
        return effects

    def next_deadline_ns(self) -> int | None:
        return None

    def on_timer(self, now_ns: int) -> None:
        """Nothing is ever due."""
