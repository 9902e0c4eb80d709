"""One term of leadership, as etcd sees it: transactions that only this leader can make, each after its predecessor."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from controller.core.circuits.records import AuditEntry, Counters, RegisterRecord
from controller.store.etcd.client import EtcdClient, EtcdFull, EtcdUnavailable
from controller.store.etcd.layout import (
    ABSENT,
    NO_PROGRESS,
    SCHEMA_VERSION,
    Delete,
    Layout,
    LeaderValue,
    Meta,
    Op,
    Progress,
    Put,
    after,
    created_at,
    has_value,
    is_another_etcd,
    put_at,
    read_json,
    read_meta,
    read_record,
    to_pb,
)
from controller.store.etcd.lease import Lease
from controller.store.etcd.mirror import Mirror
from controller.store.etcd.parts import Limits, chunks, pack, unpack
from controller.store.etcd.registers import registers_range
from controller.store.etcd.standby import all_standbys, longest_standing_by, standbys_of
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import (
    Leader,
    LeadershipLost,
    RegisterQuestion,
    Standby,
    StoreError,
    StoreRoom,
)
from digitalgrid.model import NO_ELECTION_ID, ElectionId

# Until a transaction that is not answered is sent again (s), while the lease lasts: one takes milliseconds.
_ASK_AGAIN_S = 1.0
# etcd's own where nobody sets --quota-backend-bytes, and what is reckoned with where etcd does not tell it.
_USUAL_QUOTA_BYTES = 2 << 30


class Term:
    """Begins with :meth:`succeed` or :meth:`claim`. Used by one thread at a time; ``token`` is the mod_revision of the
    leader's key.

    Each transaction presupposes that the leader's key is still that of the token, and that ``counters`` are as the
    one before left them. So it can be sent as often as it takes, and none that was under way for long undoes a later.
    """

    def __init__(
        self, client: EtcdClient, layout: Layout, lease: Lease, token: int, limits: Limits
    ) -> None:
        self.lease = lease
        self._client = client
        self._layout = layout
        self._token = token
        self._limits = limits
        # What the predecessor left, as it is in etcd; nothing in an empty store.
        self._progress, self._progress_value = NO_PROGRESS, b""
        self._generation = 0
        # Who can be given the lead, as seen last; and all who stand by, for whoever wants to know.
        self._standby: pb.KeyValue | None = None
        self.standby_count = 0
        self.on_standbys: Callable[[tuple[Standby, ...]], None] = lambda _standbys: None
        # What is still to be said of the term, with the first that it writes.
        self._unsaid: list[Op] = []

    @property
    def election_id(self) -> ElectionId:
        return ElectionId(self._generation, self._token)

    def audit(self) -> Iterator[AuditEntry]:
        """All of the log that is there, in order. Used by any thread."""
        layout = self._layout
        header = self._client.range(pb.RangeRequest(key=layout.meta)).header
        for kv in self._client.pages(layout.audit, after(layout.audit), header.revision):
            yield read_record(kv.key, kv.value, AuditEntry)

    def registers(self, question: RegisterQuestion) -> Iterator[RegisterRecord]:
        """Those of the circuit that is asked for, or of all, after a key, in order. Used by any thread."""
        layout = self._layout
        header = self._client.range(pb.RangeRequest(key=layout.meta)).header
        first, end = registers_range(layout, question)
        for kv in self._client.pages(first, end, header.revision):
            yield read_record(kv.key, kv.value, RegisterRecord)

    def succeed(self, followed: Mirror, etcd: pb.ResponseHeader, seen: ElectionId) -> bool:
        """:meth:`claim` with nothing read and nothing written yet, where all is as it was followed. Whether it is.

        So whoever asks first waits for nothing else: ``meta`` goes along with what the term writes first. Should things
        be otherwise after all, nothing is written, and the lead is lost. ``etcd`` is the one that was followed,
        as it was before that.
        """
        meta, value = followed.meta, followed.progress_value
        if meta is None or not value or followed.in_parts or self._is_set_back(meta, etcd, seen):
            return False
        self._progress, self._progress_value = followed.progress, value
        self._generation = meta.generation
        self._unsaid = [self._own_meta(etcd)]
        return True

    def claim(self, followed: Progress | None = None, seen: ElectionId = NO_ELECTION_ID) -> None:
        """Take over from the term before, and carry out what it had decided; StoreError, with nothing written, if that
        had not come exactly as far as was followed.

        ``seen`` is the highest election id that is known otherwise; the one of this term will be higher.
        """
        meta, parts, header = self._look()
        if followed not in (None, self._progress):
            raise StoreError(
                f"etcd {self._layout.prefix}: holds something else than was followed; reading all of"
                " it anew"
            )
        self._generation = meta.generation
        if self._is_set_back(meta, header, seen):
            # Routers may have seen higher tokens under this generation.
            self._generation = max(meta.generation + 1, seen.high + 1, int(time.time()))
        self.write([self._own_meta(header)])
        self._settle(parts)

    def _is_set_back(self, meta: Meta, etcd: pb.ResponseHeader, seen: ElectionId) -> bool:
        return (
            meta.epoch >= self._token
            or is_another_etcd(meta.cluster_id, meta.raft_term, etcd)
            or ElectionId(meta.generation, self._token) <= seen
        )

    def _own_meta(self, etcd: pb.ResponseHeader) -> Op:
        meta = Meta(SCHEMA_VERSION, self._generation, self._token, etcd.cluster_id, etcd.raft_term)
        return Put(self._layout.meta, msgspec.json.encode(meta))

    def write(self, ops: Sequence[Op], counters: Counters | None = None) -> None:
        """Durable when it returns. LeadershipLost where it may not be: then only the store knows."""
        progress = Progress(
            counters or self._progress.counters, self._token, self._progress.commit + 1
        )
        value = msgspec.json.encode(progress)
        response = self._send(
            pb.TxnRequest(
                compare=[self._fence(), self._succession()],
                success=to_pb(
                    self._layout, [*self._unsaid, *ops, Put(self._layout.counters, value)]
                ),
                failure=[_get(self._layout.leader), _get(self._layout.counters)],
            )
        )
        if not response.succeeded:
            self._judge(response, value)
        self._progress, self._progress_value = progress, value
        self._unsaid = []

    def write_large(self, ops: Sequence[Op], counters: Counters) -> None:
        """The same for what no single transaction can hold. It is decided, as a whole, with its last piece."""
        transaction = b"%016x-%016x" % (self._token, self._progress.commit + 1)
        *first, last = enumerate(pack(ops, self._limits))
        for index, piece in first:
            self.write([Put(self._layout.part(transaction, index), piece)])
        index, piece = last
        self.write(
            [
                Put(self._layout.part(transaction, index), piece),
                Put(self._layout.decided(transaction), b""),
            ],
            counters,
        )
        self._carry_out(transaction, ops)

    def room(self) -> StoreRoom:
        """Of the endpoint that is asked by now."""
        status = self._client.status_here()
        quota_bytes = status.db_size_quota_bytes or _USUAL_QUOTA_BYTES
        return StoreRoom(status.db_size_bytes, quota_bytes - status.db_size_in_use_bytes)

    def hand_over(self, timeout_s: float) -> Leader | None:
        """Give the leader's key to whoever stands by, in one transaction, and write nothing more. Who has it now.

        Nobody, or perhaps somebody, where it is None, and where EtcdUnavailable is raised: the end of the lease lets go
        of the key if it is still here.
        """
        tried, standby = None, self._standby
        if standby is None:
            standby = self._longest(self._client.range(all_standbys(self._layout), timeout_s).kvs)
        while standby not in (None, tried):
            response = self._client.txn(self._handing_over_to(standby), timeout_s)
            if response.succeeded:
                value = read_json(standby.key, standby.value, LeaderValue)
                election_id = ElectionId(self._generation, response.header.revision)
                return Leader(value.name, value.northbound, election_id)
            # Whoever it was has gone, or the lead has: then it is found again.
            tried, standby = standby, self._longest(response.responses[0].response_range.kvs)
        return None

    def still_leads(self, timeout_s: float) -> bool:
        """Asked again and again; who stands by is noted on the way, for that takes no time when the term is to end."""
        response = self._client.txn(
            pb.TxnRequest(
                success=[
                    _get(self._layout.leader),
                    pb.RequestOp(request_range=all_standbys(self._layout)),
                ]
            ),
            timeout_s,
        )
        leader, standbys = (each.response_range.kvs for each in response.responses)
        self._standby = self._longest(standbys)
        others = standbys_of(standbys, self.lease.id)
        self.standby_count = len(others)
        self.on_standbys(others)
        return bool(leader) and leader[0].mod_revision == self._token

    def _longest(self, standbys: Iterable[pb.KeyValue]) -> pb.KeyValue | None:
        return longest_standing_by(standbys, self.lease.id)

    def _handing_over_to(self, standby: pb.KeyValue) -> pb.TxnRequest:
        put = pb.PutRequest(key=self._layout.leader, value=standby.value, lease=standby.lease)
        # Until its lease has run out, this leader would be taken for somebody who stands by.
        own = pb.DeleteRangeRequest(key=self._layout.standby(self.lease.id))
        return pb.TxnRequest(
            compare=[self._fence(), created_at(standby.key, standby.create_revision)],
            success=[
                pb.RequestOp(request_put=put),
                pb.RequestOp(request_delete_range=own),
            ],
            failure=[pb.RequestOp(request_range=all_standbys(self._layout))],
        )

    def _look(self) -> tuple[Meta, list[pb.KeyValue], pb.ResponseHeader]:
        """What there is, once nobody else can write: the store's figures, and what is still in parts."""
        parts = self._layout.parts
        everything = pb.RangeRequest(
            key=self._layout.start, range_end=self._layout.end, count_only=True
        )
        response = self._send(
            pb.TxnRequest(
                compare=[self._fence()],
                success=[
                    _get(self._layout.meta),
                    _get(self._layout.counters),
                    pb.RequestOp(request_range=pb.RangeRequest(key=parts, range_end=after(parts))),
                    pb.RequestOp(request_range=everything),
                ],
            )
        )
        if not response.succeeded:
            raise self._lost("the key of the leader is another's")
        metas, counters, in_parts, count = (each.response_range for each in response.responses)
        if counters.kvs:
            self._progress_value = counters.kvs[0].value
            self._progress = read_json(self._layout.counters, self._progress_value, Progress)
        if metas.kvs:
            meta = read_meta(self._layout, metas.kvs[0].value)
            return meta, list(in_parts.kvs), response.header
        if count.count > 1:
            # Something beside the key of the leader.
            raise without_meta(self._layout)
        # The time of the first use orders this store after any that it replaces, so routers obey it.
        return Meta(SCHEMA_VERSION, int(time.time()), 0), [], response.header

    def _settle(self, parts: Sequence[pb.KeyValue]) -> None:
        """Of transactions in parts, carry out what is decided, and drop what is not."""
        pieces: dict[bytes, list[bytes]] = {}
        decided = set()
        for kv in parts:
            transaction, index = self._layout.part_key(kv.key)
            if index is None:
                decided.add(transaction)
            else:
                pieces.setdefault(transaction, []).append(kv.value)
        for transaction, found in pieces.items():
            if transaction in decided:
                self._carry_out(transaction, unpack(transaction, found))
            else:
                self.write([self._drop(transaction)])

    def _carry_out(self, transaction: bytes, ops: Sequence[Op]) -> None:
        for chunk in chunks(ops, self._limits):
            self.write(chunk)
        self.write([self._drop(transaction)])

    def _drop(self, transaction: bytes) -> Op:
        parts = self._layout.parts_of(transaction)
        return Delete(parts, after(parts))

    def _fence(self) -> pb.Compare:
        return put_at(self._layout.leader, self._token)

    def _succession(self) -> pb.Compare:
        if not self._progress_value:
            return put_at(self._layout.counters, ABSENT)
        return has_value(self._layout.counters, self._progress_value)

    def _send(self, request: pb.TxnRequest) -> pb.TxnResponse:
        trouble = "the lease has run out"
        while (left_s := self.lease.left_s()) > 0:
            try:
                return self._client.txn(request, min(left_s, _ASK_AGAIN_S))
            except EtcdUnavailable as error:
                trouble = str(error)
            except EtcdFull as error:
                # Not for ever: who stands by is back as soon as somebody has made room.
                raise self._lost(str(error)) from error
        raise self._lost(trouble)

    def _judge(self, response: pb.TxnResponse, value: bytes) -> None:
        """Why a transaction found things otherwise than it presupposed."""
        leader, counters = (each.response_range.kvs for each in response.responses)
        if not leader or leader[0].mod_revision != self._token:
            raise self._lost("the key of the leader is another's")
        if not counters or counters[0].value != value:
            other = (
                f"etcd {self._layout.counters.decode()}: was changed by somebody who does not lead;"
                " nothing was written: see who else writes under this prefix"
            )
            if self._unsaid:
                # The term has only begun, and can begin again with what is there.
                raise self._lost(other)
            raise StoreError(other)
        # An attempt that was not answered has succeeded.

    def _lost(self, reason: str) -> LeadershipLost:
        return LeadershipLost(f"etcd {self._layout.prefix}: the lead is lost, or may be: {reason}")


def without_meta(layout: Layout) -> StoreError:
    return StoreError(
        f"etcd {layout.prefix}: there is something, but no {layout.meta.decode()}: it is being"
        " filled, or that was interrupted, or it is none of this program's. If it stays so, delete all"
        " under the prefix and fill it again, or use another prefix"
    )


def stand(
    client: EtcdClient,
    layout: Layout,
    value: LeaderValue,
    lease_id: int,
    presupposed: pb.Compare,
) -> pb.KeyValue | None:
    """Put the key of the leader, if what is presupposed is true. That key as it is then, whoever has put it."""
    put = pb.PutRequest(key=layout.leader, value=msgspec.json.encode(value), lease=lease_id)
    response = client.txn(
        pb.TxnRequest(
            compare=[presupposed],
            success=[pb.RequestOp(request_put=put)],
            failure=[_get(layout.leader)],
        )
    )
    if response.succeeded:
        revision = response.header.revision
        return pb.KeyValue(mod_revision=revision, lease=lease_id)
    return next(iter(response.responses[0].response_range.kvs), None)


def _get(key: bytes) -> pb.RequestOp:
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))
