"""A real controller core over real router devices, in simulated time: what each does to the other is seen whole.

Between them messages take ``control_ns``, each session keeping its order; the store takes as long. Routers may be
late, as :class:`DeviceNetwork` has it; ``controller_late`` says by how much the controller is, each time that it has
something to do.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.core import messages
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Protection
from controller.core.circuits.records import RegisterRecord
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.effects import Persist, Send
from controller.core.messages import CircuitStatus, ToRouter, TransactionResult
from controller.core.network.admin import DrainOrder
from controller.core.settings import CoreSettings
from digitalgrid.capabilities import Capability
from digitalgrid.gridfile import Grid
from digitalgrid.model import CircuitGeneration, ElectionId, Operation, RouterLsa
from digitalgrid.units import MILLIWATTS_PER_W, NS_PER_MS, NS_PER_S
from router_agent.config import LinkConfig, LoadConfig, RouterConfig, SourceConfig
from router_agent.device.effects import Advertise, Answer, Effect, Report
from router_agent.device.mutation import Mutation, Outcome
from router_agent.device.sink import FlowStatus
from tests.support.device_network import DeviceNetwork
from tests.support.simulated_network import SyncDone
from tests.support.simulated_store import SimulatedStore

FromRouter = RouterLsa | SyncDone | TransactionResult | CircuitStatus | messages.CircuitTable


@dataclass
class _Session:
    """Both directions of one router's stream, with when each message arrives."""

    to_router: deque[tuple[int, ToRouter]] = field(default_factory=deque)
    to_controller: deque[tuple[int, FromRouter]] = field(default_factory=deque)


