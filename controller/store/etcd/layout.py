"""Schema of the store in etcd: the keys under its prefix, and the fencing comparison of every transaction of a term.

meta             schema version, generation, and the epoch of the last term
leader           who leads, on a lease; its mod_revision is the token of the term
counters         put by every transaction, never twice alike: so the next one knows its predecessor
circuits/ID      one record each
routers/ID       what each router owns
drains/ID        each link or router that is taken out of service
audit/SEQ        one entry each, the newest only
registers/ID/GEN final registers of a generation of a circuit, for ever: never put where there are any
parts/TX/N       what is too large for one transaction, in pieces
parts/TX/decided from here on all pieces count

Beside it, for it is no part of what is stored:

PREFIX.standby/LEASE who stands by, on the lease that the lead can be handed to
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    RegisterRecord,
)
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import StoreError
from controller.store.records_codec import decode
from digitalgrid.model import CircuitGeneration, ElectionId

SCHEMA_VERSION = 1
# etcd's mod_revision of a key that is not there.
ABSENT = 0
_DECIDED = b"decided"


class Meta(msgspec.Struct, frozen=True):
    """What the whole store is. ``epoch`` is the token of the last term: no later one may be lower. ``cluster_id`` and
    ``raft_term`` are etcd's own as that term began; 0 where whoever wrote it did not say.
    """

    schema_version: int
    generation: int
    epoch: int
    cluster_id: int = 0
    raft_term: int = 0

    @property
    def election_id(self) -> ElectionId:
        """That of the last term."""
        return ElectionId(self.generation, self.epoch)


class LeaderValue(msgspec.Struct, frozen=True):
    name: str
    northbound: str


class StandbyValue(LeaderValue, frozen=True):
    """What a member that stands by says of itself; what a leader has in its key reads it as a `LeaderValue`."""

    since_unix_ms: int = 0
    # Transactions that it had not followed yet.
    behind: int | None = None


class Progress(msgspec.Struct, frozen=True):
    """The value of ``counters``: of one term, and one transaction of it, so no two are alike."""

    counters: Counters
    epoch: int
    commit: int


NO_PROGRESS = Progress(Counters(), 0, 0)
_T = TypeVar("_T")
_Record = TypeVar("_Record", CircuitRecord, AuditEntry, RouterRecord, DrainRecord, RegisterRecord)


@dataclass(frozen=True, slots=True)
class Put:
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """A key, or all from ``key`` up to ``end``."""

    key: bytes
    end: bytes = b""


Op = Put | Delete


class PartKey(NamedTuple):
    transaction: bytes
    # None for the key that says that it is decided.
    piece: int | None


class Layout:
    """The keys of one store. Numbers are fixed hexadecimal, so the order of keys is that of numbers."""

    def __init__(self, prefix: str) -> None:
        if not prefix.startswith("/") or prefix.endswith("/"):
            raise StoreError(
                f"etcd: prefix {prefix!r} must begin with a slash and not end with one"
            )
        root = prefix.encode() + b"/"
        self.prefix = prefix
        self.start = root
        self.end = after(root)
        self.meta = root + b"meta"
        self.leader = root + b"leader"
        self.counters = root + b"counters"
        self.circuits = root + b"circuits/"
        self.routers = root + b"routers/"
        self.drains = root + b"drains/"
        self.audit = root + b"audit/"
        self.registers = root + b"registers/"
        self.parts = root + b"parts/"
        self.standbys = prefix.encode() + b".standby/"

    def circuit(self, circuit_id: int) -> bytes:
        return self.circuits + b"%016x" % circuit_id

    def circuit_id(self, key: bytes) -> int:
        return self._number(key, self.circuits)

    def router(self, router_id: str) -> bytes:
        return self.routers + router_id.encode()

    def router_id(self, key: bytes) -> str:
        return key.removeprefix(self.routers).decode(errors="replace")

    def drain(self, id_: str) -> bytes:
        return self.drains + id_.encode()

    def drain_id(self, key: bytes) -> str:
        return key.removeprefix(self.drains).decode(errors="replace")

    def audit_entry(self, seq: int) -> bytes:
        return self.audit + b"%016x" % seq

    def register(self, key: CircuitGeneration) -> bytes:
        return self.registers + b"%016x/%016x" % key

    def standby(self, lease_id: int) -> bytes:
        return self.standbys + b"%016x" % lease_id

    def parts_of(self, transaction: bytes) -> bytes:
        return self.parts + transaction + b"/"

    def part(self, transaction: bytes, index: int) -> bytes:
        return self.parts_of(transaction) + b"%08x" % index

    def decided(self, transaction: bytes) -> bytes:
        return self.parts_of(transaction) + _DECIDED

    def part_key(self, key: bytes) -> PartKey:
        transaction, _, index = key.removeprefix(self.parts).partition(b"/")
        if index == _DECIDED:
            return PartKey(transaction, None)
        return PartKey(transaction, self._number(key, self.parts_of(transaction)))

    def _number(self, key: bytes, parent: bytes) -> int:
        try:
            return int(key.removeprefix(parent), 16)
        except ValueError as error:
            raise StoreError(
                f"etcd: key {key.decode(errors='replace')} is none of this store's; delete it, or"
                " give the store a prefix of its own"
            ) from error


def after(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with a prefix."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def read_meta(layout: Layout, value: bytes) -> Meta:
    """StoreError for another schema version, and for what no version can read."""
    meta = read_json(layout.meta, value, Meta)
    if meta.schema_version != SCHEMA_VERSION:
        raise StoreError(
            f"etcd {layout.prefix}: written by schema version {meta.schema_version}, this program"
            f" reads {SCHEMA_VERSION}; use the program that wrote it, or another prefix"
        )
    return meta


def is_another_etcd(cluster_id: int, raft_term: int, now: pb.ResponseHeader) -> bool:
    """Whether etcd was set up anew since, from a snapshot or from nothing. The cluster id is made of its token and its
    members' addresses, so it may be as before; then etcd's own terms begin again from the first.
    """
    return cluster_id not in (0, now.cluster_id) or now.raft_term < raft_term


def read_json(key: bytes, value: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"etcd {key.decode()}: damaged ({error}); nothing was changed: restore a backup"
        ) from error


def read_record(key: bytes, value: bytes, kind: type[_Record]) -> _Record:
    try:
        return decode(value, kind)
    except StoreError as error:
        raise StoreError(
            f"etcd {key.decode(errors='replace')}: {error}; nothing was changed: restore a backup"
        ) from error


def put_at(key: bytes, revision: int, end: bytes = b"") -> pb.Compare:
    """True while what the key, or all up to ``end``, holds was put at a revision, or is ABSENT."""
    return pb.Compare(
        result=pb.Compare.EQUAL,
        target=pb.Compare.MOD,
        key=key,
        range_end=end,
        mod_revision=revision,
    )


def created_at(key: bytes, revision: int) -> pb.Compare:
    """True while the key is there that was created at a revision, whatever was put into it since."""
    return pb.Compare(
        result=pb.Compare.EQUAL, target=pb.Compare.CREATE, key=key, create_revision=revision
    )


def has_value(key: bytes, value: bytes) -> pb.Compare:
    return pb.Compare(result=pb.Compare.EQUAL, target=pb.Compare.VALUE, key=key, value=value)


def to_pb(layout: Layout, ops: Iterable[Op]) -> list[pb.RequestOp]:
    return [_op_to_pb(layout, op) for op in ops]


def _op_to_pb(layout: Layout, op: Op) -> pb.RequestOp:
    match op:
        case Put(key, value) if key.startswith(layout.registers):
            # The first word stands: it is put only where there is none.
            put = pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))
            create = pb.TxnRequest(compare=[put_at(key, ABSENT)], success=[put])
            return pb.RequestOp(request_txn=create)
        case Put(key, value):
            return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))
        case Delete(key, end):
            return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=end))


def size_bytes(op: Op) -> int:
    """What an operation takes of a request, with the frames around it."""
    return len(op.key) + len(op.value if isinstance(op, Put) else op.end) + 32
