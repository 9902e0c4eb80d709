"""The store at etcd for the suite: one etcd for all tests, a prefix for each."""

import queue
import tempfile
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import msgspec

from controller.core.circuits.records import StateChange, StoredState
from controller.store.etcd.access import EtcdAccess
from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import Layout, Progress
from controller.store.etcd.membership import EtcdMembership
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import Leader, Standby, Store
from tests.support.etcd_cluster import EtcdCluster, require_etcd
from tests.support.patience import PATIENCE_S

_LEASE_TTL_S = 2
_prefixes = count(1)


class SharedEtcd:
    """Started by the first test that needs it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._cluster: EtcdCluster | None = None

    def endpoints(self) -> tuple[str, ...]:
        if self._cluster is None:
            require_etcd()
            directory = self._stack.enter_context(tempfile.TemporaryDirectory())
            self._cluster = self._stack.enter_context(EtcdCluster(Path(directory)))
        return self._cluster.endpoints

    def stop(self) -> None:
        self._stack.close()
        self._cluster = None


SHARED_ETCD = SharedEtcd()


class _Elected:
    """A follower that only waits to be elected."""

    def __init__(self) -> None:
        self.stores: queue.SimpleQueue[Store] = queue.SimpleQueue()

    def on_state(self, state: StoredState) -> None: ...

    def on_change(self, change: StateChange) -> None: ...

    def on_leader(self, leader: Leader | None) -> None: ...

    def on_standbys(self, standbys: tuple[Standby, ...]) -> None: ...

    def on_elected(self, store: Store) -> None:
        self.stores.put(store)

    def is_responsive(self) -> bool:
        return True


class EtcdBackend:
    def __init__(self, directory: Path) -> None:
        self._endpoints = SHARED_ETCD.endpoints()
        self._prefix = f"/conformance{next(_prefixes)}"
        self._layout = Layout(self._prefix)
        self._client = EtcdClient(self._endpoints)
        self._member: EtcdMembership | None = None

    def open(self) -> Store:
        self._leave()
        self._member = EtcdMembership(
            self._endpoints, self._prefix, "member", "member:7070", _LEASE_TTL_S
        )
        elected = _Elected()
        self._member.join(elected)
        return elected.stores.get(timeout=PATIENCE_S)

    def access(self) -> EtcdAccess:
        return EtcdAccess(self._endpoints, self._prefix)

    def kill(self, store: Store) -> None:
        """Without the leader's key it can write nothing more, as if its lease had run out."""
        delete = pb.DeleteRangeRequest(key=self._layout.leader)
        self._client.txn(pb.TxnRequest(success=[pb.RequestOp(request_delete_range=delete)]))
        self._leave()

    def break_writing(self, store: Store) -> None:
        """Behind the leader's back, which it notices with its next transaction."""
        found = self._client.range(pb.RangeRequest(key=self._layout.counters)).kvs[0].value
        progress = msgspec.json.decode(found, type=Progress)
        changed = msgspec.structs.replace(progress, commit=progress.commit + 1000)
        put = pb.PutRequest(key=self._layout.counters, value=msgspec.json.encode(changed))
        self._client.txn(pb.TxnRequest(success=[pb.RequestOp(request_put=put)]))

    def mend_writing(self) -> None:
        """The next term begins with what is there."""

    def discard(self) -> None:
        self._leave()
        self._client.close()

    def _leave(self) -> None:
        if self._member is not None:
            self._member.leave()
            self._member = None
