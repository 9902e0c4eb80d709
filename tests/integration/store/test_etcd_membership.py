"""Members that follow, are elected, hand over and take over."""

import logging
import threading
import time
from collections.abc import Callable

import pytest

from controller.core.circuits.records import Counters, StateChange, StoredState
from controller.store.etcd.parts import Limits
from controller.store.protocol import Leader, LeadershipLost, StoreError, WatchedStore
from tests.integration.store.members import (
    LONG_TTL_S,
    TTL_S,
    Cluster,
    Recorder,
    Writer,
    change,
    wait_logged,
    wait_until,
)
from tests.support.etcd_cluster import EtcdCluster
from tests.support.patience import PATIENCE_S
from tests.support.records import audit_entry

LIMITS = Limits(ops=8, size_bytes=300)


def test_the_first_member_leads_an_empty_store(cluster: Cluster) -> None:
    _, member = cluster.join("a")

    store = member.term()

    state = store.load()
    assert state.circuits == ()
    assert state.counters == Counters()
    assert state.epoch == store.election_id.low > 0
    # Made by the calendar, so that it comes after any store that this one replaces.
    assert store.election_id.high == pytest.approx(time.time(), abs=60)
    assert store.may_act()
    assert member.events[0] == "state"
    # Nobody else leads.
    assert member.leader is None


def test_a_follower_is_told_everything_in_order(cluster: Cluster) -> None:
    _, leader = cluster.join("a", LIMITS)
    writer = Writer(leader.term())
    writer.write(change(1, 2))
    _, follower = cluster.join("b", LIMITS)
    follower.wait(lambda: len(follower.circuits) == 2, "the state")

    writer.write(change(2, power_w=2.0))
    writer.write(change(*range(3, 40), power_w=3.0))
    writer.write(StateChange((), Counters(40, 1, 2), (1,), (audit_entry(1),)))

    follower.wait(lambda: 1 not in follower.circuits, "that circuit 1 is forgotten")
    assert {each.power_w for each in follower.circuits.values()} == {2.0, 3.0}
    assert len(follower.circuits) == 38
    assert follower.counters == Counters(40, 1, 2)
    assert follower.audit_seqs == [1]
    # What did not fit into one transaction is one change all the same.
    assert [len(each.circuits) for each in follower.changes] == [1, 37, 0]
    assert follower.leader == Leader("a", "a:7070", writer.store.election_id)
    assert follower.terms == []


def test_a_leader_that_closes_hands_over_at_once_and_loses_nothing(cluster: Cluster) -> None:
    _, first = cluster.join("a", ttl_s=LONG_TTL_S)
    writer = Writer(first.term())
    _, second = cluster.join("b")
    second.wait(lambda: second.leader is not None, "who leads")
    for number in range(1, 501):
        ticket = writer.submit(change(number))

    closed_at_s = time.monotonic()
    writer.store.close()
    written_at_s = time.monotonic()
    taken = second.term()

    assert second.elected_at_s - written_at_s < LONG_TTL_S / 4
    assert closed_at_s <= written_at_s
    assert writer.durable == ticket
    assert writer.failures == []
    assert not writer.store.may_act()
    assert len(taken.load().circuits) == 500
    assert taken.election_id > writer.store.election_id
    assert taken.election_id.high == writer.store.election_id.high
    # The former leader follows the new one.
    first.wait(
        lambda: first.leader is not None and first.leader.name == "b", "that the other leads"
    )
    Writer(taken).write(change(501))
    first.wait(lambda: 501 in first.circuits, "the change of the other")


def test_members_of_the_same_name_are_two(cluster: Cluster) -> None:
    _, first = cluster.join("a")
    store = first.term()
    _, second = cluster.join("a")
    second.wait(lambda: second.leader is not None, "who leads")
    assert second.terms == []
    assert isinstance(store, WatchedStore)
    # The leader asks who stands by whenever it renews its lease.
    until_s = time.monotonic() + PATIENCE_S
    while (vitals := store.vitals()).standbys != 1:
        assert time.monotonic() < until_s
        time.sleep(0.02)
    assert vitals.least_lease_s is not None
    assert vitals.least_lease_s > 0
    room = store.room()
    assert room.size_bytes > 0
    assert room.free_bytes > 0

    store.close()

    assert second.term().election_id > store.election_id


def test_a_leader_that_dies_is_succeeded_when_its_lease_has_run_out(cluster: Cluster) -> None:
    # Nobody keeps its lease alive, as if its process were gone.
    dead = cluster.claimed_term(ttl_s=TTL_S)
    died_at_s = time.monotonic()

    _, successor = cluster.join("b")

    successor.term()
    took_s = successor.elected_at_s - died_at_s
    # etcd looks for leases that have run out every half second.
    assert took_s < TTL_S + PATIENCE_S / 4
    assert dead.lease.left_s() <= 0, "the dead one must not have thought that it leads"


def test_a_leader_whose_key_is_deleted_stops_and_stands_again(cluster: Cluster) -> None:
    _, member = cluster.join("a")
    writer = Writer(member.term())

    cluster.delete(cluster.layout.leader)

    assert isinstance(writer.wait_failure(), LeadershipLost)
    assert not writer.store.may_act()
    again = member.term(2)
    assert again.election_id > writer.store.election_id
    assert len(writer.failures) == 1
    # What is submitted to a term that has ended is not written.
    writer.submit(change(1))
    writer.store.close()
    assert again.load().circuits == ()
    assert writer.durable == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whoever_fails_to_hear_of_a_failure_is_followed_by_another_term(cluster: Cluster) -> None:
    _, member = cluster.join("a")
    store = member.term()

    def mistaken(error: StoreError) -> None:
        raise ZeroDivisionError("a mistake")

    store.load()
    store.start(lambda _: None, mistaken)
    cluster.delete(cluster.layout.leader)
    store.submit(1, change(1))

    assert member.term(2).election_id > store.election_id


