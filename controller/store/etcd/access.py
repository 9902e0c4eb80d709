"""The store at etcd as tools see it, beside controllers that may be using it."""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing

import msgspec

from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import (
    ABSENT,
    SCHEMA_VERSION,
    Layout,
    LeaderValue,
    Meta,
    Op,
    Put,
    put_at,
)
from controller.store.etcd.lease import Lease
from controller.store.etcd.mirror import Mirror
from controller.store.etcd.operations import AUDIT_ENTRIES_KEPT
from controller.store.etcd.parts import DEFAULT_LIMITS, chunks
from controller.store.etcd.reading import present
from controller.store.etcd.term import Term, stand
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.etcd.verification import findings
from controller.store.protocol import StoreContents, StoreError
from controller.store.records_codec import encode, garbage_collection_paused

_log = logging.getLogger(__name__)

# Lease (s) by which a tool that fills the store keeps every controller from leading. Short, for after a crash of the
# tool it must run out by itself; the tool keeps it alive.
_FILL_LEASE_TTL_S = 10


class EtcdAccess:
    """A `StoreAccess`; each call connects anew."""

    def __init__(self, endpoints: Sequence[str], prefix: str) -> None:
        self._endpoints = tuple(endpoints)
        self._layout = Layout(prefix)

    def read(self) -> StoreContents:
        layout = self._layout
        mirror = Mirror(layout)
        with garbage_collection_paused():
            change = mirror.take((True, kv) for kv in self._everything())
        if mirror.meta is None:
            raise StoreError(
                f"etcd {layout.prefix}: nothing is stored there; see that prefix and endpoints"
                f" ({', '.join(self._endpoints)}) are those of the controllers"
            )
        state = mirror.state()
        return StoreContents(
            mirror.meta.schema_version,
            mirror.meta.generation,
            mirror.meta.epoch,
            state.counters,
            iter(state.circuits),
            iter(change.audit[-AUDIT_ENTRIES_KEPT:] if change else ()),
            iter(state.routers),
            iter(state.drains),
            iter(change.registers if change else ()),
        )

    def fill(self, contents: StoreContents) -> None:
        """Import. Interrupted half-way it leaves a store that every controller refuses, for ``meta`` comes last."""
        with closing(EtcdClient(self._endpoints)) as client:
            lease = Lease(client, _FILL_LEASE_TTL_S)
            try:
                self._fill(client, lease, contents)
            finally:
                _release(lease)

    def verify(self) -> list[str]:
        return findings(self._layout, self._everything())

    def _everything(self) -> list[pb.KeyValue]:
        layout = self._layout
        with closing(EtcdClient(self._endpoints)) as client:
            revision = present(client, layout).revision
            return list(client.pages(layout.start, layout.end, revision))

    def _fill(self, client: EtcdClient, lease: Lease, contents: StoreContents) -> None:
        layout = self._layout
        nothing_there = put_at(layout.start, ABSENT, layout.end)
        leader = stand(
            client, layout, LeaderValue("filling the store", ""), lease.id, nothing_there
        )
        if leader is None or leader.lease != lease.id:
            raise StoreError(
                f"etcd {layout.prefix}: is not empty, so nothing was written; use another prefix, or"
                " stop all controllers and delete what is there"
            )
        term = Term(client, layout, lease, leader.mod_revision, DEFAULT_LIMITS)
        lease.keep(term.still_leads, lambda reason: _log.warning("filling ends: %s", reason))
        for chunk in chunks(self._operations(contents), DEFAULT_LIMITS):
            term.write(chunk, contents.counters)
        generation = max(contents.generation + 1, int(time.time()) + 1)
        meta = Meta(SCHEMA_VERSION, generation, leader.mod_revision)
        term.write([Put(layout.meta, msgspec.json.encode(meta))], contents.counters)

    def _operations(self, contents: StoreContents) -> Iterator[Op]:
        for drain in contents.drains:
            yield Put(self._layout.drain(drain.id), encode(drain))
        for owner in contents.routers:
            yield Put(self._layout.router(owner.router_id), encode(owner))
        for record in contents.circuits:
            yield Put(self._layout.circuit(record.circuit_id), encode(record))
        for register in contents.registers:
            yield Put(self._layout.register(register.key), encode(register))
        for entry in deque(contents.audit, maxlen=AUDIT_ENTRIES_KEPT):
            yield Put(self._layout.audit_entry(entry.seq), encode(entry))


def _release(lease: Lease) -> None:
    try:
        lease.release()
    except StoreError as error:
        _log.warning("nobody can lead for up to %d s: %s", _FILL_LEASE_TTL_S, error)
