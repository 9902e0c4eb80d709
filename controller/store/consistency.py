"""Consistency check over all records of a store, whichever store it is. Pure."""

from collections.abc import Iterator

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    RegisterRecord,
)
from controller.core.network.owners import OwnedKind, RouterRecord, Thing
from digitalgrid.model import CircuitGeneration


class Consistency:
    """Shown every record once, circuits before registers, and audit entries in the order of the store; a sentence on
    each contradiction.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._circuit_by_admission_seq: dict[int, int] = {}
        self._last_audit_seq = 0
        self._standing: set[CircuitGeneration] = set()
        self._owners: dict[Thing, list[str]] = {}

    def circuit(self, record: CircuitRecord) -> Iterator[str]:
        name = f"circuit {record.circuit_id}"
        if record.circuit_id >= self._counters.next_circuit_id:
            yield f"{name} is not below next_circuit_id {self._counters.next_circuit_id}"
        for each in record.generations:
            generation = f"{name}, generation {each.generation},"
            self._standing.add(CircuitGeneration(record.circuit_id, each.generation))
            if each.generation > record.last_generation:
                yield f"{generation} is above last_generation {record.last_generation}"
            seq = each.admission_seq
            if seq >= self._counters.next_admission_seq:
                next_seq = self._counters.next_admission_seq
                yield f"{generation} has admission_seq {seq}, not below next_admission_seq {next_seq}"
            if seq in self._circuit_by_admission_seq:
                other = self._circuit_by_admission_seq[seq]
                yield f"{generation} has admission_seq {seq}, which circuit {other} has too"
            self._circuit_by_admission_seq[seq] = record.circuit_id

    def register(self, record: RegisterRecord) -> Iterator[str]:
        name = f"registers of circuit {record.circuit_id} generation {record.generation}"
        if record.circuit_id >= self._counters.next_circuit_id:
            yield f"{name}: is not below next_circuit_id {self._counters.next_circuit_id}"
        if record.key in self._standing:
            yield f"{name}: are final, and the generation is still there"
        for energy_mj in (record.injected_mj, record.delivered_mj):
            if energy_mj is not None and energy_mj < 0:
                yield f"{name}: {energy_mj} mJ is less than nothing"

    def router(self, record: RouterRecord) -> Iterator[str]:
        for thing, _ in record.things():
            owners = self._owners.setdefault(thing, [])
            owners.append(record.router_id)
            if len(owners) > (2 if thing.kind is OwnedKind.LINK else 1):
                yield f"{thing.kind} {thing.id!r} is owned by {' and '.join(owners)}"

    def audit_entry(self, entry: AuditEntry) -> Iterator[str]:
        if entry.seq <= self._last_audit_seq:
            yield f"audit entry {entry.seq} comes after {self._last_audit_seq}"
        if entry.seq >= self._counters.next_audit_seq:
            yield f"audit entry {entry.seq} is not below next_audit_seq {self._counters.next_audit_seq}"
        self._last_audit_seq = max(self._last_audit_seq, entry.seq)
