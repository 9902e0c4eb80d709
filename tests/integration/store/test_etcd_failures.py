"""Members of etcd die, hang and come back while a controller writes: what was said to be durable is there."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from controller.store.protocol import LeadershipLost, Store
from tests.integration.store.members import Cluster, Writer, change
from tests.support.etcd_cluster import EtcdCluster
from tests.support.patience import PATIENCE_S

# Above the time that etcd takes to elect another leader of its own.
TTL_S = 3


@pytest.fixture
def cluster(own_etcd: EtcdCluster, meet: Callable[[EtcdCluster], Cluster]) -> Cluster:
    return meet(own_etcd)


@contextmanager
def writing(writer: Writer) -> Iterator[Callable[[int], None]]:
    """One change after the other, in the background; what it yields waits until that many more are durable."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set() and not writer.failures:
            writer.write(change(writer.submitted + 1))

    def go_on(more: int) -> None:
        goal = writer.durable + more
        deadline_s = time.monotonic() + PATIENCE_S
        while writer.durable < goal:
            assert not writer.failures, writer.failures
            assert time.monotonic() < deadline_s, f"stopped at {writer.durable}"
            time.sleep(0.005)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield go_on
    finally:
        stop.set()
        thread.join()


def assert_durable(cluster: Cluster, writer: Writer) -> None:
    """Exactly what was said to be durable, read from etcd itself."""
    circuits = {each.circuit_id for each in cluster.read_state().circuits}
    assert circuits >= set(range(1, writer.durable + 1))


def test_writing_goes_on_while_a_member_is_down(cluster: Cluster, own_etcd: EtcdCluster) -> None:
    _, member = cluster.join("a", ttl_s=TTL_S)
    writer = Writer(member.term())
    down = (own_etcd.leader() + 1) % 3

    with writing(writer) as go_on:
        go_on(20)
        own_etcd.kill(down)
        go_on(50)
        own_etcd.start(down)
        own_etcd.wait_healthy()
        go_on(20)

    assert len(member.terms) == 1
    assert_durable(cluster, writer)


def test_writing_survives_the_death_of_etcds_leader(
    cluster: Cluster, own_etcd: EtcdCluster
) -> None:
    _, member = cluster.join("a", ttl_s=TTL_S)
    writer = Writer(member.term())
    _, follower = cluster.join("b", ttl_s=TTL_S)

    with writing(writer) as go_on:
        for _ in range(2):
            go_on(20)
            dead = own_etcd.leader()
            own_etcd.kill(dead)
            go_on(20)
            own_etcd.start(dead)
            own_etcd.wait_healthy()

    assert len(member.terms) == 1
    assert_durable(cluster, writer)
    follower.wait(lambda: len(follower.circuits) == writer.durable, "every change, by the watch")
    told = [record.circuit_id for each in follower.changes for record in each.circuits]
    assert told == sorted(set(told)), "each change once, and in order"


def test_a_member_that_hangs_is_left_for_another(cluster: Cluster, own_etcd: EtcdCluster) -> None:
    # The leader of etcd, to which clients turn first: it takes connections, and answers nothing.
    hung = own_etcd.leader()
    endpoints = (own_etcd.endpoints[hung], *own_etcd.endpoints)
    _, member = cluster.join("a", ttl_s=TTL_S, endpoints=endpoints)
    writer = Writer(member.term())

    with writing(writer) as go_on:
        go_on(20)
        own_etcd.pause(hung)
        go_on(20)
        own_etcd.resume(hung)
        go_on(20)

    assert len(member.terms) == 1
    assert_durable(cluster, writer)


def test_a_follower_goes_on_elsewhere_without_a_gap(
    cluster: Cluster, own_etcd: EtcdCluster
) -> None:
    _, member = cluster.join("a", ttl_s=TTL_S, endpoints=own_etcd.endpoints[1:])
    writer = Writer(member.term())
    # Its watch is at the member that hangs: nothing but silence tells it.
    _, follower = cluster.join("b", ttl_s=TTL_S)
    follower.wait(lambda: follower.leader is not None, "the state")
    writer.write(change(1))
    follower.wait(lambda: 1 in follower.circuits, "the first change")

    own_etcd.pause(0)
    for number in range(2, 30):
        writer.write(change(number))
    follower.wait(lambda: 29 in follower.circuits, "the last change")
    own_etcd.resume(0)

    assert follower.events.count("state") == 1
    told = [record.circuit_id for each in follower.changes for record in each.circuits]
    assert told == list(range(1, 30))


def test_without_a_majority_nothing_is_durable_and_the_lead_ends(
    cluster: Cluster, own_etcd: EtcdCluster
) -> None:
    _, member = cluster.join("a", ttl_s=1)
    writer = Writer(member.term())
    for number in range(1, 51):
        writer.write(change(number))
    down = (0, 1)
    for index in down:
        own_etcd.kill(index)

    unheard = writer.submit(change(51))

    assert isinstance(writer.wait_failure(), LeadershipLost)
    assert not writer.store.may_act()
    assert writer.durable < unheard
    for index in down:
        own_etcd.start(index)
    again = Writer(member.term(2))
    assert again.store.election_id > writer.store.election_id
    assert_durable(cluster, writer)
    again.write(change(60))
    assert {each.circuit_id for each in cluster.read_state().circuits} >= {1, 50, 60}


def test_the_lead_is_given_up_before_another_can_have_it(
    cluster: Cluster, own_etcd: EtcdCluster
) -> None:
    # It reaches one member of etcd only, which hangs; all others go on.
    _, cut_off = cluster.join("a", ttl_s=1, endpoints=own_etcd.endpoints[:1])
    writer = Writer(cut_off.term())
    _, other = cluster.join("b", ttl_s=1, endpoints=own_etcd.endpoints[1:])
    other.wait(lambda: other.leader is not None, "who leads")
    overlaps: list[bool] = []
    elected = other.on_elected

    def on_elected(store: Store) -> None:
        overlaps.append(writer.store.may_act())
        elected(store)

    other.on_elected = on_elected  # type: ignore[method-assign]

    own_etcd.pause(0)
    writer.submit(change(1))

    taken = other.term()
    assert overlaps == [False]
    assert isinstance(writer.wait_failure(), LeadershipLost)
    assert writer.durable == 0
    Writer(taken).write(change(1, power_w=2.0))
    own_etcd.resume(0)
    cut_off.wait(lambda: 1 in cut_off.circuits, "what the other has written")
    # What the first had under way when it was cut off did not come after it.
    assert cut_off.circuits[1].power_w == 2.0
    assert cluster.read_state().circuits[0].power_w == 2.0
