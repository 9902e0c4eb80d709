"""A leader that leaves gives the lead to a member that stands by, which needs no election and reads nothing."""

import threading
import time
from functools import partial

import msgspec

from controller.core.circuits.records import StateChange
from controller.store.etcd.layout import LeaderValue, Meta, after
from controller.store.etcd.lease import Lease
from controller.store.etcd.standby import all_standbys, announce, look
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import Leader, LeadershipLost, Standby, Store, WatchedStore
from tests.integration.store.members import (
    LONG_TTL_S,
    Cluster,
    Recorder,
    Writer,
    change,
    wait_until,
)


def standbys(cluster: Cluster) -> list[str]:
    start = cluster.layout.standbys
    values = cluster.contents(start, after(start)).values()
    return [msgspec.json.decode(each, type=LeaderValue).name for each in values]


def stands_by(cluster: Cluster, name: str) -> bool:
    return name in standbys(cluster)


def test_a_leader_and_who_stands_by_know_who_would_lead_next(cluster: Cluster) -> None:
    _, leader = cluster.join("a", ttl_s=LONG_TTL_S)
    writer = Writer(leader.term())
    writer.write(change(1))
    lease = Lease(cluster.client, LONG_TTL_S)
    before_ms = time.time_ns() // 1_000_000
    second = standing_by(cluster, "b")
    # What nobody of ours has written leads never; and one of an earlier version says no more than its name.
    value = msgspec.json.encode(LeaderValue("forged", "forged:7070"))
    cluster.put(cluster.layout.standbys + b"forged", value)
    announce(cluster.client, cluster.layout, LeaderValue("old", "old:7070"), lease.id)

    def knows_all(member: Recorder, *names: str) -> bool:
        return tuple(each.name for each in member.standbys) == names

    second.wait(lambda: knows_all(second, "b", "old"), "who stands by")
    second.wait(lambda: second.standbys[0].behind == 0, "that it has followed everything")
    since_ms = second.standbys[0].since_unix_ms
    assert before_ms <= since_ms <= time.time_ns() // 1_000_000
    assert second.standbys[0] == Standby("b", "b:7070", since_ms, 0)
    assert second.standbys[1] == Standby("old", "old:7070")
    # The leader looks less often than its lease allows; it is asked what it sees here and now.
    seen = look(cluster.client, cluster.layout, 5.0)
    assert seen.standbys == second.standbys
    lease.release()


