"""Two-phase commit of generations to their routers, and their withdrawal: stage on every hop, commit, switch, drain.

The decision is durable before the first Commit. Nothing is freed before the router that holds it has let go.
"""

from collections.abc import Callable, Iterable, Mapping

from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.generation import (
    COMMITTED_PHASES,
    PHASES,
    Generation,
    Phase,
    PhaseEvent,
    Role,
)
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect
from controller.core.messages import (
    Abort,
    CircuitStatus,
    Commit,
    Drain,
    Stage,
    TransactionResult,
    Withdraw,
)
from controller.core.network.lateness import Lateness
from controller.core.programming.orders import Orders
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
from controller.core.programming.overdue import is_only_late
from controller.core.programming.pools import Pools
from controller.core.programming.promotion import Promotions
from controller.core.programming.repairs import Repairs
from controller.core.programming.staging import Staging
from controller.core.programming.transactions import Transactions
from controller.core.programming.under_way import UnderWay
from controller.core.programming.window import Window
from controller.core.programming.withdrawals import Withdrawals
from controller.core.settings import Timeouts
from digitalgrid.model import CircuitGeneration, FlowState, Operation, ResultCode

# Phases in which a Commit is waited for.
_COMMITS = frozenset({Phase.COMMITTING, Phase.SWITCHING})


