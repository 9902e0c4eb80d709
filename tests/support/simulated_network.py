"""A controller, its store and simulated routers, with every message between them in a queue of its own.

Nothing happens by itself: a test delivers, loses, repeats, cuts, kills and lets time pass. Each session keeps its
order, as a gRPC stream does, and what is under way is lost with it.
"""

from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar
from unittest.mock import patch

from controller.core.circuits import differences
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.differences import Differences
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.effects import CircuitChanged, Persist, RoomWanted, Send, TableRead
from controller.core.invariants import broken_invariants
from controller.core.messages import (
    CircuitStatus,
    CircuitTable,
    ReadTable,
    ToRouter,
    TransactionResult,
)
from controller.core.settings import CoreSettings
from controller.routing.assignments.room import RoomPlan, make_room
from digitalgrid.gridfile import Grid
from digitalgrid.model import ElectionId, RouterLsa
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.network_at_rest import AtRest
from tests.support.simulated_grid import SimulatedGrid
from tests.support.simulated_store import SimulatedStore

T = TypeVar("T")


class SyncDone:
    """The router has told all that it had at the start of its session."""


FromRouter = RouterLsa | SyncDone | TransactionResult | CircuitStatus | CircuitTable


@dataclass
class Session:
    """Both directions of one router's stream."""

    to_router: deque[ToRouter] = field(default_factory=deque)
    to_controller: deque[FromRouter] = field(default_factory=deque)


