"""Whatever happens to messages, lines, routers and the controller: limits hold and promises are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.hold import HoldWord
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import TransactionResult
from digitalgrid.units import NS_PER_MS
from tests.support.grids import diamond, mesh, narrow_mesh
from tests.support.simulated_network import Session, SimulatedNetwork

SOURCES = st.sampled_from([(), (), ("gas",)])
T = TypeVar("T")
POWERS_W = st.sampled_from([0.2e6, 0.5e6, 1e6, 1.5e6, 2.5e6, 4e6, 5.5e6, 8e6])
FEW = st.integers(1, 4)
# Picks one of what there is, whatever that is.
INDEX = st.integers(0, 60)
# Around the timeouts, the lease, the retries, the read-back, and the age of an advertisement.
DURATIONS_MS = st.sampled_from([1, 20, 100, 300, 1000, 1600, 3000, 11_000, 100_000])
MAX_FAULTS = 2
# A busy machine is no fault of ours.


@dataclass
class Client:
    """What clients were told, and what they asked without an answer yet."""

    # Asked, by the ticket that must be durable before the answer.
    asked: list[tuple[int, PowerRequest, tuple[int, ...]]] = field(default_factory=list)
    releases: list[tuple[int, int]] = field(default_factory=list)
    # Answered.
    promised: dict[int, PowerRequest] = field(default_factory=dict)
    release_asked: set[int] = field(default_factory=set)
    released: set[int] = field(default_factory=set)
    powers_w: dict[int, set[float]] = field(default_factory=dict)

    def hear(self, durable_ticket: int) -> None:
        for entry in [each for each in self.asked if each[0] <= durable_ticket]:
            self.asked.remove(entry)
            self.promised.update((circuit_id, entry[1]) for circuit_id in entry[2])
        for release in [each for each in self.releases if each[0] <= durable_ticket]:
            self.releases.remove(release)
            self.released.add(release[1])

    def hang_up(self) -> None:
        """The controller died; what was not answered is unknown."""
        self.asked.clear()
        self.releases.clear()


class Promises(RuleBasedStateMachine):
    grid = diamond()
    # By turns, what requests are to be protected against.
    protects: tuple[Against | None, ...] = (None,)
    # And whether their standbys are to have room of their own.
    dedicated: tuple[bool, ...] = (False,)

    def __init__(self) -> None:
        super().__init__()
        self.network = SimulatedNetwork.running(self.grid)
        # Whatever happens, happens between two circuits of a table, too.
        self.network.slice = 1
        self.client = Client()
        self.sent: list[PowerRequest] = []

    @initialize(sinks=st.lists(INDEX, min_size=1, max_size=4), power_w=POWERS_W)
    def begin_with_circuits(self, sinks: list[int], power_w: float) -> None:
        for sink in sinks:
            self.request(sink, (), power_w, True, None)
        self.run(20)

    @property
    def up(self) -> bool:
        return self.network.controlled

    @staticmethod
    def _pick(items: Sequence[T], index: int) -> T:
        return items[index % len(items)]

    # Clients

    @precondition(lambda self: self.up)
    @rule(sink=INDEX, sources=SOURCES, power_w=POWERS_W, split=st.booleans(), hops=st.none() | FEW)
    def request_power(
        self, sink: int, sources: tuple[str, ...], power_w: float, split: bool, hops: int | None
    ) -> None:
        self.request(sink, sources, power_w, split, hops)

    def request(
        self, sink: int, sources: tuple[str, ...], power_w: float, split: bool, hops: int | None
    ) -> None:
        request = PowerRequest(
            f"request-{len(self.sent)}",
            self._pick(self.grid.loads, sink).id,
            power_w,
            sources,
            Constraints(max_hops=hops),
            allow_split=split,
            protect=(against := self.protects[len(self.sent) % len(self.protects)]),
            dedicated=against is not None and self.dedicated[len(self.sent) % len(self.dedicated)],
        )
        self.sent.append(request)
        self._ask(request)

    @precondition(lambda self: self.up)
    @rule(sinks=st.lists(INDEX, min_size=2, max_size=6), power_w=POWERS_W)
    def request_many(self, sinks: list[int], power_w: float) -> None:
        """In one call, and then programmed in one group."""
        requests = [
            PowerRequest(
                f"request-{len(self.sent) + number}", self._pick(self.grid.loads, sink).id, power_w
            )
            for number, sink in enumerate(sinks)
        ]
        self.sent += requests
        decisions = self.network.event(lambda core, now_ns: core.request_batch(requests, now_ns))
        for request, decision in zip(requests, decisions, strict=True):
            if not isinstance(decision, Refusal):
                self._note(request, decision)

    @precondition(lambda self: self.up and self.sent)
    @rule(index=INDEX)
    def retry(self, index: int) -> None:
        """The same again: the same circuits, if the first was ever answered."""
        request = self._pick(self.sent, index)
        promised = {key for key, each in self.client.promised.items() if each == request}
        got = self._ask(request)
        if promised:
            assert got == promised

    def _ask(self, request: PowerRequest) -> set[int]:
        try:
            circuits = self.network.request(request)
        except Refusal:
            return set()
        return self._note(request, circuits)

    def _note(self, request: PowerRequest, circuits: Sequence[Circuit]) -> set[int]:
        ids = tuple(each.circuit_id for each in circuits)
        for circuit in circuits:
            self.client.powers_w.setdefault(circuit.circuit_id, set()).add(circuit.power_w)
        ticket = self.network.last_ticket
        self.client.asked.append((ticket, request, ids))
        return set(ids)

    @precondition(lambda self: self.up and self.network.core.questions.circuits)
    @rule(index=INDEX)
    def release(self, index: int) -> None:
        circuit_id = self._pick(sorted(self.network.core.questions.circuits), index)
        self.client.release_asked.add(circuit_id)
        self.network.event(lambda core, now_ns: core.release(circuit_id, now_ns))
        self.client.releases.append((self.network.last_ticket, circuit_id))

    @precondition(lambda self: self.up and self.network.core.questions.circuits)
    @rule(index=INDEX, power_w=POWERS_W)
    def change(self, index: int, power_w: float) -> None:
        circuit_id = self._pick(sorted(self.network.core.questions.circuits), index)
        try:
            self.network.event(lambda core, now_ns: core.change(circuit_id, power_w, now_ns))
        except Refusal:
            return
        self.client.powers_w.setdefault(circuit_id, set()).add(power_w)

    # Messages and time

    @precondition(lambda self: self.up)
    @rule()
    def deliver_all(self) -> None:
        self.network.deliver_all()

    @precondition(lambda self: self.up)
    @rule(duration_ms=DURATIONS_MS)
    def run(self, duration_ms: int) -> None:
        """Everything works for a while."""
        self.network.deliver_all()
        self.network.advance(duration_ms * NS_PER_MS)
        self.network.deliver_all()

    @rule(duration_ms=DURATIONS_MS)
    def pass_time(self, duration_ms: int) -> None:
        """Nothing is delivered meanwhile."""
        self.network.advance(duration_ms * NS_PER_MS)

    @precondition(lambda self: self._sessions_with("to_router"))
    @rule(index=INDEX, count=FEW)
    def deliver_some_to_router(self, index: int, count: int) -> None:
        router_id, session = self._pick(self._sessions_with("to_router"), index)
        for _ in range(min(count, len(session.to_router))):
            self.network.deliver_to_router(router_id)

    @precondition(lambda self: self._sessions_with("to_controller"))
    @rule(index=INDEX, count=FEW)
    def deliver_some_to_controller(self, index: int, count: int) -> None:
        router_id, session = self._pick(self._sessions_with("to_controller"), index)
        for _ in range(min(count, len(session.to_controller))):
            self.network.deliver_to_controller(router_id)

    @precondition(lambda self: self._sessions_with("to_controller"))
    @rule(index=INDEX)
    def lose_acknowledgements(self, index: int) -> None:
        _, session = self._pick(self._sessions_with("to_controller"), index)
        for message in [*session.to_controller]:
            if isinstance(message, TransactionResult):
                session.to_controller.remove(message)

    @precondition(lambda self: self._sessions_with("to_router"))
    @rule(index=INDEX)
    def lose_one_order(self, index: int) -> None:
        _, session = self._pick(self._sessions_with("to_router"), index)
        del session.to_router[index % len(session.to_router)]

    @precondition(lambda self: self.up and self.network.delivered_results)
    @rule(index=INDEX)
    def repeat_acknowledgement(self, index: int) -> None:
        results = self.network.delivered_results
        router_id, result = results[-1 - index % min(len(results), 20)]
        self.network.tell(router_id, result)

    @precondition(lambda self: self.up and self.network.store.pending)
    @rule(count=FEW)
    def make_durable(self, count: int) -> None:
        self.network.make_durable(count)

    def _sessions_with(self, direction: str) -> list[tuple[str, Session]]:
        return [
            (router_id, session)
            for router_id, session in sorted(self.network.sessions.items())
            if getattr(session, direction)
        ]

    # Faults: no more than a few at a time, else nothing would ever be set up that could be lost

    @property
    def _faults(self) -> int:
        grid = self.network.grid
        away = [each for each in grid.routers if each not in self.network.sessions]
        return len(grid.cut) + len(away)

    @precondition(lambda self: self._faults < MAX_FAULTS)
    @rule(index=INDEX)
    def cut(self, index: int) -> None:
        self.network.cut(self._pick(self.grid.links, index).id)

    @precondition(lambda self: self.network.grid.cut)
    @rule(index=INDEX)
    def mend(self, index: int) -> None:
        self.network.mend(self._pick(sorted(self.network.grid.cut), index))

    @precondition(lambda self: self.up and self._faults < MAX_FAULTS)
    @rule(index=INDEX)
    def lose_session(self, index: int) -> None:
        self.network.disconnect(self._pick(self.grid.routers, index).id)

    @precondition(lambda self: self.up)
    @rule(index=INDEX)
    def replace_session(self, index: int) -> None:
        """The router dials again before anybody has noticed that its stream is dead."""
        router_id = self._pick(self.grid.routers, index).id
        if self.network.grid.routers[router_id].alive:
            self.network.connect(router_id)

    @precondition(lambda self: self.up and len(self.network.sessions) < len(self.grid.routers))
    @rule()
    def connect_all(self) -> None:
        for router_id, router in self.network.grid.routers.items():
            if router.alive and router_id not in self.network.sessions:
                self.network.connect(router_id)

    @precondition(lambda self: self._faults < MAX_FAULTS)
    @rule(index=INDEX)
    def kill_router(self, index: int) -> None:
        self.network.kill_router(self._pick(self.grid.routers, index).id)

    @precondition(lambda self: self._dead_routers())
    @rule()
    def restart_routers(self) -> None:
        for router_id in self._dead_routers():
            self.network.restart_router(router_id)

    def _dead_routers(self) -> list[str]:
        return [key for key, router in self.network.grid.routers.items() if not router.alive]

    @precondition(lambda self: self.up)
    @rule(written=st.integers(0, 5))
    def kill_controller(self, written: int) -> None:
        self.client.hear(self.network.store.durable_ticket)
        self.network.kill_controller(written)
        self.client.hang_up()

    @precondition(lambda self: not self.up)
    @rule()
    def start_controller(self) -> None:
        self.network.start_controller()
        self.connect_all()

    @rule()
    def refresh(self) -> None:
        self.network.advertise(*self.network.grid.routers)

    # What must hold

    @invariant()
    def limits_and_books_hold(self) -> None:
        self.network.check()

    @invariant()
    def promises_are_kept(self) -> None:
        if not self.up:
            return
        self.client.hear(self.network.store.durable_ticket)
        circuits = self.network.core.questions.circuits
        for circuit_id in self.client.promised:
            circuit = circuits.get(circuit_id)
            assert circuit is not None, f"circuit {circuit_id} was promised and is forgotten"
            assert circuit.power_w in self.client.powers_w[circuit_id]
            if circuit_id not in self.client.release_asked:
                assert circuit.admin_up and not circuit.state.ended, circuit
        for circuit_id in self.client.released:
            assert not circuits[circuit_id].admin_up, f"circuit {circuit_id} came back"

    def teardown(self) -> None:
        self.network.heal()
        self.network.check_rest()
        self.promises_are_kept()


class PromisesInMesh(Promises):
    grid = mesh()


class PromisesOnDeratedLines(Promises):
    """Lines also lose a part of their ampacity, and get it back."""

    @rule(index=INDEX, fraction=st.sampled_from([0.2, 0.5, 1.0, 1.0]))
    def derate(self, index: int, fraction: float) -> None:
        link = self._pick(self.grid.links, index)
        self.network.derate(link.id, link.ampacity_a * fraction)


class PromisesUnderClouds(Promises):
    """Sources also give less for a while, and requests differ in priority and floor."""

    @precondition(lambda self: self.up)
    @rule(
        sink=INDEX,
        power_w=POWERS_W,
        hold=st.integers(0, 3),
        setup=st.integers(0, 3),
        floor=st.sampled_from([0.0, 0.5]),
    )
    def request_with_precedence(
        self, sink: int, power_w: float, hold: int, setup: int, floor: float
    ) -> None:
        request = PowerRequest(
            f"request-{len(self.sent)}",
            self._pick(self.grid.loads, sink).id,
            power_w,
            hold_priority=hold,
            setup_priority=min(setup, hold),
            floor_w=floor * power_w,
        )
        self.sent.append(request)
        before = self._generations()
        self._ask(request)
        after = self._generations()
        moved = {key for key, number in before.items() if after[key] != number}
        assert all(after[key] == before[key] + 1 for key in moved), "moved once at the most"
        circuits = self.network.core.questions.circuits
        assert all(circuits[key].priority < request.priorities(0)[0] for key in moved)

    def _generations(self) -> dict[int, int]:
        circuits = self.network.core.questions.circuits
        return {key: each.last_generation for key, each in circuits.items()}

    @rule(index=INDEX, fraction=st.sampled_from([0.0, 0.3, 0.6, 1.0, 1.0]))
    def cloud(self, index: int, fraction: float) -> None:
        source = self._pick(self.grid.sources, index)
        self.network.dim(source.id, source.max_power_w * fraction)

    def teardown(self) -> None:
        """Besides, displacing comes to an end: nobody is moved any more once all is at rest."""
        super().teardown()
        rested = self._generations()
        self.network.heal()
        assert rested == self._generations()


class PromisesUnderCloudsInMesh(PromisesUnderClouds):
    grid = mesh()


class PromisesOfHolds(Promises):
    """Some requests only reserve, and are activated, released, or forgotten by whoever asked for them."""

    grid = mesh()
    protects = (None, Against.LINK)

    @precondition(lambda self: self.up)
    @rule(
        sink=INDEX,
        power_w=POWERS_W,
        ttl_ms=DURATIONS_MS,
        split=st.booleans(),
        life_ms=st.none() | DURATIONS_MS,
    )
    def hold(
        self, sink: int, power_w: float, ttl_ms: int, split: bool, life_ms: int | None
    ) -> None:
        against = self.protects[len(self.sent) % 2]
        request = PowerRequest(
            f"request-{len(self.sent)}",
            self._pick(self.grid.loads, sink).id,
            power_w,
            allow_split=split,
            protect=against,
            hold_ms=ttl_ms,
            until_unix_ns=None if life_ms is None else self.network.now_ns + life_ms * NS_PER_MS,
        )
        self.sent.append(request)
        before = {key: each.last_generation for key, each in self._circuits.items()}
        self._ask(request)
        assert before == {key: self._circuits[key].last_generation for key in before}, (
            "a hold moves nobody"
        )

    @precondition(lambda self: self.up and self._circuits)
    @rule(index=INDEX)
    def activate(self, index: int) -> None:
        circuit_id = self._pick(sorted(self._circuits), index)
        try:
            self.network.activate(circuit_id)
        except Refusal:
            circuit = self._circuits[circuit_id]
            assert circuit.state.ended or not circuit.admin_up

    @property
    def _circuits(self) -> Mapping[int, Circuit]:
        return self.network.core.questions.circuits

    @invariant()
    def nobody_hears_of_a_hold(self) -> None:
        """And one whose time is over is given up, as if its client had released it."""
        if not self.up:
            return
        for circuit in self._circuits.values():
            if circuit.hold is not None and circuit.hold.word is not HoldWord.ACTIVATED:
                self.client.release_asked.add(circuit.circuit_id)
            if circuit.is_held:
                told = [
                    key
                    for _, key in self.network.grid.held()
                    if key.circuit_id == circuit.circuit_id
                ]
                assert not told, f"{circuit.circuit_id} is held, and at {told}"
                assert circuit.state in (CircuitState.RESERVED, CircuitState.WAITING)


class PromisesOnNarrowConverters(Promises):
    """What may enter some routers is less than their lines bring, for circuits and for the standbys of some."""

    grid = narrow_mesh()

    @precondition(lambda self: self.up)
    @rule(sink=INDEX, power_w=POWERS_W, against=st.sampled_from(Against))
    def request_protected(self, sink: int, power_w: float, against: Against) -> None:
        load_id = self._pick(self.grid.loads, sink).id
        name = f"request-{len(self.sent)}"
        request = PowerRequest(name, load_id, power_w, protect=against)
        self.sent.append(request)
        self._ask(request)


TestPromises = Promises.TestCase
TestPromisesInMesh = PromisesInMesh.TestCase
TestPromisesOnDeratedLines = PromisesOnDeratedLines.TestCase
TestPromisesUnderClouds = PromisesUnderClouds.TestCase
TestPromisesUnderCloudsInMesh = PromisesUnderCloudsInMesh.TestCase
TestPromisesOfHolds = PromisesOfHolds.TestCase
TestPromisesOnNarrowConverters = PromisesOnNarrowConverters.TestCase
for case in (
    TestPromises,
    TestPromisesInMesh,
    TestPromisesOnDeratedLines,
    TestPromisesUnderClouds,
    TestPromisesUnderCloudsInMesh,
    TestPromisesOfHolds,
    TestPromisesOnNarrowConverters,
):
    case.settings = settings(max_examples=100, stateful_step_count=50)
del case
