"""The client: which endpoint it asks, what it gives up, and what it says then."""

import threading
import time
from collections.abc import Iterator
from itertools import count

import grpc
import pytest

from controller.store.etcd.client import EtcdClient, EtcdRefused, EtcdUnavailable
from controller.store.etcd.layout import after
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.etcd.watch import Compacted, WatchStream
from controller.store.protocol import StoreError
from tests.support.etcd_cluster import EtcdCluster

NOWHERE = "127.0.0.1:1"
_prefixes = count(1)


@pytest.fixture
def client(shared_etcd: EtcdCluster) -> Iterator[EtcdClient]:
    client = EtcdClient(shared_etcd.endpoints)
    yield client
    client.close()


@pytest.fixture
def prefix() -> bytes:
    return b"/client%d/" % next(_prefixes)


def put(client: EtcdClient, key: bytes, value: bytes = b"") -> int:
    """The revision that it makes."""
    op = pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))
    return client.txn(pb.TxnRequest(success=[op])).header.revision


def next_events(watch: WatchStream) -> list[bytes]:
    return [event.kv.key for event in next(iter(watch)).events]


def test_an_endpoint_that_is_down_costs_nothing_but_the_first_attempt(
    shared_etcd: EtcdCluster, prefix: bytes
) -> None:
    client = EtcdClient([NOWHERE, *shared_etcd.endpoints])
    try:
        assert put(client, prefix + b"a") > 0
        with pytest.raises(EtcdUnavailable, match=NOWHERE):
            client.status(NOWHERE)
        assert client.status(shared_etcd.endpoints[0]).version.startswith("3.")
    finally:
        client.close()


def test_it_gives_up_at_the_deadline_and_says_what_was_tried_and_what_to_do() -> None:
    other = "127.0.0.1:2"
    client = EtcdClient([NOWHERE, other])
    began_s = time.monotonic()
    try:
        with pytest.raises(EtcdUnavailable) as raised:
            client.range(pb.RangeRequest(key=b"a"), timeout_s=0.3)
    finally:
        client.close()

    assert time.monotonic() - began_s < 10
    message = str(raised.value)
    assert message.index(NOWHERE) < message.index(other)
    assert "KV/Range within 0.3 s" in message
    assert "See that a majority of its members runs" in message


def test_what_etcd_refuses_is_not_tried_again(client: EtcdClient, prefix: bytes) -> None:
    too_many = [
        pb.RequestOp(request_put=pb.PutRequest(key=prefix + b"%d" % each)) for each in range(200)
    ]
    began_s = time.monotonic()

    with pytest.raises(EtcdRefused, match="too many operations") as raised:
        client.txn(pb.TxnRequest(success=too_many))

    assert raised.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert time.monotonic() - began_s < 10


def test_pages_are_of_one_revision(client: EtcdClient, prefix: bytes) -> None:
    keys = [prefix + b"%06d" % each for each in range(2500)]
    for start in range(0, len(keys), 100):
        puts = [
            pb.RequestOp(request_put=pb.PutRequest(key=key)) for key in keys[start : start + 100]
        ]
        revision = client.txn(pb.TxnRequest(success=puts)).header.revision

    found: list[pb.KeyValue] = []
    for kv in client.pages(prefix, after(prefix), revision):
        if not found:
            put(client, prefix + b"999999")
            put(client, keys[-1], b"changed")
        found.append(kv)

    assert [kv.key for kv in found] == keys
    assert found[-1].value == b""


def test_a_lease_that_is_gone_is_told_and_may_be_revoked_again(client: EtcdClient) -> None:
    lease = client.grant(5)
    assert client.keep_alive(lease.id, timeout_s=2) == 5

    client.revoke(lease.id)

    assert client.keep_alive(lease.id, timeout_s=2) == 0
    client.revoke(lease.id)


def test_a_watch_begins_where_it_is_told_to(client: EtcdClient, prefix: bytes) -> None:
    put(client, prefix + b"a")
    revision = put(client, prefix + b"b")
    put(client, after(prefix))
    watch = client.watch(prefix, after(prefix), revision)

    assert next_events(watch) == [prefix + b"b"]


def test_a_watch_from_what_is_compacted_says_so(client: EtcdClient, prefix: bytes) -> None:
    first = put(client, prefix + b"a")
    client.compact(put(client, prefix + b"a"))

    with pytest.raises(Compacted):
        next_events(client.watch(prefix, after(prefix), first))


def test_a_watch_that_is_cancelled_ends(client: EtcdClient, prefix: bytes) -> None:
    watch = client.watch(prefix, after(prefix), 1 + put(client, prefix + b"a"))
    listening = threading.Event()
    told: list[pb.WatchResponse] = []

    def listen() -> None:
        listening.set()
        told.extend(watch)

    thread = threading.Thread(target=listen)
    thread.start()
    assert listening.wait(5)
    watch.cancel()
    thread.join(5)

    assert not thread.is_alive()
    assert told == []


def test_a_client_that_is_closed_says_so_at_once(shared_etcd: EtcdCluster) -> None:
    client = EtcdClient(shared_etcd.endpoints)
    client.close()
    began_s = time.monotonic()

    with pytest.raises(EtcdUnavailable, match="closed"):
        client.range(pb.RangeRequest(key=b"a"))

    assert time.monotonic() - began_s < 10


def test_a_client_needs_an_endpoint() -> None:
    with pytest.raises(StoreError, match="no endpoint is given"):
        EtcdClient([])
