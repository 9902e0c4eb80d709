"""Steps of generations from phase to phase: what each is told, what is waited for, and what follows from that.

The decision is durable before the first Commit. Nothing is freed before the router that holds it has let go.
"""

from collections.abc import Callable, Iterable, Mapping

from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.generation import PHASES, Generation, Phase, PhaseEvent, Role
from controller.core.circuits.guarding import fits_beside
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect
from controller.core.messages import Abort, Commit, Drain, Stage, Withdraw
from controller.core.network.lateness import Lateness
from controller.core.programming.orders import Orders
from controller.core.programming.outcomes import (
    Actuated,
    Failed,
    Freed,
    Gone,
    Outcome,
    StandsBy,
    Starved,
)
from controller.core.programming.pools import Pools
from controller.core.programming.promotion import Promotions
from controller.core.programming.repairs import Repairs
from controller.core.programming.staging import Staging
from controller.core.programming.transactions import Transactions
from controller.core.programming.under_way import UnderWay
from controller.core.programming.window import Window
from controller.core.programming.withdrawals import Withdrawals
from controller.core.settings import Timeouts
from digitalgrid.model import CircuitGeneration

# Phases in which a Commit is waited for.
COMMITS = frozenset({Phase.COMMITTING, Phase.SWITCHING})


