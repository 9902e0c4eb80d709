"""What a term may write, and what is left of it when it is cut off in the middle."""

import queue
from collections.abc import Iterator

import msgspec
import pytest

from controller.core.circuits.records import Counters
from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import SCHEMA_VERSION, Delete, Meta, Op, Progress, Put
from controller.store.etcd.parts import Limits
from controller.store.etcd.reading import read_mirror
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import LeadershipLost, StoreError
from controller.store.records_codec import encode
from tests.integration.store.members import Cluster
from tests.support.records import circuit_record

# Small enough for a transaction of 40 circuits to need several pieces, and several chunks.
LIMITS = Limits(ops=8, size_bytes=300)
MANY = range(1, 41)


class PowerCut(Exception):
    """The controller is gone, between two transactions."""


class DoomedClient(EtcdClient):
    """Loses power before the transaction after the next few."""

    def __init__(self, endpoints: tuple[str, ...]) -> None:
        super().__init__(endpoints)
        self.txns_left = 10**9
        self.sent: list[pb.TxnRequest] = []

    def txn(self, request: pb.TxnRequest, timeout_s: float = 5.0) -> pb.TxnResponse:
        if self.txns_left == 0:
            raise PowerCut
        self.txns_left -= 1
        self.sent.append(request)
        return super().txn(request, timeout_s)


@pytest.fixture
def doomed(cluster: Cluster) -> Iterator[DoomedClient]:
    client = DoomedClient(cluster.endpoints)
    yield client
    client.close()


def put(cluster: Cluster, circuit_id: int, power_w: float = 1.0) -> Op:
    return Put(cluster.layout.circuit(circuit_id), encode(circuit_record(circuit_id, power_w)))


def stored(cluster: Cluster) -> dict[int, float]:
    mirror, _ = read_mirror(cluster.client, cluster.layout)
    return {each.circuit_id: each.power_w for each in mirror.state().circuits}


def counters(next_circuit_id: int) -> Counters:
    return Counters(next_circuit_id=next_circuit_id)


def test_a_stale_term_writes_nothing(cluster: Cluster) -> None:
    stale = cluster.claimed_term()
    stale.write([put(cluster, 1)], counters(2))
    stale.lease.release()
    # Its own clock tells it nothing of that yet.
    assert stale.lease.left_s() > 10
    cluster.claimed_term()
    before = cluster.contents()

    with pytest.raises(LeadershipLost, match="another's"):
        stale.write([put(cluster, 1, 9.0), put(cluster, 2)], counters(3))
    with pytest.raises(LeadershipLost):
        stale.write_large([put(cluster, each) for each in MANY], counters(50))

    assert cluster.contents() == before


def test_a_term_whose_lease_has_run_out_does_not_even_ask(
    cluster: Cluster, doomed: DoomedClient
) -> None:
    term = cluster.claimed_term(doomed, ttl_s=1)
    lost: queue.SimpleQueue[str] = queue.SimpleQueue()
    term.lease.keep(lambda _: False, lost.put)
    assert "another leads" in lost.get(timeout=10)
    sent = len(doomed.sent)

    with pytest.raises(LeadershipLost, match="the lease has run out"):
        term.write([put(cluster, 1)], counters(2))

    assert len(doomed.sent) == sent


def test_what_was_under_way_for_long_does_not_undo_what_came_later(
    cluster: Cluster, doomed: DoomedClient
) -> None:
    term = cluster.claimed_term(doomed)
    term.write([put(cluster, 1, 1.0)], counters(2))
    delayed = doomed.sent[-1]
    term.write([put(cluster, 1, 2.0)], counters(3))

    assert not cluster.client.txn(delayed).succeeded

    assert stored(cluster) == {1: 2.0}
    term.write([put(cluster, 2)], counters(3))


def test_an_attempt_that_succeeded_unheard_counts(cluster: Cluster, doomed: DoomedClient) -> None:
    term = cluster.claimed_term(doomed)
    answered = EtcdClient.txn

    def unheard(request: pb.TxnRequest, timeout_s: float = 5.0) -> pb.TxnResponse:
        answered(doomed, request, timeout_s)
        return answered(doomed, request, timeout_s)

    doomed.txn = unheard  # type: ignore[method-assign]
    term.write([put(cluster, 1)], counters(2))
    term.write([put(cluster, 2)], counters(3))

    assert stored(cluster) == {1: 1.0, 2: 1.0}


def test_whoever_else_writes_is_noticed(cluster: Cluster) -> None:
    term = cluster.claimed_term()
    intruder = pb.PutRequest(
        key=cluster.layout.counters, value=msgspec.json.encode(Progress(counters(99), 1, 1))
    )
    cluster.client.txn(pb.TxnRequest(success=[pb.RequestOp(request_put=intruder)]))

    with pytest.raises(StoreError, match="changed by somebody who does not lead"):
        term.write([put(cluster, 1)], counters(2))

    assert stored(cluster) == {}


def test_a_large_transaction_is_written_as_a_whole(cluster: Cluster) -> None:
    term = cluster.claimed_term(limits=LIMITS)
    term.write([put(cluster, 99)], counters(100))

    term.write_large(
        [*(put(cluster, each) for each in MANY), Delete(cluster.layout.circuit(99))], counters(200)
    )

    assert stored(cluster) == dict.fromkeys(MANY, 1.0)
    assert not any(b"/parts/" in key for key in cluster.contents())