class ClosedLoop(DeviceNetwork):
    def __init__(self, grid: Grid, control_ns: int = NS_PER_MS) -> None:
        self.control_ns = control_ns
        self.controller_late: Callable[[], int] = lambda: 0
        self._sessions: dict[str, _Session] = {}
        self._store = SimulatedStore()
        self._durable: deque[int] = deque()
        # The controller gets no time before.
        self._controller_wakes_ns = 0
        self._core: Controller | None = None
        self.grid = grid
        super().__init__([_config(grid, each.id) for each in grid.routers])
        self.start_controller()
        self.run(NS_PER_S)

    # The controller

    @property
    def core(self) -> Controller:
        assert self._core is not None, "no controller runs"
        return self._core

    def start_controller(self) -> None:
        self._core = Controller(
            self._store.load(), CoreSettings(), self.now_ns, began_unix_ns=self.now_ns
        )
        self._election_id = ElectionId(0, self._store.epoch)
        self._carry_out_core()
        for router_id, node in self.nodes.items():
            if node.alive:
                self._connect(router_id)

    def kill_controller(self) -> None:
        self._sessions.clear()
        self._durable.clear()
        self._store.pending.clear()
        self._core = None

    def request(self, requests: Sequence[PowerRequest]) -> list[int]:
        """The ids of the circuits."""
        circuits: list[Circuit] = []
        for each in requests:
            circuits += self.core.request(each, self.now_ns)
            self._carry_out_core()
        return [each.circuit_id for each in circuits]

    def change(self, circuit_id: int, power_w: float) -> None:
        self.core.change(circuit_id, power_w, self.now_ns)
        self._carry_out_core()

    def take_out(self, id_: str) -> None:
        """Out of service, as an operator does it."""
        self.core.drain(DrainOrder(id_), self.now_ns)
        self._carry_out_core()

    def put_back(self, id_: str) -> None:
        self.core.undrain(id_, self.now_ns)
        self._carry_out_core()

    def release(self, circuit_id: int) -> None:
        self.core.release(circuit_id, self.now_ns)
        self._carry_out_core()

    @property
    def registers(self) -> Mapping[CircuitGeneration, RegisterRecord]:
        """What is durable of them."""
        return self._store.registers

    def circuit(self, circuit_id: int) -> Circuit:
        return self.core.questions.circuits[circuit_id]

    def protected(self, circuit_ids: Iterable[int]) -> bool:
        """Whether all have power, and a standby that is full."""
        return all(
            self.circuit(each).state is CircuitState.ACTIVE
            and self.circuit(each).guard.word is Protection.PROTECTED
            for each in circuit_ids
        )

    def run_until(self, done: Callable[[], bool], within_s: float) -> bool:
        end_ns = self.now_ns + round(within_s * NS_PER_S)
        while not done() and self.now_ns < end_ns:
            self.run(50 * NS_PER_MS)
        return done()

    def _carry_out_core(self) -> None:
        for effect in self.core.take_effects():
            if isinstance(effect, Persist):
                self._store.pending.append((effect.ticket, effect.change))
                self._durable.append(self.now_ns + self.control_ns)
            elif isinstance(effect, Send) and effect.router_id in self._sessions:
                session = self._sessions[effect.router_id]
                session.to_router.append((self.now_ns + self.control_ns, effect.message))

    def _connect(self, router_id: str) -> None:
        self._sessions[router_id] = session = _Session()
        self.core.on_connected(router_id, self.now_ns, b"", capabilities=frozenset(Capability))
        self._carry_out_core()
        device = self.nodes[router_id].device
        said: list[FromRouter] = [device.lsa(), *map(_status, device.statuses()), SyncDone()]
        at_ns = self.now_ns + self.control_ns
        session.to_controller.extend((at_ns, each) for each in said)

    # Time

    def run(self, duration_ns: int) -> None:
        until_ns = self.now_ns + duration_ns
        while self.now_ns < until_ns:
            # What is said meanwhile arrives no sooner than after so long.
            step_ns = min(until_ns, self.now_ns + self.control_ns)
            super().run(step_ns - self.now_ns)
            self._deliver_to_routers()
            if self._core is not None:
                self._serve_controller()

    def _deliver_to_routers(self) -> None:
        for router_id, session in self._sessions.items():
            while session.to_router and session.to_router[0][0] <= self.now_ns:
                if self.delay_to.get(router_id, 0) > self.now_ns:
                    break
                self._obey(router_id, session.to_router.popleft()[1])

    def _obey(self, router_id: str, message: ToRouter) -> None:
        device = self.nodes[router_id].device
        if isinstance(message, messages.ReadTable):
            table = device.table
            self._say(
                router_id,
                messages.CircuitTable(
                    message.read_id,
                    table.version,
                    tuple(table.hops),
                    frozenset(table.staged_txn_ids),
                    tuple(table.pools.told),
                ),
            )
            return
        self.mutate(router_id, _mutation(message, self._election_id))

    def _serve_controller(self) -> None:
        if not self._controller_has_work():
            return
        if self._controller_wakes_ns == 0:
            self._controller_wakes_ns = self.now_ns + self.controller_late()
        if self.now_ns < self._controller_wakes_ns:
            return
        self._controller_wakes_ns = 0
        # What follows from all that was said meanwhile is carried out together, as the daemon does with each turn.
        for router_id, session in list(self._sessions.items()):
            while session.to_controller and session.to_controller[0][0] <= self.now_ns:
                self._tell(router_id, session.to_controller.popleft()[1])
        while self._durable and self._durable[0] <= self.now_ns:
            self._durable.popleft()
            self.core.on_durable(self._store.write(1), self.now_ns)
        deadline_ns = self.core.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= self.now_ns:
            self.core.on_timer(self.now_ns)
        self._carry_out_core()

    def _controller_has_work(self) -> bool:
        deadline_ns = self.core.next_deadline_ns()
        due = [each.to_controller[0][0] for each in self._sessions.values() if each.to_controller]
        due += list(self._durable)[:1] + ([] if deadline_ns is None else [deadline_ns])
        return min(due, default=self.now_ns + 1) <= self.now_ns

    def _tell(self, router_id: str, message: FromRouter) -> None:
        now_ns = self.now_ns
        match message:
            case RouterLsa():
                self.core.on_lsa(message, now_ns)
            case SyncDone():
                self.core.on_sync_done(router_id, now_ns)
            case TransactionResult():
                self.core.on_result(router_id, message, now_ns)
            case CircuitStatus():
                self.core.on_status(router_id, message, now_ns)
            case messages.CircuitTable():
                self.core.on_table(router_id, message, now_ns)

    # Routers

    def carry_out(self, router_id: str, effects: Sequence[Effect]) -> None:
        super().carry_out(router_id, effects)
        late_ns = self.nodes[router_id].device.late_ns if router_id in self.nodes else 0
        for effect in effects:
            match effect:
                case Answer(outcome):
                    self._say(router_id, _result(outcome, late_ns))
                case Report(status):
                    self._say(router_id, _status(status, late_ns))
                case Advertise(lsa):
                    self._say(router_id, lsa)

    def _say(self, router_id: str, message: FromRouter) -> None:
        session = self._sessions.get(router_id)
        if session is not None:
            session.to_controller.append((self.now_ns + self.control_ns, message))

    def kill(self, router_id: str) -> None:
        """Its session ends in the same instant."""
        super().kill(router_id)
        if self._sessions.pop(router_id, None) is not None and self._core is not None:
            self.core.on_disconnected(router_id, self.now_ns)
            self._carry_out_core()

    def restart(self, router_id: str) -> None:
        super().restart(router_id)
        if self._core is not None:
            self._connect(router_id)


