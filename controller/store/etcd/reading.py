"""All keys of the store as they were at one revision."""

from collections.abc import Iterator

from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import NO_PROGRESS, Layout, after
from controller.store.etcd.mirror import Mirror
from controller.store.etcd.term import without_meta
from controller.store.records_codec import without_cycle_search
from digitalgrid.etcd.v3 import etcd_pb2 as pb


def present_revision(client: EtcdClient, layout: Layout, timeout_s: float = 5.0) -> int:
    """The newest that a majority has."""
    revision: int = client.range(pb.RangeRequest(key=layout.meta), timeout_s).header.revision
    return revision


def keys_without_audit(client: EtcdClient, layout: Layout, revision: int) -> Iterator[pb.KeyValue]:
    yield from client.pages(layout.start, layout.audit, revision)
    yield from client.pages(after(layout.audit), layout.end, revision)


def read_mirror(client: EtcdClient, layout: Layout) -> tuple[Mirror, int]:
    """The state, and the revision that it is of."""
    revision = present_revision(client, layout)
    mirror = Mirror(layout)
    with without_cycle_search():
        mirror.take((True, kv) for kv in keys_without_audit(client, layout, revision))
    if mirror.meta is None and mirror.progress != NO_PROGRESS:
        raise without_meta(layout)
    return mirror, revision