class SimulatedNetwork(AtRest):
    def __init__(self, grid: Grid, settings: CoreSettings | None = None) -> None:
        self.settings = settings or CoreSettings()
        self.now_ns = NS_PER_S
        self.grid = SimulatedGrid(grid)
        self.store = SimulatedStore()
        self.sessions: dict[str, Session] = {}
        self.derated: set[str] = set()
        # Sources that give less than their rating; their routers share that.
        self.dimmed: set[str] = set()
        # Given up by an operator: until they are read back they may run what is no longer booked.
        self.forgotten: set[str] = set()
        # Those, and all that were given up before: what they had metered was not waited for.
        self.once_forgotten: set[str] = set()
        # What must be durable before a client is told of anything decided until now.
        self.last_ticket = 0
        self.sent: list[tuple[str, ToRouter]] = []
        # What watchers were told of.
        self.changed: list[int] = []
        self.delivered_results: list[tuple[str, TransactionResult]] = []
        # What was found in tables that somebody had asked for.
        self.tables_read: list[TableRead] = []
        # What this says yes to never arrives: (router, message).
        self.loses: Callable[[str, ToRouter | FromRouter], bool] = lambda router_id, message: False
        # Circuits of a table that are compared before others are heard; None: as many as the daemon takes.
        self.slice: int | None = None
        # Questions for the worker process that were asked, and those that were answered.
        self.room_wanted = self.room_answered = 0
        self._core: Controller | None = None
        self.start_controller()

    @classmethod
    def running(cls, grid: Grid, settings: CoreSettings | None = None) -> Self:
        """With all routers connected and in step."""
        network = cls(grid, settings)
        for router_id in network.grid.routers:
            network.connect(router_id)
        network.deliver_all()
        return network

    # The controller

    @property
    def core(self) -> Controller:
        assert self._core is not None, "the controller was killed"
        return self._core

    @property
    def controlled(self) -> bool:
        """Whether there is a controller, which may have been killed."""
        return self._core is not None

    def start_controller(self) -> None:
        self.last_ticket = 0
        self._core = Controller(
            self.store.load(), self.settings, self.now_ns, began_unix_ns=self.now_ns
        )
        self._carry_out()

    def kill_controller(self, written: int) -> None:
        """``written`` of the changes under way reach the disk, though nobody was told."""
        self.store.write(written)
        self.store.pending.clear()
        self.sessions.clear()
        self._core = None

    def event(self, handle: Callable[[Controller, int], T]) -> T:
        """One event of the core, with what follows from it."""
        # No two events are at one instant.
        self.now_ns += 1
        try:
            return handle(self.core, self.now_ns)
        finally:
            self._carry_out()

    def _carry_out(self) -> None:
        for effect in self.core.take_effects():
            if isinstance(effect, Persist):
                self.store.pending.append((effect.ticket, effect.change))
                self.last_ticket = effect.ticket
            elif isinstance(effect, Send) and effect.router_id in self.sessions:
                self.sent.append((effect.router_id, effect.message))
                self.sessions[effect.router_id].to_router.append(effect.message)
            elif isinstance(effect, CircuitChanged):
                self.changed.append(effect.circuit_id)
            elif isinstance(effect, TableRead):
                self.tables_read.append(effect)
            elif isinstance(effect, RoomWanted):
                self.room_wanted += 1

    def request(self, request: PowerRequest) -> list[Circuit]:
        return self.event(lambda core, now_ns: core.request(request, now_ns))

    def release(self, circuit_id: int) -> None:
        self.event(lambda core, now_ns: core.release(circuit_id, now_ns))

    def activate(self, circuit_id: int) -> Circuit:
        return self.event(lambda core, now_ns: core.activate(circuit_id, now_ns))

    def look(self) -> None:
        """Read all tables as `dgc reconcile --dry-run` does."""
        self.event(lambda core, now_ns: core.reconcile((), now_ns, dry_run=True))

    def make_durable(self, count: int) -> None:
        if self.controlled and self.store.pending:
            self.store.durable_ticket = ticket = self.store.write(count)
            self.event(lambda core, now_ns: core.on_durable(ticket, now_ns))

    def advance(self, duration_ns: int) -> None:
        """Let time pass; timers fire when they are due."""
        end_ns = self.now_ns + duration_ns
        for _ in range(10_000):
            deadline_ns = self.core.next_deadline_ns() if self.controlled else None
            if deadline_ns is None or deadline_ns > end_ns:
                self.now_ns = end_ns
                return
            self.now_ns = max(self.now_ns, deadline_ns)
            self.event(lambda core, now_ns: core.on_timer(now_ns))
            if self.room_wanted > self.room_answered:
                self.make_room()
        raise AssertionError("the core's timer fires without end")

    def make_room(self) -> RoomPlan:
        """The worker process is asked, and answers at once."""
        self.room_answered = self.room_wanted
        question = self.event(lambda core, now_ns: core.ask_room(now_ns))
        if question is None:
            return RoomPlan()
        plan = make_room(question.graph, question.circuits, question.wanted)
        self.event(lambda core, now_ns: core.make_room(question, plan, now_ns))
        return plan

    # Sessions

    def connect(self, router_id: str) -> None:
        """A new session; one that it replaces was not noticed to be dead."""
        session = self.sessions[router_id] = Session()
        router = self.grid.routers[router_id]
        self.event(
            lambda core, now_ns: core.on_connected(
                router_id, now_ns, b"", capabilities=router.capabilities
            )
        )
        list(router.statuses())
        session.to_controller.append(router.lsa())
        session.to_controller.extend(router.said())
        session.to_controller.append(SyncDone())

    def disconnect(self, router_id: str) -> None:
        if self.sessions.pop(router_id, None) is not None:
            self.event(lambda core, now_ns: core.on_disconnected(router_id, now_ns))

    def deliver_to_router(self, router_id: str) -> None:
        session = self.sessions[router_id]
        message = session.to_router.popleft()
        if self.loses(router_id, message):
            return
        election_id = ElectionId(0, self.store.epoch)
        answer = self.grid.routers[router_id].apply(message, election_id, self.now_ns)
        session.to_controller.append(answer)
        self.report()

    def deliver_to_controller(self, router_id: str) -> None:
        message = self.sessions[router_id].to_controller.popleft()
        if self.loses(router_id, message):
            return
        if isinstance(message, CircuitTable):
            self._deliver_slice(router_id, message)
            return
        if isinstance(message, TransactionResult):
            self.delivered_results.append((router_id, message))
        self.tell(router_id, message)

    def _deliver_slice(self, router_id: str, table: CircuitTable) -> None:
        """What else the router says waits until its table is compared."""
        with patch.object(differences, "SLICE", self.slice or differences.SLICE):
            found = self.event(lambda core, now_ns: core.on_table_slice(router_id, table, now_ns))
        if found is not None and not found.whole and router_id in self.sessions:
            self.sessions[router_id].to_controller.appendleft(table)

    def tell(self, router_id: str, message: FromRouter) -> None:
        """The core hears this from a router."""
        match message:
            case RouterLsa():
                self.event(lambda core, now_ns: core.on_lsa(message, now_ns))
            case SyncDone():
                self.event(lambda core, now_ns: core.on_sync_done(router_id, now_ns))
            case TransactionResult():
                self.event(lambda core, now_ns: core.on_result(router_id, message, now_ns))
            case CircuitStatus():
                self.event(lambda core, now_ns: core.on_status(router_id, message, now_ns))
            case CircuitTable():
                self.event(lambda core, now_ns: core.on_table(router_id, message, now_ns))

    def tell_table(self, router_id: str, table: FromRouter) -> Differences | None:
        """The core reads this table; what it finds that differs, unless it did not ask."""
        assert isinstance(table, CircuitTable)
        return self.event(lambda core, now_ns: core.on_table(router_id, table, now_ns))

    def reads_under_way(self, router_id: str) -> list[ReadTable]:
        return [each for each in self.sessions[router_id].to_router if isinstance(each, ReadTable)]

    def deliver_all(self) -> None:
        """Everything under way arrives, and what it leads to, without time passing."""
        for _ in range(100_000):
            if self.store.pending:
                self.make_durable(len(self.store.pending))
            moved = False
            for router_id, session in list(self.sessions.items()):
                if session.to_router:
                    self.deliver_to_router(router_id)
                    moved = True
                if session.to_controller:
                    self.deliver_to_controller(router_id)
                    moved = True
            if not moved and not self.store.pending:
                return
        raise AssertionError("messages go round without end")

    # Routers and lines

    def report(self) -> None:
        """Sinks that have a session say what has changed."""
        for router_id, router in self.grid.routers.items():
            session = self.sessions.get(router_id)
            if router.alive:
                statuses = list(router.statuses())
                if session is not None:
                    session.to_controller.extend(statuses)

    def advertise(self, *router_ids: str) -> None:
        for router_id in router_ids:
            if router_id in self.sessions and self.grid.routers[router_id].alive:
                lsa = self.grid.routers[router_id].lsa()
                self.sessions[router_id].to_controller.append(lsa)

    def cut(self, link_id: str) -> None:
        self.grid.cut.add(link_id)
        self._line_changed(link_id)

    def mend(self, link_id: str) -> None:
        self.grid.cut.discard(link_id)
        self._line_changed(link_id)

    def derate(self, link_id: str, ampacity_a: float) -> None:
        self.grid.links[link_id] = replace(self.grid.links[link_id], ampacity_a=ampacity_a)
        self.derated.add(link_id)
        self._line_changed(link_id)

    def dim(self, source_id: str, power_w: float) -> None:
        """A cloud, which may be none: the source's router shares this much, and says so."""
        self.grid.dim(source_id, power_w)
        self.dimmed.add(source_id)
        (router_id,) = (each.router for each in self.grid.grid.sources if each.id == source_id)
        self.advertise(router_id)
        self.report()

    def _line_changed(self, link_id: str) -> None:
        link = self.grid.links[link_id]
        self.advertise(link.a, link.b)
        self.report()

    def kill_router(self, router_id: str) -> None:
        self.grid.routers[router_id].alive = False
        self.disconnect(router_id)
        self._neighbours_notice(router_id)

    def restart_router(self, router_id: str) -> None:
        """Its circuits are gone; its tombstones and the election id are not."""
        self.disconnect(router_id)
        self.grid.routers[router_id].start()
        self._neighbours_notice(router_id)

    def _neighbours_notice(self, router_id: str) -> None:
        for link in self.grid.links_at(router_id):
            self.advertise(link.b if link.a == router_id else link.a)
        self.report()

    # Healing and checking

    def heal(self, duration_ns: int = 40 * NS_PER_S) -> None:
        """Repair everything, then let time run until all has come to rest."""
        if not self.controlled:
            self.start_controller()
        for router_id, router in self.grid.routers.items():
            if not router.alive:
                self.restart_router(router_id)
            if router_id not in self.sessions:
                self.connect(router_id)
        for link_id in list(self.grid.cut):
            self.mend(link_id)
        self.advertise(*self.grid.routers)
        end_ns = self.now_ns + duration_ns
        while self.now_ns < end_ns:
            self.deliver_all()
            self.advance(50 * NS_PER_MS if self._restless() else NS_PER_S)
            self.check()
        self.deliver_all()
        self.check_registers()

    def _restless(self) -> bool:
        resting = (
            *(CircuitState.ACTIVE, CircuitState.WITHDRAWN, CircuitState.FAILED),
            CircuitState.DEGRADED,
        )
        return any(
            each.state not in resting and not each.is_held
            for each in self.core.questions.circuits.values()
        )

    def check(self) -> None:
        """What must hold after every event; lines that were derated get time until all is at rest."""
        self._check_limits(excused=self.derated)
        self.once_forgotten |= self.forgotten
        if not self.controlled:
            return
        unbooked = [
            (router_id, key)
            for router_id, key in self.grid.held()
            if router_id not in self.core.questions.routers_holding(key)
            and router_id not in self.forgotten
        ]
        assert unbooked == [], "routers hold what the reservations have freed"

    def _check_limits(self, excused: Set[str]) -> None:
        faults = self.grid.over_subscriptions()
        faults += broken_invariants(self.core.questions) if self.controlled else []
        excused = excused | self.dimmed
        found = [each for each in faults if each.partition(":")[0] not in excused]
        assert found == [], found
