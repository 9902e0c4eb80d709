"""A leader and a standby over one simulated network: the standby hears what becomes durable, and every router.

Each router has a session with both. What is under way to either is lost with it. A leader that was deposed takes the
standby's place, and takes itself for the leader until it notices.
"""

from collections import deque

from controller.core.book.book import CircuitBook
from controller.core.circuits.records import CircuitRecord, StateChange, StoredState, to_record
from controller.core.controller import Controller
from controller.core.messages import CircuitStatus, TransactionResult
from controller.core.network.network import Network
from controller.core.replica import Replica
from controller.core.role import Core
from controller.core.settings import CoreSettings
from digitalgrid.gridfile import Grid
from digitalgrid.model import RouterLsa
from tests.support.simulated_network import FromRouter, Session, SimulatedNetwork, SyncDone

ToStandby = RouterLsa | SyncDone | CircuitStatus


def assert_same_book(taken_over: CircuitBook, read: CircuitBook) -> None:
    """What was followed is what the store has."""
    assert _records(taken_over) == _records(read)
    assert set(taken_over.live) == set(read.live)
    assert all(taken_over.circuits[key] is each for key, each in taken_over.live.items())


def _records(book: CircuitBook) -> dict[int, CircuitRecord]:
    """With the fingerprints by which repeated requests are known."""
    fingerprints = dict(book.requests_under(""))
    return {
        key: to_record(each, fingerprints[each.request_id]) for key, each in book.circuits.items()
    }


