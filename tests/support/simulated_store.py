"""A store in memory: what is written survives, what is not yet may or may not."""

from collections import deque
from dataclasses import dataclass, field

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    RegisterRecord,
    StateChange,
    StoredState,
)
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from digitalgrid.model import CircuitGeneration


@dataclass
class SimulatedStore:
    records: dict[int, CircuitRecord] = field(default_factory=dict)
    routers: dict[str, RouterRecord] = field(default_factory=dict)
    drains: dict[str, DrainRecord] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    epoch: int = 0
    audit: list[AuditEntry] = field(default_factory=list)
    registers: dict[CircuitGeneration, RegisterRecord] = field(default_factory=dict)
    pending: deque[tuple[int, StateChange]] = field(default_factory=deque)
    durable_ticket: int = 0

    def load(self) -> StoredState:
        self.epoch += 1
        self.durable_ticket = 0
        circuits, routers = tuple(self.records.values()), tuple(self.routers.values())
        drains = tuple(self.drains.values())
        return StoredState(self.epoch, circuits, self.counters, routers, drains)

    def write(self, count: int) -> int:
        """Make the oldest changes durable; the last ticket among them."""
        ticket = self.durable_ticket
        for _ in range(min(count, len(self.pending))):
            ticket, change = self.pending.popleft()
            self.records.update((each.circuit_id, each) for each in change.circuits)
            for circuit_id in change.forgotten_ids:
                self.records.pop(circuit_id, None)
            self.routers.update((each.router_id, each) for each in change.routers)
            for router_id in change.forgotten_router_ids:
                self.routers.pop(router_id, None)
            self.drains.update((each.id, each) for each in change.drains)
            for id_ in change.undrained_ids:
                self.drains.pop(id_, None)
            self.counters = change.counters
            self.audit += change.audit
            for register in change.registers:
                assert register.key not in self.registers, "the first word stands"
                self.registers[register.key] = register
        return ticket
