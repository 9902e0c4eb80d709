"""Who stands by, and can be given the lead without an election: a key each, on the lease that it would lead with."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import Layout, LeaderValue, StandbyValue, after
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import Standby


class Seen(NamedTuple):
    """Who stands by, and how many transactions the store has had in all."""

    standbys: tuple[Standby, ...]
    transactions: int


def announce(client: EtcdClient, layout: Layout, value: LeaderValue, lease_id: int) -> None:
    """Say that a member knows the state, and leads as soon as the leader's key hangs on this lease."""
    put = pb.PutRequest(
        key=layout.standby(lease_id), value=msgspec.json.encode(value), lease=lease_id
    )
    client.txn(pb.TxnRequest(success=[pb.RequestOp(request_put=put)]))


def look(client: EtcdClient, layout: Layout, timeout_s: float) -> Seen:
    asked = (
        pb.RangeRequest(key=layout.counters),
        pb.RangeRequest(key=layout.leader),
        all_standbys(layout),
    )
    ops = [pb.RequestOp(request_range=each) for each in asked]
    response = client.txn(pb.TxnRequest(success=ops), timeout_s)
    progress, leader, found = (each.response_range.kvs for each in response.responses)
    # Who was elected while it stood by leads with the same lease, and its word is still there.
    standbys = standbys_of(found, leader[0].lease if leader else None)
    return Seen(standbys, progress[0].version if progress else 0)


def all_standbys(layout: Layout) -> pb.RangeRequest:
    return pb.RangeRequest(key=layout.standbys, range_end=after(layout.standbys))


def longest_standing_by(found: Iterable[pb.KeyValue], without_lease_id: int) -> pb.KeyValue | None:
    """The key of whoever was there first, so that routers have found it, leaving out whoever has a lease."""
    return next((kv for kv, _ in _in_order(found, without_lease_id)), None)


def standbys_of(found: Iterable[pb.KeyValue], without_lease_id: int | None) -> tuple[Standby, ...]:
    """As they say of themselves, whoever was there first first."""
    return tuple(
        Standby(said.name, said.northbound, said.since_unix_ms, said.behind)
        for _, said in _in_order(found, without_lease_id)
    )


def _in_order(
    found: Iterable[pb.KeyValue], without_lease_id: int | None
) -> list[tuple[pb.KeyValue, StandbyValue]]:
    """Nobody leads by a key that none of ours has put, or that hangs on no lease: it would stay there for ever."""
    others = sorted(
        (kv for kv in found if kv.lease not in (0, without_lease_id)),
        key=lambda kv: kv.create_revision,
    )
    return [(kv, said) for kv in others if (said := _said(kv)) is not None]


def _said(kv: pb.KeyValue) -> StandbyValue | None:
    try:
        return msgspec.json.decode(kv.value, type=StandbyValue)
    except msgspec.MsgspecError:
        return None
