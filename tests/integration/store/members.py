"""Members of a cluster as tests see them: what a follower was told, and a leader who writes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from controller.core.circuits.records import CircuitRecord, Counters, StateChange, StoredState
from controller.store.etcd.client import EtcdClient
from controller.store.etcd.compaction import COMPACT_EVERY_S
from controller.store.etcd.layout import ABSENT, Layout, LeaderValue, put_at
from controller.store.etcd.lease import Lease
from controller.store.etcd.membership import EtcdMembership
from controller.store.etcd.parts import DEFAULT_LIMITS, Limits
from controller.store.etcd.reading import present, read_mirror
from controller.store.etcd.term import Term, stand
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import Leader, Standby, Store, StoreError
from tests.support.patience import PATIENCE_S
from tests.support.records import circuit_record

# Others may use the same processors: a second would not always do.
TTL_S = 2
# Where the lead is handed over, nobody waits for a lease to run out: that would take twenty times as long.
LONG_TTL_S = 40


class Recorder:
    """A `Follower` that keeps what it is told; ``events`` names the calls in their order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.circuits: dict[int, CircuitRecord] = {}
        self.counters = Counters()
        self.audit_seqs: list[int] = []
        self.changes: list[StateChange] = []
        self.leader: Leader | None = None
        self.standbys: tuple[Standby, ...] = ()
        self.events: list[str] = []
        self.terms: list[Store] = []
        self.elected_at_s = 0.0
        self.hangs = False

    def on_state(self, state: StoredState) -> None:
        with self._noting("state"):
            self.circuits = {each.circuit_id: each for each in state.circuits}
            self.counters = state.counters

    def on_change(self, change: StateChange) -> None:
        with self._noting("change"):
            self.changes.append(change)
            self.circuits.update((each.circuit_id, each) for each in change.circuits)
            for circuit_id in change.forgotten_ids:
                self.circuits.pop(circuit_id, None)
            self.audit_seqs += [each.seq for each in change.audit]
            self.counters = change.counters

    def on_leader(self, leader: Leader | None) -> None:
        with self._noting("leader"):
            self.leader = leader

    def on_standbys(self, standbys: tuple[Standby, ...]) -> None:
        with self._changed:
            self.standbys = standbys
            self._changed.notify_all()

    def on_elected(self, store: Store) -> None:
        with self._noting("elected"):
            self.elected_at_s = time.monotonic()
            self.terms.append(store)

    def is_responsive(self) -> bool:
        return not self.hangs

    def wait(self, true: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
        with self._changed:
            assert self._changed.wait_for(true, within_s), f"not within {within_s} s: {what}"

    def term(self, number: int = 1) -> Store:
        """The store of the n-th term of this member; waits for it."""
        self.wait(lambda: len(self.terms) >= number, f"term {number}")
        return self.terms[number - 1]

    @contextmanager
    def _noting(self, event: str) -> Iterator[None]:
        with self._changed:
            yield
            self.events.append(event)
            self._changed.notify_all()


class Writer:
    """The leader of a term: it writes, and knows what it was told about it."""

    def __init__(self, store: Store) -> None:
        self._changed = threading.Condition()
        self.store = store
        self.submitted = 0
        self.durable = 0
        self.failures: list[StoreError] = []
        store.load()
        store.start(self._on_durable, self._on_failure)

    def submit(self, change: StateChange) -> int:
        self.submitted += 1
        self.store.submit(self.submitted, change)
        return self.submitted

    def write(self, change: StateChange) -> None:
        ticket = self.submit(change)
        self.wait_durable(ticket)

    def wait_durable(self, ticket: int) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: self.durable >= ticket or bool(self.failures), PATIENCE_S
            ), f"ticket {ticket} is neither durable nor failed"
            assert not self.failures, self.failures

    def wait_failure(self) -> StoreError:
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self.failures), PATIENCE_S), "no failure"
            return self.failures[0]

    def _on_durable(self, ticket: int) -> None:
        with self._changed:
            self.durable = ticket
            self._changed.notify_all()

    def _on_failure(self, error: StoreError) -> None:
        with self._changed:
            self.failures.append(error)
            self._changed.notify_all()


class Cluster:
    """Members that meet under one prefix, and leave at the end of the test."""

    def __init__(self, endpoints: tuple[str, ...], prefix: str) -> None:
        self.endpoints = endpoints
        self.prefix = prefix
        self.layout = Layout(prefix)
        self.client = EtcdClient(endpoints)
        self._members: list[EtcdMembership] = []
        self._leases: list[Lease] = []

    def join(
        self,
        name: str = "a",
        limits: Limits = DEFAULT_LIMITS,
        ttl_s: int = TTL_S,
        endpoints: tuple[str, ...] | None = None,
        follower: Recorder | None = None,
        compact_every_s: float = COMPACT_EVERY_S,
    ) -> tuple[EtcdMembership, Recorder]:
        member = EtcdMembership(
            endpoints or self.endpoints,
            self.prefix,
            name,
            f"{name}:7070",
            ttl_s,
            limits,
            compact_every_s,
        )
        self._members.append(member)
        recorder = follower or Recorder()
        member.join(recorder)
        return member, recorder

    def claimed_term(
        self, client: EtcdClient | None = None, limits: Limits = DEFAULT_LIMITS, ttl_s: int = 30
    ) -> Term:
        """A term without a member around it. ``term.lease.release()`` ends it, as a crash would in time."""
        client = client or self.client
        lease = Lease(client, ttl_s)
        self._leases.append(lease)
        nobody = put_at(self.layout.leader, ABSENT)
        leader = stand(client, self.layout, LeaderValue("term", "term:1"), lease.id, nobody)
        assert leader is not None
        assert leader.lease == lease.id, "somebody leads already"
        term = Term(client, self.layout, lease, leader.mod_revision, limits)
        term.claim()
        return term

    def contents(self, start: bytes | None = None, end: bytes | None = None) -> dict[bytes, bytes]:
        found = self.client.pages(start or self.layout.start, end or self.layout.end, 0)
        return {kv.key: kv.value for kv in found}

    def put(self, key: bytes, value: bytes) -> None:
        """Behind the back of whoever leads."""
        put = pb.PutRequest(key=key, value=value)
        self.client.txn(pb.TxnRequest(success=[pb.RequestOp(request_put=put)]))

    def delete(self, key: bytes) -> None:
        delete = pb.DeleteRangeRequest(key=key)
        self.client.txn(pb.TxnRequest(success=[pb.RequestOp(request_delete_range=delete)]))

    def read_state(self) -> StoredState:
        mirror, _ = read_mirror(self.client, self.layout)
        return mirror.state()

    def compact(self) -> None:
        """Up to the present."""
        self.client.compact(present(self.client, self.layout).revision)

    def close(self) -> None:
        for member in self._members:
            member.leave()
        for lease in self._leases:
            lease.stop()
        self.client.close()


def change(*circuit_ids: int, power_w: float = 1.0, next_audit_seq: int = 1) -> StateChange:
    records = tuple(circuit_record(each, power_w) for each in circuit_ids)
    return StateChange(records, Counters(max(circuit_ids) + 1, 1, next_audit_seq))


def wait_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    wait_until(lambda: text in caplog.text, f"that somebody logs {text!r}")


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline_s, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.02)
