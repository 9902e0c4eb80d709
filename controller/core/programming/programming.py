"""Two-phase commit of generations to their routers, and their withdrawal: stage on every hop, commit, switch, drain.

Each step is in :mod:`steps`, what routers say to it in :mod:`answers`.
"""

from collections.abc import Callable, Iterable, Mapping

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import PHASES, Generation, Phase, PhaseEvent, Role
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect
from controller.core.network.lateness import Lateness
from controller.core.programming.answers import Answers
from controller.core.programming.outcomes import Outcome, Promoted, RunsAsWorking
from controller.core.programming.overdue import is_only_late, stopped
from controller.core.programming.steps import COMMITS, Steps
from controller.core.settings import Timeouts
from digitalgrid.model import CircuitGeneration


class Programmer(Steps):
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
        super().__init__(
            circuits=circuits,
            reservations=reservations,
            lateness=lateness,
            timeouts=timeouts,
            emit=emit,
            first_txn_id=first_txn_id,
            holds_pools=holds_pools,
        )
        self.answers = Answers(
            steps=self,
            transactions=self._transactions,
            staging=self._staging,
            promotions=self._promotions,
            lateness=lateness,
        )

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

    @property
    def in_flight(self) -> int:
        """How many generations routers are told of just now."""
        return self._window.taken

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

    def sink_of(self, key: CircuitGeneration) -> str | None:
        """The router where a generation ends; None for one that is not known."""
        generation = self.find(key)
        return generation.route.sink_router_id if generation is not None else None

    # What was decided

    def start(self, generation: Generation) -> None:
        """Queue a generation that is reserved, and on its way to the store, as soon as it is its turn.

        Routers that are told of very many changes at once have no time left for their neighbours. Circuits
        without power go first.
        """
        circuit = self._circuits[generation.key.circuit_id]
        circuit.generations[generation.key.generation] = generation
        if circuit.is_held:
            # Until it is activated.
            return
        self._unsettled.add(circuit.circuit_id)
        self._staging.enqueue(generation)

    def go_ahead(self, now_ns: int) -> None:
        """Tell routers what was decided since, as far as there is room for it (backpressure)."""
        self._withdrawals.tell()
        self._staging.go_ahead(now_ns)
        self.pools.tell()

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
                    self.advance(generation, now_ns)

    def fail(self, generation: Generation, now_ns: int, reason: str) -> None:
        """Give a generation up for a reason that the grid view gives; nothing is excluded."""
        self.give_up(generation, now_ns, reason)

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
            self.carries(generation)
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

    # Sessions and read-back

    def on_disconnected(self, router_id: str, now_ns: int) -> None:
        """Fail the stages that wait for this router; everything later waits for read-back."""
        self._staging.on_disconnected(router_id, now_ns)
        self._promotions.on_disconnected(router_id)
        self.pools.on_disconnected(router_id)

    def confirm(self, router_id: str, generation: Generation, now_ns: int) -> None:
        """Read-back found this hop as it should be: as good as an acknowledgement."""
        if generation.phase in COMMITS:
            self.answered(router_id, generation, now_ns)

    def absent(self, router_id: str, generation: Generation, now_ns: int) -> None:
        """Read-back shows that this hop, which should not be there, is not: its part is free. Where the router has
        not said what it had metered of it, it is told to withdraw it again, for its answer says that.
        """
        if not generation.lacks_final(router_id):
            self.let_go(router_id, generation, now_ns)
        elif generation.phase is Phase.WITHDRAWING:
            self._withdrawals.add(generation)

    def let_go(self, router_id: str, generation: Generation, now_ns: int) -> None:
        """The router holds nothing of it any more, or is given up with what it holds."""
        self.free(router_id, generation)
        self.answered(router_id, generation, now_ns)

    def resume(self, generation: Generation, now_ns: int) -> None:
        """Take up a generation from the store: its outcome is unknown until its routers are read back."""
        generation.waiting_for = frozenset(generation.route.router_ids) - generation.freed
        self._unsettled.add(generation.key.circuit_id)
        if generation.phase is Phase.WITHDRAWING:
            generation.txn_id = self._transactions.new(generation)
            self._under_way.enter(
                generation, PhaseEvent.WITHDRAW, now_ns, self._timeouts.withdraw_ms
            )
            self.advance(generation, now_ns)

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
            elif self.is_left_short(generation):
                # Its source has nothing for it, and its sink nothing to tell.
                self.on_starved(generation)
            else:
                # Of several the one that stopped, not one that is late beside it, and would be kept off for that.
                router_id = next(
                    iter(stopped(generation, self._lateness, self._timeouts, now_ns)), ""
                )
                reason = f"{generation.phase.value} took too long at {router_id or 'the sink'}"
                self.give_up(generation, now_ns, reason, router_id)