class Slow(Recorder):
    """Takes no change up before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def on_change(self, change: StateChange) -> None:
        self.may_go_on.wait()
        super().on_change(change)


def test_a_standby_that_is_behind_says_by_how_much(cluster: Cluster) -> None:
    _, leader = cluster.join("a", ttl_s=LONG_TTL_S)
    writer = Writer(leader.term())
    slow = Slow()
    cluster.join("b", follower=slow)
    wait_until(lambda: stands_by(cluster, "b"), "that b stands by")
    for number in range(1, 4):
        writer.write(change(number))
    slow.wait(lambda: any(each.behind == 3 for each in slow.standbys), "that it is behind")
    slow.may_go_on.set()
    slow.wait(lambda: all(each.behind == 0 for each in slow.standbys), "that it is not any more")


def stored_meta(cluster: Cluster) -> Meta:
    return msgspec.json.decode(cluster.contents()[cluster.layout.meta], type=Meta)


def leader_lease(cluster: Cluster) -> int:
    (key,) = cluster.client.range(pb.RangeRequest(key=cluster.layout.leader)).kvs
    return key.lease


def standing_by(cluster: Cluster, name: str) -> Recorder:
    """A member that has announced itself."""
    _, member = cluster.join(name)
    wait_until(lambda: name in standbys(cluster), f"that {name} stands by")
    return member


def was_given(term: Store) -> bool:
    assert isinstance(term, WatchedStore)
    return term.vitals().given


def test_whoever_has_stood_by_the_longest_is_given_the_lead(cluster: Cluster) -> None:
    leaving, first = cluster.join("a", ttl_s=LONG_TTL_S)
    writer = Writer(first.term())
    second = standing_by(cluster, "b")
    third = standing_by(cluster, "c")
    for number in range(1, 101):
        writer.submit(change(number))
    ready = {kv.lease for kv in cluster.client.range(all_standbys(cluster.layout)).kvs}

    left_at_s = time.monotonic()
    leaving.leave()
    taken = second.term()

    assert second.elected_at_s - left_at_s < LONG_TTL_S / 4
    assert leader_lease(cluster) in ready, "it leads with the lease that it had announced"
    assert (was_given(writer.store), was_given(taken)) == (False, True)
    assert writer.durable == 100
    assert len(taken.load().circuits) == 100
    assert taken.election_id > writer.store.election_id
    successor = Leader("b", "b:7070", taken.election_id)
    # Its clients are sent to the right one, and nobody saw a moment without a leader.
    assert first.leader == successor
    third.wait(lambda: third.leader == successor, "who leads")
    assert third.events.count("leader") == 2
    assert third.terms == []
    Writer(taken).write(change(101))
    third.wait(lambda: 101 in third.circuits, "what the new leader writes")


def test_the_lead_goes_from_one_to_another_as_often_as_is_wanted(cluster: Cluster) -> None:
    leaving, leader = cluster.join("a")
    Writer(leader.term()).write(change(1))
    for number, name in enumerate("bcd", 2):
        joined, member = cluster.join(name)
        wait_until(partial(stands_by, cluster, name), f"that {name} stands by")
        leaving.leave()
        Writer(member.term()).write(change(number))
        leaving = joined

    assert {each.circuit_id for each in cluster.read_state().circuits} == {1, 2, 3, 4}


def test_nobody_hands_over_to_a_member_that_has_left(cluster: Cluster) -> None:
    leaving, first = cluster.join("a", ttl_s=LONG_TTL_S)
    first.term()
    gone, _ = cluster.join("b")
    wait_until(lambda: standbys(cluster) == ["b"], "that it stands by")
    gone.leave()
    assert standbys(cluster) == []
    third = standing_by(cluster, "c")

    left_at_s = time.monotonic()
    leaving.leave()

    third.term()
    assert third.elected_at_s - left_at_s < LONG_TTL_S / 4


def test_a_member_that_hangs_does_not_stand_by(cluster: Cluster) -> None:
    _, first = cluster.join("a")
    first.term()
    hanging = standing_by(cluster, "b")

    hanging.hangs = True
    wait_until(lambda: standbys(cluster) == [], "that it stands by no more")

    hanging.hangs = False
    wait_until(lambda: standbys(cluster) == ["b"], "that it stands by again")


def test_where_nobody_stands_by_the_lead_is_free_at_once(cluster: Cluster) -> None:
    leaving, first = cluster.join("a")
    first.term()

    leaving.leave()

    assert cluster.layout.leader not in cluster.contents()
    assert first.leader is None
    cluster.join("b")[1].term()


def announced(cluster: Cluster, name: str) -> Lease:
    """That of somebody who stands by."""
    lease = Lease(cluster.client, 30)
    announce(cluster.client, cluster.layout, LeaderValue(name, f"{name}:7070"), lease.id)
    return lease


def test_whoever_has_just_gone_is_not_given_the_lead(cluster: Cluster) -> None:
    term = cluster.claimed_term()
    gone = announced(cluster, "b")
    assert term.still_leads(1.0)
    gone.release()

    assert term.hand_over(1.0) is None
    assert term.still_leads(1.0)


def test_another_than_who_has_just_gone_is_given_the_lead(cluster: Cluster) -> None:
    term = cluster.claimed_term()
    gone = announced(cluster, "b")
    assert term.still_leads(1.0)
    there = announced(cluster, "c")
    gone.release()

    successor = term.hand_over(1.0)

    assert successor is not None
    assert successor.name == "c"
    assert successor.election_id > term.election_id
    assert leader_lease(cluster) == there.id
    assert not term.still_leads(1.0)
    there.release()


def test_a_term_that_is_over_hands_nothing_over(cluster: Cluster) -> None:
    stale = cluster.claimed_term()
    lease = announced(cluster, "b")
    assert stale.still_leads(1.0)
    stale.lease.release()
    current = cluster.claimed_term()

    assert stale.hand_over(1.0) is None
    assert current.still_leads(1.0)
    lease.release()


def test_what_a_term_is_goes_along_with_what_it_writes_first(cluster: Cluster) -> None:
    leaving, first = cluster.join("a")
    Writer(first.term()).write(change(1))
    second = standing_by(cluster, "b")
    before = stored_meta(cluster)

    leaving.leave()
    writer = Writer(second.term())
    assert stored_meta(cluster) == before
    writer.write(change(2))

    assert stored_meta(cluster).election_id == writer.store.election_id > before.election_id


def test_a_term_that_finds_something_else_than_was_followed_begins_again(
    cluster: Cluster,
) -> None:
    leaving, first = cluster.join("a")
    Writer(first.term()).write(change(1))
    second = standing_by(cluster, "b")
    leaving.leave()
    writer = Writer(second.term())
    before = cluster.contents()
    counters = before[cluster.layout.counters].replace(b'"commit":', b'"commit":9')
    cluster.put(cluster.layout.counters, counters)

    writer.submit(change(2))

    assert isinstance(writer.wait_failure(), LeadershipLost)
    assert cluster.layout.circuit(2) not in cluster.contents()
    Writer(second.term(2)).write(change(3))
    assert {each.circuit_id for each in cluster.read_state().circuits} == {1, 3}