def decided_after(cluster: Cluster, doomed: DoomedClient) -> int:
    """How many transactions it takes until the large one is decided."""
    term = cluster.claimed_term(doomed, LIMITS)
    first = len(doomed.sent)
    term.write_large([put(cluster, each, 5.0) for each in MANY], counters(50))
    decides = next(
        index
        for index, request in enumerate(doomed.sent[first:])
        if any(op.request_put.key.endswith(b"/decided") for op in request.success)
    )
    assert decides > 1, "it needs several pieces"
    term.lease.release()
    return decides + 1


@pytest.mark.parametrize("before", [1, 0])
def test_cut_off_before_it_is_decided_nothing_of_it_stays(
    cluster: Cluster, doomed: DoomedClient, before: int
) -> None:
    needed = decided_after(cluster, doomed)
    term = cluster.claimed_term(doomed, LIMITS)
    term.write([put(cluster, each, 1.0) for each in (1, 2)], counters(50))
    doomed.txns_left = needed - 1 - before

    with pytest.raises(PowerCut):
        term.write_large([put(cluster, each, 7.0) for each in MANY], counters(60))

    assert 7.0 not in stored(cluster).values()
    term.lease.release()
    successor = cluster.claimed_term(limits=LIMITS)
    assert 7.0 not in stored(cluster).values()
    assert not any(b"/parts/" in key for key in cluster.contents())
    successor.write([put(cluster, 1, 3.0)], counters(60))
    assert stored(cluster)[1] == 3.0


@pytest.mark.parametrize("after", [0, 1, 4])
def test_cut_off_once_it_is_decided_all_of_it_stays(
    cluster: Cluster, doomed: DoomedClient, after: int
) -> None:
    needed = decided_after(cluster, doomed)
    term = cluster.claimed_term(doomed, LIMITS)
    doomed.txns_left = needed + after

    with pytest.raises(PowerCut):
        term.write_large([put(cluster, each, 7.0) for each in MANY], counters(60))

    # Readers see it whole, before anybody has carried it out.
    assert stored(cluster) == dict.fromkeys(MANY, 7.0)
    assert read_mirror(cluster.client, cluster.layout)[0].progress.counters == counters(60)
    term.lease.release()
    cluster.claimed_term(limits=LIMITS)
    assert not any(b"/parts/" in key for key in cluster.contents())
    assert stored(cluster) == dict.fromkeys(MANY, 7.0)


def test_epochs_ascend_and_the_generation_stays(cluster: Cluster) -> None:
    ids = []
    for _ in range(3):
        term = cluster.claimed_term()
        ids.append(term.election_id)
        term.lease.release()

    assert ids == sorted(set(ids))
    assert len({each.high for each in ids}) == 1


def test_an_etcd_that_was_set_back_begins_another_generation(cluster: Cluster) -> None:
    term = cluster.claimed_term()
    before = term.election_id
    set_back = Meta(SCHEMA_VERSION, before.high, 10**12)
    term.write([Put(cluster.layout.meta, msgspec.json.encode(set_back))])
    term.lease.release()

    assert cluster.claimed_term().election_id.high > before.high


@pytest.mark.parametrize("another", [{"cluster_id": 7}, {"raft_term": 1_000_000}])
def test_an_etcd_that_was_set_up_anew_begins_another_generation(
    cluster: Cluster, another: dict[str, int]
) -> None:
    term = cluster.claimed_term()
    before = term.election_id
    meta = msgspec.json.decode(cluster.contents()[cluster.layout.meta], type=Meta)
    assert meta.cluster_id > 0 < meta.raft_term
    set_back = msgspec.structs.replace(meta, **another)
    term.write([Put(cluster.layout.meta, msgspec.json.encode(set_back))])
    term.lease.release()

    assert cluster.claimed_term().election_id.high > before.high


def test_a_store_that_does_not_say_of_which_etcd_it_is_opens(cluster: Cluster) -> None:
    term = cluster.claimed_term()
    before = term.election_id
    old = b'{"schema_version":%d,"generation":%d,"epoch":%d}' % (SCHEMA_VERSION, *before)
    term.write([Put(cluster.layout.meta, old)])
    term.lease.release()

    assert cluster.claimed_term().election_id.high == before.high
    assert b"cluster_id" in cluster.contents()[cluster.layout.meta]


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (msgspec.json.encode(Meta(SCHEMA_VERSION + 1, 1, 1)), "written by schema version"),
        (b"damaged", "meta: damaged"),
    ],
)
def test_a_store_of_another_schema_or_damaged_is_left_as_it_is(
    cluster: Cluster, meta: bytes, message: str
) -> None:
    term = cluster.claimed_term()
    term.write([Put(cluster.layout.meta, meta)])
    term.lease.release()

    with pytest.raises(StoreError, match=message):
        cluster.claimed_term()
    with pytest.raises(StoreError, match=message):
        read_mirror(cluster.client, cluster.layout)
    assert cluster.contents()[cluster.layout.meta] == meta


def test_a_store_that_was_filled_half_way_is_not_taken_for_an_empty_one(cluster: Cluster) -> None:
    term = cluster.claimed_term()
    term.write([Delete(cluster.layout.meta), put(cluster, 1)])
    term.lease.release()

    with pytest.raises(StoreError, match="there is something, but no"):
        cluster.claimed_term()
    with pytest.raises(StoreError, match="there is something, but no"):
        read_mirror(cluster.client, cluster.layout)
