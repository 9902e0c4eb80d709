"""Changes of the state as operations on keys. Pure."""

from collections.abc import Iterator, Sequence

from controller.core.circuits.records import Counters, StateChange
from controller.store.etcd.layout import Delete, Layout, Op, Put, size_bytes
from controller.store.etcd.parts import Limits
from controller.store.records_codec import encode

# Audit entries that etcd keeps: each is in every member's memory and every snapshot. Exports that
# were made in time have more of the past.
AUDIT_ENTRIES_KEPT = 10_000


def transactions(
    layout: Layout, changes: Sequence[StateChange], limits: Limits
) -> Iterator[tuple[list[Op], Counters]]:
    """Group commit: as few transactions as changes fit into, none torn apart. One that is too large stands alone."""
    gathered: dict[bytes, Op] = {}
    counters = Counters()
    for change in changes:
        ops = _operations(layout, change)
        merged = _merged(layout, gathered, ops)
        if gathered and not fits(list(merged.values()), limits):
            yield list(gathered.values()), counters
            merged = ops
        gathered, counters = merged, change.counters
    if changes:
        yield list(gathered.values()), counters


def _merged(layout: Layout, earlier: dict[bytes, Op], later: dict[bytes, Op]) -> dict[bytes, Op]:
    """The last word on each key; of final registers the first."""
    registers = {key: op for key, op in earlier.items() if key.startswith(layout.registers)}
    return earlier | later | registers


def fits(ops: Sequence[Op], limits: Limits) -> bool:
    return len(ops) <= limits.ops and sum(map(size_bytes, ops)) <= limits.size_bytes


def _operations(layout: Layout, change: StateChange) -> dict[bytes, Op]:
    """By key, for etcd takes one operation for each."""
    ops: dict[bytes, Op] = {}
    for record in change.circuits:
        key = layout.circuit(record.circuit_id)
        ops[key] = Put(key, encode(record))
    for circuit_id in change.forgotten_ids:
        key = layout.circuit(circuit_id)
        ops[key] = Delete(key)
    for owner in change.routers:
        key = layout.router(owner.router_id)
        ops[key] = Put(key, encode(owner))
    for router_id in change.forgotten_router_ids:
        key = layout.router(router_id)
        ops[key] = Delete(key)
    for drain in change.drains:
        key = layout.drain(drain.id)
        ops[key] = Put(key, encode(drain))
    for id_ in change.undrained_ids:
        key = layout.drain(id_)
        ops[key] = Delete(key)
    for register in change.registers:
        key = layout.register(register.key)
        ops.setdefault(key, Put(key, encode(register)))
    for entry in change.audit[-AUDIT_ENTRIES_KEPT:]:
        key = layout.audit_entry(entry.seq)
        ops[key] = Put(key, encode(entry))
    if change.audit:
        oldest_kept = change.audit[-1].seq - AUDIT_ENTRIES_KEPT + 1
        if oldest_kept > 0:
            first = layout.audit_entry(0)
            ops[first] = Delete(first, layout.audit_entry(oldest_kept))
    return ops
