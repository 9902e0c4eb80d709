"""An etcd that was set back to a snapshot, or begun anew, while controllers have seen more."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.store.members import Cluster, Recorder, Writer, change
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
