"""Replica of the store, built from watch events: the state as of one revision, and each later one's change. Pure.

A transaction in parts counts as a whole from the revision that decides it; what then carries it over is not told again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    RegisterRecord,
    StateChange,
    StoredState,
)
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.etcd.layout import (
    NO_PROGRESS,
    Delete,
    Layout,
    LeaderValue,
    Meta,
    Op,
    Progress,
    Put,
    read_json,
    read_meta,
    read_record,
)
from controller.store.etcd.parts import unpack
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import Leader, StoreError
from digitalgrid.model import ElectionId


@dataclass(frozen=True, slots=True)
class LeaderKey:
    """The key of a term: its token, and the lease that it hangs on."""

    token: int
    lease_id: int
    value: LeaderValue


_T = TypeVar("_T")
# Whether a key was put, or else deleted, and the key.
KeyEvent = tuple[bool, pb.KeyValue]


class Mirror:
    """Fed with all keys of one revision, then with the events of each later one."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._pieces: dict[bytes, dict[int, bytes]] = {}
        self._decided: set[bytes] = set()
        self._circuits: dict[int, CircuitRecord] = {}
        self._routers: dict[str, RouterRecord] = {}
        self._drains: dict[str, DrainRecord] = {}
        self.meta: Meta | None = None
        self.leader_key: LeaderKey | None = None
        # As it is understood, and as it stands there; nothing in an empty store.
        self.progress, self.progress_value = NO_PROGRESS, b""
        # How many transactions the store had had by then, in all terms: each puts the counters.
        self.transactions = 0

    @property
    def in_parts(self) -> bool:
        """Whether there is a transaction in parts, decided or not."""
        return bool(self._pieces or self._decided)

    def state(self) -> StoredState:
        epoch = self.meta.epoch if self.meta else 0
        circuits, routers = tuple(self._circuits.values()), tuple(self._routers.values())
        drains = tuple(self._drains.values())
        return StoredState(epoch, circuits, self.progress.counters, routers, drains)

    def leader(self) -> Leader | None:
        """Nobody, until a leader has said in ``meta`` under which generation."""
        key = self.leader_key
        if key is None or self.meta is None:
            return None
        election_id = ElectionId(self.meta.generation, key.token)
        return Leader(key.value.name, key.value.northbound, election_id)

    def take(self, revision: Iterable[KeyEvent]) -> StateChange | None:
        """Everything that one revision puts or deletes. What that changes of the state, None if nothing."""
        carried_over = bool(self._decided)
        ops: list[Op] = []
        decided: list[bytes] = []
        for is_put, kv in revision:
            if kv.key.startswith(self._layout.parts):
                decided += self._take_part(is_put, kv)
            elif kv.key == self._layout.leader:
                self.leader_key = self._read_leader(kv) if is_put else None
            elif kv.key in (self._layout.counters, self._layout.meta):
                self._take_figures(is_put, kv)
            elif not carried_over:
                ops.append(Put(kv.key, kv.value) if is_put else Delete(kv.key))
        for transaction in decided:
            ops += unpack(transaction, self._pieces_of(transaction))
        return self._apply(ops)

    def _take_figures(self, is_put: bool, kv: pb.KeyValue) -> None:
        if not is_put:
            raise StoreError(
                f"etcd {kv.key.decode()}: was deleted while the store is in use; stop all controllers,"
                " then restore etcd's snapshot, or empty the prefix and fill it by `dgc store import`"
            )
        if kv.key == self._layout.counters:
            self.progress = read_json(kv.key, kv.value, Progress)
            self.progress_value = kv.value
            self.transactions = kv.version
        else:
            self.meta = read_meta(self._layout, kv.value)

    def _take_part(self, is_put: bool, kv: pb.KeyValue) -> list[bytes]:
        """Of a transaction that is decided by this key its name."""
        transaction, index = self._layout.part_key(kv.key)
        if not is_put:
            self._pieces.pop(transaction, None)
            self._decided.discard(transaction)
        elif index is None:
            self._decided.add(transaction)
            return [transaction]
        else:
            self._pieces.setdefault(transaction, {})[index] = kv.value
        return []

    def _pieces_of(self, transaction: bytes) -> list[bytes]:
        # They stay in memory only until they are read.
        pieces = self._pieces.pop(transaction, {})
        return [pieces[index] for index in sorted(pieces)]

    def _read_leader(self, kv: pb.KeyValue) -> LeaderKey:
        value = read_json(kv.key, kv.value, LeaderValue)
        return LeaderKey(kv.mod_revision, kv.lease, value)

    def _apply(self, ops: Iterable[Op]) -> StateChange | None:
        circuits: dict[int, CircuitRecord] = {}
        forgotten_ids: dict[int, None] = {}
        # By key: what a decided transaction holds may have been carried out in part.
        audit: dict[bytes, AuditEntry] = {}
        registers: dict[bytes, RegisterRecord] = {}
        owners: dict[str, RouterRecord | None] = {}
        drains: dict[str, DrainRecord | None] = {}
        for op in ops:
            if op.key.startswith(self._layout.circuits):
                circuit_id = self._layout.circuit_id(op.key)
                if isinstance(op, Put):
                    circuits[circuit_id] = read_record(op.key, op.value, CircuitRecord)
                    forgotten_ids.pop(circuit_id, None)
                else:
                    circuits.pop(circuit_id, None)
                    forgotten_ids[circuit_id] = None
            elif op.key.startswith(self._layout.routers):
                owners[self._layout.router_id(op.key)] = (
                    read_record(op.key, op.value, RouterRecord) if isinstance(op, Put) else None
                )
            elif op.key.startswith(self._layout.drains):
                drains[self._layout.drain_id(op.key)] = (
                    read_record(op.key, op.value, DrainRecord) if isinstance(op, Put) else None
                )
            elif isinstance(op, Put) and op.key.startswith(self._layout.audit):
                audit[op.key] = read_record(op.key, op.value, AuditEntry)
            elif isinstance(op, Put) and op.key.startswith(self._layout.registers):
                registers[op.key] = read_record(op.key, op.value, RegisterRecord)
        if not (circuits or forgotten_ids or audit or owners or drains or registers):
            return None
        self._circuits.update(circuits)
        for circuit_id in forgotten_ids:
            self._circuits.pop(circuit_id, None)
        routers, forgotten_router_ids = _kept(self._routers, owners)
        drained, undrained_ids = _kept(self._drains, drains)
        return StateChange(
            tuple(circuits.values()),
            self.progress.counters,
            tuple(forgotten_ids),
            tuple(audit.values()),
            routers,
            forgotten_router_ids,
            drained,
            undrained_ids,
            tuple(registers.values()),
        )


def _kept(
    known: dict[str, _T], changes: Mapping[str, _T | None]
) -> tuple[tuple[_T, ...], tuple[str, ...]]:
    """Bring what is known up to date, None for what is gone; what was put, and the ids of what is gone."""
    gone = tuple(key for key, each in changes.items() if each is None)
    put = {key: each for key, each in changes.items() if each is not None}
    known.update(put)
    for key in gone:
        known.pop(key, None)
    return tuple(put.values()), gone
