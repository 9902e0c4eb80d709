"""A simulated grid whose routers are connected to a Runtime, in its own loop."""

import asyncio
import time
from collections.abc import Callable

from msgspec.structs import replace

from controller.core.circuits.records import AuditEntry, Counters, StateChange, StoredState
from controller.core.messages import CircuitStatus, CircuitTable, ToRouter
from controller.runtime.runtime import Runtime
from controller.store.protocol import (
    AuditQuestion,
    RegisterPage,
    RegisterQuestion,
    StoreError,
    StoreRoom,
    StoreVitals,
)
from digitalgrid.gridfile import Grid
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.model import ElectionId, FlowState
from tests.support.simulated_grid import SimulatedGrid


class MemoryStore:
    """A Store that is durable at once, until a test holds it up or breaks it."""

    def __init__(self, stored: StoredState | None = None) -> None:
        self._stored = stored or StoredState(1, (), Counters())
        self.election_id = ElectionId(0, self._stored.epoch)
        self.held: list[int] | None = None
        self.changes: list[StateChange] = []
        self.fenced = False
        # What it says of how it fares: the least of its lease (s), and free bytes.
        self.least_lease_s = 1.5
        self.free_bytes = 10**9
        self.batch_sizes = Histogram((1.0, 256.0))
        self.closed = False

    def load(self) -> StoredState:
        return self._stored

    def may_act(self) -> bool:
        return not self.fenced

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        self._on_durable = on_durable
        self._on_failure = on_failure

    def submit(self, ticket: int, change: StateChange) -> None:
        self.changes.append(change)
        self.batch_sizes.observe(1)
        if self.held is None:
            self._on_durable(ticket)
        else:
            self.held.append(ticket)

    def hold(self) -> None:
        self.held = []

    def flush(self) -> None:
        held, self.held = self.held or [], None
        for ticket in held:
            self._on_durable(ticket)

    def fail(self, error: StoreError | None = None) -> None:
        self._on_failure(error or StoreError("the disk is full"))

    def audit(self, question: AuditQuestion) -> list[AuditEntry]:
        entries = [entry for change in self.changes for entry in change.audit]
        return list(filter(question.wants, entries))[-question.newest :]

    def registers(self, question: RegisterQuestion) -> RegisterPage:
        records = sorted(
            (each for change in self.changes for each in change.registers),
            key=lambda each: each.key,
        )
        wanted = [each for each in records if question.wants(each) and each.key > question.after]
        page = tuple(wanted[: question.most])
        return RegisterPage(page, page[-1].key if len(wanted) > question.most else None)

    def vitals(self) -> StoreVitals:
        return StoreVitals(self.batch_sizes, self.least_lease_s, standbys=1)

    def room(self) -> StoreRoom:
        return StoreRoom(4096, self.free_bytes)

    def close(self) -> None:
        self.flush()
        self.closed = True


class AttachedGrid:
    """Routers that answer at once."""

    def __init__(self, runtime: Runtime, grid: Grid) -> None:
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self.simulated = SimulatedGrid(grid)
        # How long there was none, as sinks say when power comes; 0: they do not say.
        self.interrupted_ns = 0

    def connect(self, *router_ids: str) -> None:
        """All routers, or these, begin a session."""
        for router_id in router_ids or self.simulated.routers:
            abilities = self.simulated.routers[router_id].capabilities
            self._runtime.attach(router_id, self._sender(router_id), capabilities=abilities)
            self._tell_lsa(router_id)
            self._tell_sync_done(router_id)

    def cut(self, link_id: str) -> None:
        self.simulated.cut.add(link_id)
        self._advertise(link_id)

    def mend(self, link_id: str) -> None:
        self.simulated.cut.discard(link_id)
        self._advertise(link_id)

    def dim(self, source_id: str, power_w: float) -> None:
        """A source gives this much from now on, and its router says so."""
        self.simulated.dim(source_id, power_w)
        (router_id,) = [each.router for each in self.simulated.grid.sources if each.id == source_id]
        self._tell_lsa(router_id)
        self._report()

    def _advertise(self, link_id: str) -> None:
        link = self.simulated.links[link_id]
        for end in (link.a, link.b):
            self._tell_lsa(end)
        self._report()

    def _tell_lsa(self, router_id: str) -> None:
        lsa = self.simulated.routers[router_id].lsa()
        self._runtime.tell(lambda core, now_ns: core.on_lsa(lsa, now_ns))

    def _tell_sync_done(self, router_id: str) -> None:
        self._runtime.tell(lambda core, now_ns: core.on_sync_done(router_id, now_ns))

    def _tell_status(self, router_id: str, status: CircuitStatus) -> None:
        self._runtime.tell(lambda core, now_ns: core.on_status(router_id, status, now_ns))

    def _sender(self, router_id: str) -> Callable[[ToRouter], None]:
        def send(message: ToRouter) -> None:
            self._loop.call_soon(self._deliver, router_id, message)

        return send

    def _deliver(self, router_id: str, message: ToRouter) -> None:
        router = self.simulated.routers[router_id]
        now_ns = self._runtime.tell(lambda core, now_ns: now_ns)
        answer = router.apply(message, self._runtime.election_id, now_ns)
        if isinstance(answer, CircuitTable):
            self._runtime.tell(lambda core, now_ns: core.on_table(router_id, answer, now_ns))
        else:
            self._runtime.tell(lambda core, now_ns: core.on_result(router_id, answer, now_ns))
        self._report()

    def _report(self) -> None:
        for router_id, router in self.simulated.routers.items():
            for status in router.statuses():
                if self.interrupted_ns and status.state is FlowState.ACTUATED:
                    self._tell_arrival(router_id, status)
                self._tell_status(router_id, status)

    def _tell_arrival(self, router_id: str, status: CircuitStatus) -> None:
        arrived = replace(
            status,
            state=FlowState.ARRIVED,
            interruption_ns=self.interrupted_ns,
            arrived_at_ns=time.monotonic_ns(),
        )
        self._tell_status(router_id, arrived)
