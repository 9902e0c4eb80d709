"""Verification of a store at etcd: what is damaged in it, and what contradicts another thing in it. Pure."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from controller.core.circuits.records import AuditEntry, CircuitRecord, RegisterRecord
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.consistency import Consistency
from controller.store.etcd.layout import (
    NO_PROGRESS,
    Layout,
    LeaderValue,
    Meta,
    Progress,
    Put,
    read_json,
    read_meta,
    read_record,
)
from controller.store.etcd.parts import unpack
from controller.store.etcd.term import without_meta
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import StoreError


def findings(layout: Layout, keys: Iterable[pb.KeyValue]) -> list[str]:
    """A sentence on each, given all keys of one revision in order."""
    verification = _Verification(layout)
    for kv in keys:
        with verification.noting():
            verification.take(kv)
    verification.conclude()
    return verification.found


class _Verification:
    def __init__(self, layout: Layout) -> None:
        self.found: list[str] = []
        self._layout = layout
        self._meta: Meta | None = None
        self._progress = NO_PROGRESS
        self._token = 0
        self._values: dict[bytes, bytes] = {}
        self._pieces: dict[bytes, list[bytes]] = {}
        self._decided: list[bytes] = []

    @contextmanager
    def noting(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self.found.append(str(error))

    def take(self, kv: pb.KeyValue) -> None:
        layout = self._layout
        if kv.key == layout.meta:
            self._meta = read_meta(layout, kv.value)
        elif kv.key == layout.counters:
            self._progress = read_json(kv.key, kv.value, Progress)
        elif kv.key == layout.leader:
            self._token = kv.mod_revision
            read_json(kv.key, kv.value, LeaderValue)
        elif kv.key.startswith(layout.parts):
            transaction, piece = layout.part_key(kv.key)
            if piece is None:
                self._decided.append(transaction)
            else:
                self._pieces.setdefault(transaction, []).append(kv.value)
        else:
            self._values[kv.key] = kv.value

    def conclude(self) -> None:
        for transaction in self._decided:
            with self.noting():
                self._overlay(transaction)
        with self.noting():
            self._check_terms()
        consistency = Consistency(self._progress.counters)
        for key, value in sorted(self._values.items()):
            with self.noting():
                self._check_value(key, value, consistency)

    def _overlay(self, transaction: bytes) -> None:
        """What is decided counts, though it has not been carried out yet."""
        for op in unpack(transaction, self._pieces.get(transaction, [])):
            if isinstance(op, Put):
                self._values[op.key] = op.value
            else:
                self._values.pop(op.key, None)

    def _check_terms(self) -> None:
        if self._meta is None and (self._values or self._progress != NO_PROGRESS):
            raise without_meta(self._layout)
        if self._meta is not None and 0 < self._token < self._meta.epoch:
            raise StoreError(
                f"etcd {self._layout.leader.decode()}: its mod_revision is {self._token}, below"
                f" epoch {self._meta.epoch} in meta: etcd was set back; restart the controllers"
            )

    def _check_value(self, key: bytes, value: bytes, consistency: Consistency) -> None:
        if key.startswith(self._layout.circuits):
            record = read_record(key, value, CircuitRecord)
            number = record.circuit_id
            self._expect(key == self._layout.circuit(number), key, f"holds circuit {number}")
            contradictions = consistency.circuit(record)
        elif key.startswith(self._layout.routers):
            owner = read_record(key, value, RouterRecord)
            self._expect(
                key == self._layout.router(owner.router_id), key, f"holds {owner.router_id!r}"
            )
            contradictions = consistency.router(owner)
        elif key.startswith(self._layout.drains):
            drain = read_record(key, value, DrainRecord)
            self._expect(
                key == self._layout.drain(drain.id), key, f"holds the drain of {drain.id!r}"
            )
            contradictions = iter(())
        elif key.startswith(self._layout.registers):
            register = read_record(key, value, RegisterRecord)
            self._expect(
                key == self._layout.register(register.key),
                key,
                f"holds circuit {register.circuit_id} generation {register.generation}",
            )
            contradictions = consistency.register(register)
        elif key.startswith(self._layout.audit):
            entry = read_record(key, value, AuditEntry)
            self._expect(
                key == self._layout.audit_entry(entry.seq), key, f"holds entry {entry.seq}"
            )
            contradictions = consistency.audit_entry(entry)
        else:
            raise StoreError(f"etcd {key.decode(errors='replace')}: is none of this store's")
        self.found += [f"etcd {self._layout.prefix}: {each}" for each in contradictions]

    def _expect(self, right: bool, key: bytes, wrong: str) -> None:
        if not right:
            self.found.append(f"etcd {key.decode(errors='replace')}: {wrong}")
