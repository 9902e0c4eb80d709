"""A standby takes over at any moment: what is durable is kept, what carries power carries on, and all comes to rest."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.generation import Phase
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import Drain, Stage, Withdraw
from controller.core.network.admin import DrainOrder
from controller.core.questions import Questions
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond, mesh, roomy_mesh
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.there import there

T = TypeVar("T")
INDEX = st.integers(0, 60)
FEW = st.integers(1, 4)
POWERS_W = st.sampled_from([0.2e6, 0.5e6, 1e6, 1.5e6, 2.5e6, 4e6])
DURATIONS_MS = st.sampled_from([1, 20, 300, 1000, 3000, 11_000])
MAX_FAULTS = 2
# A busy machine is no fault of ours.


class Failover(RuleBasedStateMachine):
    grid = diamond()
    # By turns, what requests are to be protected against.
    protects: tuple[Against | None, ...] = (None,)

    def __init__(self) -> None:
        super().__init__()
        self.network = SimulatedCluster.running(self.grid)
        self.requests = 0
        self.released: set[int] = set()

    @initialize(sinks=st.lists(INDEX, min_size=1, max_size=4), power_w=POWERS_W)
    def begin_with_circuits(self, sinks: list[int], power_w: float) -> None:
        for sink in sinks:
            self.request(sink, power_w, True)
        self.run(20)

    @staticmethod
    def _pick(items: Sequence[T], index: int) -> T:
        return items[index % len(items)]

    # What happens

    @rule(sink=INDEX, power_w=POWERS_W, split=st.booleans())
    def request(self, sink: int, power_w: float, split: bool) -> None:
        self.requests += 1
        sink_id = self._pick(self.grid.loads, sink).id
        request = PowerRequest(
            *(f"request-{self.requests}", sink_id, power_w),
            allow_split=split,
            protect=self.protects[self.requests % len(self.protects)],
        )
        self._ask(lambda: self.network.request(request))

    def _ask(self, question: Callable[[], object]) -> None:
        with suppress(Refusal):
            question()

    @precondition(lambda self: self.network.core.questions.circuits)
    @rule(index=INDEX)
    def release(self, index: int) -> None:
        circuit_id = self._pick(sorted(self.network.core.questions.circuits), index)
        self.released.add(circuit_id)
        self.network.event(lambda core, now_ns: core.release(circuit_id, now_ns))

    @precondition(lambda self: self.network.core.questions.circuits)
    @rule(index=INDEX, power_w=POWERS_W)
    def change(self, index: int, power_w: float) -> None:
        circuit_id = self._pick(sorted(self.network.core.questions.circuits), index)
        self._ask(
            lambda: self.network.event(
                lambda core, now_ns: core.change(circuit_id, power_w, now_ns)
            )
        )

    @precondition(lambda self: len(self.network.core.questions.drains) < 2)
    @rule(index=INDEX, keep=st.booleans())
    def drain(self, index: int, keep: bool) -> None:
        order = DrainOrder(self._pick(self.grid.links, index).id, 0 if keep else NS_PER_S)
        self._ask(lambda: self.network.event(lambda core, now_ns: core.drain(order, now_ns)))

    @precondition(lambda self: self.network.core.questions.drains)
    @rule(index=INDEX)
    def undrain(self, index: int) -> None:
        id_ = self._pick(sorted(self.network.core.questions.drains), index)
        self.network.event(lambda core, now_ns: core.undrain(id_, now_ns))

    @rule(index=INDEX, fraction=st.sampled_from([0.0, 0.4, 1.0, 1.0]))
    def cloud(self, index: int, fraction: float) -> None:
        source = self._pick(self.grid.sources, index)
        self.network.dim(source.id, source.max_power_w * fraction)

    @rule(duration_ms=DURATIONS_MS)
    def run(self, duration_ms: int) -> None:
        self.network.deliver_all()
        self.network.advance(duration_ms * NS_PER_MS)
        self.network.deliver_all()

    @rule(duration_ms=DURATIONS_MS)
    def pass_time(self, duration_ms: int) -> None:
        self.network.advance(duration_ms * NS_PER_MS)

    @rule(count=FEW)
    def make_durable(self, count: int) -> None:
        self.network.make_durable(count)

    @precondition(lambda self: self.network.changes and self.network.deposed is None)
    @rule()
    def tell_standby_of_a_change(self) -> None:
        self.network.apply_change()

    @rule(index=INDEX, count=FEW)
    def deliver_some(self, index: int, count: int) -> None:
        network = self.network
        for router_id, session in sorted(network.sessions.items())[index % 4 :]:
            for _ in range(min(count, len(session.to_router))):
                network.deliver_to_router(router_id)
            for _ in range(min(count - 1, len(session.to_controller))):
                network.deliver_to_controller(router_id)

    @precondition(lambda self: any(self.network.standby_sessions.values()))
    @rule(index=INDEX, count=FEW)
    def deliver_some_to_standby(self, index: int, count: int) -> None:
        waiting = [key for key, each in sorted(self.network.standby_sessions.items()) if each]
        router_id = self._pick(waiting, index)
        for _ in range(min(count, len(self.network.standby_sessions[router_id]))):
            self.network.deliver_to_standby(router_id)

    @property
    def _faults(self) -> int:
        grid = self.network.grid
        return len(grid.cut) + sum(key not in self.network.sessions for key in grid.routers)

    @precondition(lambda self: self._faults < MAX_FAULTS)
    @rule(index=INDEX)
    def cut(self, index: int) -> None:
        self.network.cut(self._pick(self.grid.links, index).id)

    @precondition(lambda self: self.network.grid.cut)
    @rule(index=INDEX)
    def mend(self, index: int) -> None:
        self.network.mend(self._pick(sorted(self.network.grid.cut), index))

    @precondition(lambda self: self._faults < MAX_FAULTS)
    @rule(index=INDEX)
    def kill_router(self, index: int) -> None:
        self.network.kill_router(self._pick(self.grid.routers, index).id)

    @rule()
    def restart_routers(self) -> None:
        for router_id, router in self.network.grid.routers.items():
            if not router.alive:
                self.network.restart_router(router_id)
                self.network.connect(router_id)

    @rule(written=st.integers(0, 5))
    def fail_over(self, written: int) -> None:
        self.network.fail_over(written)
        self.keeps_what_is_durable()

    @rule(written=st.integers(0, 5))
    def depose(self, written: int) -> None:
        self.network.depose(written)
        self.keeps_what_is_durable()

    @precondition(lambda self: self.network.deposed is not None)
    @rule()
    def wake_deposed(self) -> None:
        self.network.wake_deposed()

    @precondition(lambda self: self.network.deposed is not None)
    @rule()
    def notice(self) -> None:
        self.network.notice()

    @rule(written=st.integers(0, 5))
    def fail_over_while_all_is_well(self, written: int) -> None:
        """Once nothing is under way, nobody's power is touched."""
        self.network.heal()
        carrying = self._carrying()
        held = self.network.grid.held()
        self.network.sent.clear()
        self.network.fail_over(written)
        self.network.deliver_all()
        self.network.advance(15 * NS_PER_S)
        self.network.deliver_all()
        for router_id, message in self.network.sent:
            if isinstance(message, Withdraw | Drain):
                assert not carrying & set(message.circuits), (router_id, message)
            elif isinstance(message, Stage):
                assert not held & {(router_id, hop.key) for hop in message.hops}, (
                    router_id,
                    message,
                )
        assert carrying <= self._carrying()

    def _carrying(self) -> set[CircuitGeneration]:
        return {
            generation.key
            for circuit in self.network.core.questions.circuits.values()
            if circuit.state is CircuitState.ACTIVE
            for generation in circuit.generations.values()
            if generation.phase is Phase.CARRYING
        }

    # What must hold

    def keeps_what_is_durable(self) -> None:
        circuits = self.network.core.questions.circuits
        for record in self.network.store.records.values():
            circuit = circuits[record.circuit_id]
            assert circuit.power_w == record.power_w
            assert circuit.admin_up == record.admin_up
            if record.admin_up and not record.ended_as:
                assert not circuit.state.ended

    @invariant()
    def limits_and_books_hold(self) -> None:
        self.network.check()

    def teardown(self) -> None:
        self.network.heal()
        self.network.check_rest()
        self.keeps_what_is_durable()
        assert self._shown_by(self.network.core.questions) == self._shown_by(
            there(self.network.standby).questions
        )

    def _shown_by(self, questions: Questions) -> tuple[object, ...]:
        """Circuits, reservations and topology, as clients read them."""
        circuits = {
            circuit.circuit_id: (
                circuit.state,
                circuit.power_w,
                circuit.admin_up,
                circuit.guard.word,
                [
                    (each.key, each.route, each.admission_seq)
                    for each in circuit.generations.values()
                ],
            )
            for circuit in questions.circuits.values()
        }
        view = questions.view
        return circuits, questions.reserved(), (view.routers, view.links, view.sources, view.loads)


class FailoverInMesh(Failover):
    grid = mesh()


class FailoverOfProtected(Failover):
    grid = roomy_mesh()
    protects = (Against.LINK, Against.ROUTER, Against.RISK, None)


TestFailover = Failover.TestCase
TestFailoverOfProtected = FailoverOfProtected.TestCase
TestFailoverInMesh = FailoverInMesh.TestCase
for case in (TestFailover, TestFailoverInMesh, TestFailoverOfProtected):
    case.settings = settings(max_examples=60, stateful_step_count=40)
del case
