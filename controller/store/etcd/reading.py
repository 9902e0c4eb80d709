"""Snapshot reads: all keys of the store as they were at one revision."""

from collections.abc import Iterator

from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import NO_PROGRESS, Layout, after, is_another_etcd
from controller.store.etcd.mirror import Mirror
from controller.store.etcd.term import without_meta
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.etcd.watch import Compacted
from controller.store.records_codec import garbage_collection_paused


def present(client: EtcdClient, layout: Layout, timeout_s: float = 5.0) -> pb.ResponseHeader:
    """Which etcd it is, and the newest revision that a majority of it has."""
    return client.range(pb.RangeRequest(key=layout.meta), timeout_s).header


def require_same_etcd(
    client: EtcdClient, layout: Layout, before: pb.ResponseHeader, revision: int
) -> None:
    """Compacted where there is no way on from a revision that was read before."""
    now = present(client, layout)
    if is_another_etcd(before.cluster_id, before.raft_term, now) or now.revision < revision:
        raise Compacted(
            f"etcd was set up anew or set back: it is at revision {now.revision}, and {revision}"
            " was read of it before"
        )


def keys_of_state(client: EtcdClient, layout: Layout, revision: int) -> Iterator[pb.KeyValue]:
    """All but what only grows: audit entries and registers."""
    yield from client.pages(layout.start, layout.audit, revision)
    yield from client.pages(after(layout.audit), layout.registers, revision)
    yield from client.pages(after(layout.registers), layout.end, revision)


def read_mirror(client: EtcdClient, layout: Layout) -> tuple[Mirror, pb.ResponseHeader]:
    """The state, and the etcd and revision that it is of."""
    header = present(client, layout)
    mirror = Mirror(layout)
    with garbage_collection_paused():
        mirror.take((True, kv) for kv in keys_of_state(client, layout, header.revision))
    if mirror.meta is None and mirror.progress != NO_PROGRESS:
        raise without_meta(layout)
    return mirror, header