class SimulatedCluster(SimulatedNetwork):
    """What a session of the leader's says of the network, one of the standby's says too, in its own time."""

    def __init__(self, grid: Grid, settings: CoreSettings | None = None) -> None:
        self.standby: Replica | None = None
        # Led before, and has not noticed that another does: it hears routers in the standby's place.
        self.deposed: Controller | None = None
        self.standby_sessions: dict[str, deque[FromRouter]] = {}
        # Durable, and not with the standby yet.
        self.changes: deque[StateChange] = deque()
        super().__init__(grid, settings)
        self.start_standby()

    def start_standby(self) -> None:
        """A new one, which is given the state as it is now; routers dial it as well."""
        self.standby = Replica(Network(self.settings.lsa_max_age_ns), self.now_ns)
        self._catch_up(self.standby)
        for router_id in self.sessions:
            self._dial_standby(router_id)

    def _catch_up(self, standby: Replica) -> None:
        self.changes.clear()
        standby.on_state(self._durable())

    def _durable(self) -> StoredState:
        store = self.store
        circuits, routers = tuple(store.records.values()), tuple(store.routers.values())
        drains = tuple(store.drains.values())
        return StoredState(store.epoch, circuits, store.counters, routers, drains)

    # What the standby hears

    def make_durable(self, count: int) -> None:
        if self.controlled:
            self._follow(count)
        super().make_durable(count)

    def _follow(self, count: int) -> None:
        self.changes.extend(change for _, change in list(self.store.pending)[:count])

    @property
    def _beside(self) -> Core | None:
        """Whoever hears routers beside the leader."""
        return self.deposed or self.standby

    def _dial_standby(self, router_id: str) -> None:
        beside = self._beside
        assert beside is not None
        self.now_ns += 1
        router = self.grid.routers[router_id]
        beside.on_connected(router_id, self.now_ns, capabilities=router.capabilities)
        self.standby_sessions[router_id] = deque([router.lsa(), *router.said(), SyncDone()])

    def connect(self, router_id: str) -> None:
        super().connect(router_id)
        if self._beside is not None:
            self._dial_standby(router_id)

    def disconnect(self, router_id: str) -> None:
        super().disconnect(router_id)
        beside = self._beside
        if beside is not None and self.standby_sessions.pop(router_id, None) is not None:
            self.now_ns += 1
            beside.on_disconnected(router_id, self.now_ns)

    def report(self) -> None:
        before = {key: len(each.to_controller) for key, each in self.sessions.items()}
        super().report()
        self._copy(before)

    def advertise(self, *router_ids: str) -> None:
        before = {key: len(each.to_controller) for key, each in self.sessions.items()}
        super().advertise(*router_ids)
        self._copy(before)

    def _copy(self, before: dict[str, int]) -> None:
        """What has just been said to the leader is said to the standby."""
        for router_id, count in before.items():
            heard = self.standby_sessions.get(router_id)
            if heard is not None:
                said = list(self.sessions[router_id].to_controller)[count:]
                heard.extend(each for each in said if isinstance(each, ToStandby))

    def deliver_to_standby(self, router_id: str) -> None:
        beside = self._beside
        assert beside is not None
        message = self.standby_sessions[router_id].popleft()
        self.now_ns += 1
        match message:
            case RouterLsa():
                beside.on_lsa(message, self.now_ns)
            case SyncDone():
                beside.on_sync_done(router_id, self.now_ns)
            case CircuitStatus():
                beside.on_status(router_id, message, self.now_ns)
            case TransactionResult():
                beside.on_result(router_id, message, self.now_ns)
        beside.take_effects()

    def apply_change(self) -> None:
        assert self.standby is not None
        self.standby.on_change(self.changes.popleft())
        self.standby.take_effects()

    def inform_standby(self) -> None:
        """Everything that is under way to it arrives, last that it was deposed, if it was."""
        while self.changes and self.deposed is None:
            self.apply_change()
        self.hear_beside()
        self.notice()

    def hear_beside(self) -> None:
        """What routers have said to whoever does not lead arrives."""
        for router_id, messages in self.standby_sessions.items():
            while messages:
                self.deliver_to_standby(router_id)

    def deliver_to_leader(self) -> None:
        """What is under way between routers, leader and store arrives, and nothing else."""
        super().deliver_all()

    def deliver_all(self) -> None:
        self.deliver_to_leader()
        if self._beside is not None:
            self.inform_standby()

    # Roles

    def fail_over(self, written: int) -> None:
        """The leader dies, with ``written`` of what it was writing durable; the standby takes over as it is.

        It has followed all that is durable, and goes on with its own sessions and what is under way in them.
        """
        self._succeed(written)
        self.start_standby()

    def depose(self, written: int) -> None:
        """Likewise, but the leader lives: what it does decides nothing any more, until it notices and stands by."""
        deposed, sessions = self.core, self.sessions
        self._succeed(written)
        self.deposed = deposed
        self.standby_sessions = {key: each.to_controller for key, each in sessions.items()}

    def wake_deposed(self) -> None:
        """What it waited for has taken too long by now."""
        deposed = self.deposed
        assert deposed is not None
        due_ns = deposed.next_deadline_ns()
        if due_ns is not None and due_ns <= self.now_ns:
            self.now_ns += 1
            deposed.on_timer(self.now_ns)
            deposed.take_effects()

    def notice(self) -> None:
        """Who was deposed, if anybody, stands by from now on, in the sessions that it has."""
        if self.deposed is not None:
            self.standby = Replica.succeeding(self.deposed, self.now_ns)
            self.deposed = None
            self._catch_up(self.standby)

    def _succeed(self, written: int) -> None:
        self.notice()
        standby = self.standby
        assert standby is not None
        self._follow(written)
        self.store.write(written)
        self.store.pending.clear()
        while self.changes:
            self.apply_change()
        self.sessions = {
            router_id: Session(to_controller=deque(messages))
            for router_id, messages in self.standby_sessions.items()
        }
        self.standby, self.standby_sessions = None, {}
        stored = self.store.load()
        # Before anything is decided on it.
        taken_over = CircuitBook(stored, lambda _: None, followed=standby._book)
        assert_same_book(taken_over, CircuitBook(stored, lambda _: None))
        self.last_ticket = 0
        self._core = Controller.succeeding(
            standby,
            stored,
            self.settings,
            self.now_ns,
            began_unix_ns=self.now_ns,
            followed=True,
        )
        self._carry_out()