def test_a_stale_leader_learns_it_from_its_own_write(cluster: Cluster) -> None:
    _, member = cluster.join("a", ttl_s=8)
    writer = Writer(member.term())
    cluster.delete(cluster.layout.leader)

    # Long before its lease is looked at.
    writer.submit(change(1))

    assert isinstance(writer.wait_failure(), LeadershipLost)
    assert writer.durable == 0
    assert member.term(2).load().circuits == ()


def test_a_store_that_cannot_be_written_ends_the_term(cluster: Cluster) -> None:
    _, member = cluster.join("a")
    writer = Writer(member.term())
    cluster.put(cluster.layout.counters, b'{"counters":{},"epoch":1,"commit":1}')

    writer.submit(change(1))

    error = writer.wait_failure()
    assert isinstance(error, StoreError)
    assert "changed by somebody who does not lead" in str(error)
    assert writer.durable == 0


def test_a_follower_that_missed_what_was_compacted_reads_all_anew(
    own_etcd: EtcdCluster, meet: Callable[[EtcdCluster], Cluster]
) -> None:
    cluster = meet(own_etcd)
    _, leader = cluster.join("a", ttl_s=5, endpoints=own_etcd.endpoints[:2])
    writer = Writer(leader.term())
    # It knows only the third member of etcd, which is about to stop.
    _, follower = cluster.join("b", endpoints=own_etcd.endpoints[2:])
    writer.write(change(1))
    follower.wait(lambda: 1 in follower.circuits, "the first change")
    own_etcd.kill(2)
    for number in range(2, 12):
        writer.write(change(number))
    writer.write(StateChange((), Counters(12, 1, 1), (1,)))
    cluster.compact()

    own_etcd.start(2)

    follower.wait(lambda: set(follower.circuits) == set(range(2, 12)), "the state as it is")
    assert follower.events.count("state") == 2
    writer.write(change(12))
    follower.wait(lambda: 12 in follower.circuits, "changes after it")


def test_out_of_reach_at_the_start_it_keeps_trying_and_says_so_once(
    own_etcd: EtcdCluster, meet: Callable[[EtcdCluster], Cluster], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for index in range(3):
        own_etcd.kill(index)
    cluster = meet(own_etcd)
    _, member = cluster.join("a")
    wait_logged(caplog, "has not answered")
    assert member.events == []

    for index in range(3):
        own_etcd.start(index)

    member.term()
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == len(set(warnings))


def test_leaving_ends_all_threads_also_when_etcd_is_gone(
    own_etcd: EtcdCluster, meet: Callable[[EtcdCluster], Cluster]
) -> None:
    cluster = meet(own_etcd)
    leaving, member = cluster.join("a")
    member.term()
    for index in range(3):
        own_etcd.kill(index)

    left_at_s = time.monotonic()
    leaving.leave()

    assert time.monotonic() - left_at_s < PATIENCE_S / 2
    ours = [each.name for each in threading.enumerate() if each.name.startswith("etcd-")]
    assert ours == []


class Clumsy(Recorder):
    """Fails once, as a mistake in the program would make it."""

    def on_state(self, state: StoredState) -> None:
        super().on_state(state)
        if self.events.count("state") == 1:
            raise ZeroDivisionError("a mistake")


def test_a_mistake_in_a_follower_is_critical_and_does_not_end_the_thread(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    clumsy = Clumsy()

    cluster.join("a", follower=clumsy)

    clumsy.term()
    assert any(
        each.levelname == "CRITICAL" and each.exc_info is not None for each in caplog.records
    )


def test_a_leader_that_hangs_gives_up_the_lead_and_does_not_stand_again_meanwhile(
    cluster: Cluster,
) -> None:
    _, hanging = cluster.join("a")
    writer = Writer(hanging.term())

    hanging.hangs = True

    error = writer.wait_failure()
    assert isinstance(error, LeadershipLost)
    assert "hangs" in str(error)
    wait_until(lambda: cluster.layout.leader not in cluster.contents(), "that nobody leads")
    time.sleep(2 * TTL_S)
    assert len(hanging.terms) == 1
    _, other = cluster.join("b")
    other.term()
    hanging.hangs = False
    hanging.wait(lambda: hanging.leader == other.leader, "that it follows again")


def test_a_term_that_ends_before_it_is_begun_is_told_before_what_comes_after(
    cluster: Cluster,
) -> None:
    _, member = cluster.join("a")
    store = member.term()
    cluster.delete(cluster.layout.leader)
    wait_until(lambda: not store.may_act(), "that the lead is lost")
    time.sleep(0.2)
    assert member.events.count("state") == 1

    Writer(store).wait_failure()

    member.wait(lambda: member.events.count("state") == 2, "the state")


def test_who_leads_watches_nothing(
    own_etcd: EtcdCluster, meet: Callable[[EtcdCluster], Cluster]
) -> None:
    cluster = meet(own_etcd)
    _, first = cluster.join("a")
    writer = Writer(first.term())
    wait_until(lambda: own_etcd.watchers() == 0, "that the leader has closed its watch")
    _, second = cluster.join("b")
    wait_until(lambda: own_etcd.watchers() == 1, "that the standby watches")

    writer.store.close()

    Writer(second.term()).write(change(1))
    first.wait(lambda: 1 in first.circuits, "that the former leader follows")
    wait_until(lambda: own_etcd.watchers() == 1, "that only the former leader watches")
