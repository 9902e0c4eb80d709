"""An etcd that was set back to a snapshot, or begun anew, while controllers have seen more."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.store.etcd.access import EtcdAccess
from controller.store.etcd.layout import ABSENT, LeaderValue, put_at
from controller.store.etcd.lease import Lease
from controller.store.etcd.parts import DEFAULT_LIMITS
from controller.store.etcd.reading import read_mirror
from controller.store.etcd.term import Term, stand
from controller.store.protocol import StoreError
from tests.integration.store.members import (
    TTL_S,
    Cluster,
    Recorder,
    Writer,
    change,
    wait_logged,
    wait_until,
)
from tests.support.etcd_cluster import EtcdCluster, require_etcd


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdCluster]:
    require_etcd("etcdctl", "etcd-client")
    require_etcd()
    with EtcdCluster(tmp_path, members=1) as etcd:
        yield etcd


@pytest.fixture
def cluster(etcd: EtcdCluster, meet: Callable[[EtcdCluster], Cluster]) -> Cluster:
    return meet(etcd)


def lead_again(cluster: Cluster, member: Recorder, terms: int) -> Writer:
    """The writer of the last of some more terms."""
    for _ in range(terms):
        member.terms[-1].close()
        writer = Writer(member.term(len(member.terms) + 1))
        writer.write(change(100 + len(member.terms)))
    return writer


def test_who_leads_a_restored_etcd_outranks_all_that_routers_have_seen(
    cluster: Cluster, etcd: EtcdCluster, tmp_path: Path
) -> None:
    membership, member = cluster.join("a")
    Writer(member.term()).write(change(1))
    etcd.snapshot(tmp_path / "snapshot.db")
    seen = lead_again(cluster, member, terms=3).store.election_id
    membership.leave()

    etcd.restore(tmp_path / "snapshot.db", token="restored")
    _, started_anew = cluster.join("a")

    store = started_anew.term()
    assert store.election_id > seen
    assert [each.circuit_id for each in store.load().circuits] == [1]


def test_whoever_has_followed_outranks_it_also_if_etcd_looks_as_before(
    cluster: Cluster, etcd: EtcdCluster, tmp_path: Path
) -> None:
    _, member = cluster.join("a")
    Writer(member.term()).write(change(1))
    etcd.snapshot(tmp_path / "snapshot.db")
    seen = lead_again(cluster, member, terms=3).store.election_id

    # Under the same token, which makes the same cluster id.
    etcd.restore(tmp_path / "snapshot.db")

    store = member.term(5)
    assert store.election_id > seen
    assert [each.circuit_id for each in store.load().circuits] == [1]


def test_a_standby_follows_on_in_an_etcd_that_was_set_back(
    cluster: Cluster, etcd: EtcdCluster, tmp_path: Path
) -> None:
    _, leader = cluster.join("a")
    writer = Writer(leader.term())
    writer.write(change(1))
    etcd.snapshot(tmp_path / "snapshot.db")
    _, standby = cluster.join("b")
    for number in range(2, 30):
        writer.write(change(number))
    standby.wait(lambda: 29 in standby.circuits, "all changes")

    etcd.restore(tmp_path / "snapshot.db")

    standby.wait(lambda: set(standby.circuits) == {1}, "the state as it is now")
    assert standby.events.count("state") == 2


def test_who_knows_better_does_not_lead_an_empty_etcd(
    cluster: Cluster, etcd: EtcdCluster, caplog: pytest.LogCaptureFixture
) -> None:
    _, leader = cluster.join("a")
    Writer(leader.term()).write(change(1))
    _, standby = cluster.join("b")
    standby.wait(lambda: 1 in standby.circuits, "the state")
    contents = EtcdAccess(cluster.endpoints, cluster.prefix).read()

    etcd.wipe()

    wait_logged(caplog, "is empty, but was not before")
    assert "`dgc store import`" in caplog.text
    time.sleep(2 * TTL_S)
    assert cluster.contents() == {}
    assert len(leader.terms) == 1
    assert set(standby.circuits) == {1}
    assert standby.terms == []
    # What they wait for.
    EtcdAccess(cluster.endpoints, cluster.prefix).fill(contents)
    wait_until(lambda: len(leader.terms) + len(standby.terms) == 2, "that one leads")
    store = leader.terms[1] if len(leader.terms) > 1 else standby.terms[0]
    assert store.election_id > leader.terms[0].election_id
    assert [each.circuit_id for each in store.load().circuits] == [1]


def test_who_was_started_anew_leads_an_empty_etcd(cluster: Cluster, etcd: EtcdCluster) -> None:
    membership, member = cluster.join("a")
    Writer(member.term()).write(change(1))
    membership.leave()

    etcd.wipe()
    _, started_anew = cluster.join("a")

    assert started_anew.term().load().circuits == ()


def test_an_etcd_that_was_emptied_while_it_was_stood_for_is_not_claimed(cluster: Cluster) -> None:
    term = cluster.claimed_term()
    term.lease.release()
    mirror, _ = read_mirror(cluster.client, cluster.layout)
    cluster.delete(cluster.layout.meta)
    cluster.delete(cluster.layout.counters)
    lease = Lease(cluster.client, TTL_S)
    nobody = put_at(cluster.layout.leader, ABSENT)
    leader = stand(cluster.client, cluster.layout, LeaderValue("term", "term:1"), lease.id, nobody)
    assert leader is not None
    successor = Term(cluster.client, cluster.layout, lease, leader.mod_revision, DEFAULT_LIMITS)

    with pytest.raises(StoreError, match="something else than was followed"):
        successor.claim(mirror.progress)

    assert list(cluster.contents()) == [cluster.layout.leader]
    lease.release()