class Steps:
    """State of all generations that are not at rest, and the moves that they make."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        reservations: Reservations,
        lateness: Lateness,
        timeouts: Timeouts,
        emit: Callable[[Effect], None],
        first_txn_id: int,
        holds_pools: Callable[[str], bool],
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._timeouts = timeouts
        self._transactions = Transactions(first_txn_id)
        self.orders = Orders(self._transactions, emit)
        self._promotions = Promotions(self._transactions, self.orders.send)
        self.pools = Pools(
            reservations, self._transactions, self.orders.send, timeouts.lease_ms, holds_pools
        )
        self.repairs = Repairs(self._transactions, timeouts, lateness, self.send)
        self._lateness = lateness
        self._window = Window(lateness)
        self._under_way = UnderWay(lateness, self._window)
        self._staging = Staging(
            circuits=circuits,
            timeouts=timeouts,
            transactions=self._transactions,
            window=self._window,
            lateness=lateness,
            programming=self,
        )
        self._withdrawals = Withdrawals(circuits, self._transactions, self.send)
        self._outcomes: list[Outcome] = []
        # Circuits that may be under way: all that are, and some that have come to rest since they were last asked for.
        self._unsettled: set[int] = set()

    def find(self, key: CircuitGeneration) -> Generation | None:
        circuit = self._circuits.get(key.circuit_id)
        return circuit.generations.get(key.generation) if circuit else None

    def send(self, router_id: str, message: Stage | Commit | Abort | Drain | Withdraw) -> None:
        self.orders.send(router_id, self.pools.accompanying(router_id, message))

    # Making a generation

    def make_room(self, generation: Generation, now_ns: int) -> None:
        """A router holds few generations of a circuit; the withdrawal reaches it before the next stage does."""
        circuit = self._circuits[generation.key.circuit_id]
        if generation.role is Role.STANDBY and fits_beside(self._reservations, circuit, generation):
            # What drains goes on to the load meanwhile.
            return
        for older in list(circuit.retiring()):
            if older.phase is Phase.DRAINING:
                self.withdraw(older, now_ns)
                self._withdrawals.tell()

    def commit(self, txn_id: int, generations: Iterable[Generation], now_ns: int) -> None:
        """All hops are staged, and the decisions durable."""
        told: dict[str, None] = {}
        ready = []
        for generation in generations:
            circuit = self._circuits[generation.key.circuit_id]
            circuit.mark("staged_after_ns", now_ns)
            if circuit.state is CircuitState.STAGING:
                circuit.apply(CircuitEvent.STAGED)
            route = generation.route
            routers = route.router_ids[:-1] if generation.seamless else route.router_ids
            generation.waiting_for = frozenset(routers)
            self._under_way.enter(generation, PhaseEvent.STAGED, now_ns, self._timeouts.commit_ms)
            # From the sink towards the source: demand goes up as grants come down.
            told.update(dict.fromkeys(reversed(routers)))
            if not routers:
                ready.append(generation)
        for router_id in told:
            self.send(router_id, Commit(txn_id))
        for generation in ready:
            self._switch(generation, now_ns)

    def _switch(self, generation: Generation, now_ns: int) -> None:
        sink_router_id = generation.route.sink_router_id
        generation.waiting_for = frozenset((sink_router_id,))
        self._under_way.enter(generation, PhaseEvent.SINK_LEFT, now_ns, self._timeouts.commit_ms)
        self.send(sink_router_id, Commit(generation.txn_id))

    def advance(self, generation: Generation, now_ns: int) -> None:
        """Enter the next phase once everybody has answered."""
        if generation.waiting_for:
            return
        if generation.phase is Phase.COMMITTING and generation.seamless:
            self._switch(generation, now_ns)
        elif generation.phase in COMMITS:
            self._committed(generation, now_ns)
        elif generation.phase is Phase.WITHDRAWING and generation.durable:
            self._forget(generation)

    def _committed(self, generation: Generation, now_ns: int) -> None:
        """On every hop: power must follow, unless it stands by for when it is needed."""
        if generation.role is Role.STANDBY:
            generation.apply(PhaseEvent.COMMITTED)
            self._rest(generation)
            self._outcomes.append(StandsBy(generation.key))
            return
        self._circuits[generation.key.circuit_id].mark("committed_after_ns", now_ns)
        charge_ms = self._timeouts.charge_ms if generation.charges_first else 0
        timeout_ms = charge_ms + self._timeouts.actuate_ms
        self._under_way.enter(generation, PhaseEvent.COMMITTED, now_ns, timeout_ms)
        if generation.starved:
            self.on_starved(generation)

    # It carries, or stands by

    def on_actuated(self, generation: Generation, now_ns: int) -> None:
        """Power at the sink proves every hop committed, whatever acknowledgement is still under way."""
        generation.starved = False
        if (generation.phase, PhaseEvent.MEASURED) in PHASES:
            circuit = self._circuits[generation.key.circuit_id]
            circuit.mark("committed_after_ns", now_ns)
            circuit.mark("actuated_after_ns", now_ns)
            self.carries(generation)
        if generation.phase is Phase.CARRYING:
            self._outcomes.append(Actuated(generation.key))

    def on_starved(self, generation: Generation) -> None:
        """Starved: of one that another daemon made, this tells what became of it.

        One of ours that never delivered is late, and its deadline goes on; but where its source has less for it, that
        is all that it will deliver.
        """
        generation.starved = True
        served = generation.restored or self.is_left_short(generation)
        if served and (generation.phase, PhaseEvent.MEASURED) in PHASES:
            self.carries(generation)
        if generation.phase is Phase.CARRYING:
            self._outcomes.append(Starved(generation.key))

    def is_left_short(self, generation: Generation) -> bool:
        """Whether it is committed on every hop, and its source has less for it than was asked for."""
        circuit = self._circuits[generation.key.circuit_id]
        short = circuit.left_short_by(generation.route.source_id)
        return short and generation.phase is Phase.COMMITTED

    def carries(self, generation: Generation) -> None:
        """Carrying: at rest, so nobody's answer is waited for any more."""
        generation.apply(PhaseEvent.MEASURED)
        self._rest(generation)

    def _rest(self, generation: Generation) -> None:
        """Nothing is waited for."""
        generation.waiting_for = frozenset()
        self._under_way.drop(generation.key)
        if len(self._circuits[generation.key.circuit_id].generations) == 1:
            self._unsettled.discard(generation.key.circuit_id)

    # Taking a generation away

    def retire(self, generation: Generation, now_ns: int, *, drain: bool) -> None:
        """Take a generation off its routers; with ``drain``, what is under way is delivered first."""
        if generation.phase in (Phase.QUEUED, Phase.STAGING):
            self._staging.leave(generation)
            self._reservations.release(generation.key)
            self._forget(generation)
        elif drain:
            generation.waiting_for = frozenset()
            self._under_way.enter(generation, PhaseEvent.DRAIN, now_ns, self._timeouts.drain_ms)
            txn_id = self._transactions.new(generation)
            self.send(generation.route.sink_router_id, Drain(txn_id, (generation.key,)))
        else:
            self.withdraw(generation, now_ns)

    def withdraw(self, generation: Generation, now_ns: int) -> None:
        """Remove from every router that may hold it; each frees its part by its answer, or by read-back."""
        generation.waiting_for = frozenset(self._reservations.routers_holding(generation.key))
        self._under_way.enter(generation, PhaseEvent.WITHDRAW, now_ns, self._timeouts.withdraw_ms)
        self._withdrawals.add(generation)
        self.advance(generation, now_ns)

    def give_up(
        self,
        generation: Generation,
        now_ns: int,
        reason: str,
        router_id: str = "",
        permanent: bool = False,
    ) -> None:
        standby = generation.role is Role.STANDBY
        self._outcomes.append(Failed(generation.key, reason, router_id, permanent, standby))
        self.retire(generation, now_ns, drain=False)

    def answered(self, router_id: str, generation: Generation, now_ns: int) -> None:
        if router_id in generation.waiting_for:
            generation.waiting_for -= {router_id}
            self.advance(generation, now_ns)

    def free(self, router_id: str, generation: Generation) -> None:
        if router_id not in generation.freed:
            generation.freed |= {router_id}
            self._reservations.release_hop(generation.key, router_id)
            self._outcomes.append(Freed(generation.key))

    def _forget(self, generation: Generation) -> None:
        key = generation.key
        self._under_way.drop(key)
        self._withdrawals.drop(key)
        self._transactions.forget(generation)
        self._promotions.forget(key)
        self.pools.promoted(key)
        circuit = self._circuits[key.circuit_id]
        circuit.generations.pop(key.generation, None)
        if not circuit.under_way:
            self._unsettled.discard(key.circuit_id)
        withdrawn = generation.phase is Phase.WITHDRAWING
        self._outcomes.append(Gone(key, generation if withdrawn else None))
