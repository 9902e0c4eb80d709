"""An etcd whose quota is small: it is kept from filling, and what happens where it fills all the same."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from controller.store.etcd.client import EtcdFull
from controller.store.etcd.reading import present
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.etcd.watch import Compacted
from controller.store.protocol import LeadershipLost
from tests.integration.store.members import Cluster, Writer, change
from tests.support.etcd_cluster import EtcdCluster, require_etcd

QUOTA_BYTES = 4_000_000
# Each of 12 kB: three times the quota.
ROUNDS = 1000


@pytest.fixture
def small_etcd(tmp_path: Path) -> Iterator[EtcdCluster]:
    require_etcd()
    with EtcdCluster(tmp_path, members=1, quota_bytes=QUOTA_BYTES) as etcd:
        yield etcd


@pytest.fixture
def cluster(small_etcd: EtcdCluster, meet: Callable[[EtcdCluster], Cluster]) -> Cluster:
    return meet(small_etcd)


def test_a_leader_that_writes_for_ever_does_not_fill_etcd(
    cluster: Cluster, small_etcd: EtcdCluster
) -> None:
    # A quick disk takes a third of the quota in 0.2 s, and a round forgets what is two rounds old.
    _, member = cluster.join(compact_every_s=0.05)
    writer = Writer(member.term())
    _, follower = cluster.join("b")
    circuits = range(1, 90)

    for round_number in range(1, ROUNDS + 1):
        writer.write(change(*circuits, power_w=float(round_number)))

    assert cluster.client.status(small_etcd.endpoints[0]).db_size_bytes < QUOTA_BYTES
    with pytest.raises(Compacted):
        next(iter(cluster.client.watch(cluster.layout.start, cluster.layout.end, 2)))
    follower.wait(
        lambda: {each.power_w for each in follower.circuits.values()} == {ROUNDS}, "the last change"
    )
    assert follower.events.count("state") == 1, "what it had to follow was still there"


def test_a_full_etcd_says_what_to_do_and_whoever_led_is_back_when_it_is_done(
    cluster: Cluster, small_etcd: EtcdCluster, caplog: pytest.LogCaptureFixture
) -> None:
    _, member = cluster.join()
    writer = Writer(member.term())
    writer.write(change(1))
    fill(cluster)

    writer.submit(change(2))

    error = writer.wait_failure()
    assert isinstance(error, LeadershipLost), "it stands by, instead of ending the daemon"
    assert "etcdctl compact REVISION" in str(error)
    assert "alarm disarm" in str(error)
    with pytest.raises(EtcdFull, match="etcdctl defrag"):
        cluster.client.grant(5)
    small_etcd.make_room(present(cluster.client, cluster.layout).revision)
    again = Writer(member.term(2))
    again.write(change(3))
    assert {each.circuit_id for each in cluster.read_state().circuits} >= {1, 3}
    assert not any(each.levelname == "CRITICAL" for each in caplog.records)


def fill(cluster: Cluster) -> None:
    """By what others write, of which only the newest revision stays when room is made."""
    put = pb.RequestOp(request_put=pb.PutRequest(key=b"/others", value=bytes(1_000_000)))
    with suppress(EtcdFull):
        # etcd sees how large it is only when it flushes, ten times a second.
        for _ in range(50):
            cluster.client.txn(pb.TxnRequest(success=[put]))
        pytest.fail("etcd is not full")