def _config(grid: Grid, router_id: str) -> RouterConfig:
    (router,) = (each for each in grid.routers if each.id == router_id)
    return RouterConfig(
        router_id=router_id,
        efficiency=router.efficiency,
        profile=grid.profile_of(router),
        links=tuple(
            LinkConfig(
                id=link.id,
                neighbor=link.b if link.a == router_id else link.a,
                resistance_ohm=link.resistance_ohm,
                voltage_v=link.voltage_v,
                ampacity_a=link.ampacity_a,
                risk_groups=link.risk_groups,
                interface=link.id,
            )
            for link in grid.links
            if router_id in (link.a, link.b)
        ),
        sources=tuple(
            SourceConfig(id=each.id, max_power_w=each.max_power_w)
            for each in grid.sources
            if each.router == router_id
        ),
        loads=tuple(
            LoadConfig(id=each.id, power_w=each.power_w, priority=each.priority)
            for each in grid.loads
            if each.router == router_id
        ),
    )


def _result(outcome: Outcome, late_ns: int) -> TransactionResult:
    return TransactionResult(
        *(outcome.txn_id, outcome.operation, outcome.code, outcome.message, late_ns),
        outcome.ended,
    )


def _status(status: FlowStatus, late_ns: int = 0) -> CircuitStatus:
    return CircuitStatus(
        status.key,
        status.state,
        status.delivered_mw / MILLIWATTS_PER_W,
        status.interruption_ns,
        status.arrived_at_ns,
        status.missing,
        late_ns,
        status.switch_cause,
    )


def _mutation(message: ToRouter, election_id: ElectionId) -> Mutation:
    match message:
        case messages.Stage(txn_id, lease_ms, hops, pools):
            lease_ns = lease_ms * NS_PER_MS
            return Mutation(
                Operation.STAGE, "dgc", election_id, txn_id, hops, lease_ns, pools=pools
            )
        case messages.Withdraw(txn_id, circuits, standing_ids):
            return Mutation(
                Operation.WITHDRAW,
                "dgc",
                election_id,
                txn_id,
                circuits=circuits,
                standing_ids=frozenset(standing_ids),
            )
        case messages.Drain(txn_id, circuits) | messages.Promote(txn_id, circuits):
            operation = Operation[type(message).__name__.upper()]
            return Mutation(operation, "dgc", election_id, txn_id, circuits=circuits)
        case messages.Commit(txn_id) | messages.Abort(txn_id):
            operation = Operation[type(message).__name__.upper()]
            return Mutation(operation, "dgc", election_id, txn_id)
    raise TypeError(f"{message} is no mutation")
