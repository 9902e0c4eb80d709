"""Who stands by, and can be given the lead without an election: a key each, on the lease that it would lead with."""

from collections.abc import Iterable

import msgspec

from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import Layout, LeaderValue, after
from controller.store.etcd.v3 import etcd_pb2 as pb


def announce(client: EtcdClient, layout: Layout, value: LeaderValue, lease_id: int) -> None:
    """Say that a member knows the state, and leads as soon as the leader's key hangs on this lease."""
    put = pb.PutRequest(
        key=layout.standby(lease_id), value=msgspec.json.encode(value), lease=lease_id
    )
    client.txn(pb.TxnRequest(success=[pb.RequestOp(request_put=put)]))


def all_standbys(layout: Layout) -> pb.RangeRequest:
    return pb.RangeRequest(key=layout.standbys, range_end=after(layout.standbys))


def longest_standing_by(
    standbys: Iterable[pb.KeyValue], without_lease_id: int
) -> pb.KeyValue | None:
    """The key of whoever was there first, so that routers have found it, leaving out whoever has a lease."""
    others = [each for each in standbys if each.lease != without_lease_id]
    return min(others, key=lambda each: each.create_revision, default=None)