class Programmer:
    """Coordinator of two-phase commits: drives all generations not at rest. Answers come by :meth:`take_outcomes`."""

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
        window = Window(lateness)
        self._under_way = UnderWay(lateness, window)
        self._staging = Staging(
            circuits=circuits,
            timeouts=timeouts,
            transactions=self._transactions,
            window=window,
            lateness=lateness,
            programming=self,
        )
        self._withdrawals = Withdrawals(circuits, self._transactions, self.send)
        self._outcomes: list[Outcome] = []
        # Circuits that may be under way: all that are, and some that have come to rest since they were last asked for.
        self._unsettled: set[int] = set()

    def take_outcomes(self) -> list[Outcome]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def next_deadline_ns(self) -> int | None:
        deadlines = (self._under_way.next_deadline_ns(), self._staging.next_deadline_ns())
        return min((each for each in deadlines if each is not None), default=None)

    @property
    def queued(self) -> int:
        """How many generations wait for their turn."""
        return self._staging.queued

    def find(self, key: CircuitGeneration) -> Generation | None:
        circuit = self._circuits.get(key.circuit_id)
        return circuit.generations.get(key.generation) if circuit else None

    def any_under_way(self) -> bool:
        """Whether any circuit will stand soon, and does not yet; costs what has changed since it was last asked."""
        while self._unsettled:
            circuit = self._circuits.get(circuit_id := self._unsettled.pop())
            if circuit is not None and circuit.under_way:
                self._unsettled.add(circuit_id)
                return True
        return False

    def is_to_be_withdrawn(self, key: CircuitGeneration) -> bool:
        """Whether that is decided, and its routers are told at the end of the turn."""
        return key in self._withdrawals

    def circuit_ids_at(self, router_id: str) -> set[int]:
        """Circuits of which a router holds a hop, or is to."""
        return {key.circuit_id for key in self._reservations.held_at((router_id,))}

    # Making a generation

    def start(self, generation: Generation) -> None:
        """Queue a generation that is reserved, and on its way to the store, as soon as it is its turn.

        Routers that are told of very many changes at once have no time left for their neighbours. Circuits
        without power go first.
        """
        circuit = self._circuits[generation.key.circuit_id]
        circuit.generations[generation.key.generation] = generation
        self._unsettled.add(circuit.circuit_id)
        self._staging.enqueue(generation)

    def go_ahead(self, now_ns: int) -> None:
        """Tell routers what was decided since, as far as there is room for it (backpressure)."""
        self._withdrawals.tell()
        self._staging.go_ahead(now_ns)
        self.pools.tell()

    def make_room(self, circuit: Circuit, now_ns: int) -> None:
        """A router holds few generations of a circuit; the withdrawal reaches it before the next stage does."""
        for older in list(circuit.retiring()):
            if older.phase is Phase.DRAINING:
                self.withdraw(older, now_ns)
                self._withdrawals.tell()

    def made_durable(self, keys: Iterable[CircuitGeneration], now_ns: int) -> None:
        keys = list(keys)
        for key in self._promotions.made_durable(keys):
            self.pools.promoted(key)
            self._outcomes.append(Promoted(key))
        for key in keys:
            generation = self.find(key)
            if generation is not None and not generation.durable:
                generation.durable = True
                self._circuits[key.circuit_id].mark("stored_after_ns", now_ns)
                self._staging.note_durable(generation, now_ns)
                if generation.phase is Phase.WITHDRAWING:
                    self._advance(generation, now_ns)

    def _advance(self, generation: Generation, now_ns: int) -> None:
        """Enter the next phase once everybody has answered."""
        if generation.waiting_for:
            return
        if generation.phase is Phase.COMMITTING and generation.seamless:
            self._switch(generation, now_ns)
        elif generation.phase in _COMMITS:
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
            self._on_starved(generation)

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
            generation.waiting_for = set(routers)
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
        generation.waiting_for = {sink_router_id}
        self._under_way.enter(generation, PhaseEvent.SINK_LEFT, now_ns, self._timeouts.commit_ms)
        self.send(sink_router_id, Commit(generation.txn_id))

    # Taking a generation away

    def retire(self, generation: Generation, now_ns: int, *, drain: bool) -> None:
        """Take a generation off its routers; with ``drain``, what is under way is delivered first."""
        if generation.phase in (Phase.QUEUED, Phase.STAGING):
            self._staging.leave(generation)
            self._reservations.release(generation.key)
            self._forget(generation)
        elif drain:
            generation.waiting_for = set()
            self._under_way.enter(generation, PhaseEvent.DRAIN, now_ns, self._timeouts.drain_ms)
            txn_id = self._transactions.new(generation)
            self.send(generation.route.sink_router_id, Drain(txn_id, (generation.key,)))
        else:
            self.withdraw(generation, now_ns)

    def withdraw(self, generation: Generation, now_ns: int) -> None:
        """Remove from every router that may hold it; each frees its part by its answer, or by read-back."""
        generation.waiting_for = set(self._reservations.routers_holding(generation.key))
        self._under_way.enter(generation, PhaseEvent.WITHDRAW, now_ns, self._timeouts.withdraw_ms)
        self._withdrawals.add(generation)
        self._advance(generation, now_ns)

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
        self._outcomes.append(Gone(key))

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

    def fail(self, generation: Generation, now_ns: int, reason: str) -> None:
        """Give a generation up for a reason that the grid view gives; nothing is excluded."""
        self.give_up(generation, now_ns, reason)

    # What routers say

    def on_result(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        operation = result.operation
        if operation is Operation.PROMOTE:
            self._promotions.on_result(router_id, result)
            return
        if result.code is not ResultCode.OK and operation in (Operation.STAGE, Operation.COMMIT):
            self.pools.came_to_nothing(router_id, result.txn_id)
        if result.code is ResultCode.OK:
            self._on_done(router_id, result, now_ns)
        elif operation is Operation.DRAIN:
            for generation in self._transactions.about(result.txn_id, router_id):
                if generation.phase is Phase.DRAINING:
                    self.withdraw(generation, now_ns)
        elif operation in (Operation.STAGE, Operation.COMMIT) and not self._staging.on_refused(
            router_id, result, now_ns
        ):
            self._on_refused(router_id, result, now_ns)
        # A withdrawal that is refused stays held, and is asked for again at its deadline.

    def _on_done(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        if result.operation is Operation.STAGE:
            self._staging.on_staged(router_id, result.txn_id, now_ns)
            return
        if result.operation is Operation.COMMIT:
            self.pools.on_committed(router_id, result.txn_id)
        for generation in self._transactions.about(result.txn_id, router_id):
            if result.operation is Operation.COMMIT and generation.phase in _COMMITS:
                self._answered(router_id, generation, now_ns)
            elif result.operation is Operation.WITHDRAW and generation.phase is Phase.WITHDRAWING:
                self._free(router_id, generation)
                self._answered(router_id, generation, now_ns)

    def _on_refused(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        """A commit or a repair: of several the router did none, and does those that it can one by one."""
        concerned = [
            each
            for each in self._transactions.about(result.txn_id, router_id)
            if each.phase in COMMITTED_PHASES
        ]
        # A lease that was over when the commit came to a late router is no word against the hop.
        expired = result.code is ResultCode.LEASE_EXPIRED and self._lateness.is_crowded(now_ns)
        if len(concerned) > 1 or expired:
            self._transactions.close(result.txn_id, router_id)
            for generation in concerned:
                self.repairs.program(router_id, [generation], now_ns)
            return
        for generation in concerned:
            reason = f"router {router_id} refused {result.operation.name.lower()}: {result.message}"
            permanent = result.code is ResultCode.INVALID_HOP
            self.give_up(generation, now_ns, reason, router_id, permanent)

    def _answered(self, router_id: str, generation: Generation, now_ns: int) -> None:
        if router_id in generation.waiting_for:
            generation.waiting_for.discard(router_id)
            self._advance(generation, now_ns)

    def sink_of(self, key: CircuitGeneration) -> str | None:
        """The router where a generation ends; None for one that is not known."""
        generation = self.find(key)
        return generation.route.sink_router_id if generation is not None else None

    def on_status(self, status: CircuitStatus, now_ns: int) -> None:
        generation = self.find(status.key)
        if generation is None:
            return
        if status.state is FlowState.DRAINED:
            self._on_drained(generation, now_ns)
        elif generation.role is Role.STANDBY:
            # What its sink does with it is told by SWITCHED, and makes it a working one.
            return
        elif status.state is FlowState.ACTUATED or self._is_late_word(generation, status):
            self._on_actuated(generation, now_ns)
        elif status.state is FlowState.STARVED:
            self._on_starved(generation)

    def _is_late_word(self, generation: Generation, status: CircuitStatus) -> bool:
        """Its sink says that it runs what was adopted without its word; what else it had to say came before that."""
        runs = status.state is FlowState.SWITCHED
        return runs and generation.phase is Phase.COMMITTED

    def _on_drained(self, generation: Generation, now_ns: int) -> None:
        """Its sink wants nothing of it any more, whoever told it so: of one that was to carry another is made."""
        if generation.phase is Phase.DRAINING:
            self.withdraw(generation, now_ns)
        elif generation.phase in COMMITTED_PHASES:
            self.give_up(
                generation, now_ns, "its sink was told to let go of it by a former controller"
            )

    def _on_actuated(self, generation: Generation, now_ns: int) -> None:
        """Power at the sink proves every hop committed, whatever acknowledgement is still under way."""
        generation.starved = False
        if (generation.phase, PhaseEvent.MEASURED) in PHASES:
            circuit = self._circuits[generation.key.circuit_id]
            circuit.mark("committed_after_ns", now_ns)
            circuit.mark("actuated_after_ns", now_ns)
            self._carries(generation)
        if generation.phase is Phase.CARRYING:
            self._outcomes.append(Actuated(generation.key))

    def _on_starved(self, generation: Generation) -> None:
        """Starved: of one that another daemon made, this tells what became of it.

        One of ours that never delivered is late, and its deadline goes on; but where its source has less for it, that
        is all that it will deliver.
        """
        generation.starved = True
        served = generation.restored or self._is_left_short(generation)
        if served and (generation.phase, PhaseEvent.MEASURED) in PHASES:
            self._carries(generation)
        if generation.phase is Phase.CARRYING:
            self._outcomes.append(Starved(generation.key))

    def _is_left_short(self, generation: Generation) -> bool:
        """Whether it is committed on every hop, and its source has less for it than was asked for."""
        circuit = self._circuits[generation.key.circuit_id]
        short = circuit.left_short_by(generation.route.source_id)
        return short and generation.phase is Phase.COMMITTED

    def _carries(self, generation: Generation) -> None:
        """Carrying: at rest, so nobody's answer is waited for any more."""
        generation.apply(PhaseEvent.MEASURED)
        self._rest(generation)

    def _rest(self, generation: Generation) -> None:
        """Nothing is waited for."""
        generation.waiting_for = set()
        self._under_way.drop(generation.key)
        if len(self._circuits[generation.key.circuit_id].generations) == 1:
            self._unsettled.discard(generation.key.circuit_id)

    # A standby takes over

    def take_over(
        self, generation: Generation, now_ns: int, *, delivers: bool, shared: bool
    ) -> None:
        """A standby was made the working generation: tell its routers once that is durable. It ``shared`` its room.

        Where its sink has not said that it ``delivers`` it has as long for that as any other.
        """
        generation.touched_ns = now_ns
        if shared:
            self.pools.promoting(generation.key, generation.route)
        self._promotions.begin(generation)
        if delivers and (generation.phase, PhaseEvent.MEASURED) in PHASES:
            self._carries(generation)
        elif generation.phase is Phase.COMMITTING:
            self._under_way.enter(
                generation, PhaseEvent.COMMITTED, now_ns, self._timeouts.actuate_ms
            )
        elif generation.phase is Phase.COMMITTED:
            self._under_way.wait(generation, now_ns, self._timeouts.actuate_ms)

    def align_role(self, router_id: str, generation: Generation) -> None:
        """The router's table has this hop with another role."""
        if generation.role is Role.STANDBY:
            self._outcomes.append(RunsAsWorking(generation.key))
        elif generation.durable:
            self._promotions.tell(router_id, generation)

    def on_disconnected(self, router_id: str, now_ns: int) -> None:
        """Fail the stages that wait for this router; everything later waits for read-back."""
        self._staging.on_disconnected(router_id, now_ns)
        self._promotions.on_disconnected(router_id)
        self.pools.on_disconnected(router_id)

    # Read-back

    def confirm(self, router_id: str, generation: Generation, now_ns: int) -> None:
        """Read-back found this hop as it should be: as good as an acknowledgement."""
        if generation.phase in (Phase.COMMITTING, Phase.SWITCHING):
            self._answered(router_id, generation, now_ns)

    def absent(self, router_id: str, generation: Generation, now_ns: int) -> None:
        """Read-back shows that this hop, which should not be there, is not: its part is free."""
        self._free(router_id, generation)
        self._answered(router_id, generation, now_ns)

    def _free(self, router_id: str, generation: Generation) -> None:
        if router_id not in generation.freed:
            generation.freed.add(router_id)
            self._reservations.release_hop(generation.key, router_id)
            self._outcomes.append(Freed(generation.key))

    def resume(self, generation: Generation, now_ns: int) -> None:
        """Take up a generation from the store: its outcome is unknown until its routers are read back."""
        generation.waiting_for = set(generation.route.router_ids)
        generation.waiting_for -= generation.freed
        self._unsettled.add(generation.key.circuit_id)
        if generation.phase is Phase.WITHDRAWING:
            generation.txn_id = self._transactions.new(generation)
            self._under_way.enter(
                generation, PhaseEvent.WITHDRAW, now_ns, self._timeouts.withdraw_ms
            )
            self._advance(generation, now_ns)

    # Time

    def on_timer(self, now_ns: int) -> None:
        self._lateness.note_here(self.next_deadline_ns(), now_ns)
        self._staging.on_timer(now_ns)
        for generation in self._under_way.due(now_ns):
            if generation.phase is Phase.DRAINING:
                self.withdraw(generation, now_ns)
            elif is_only_late(generation, self._lateness, self._timeouts, now_ns):
                # No fault, and nothing that asking again, or another way, would make better.
                self._under_way.look_again(generation, now_ns)
            elif generation.phase is Phase.WITHDRAWING:
                self._under_way.enter(
                    generation, PhaseEvent.WITHDRAW, now_ns, self._timeouts.withdraw_ms
                )
                self._withdrawals.add(generation)
            elif self._is_left_short(generation):
                # Its source has nothing for it, and its sink nothing to tell.
                self._on_starved(generation)
            else:
                late = min(generation.waiting_for, default="")
                reason = f"{generation.phase.value} took too long at {late or 'the sink'}"
                self.give_up(generation, now_ns, reason, late)

    def send(self, router_id: str, message: Stage | Commit | Abort | Drain | Withdraw) -> None:
        if isinstance(message, Stage):
            message = self.pools.with_pools(router_id, message)
        elif isinstance(message, Commit):
            self.pools.committing(router_id, message.txn_id)
        elif isinstance(message, Abort):
            self.pools.came_to_nothing(router_id, message.txn_id)
        self.orders.send(router_id, message)
