"""The store at etcd in the hands of tools."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from controller.core.circuits.records import CircuitRecord, Counters, StateChange
from controller.store.etcd.access import EtcdAccess
from controller.store.etcd.operations import AUDIT_ENTRIES_KEPT
from controller.store.protocol import StoreContents, StoreError
from tests.integration.store.members import Cluster, Writer, change
from tests.support.records import audit_entry, circuit_record

COUNTERS = Counters(next_circuit_id=301, next_admission_seq=1, next_audit_seq=21)


def contents(circuits: int = 300, entries: int = 20) -> StoreContents:
    return StoreContents(
        schema_version=1,
        generation=5_000_000_000,
        epoch=7,
        counters=COUNTERS,
        circuits=iter([circuit_record(each) for each in range(1, circuits + 1)]),
        audit=iter([audit_entry(each) for each in range(1, entries + 1)]),
    )


@pytest.fixture
def access(cluster: Cluster) -> EtcdAccess:
    return EtcdAccess(cluster.endpoints, cluster.prefix)


def test_what_a_leader_writes_is_read_and_found_sound(cluster: Cluster, access: EtcdAccess) -> None:
    _, member = cluster.join("a")
    store = member.term()
    writer = Writer(store)
    writer.write(replace(change(1, 2, next_audit_seq=2), audit=(audit_entry(1),)))

    read = access.read()

    assert list(read.circuits) == [circuit_record(1), circuit_record(2)]
    assert list(read.audit) == [audit_entry(1)]
    assert read.counters == Counters(3, 1, 2)
    assert (read.generation, read.epoch) == store.election_id
    assert access.verify() == []


def test_a_store_that_is_filled_comes_after_the_one_it_replaces(
    cluster: Cluster, access: EtcdAccess
) -> None:
    access.fill(contents())

    read = access.read()
    assert list(read.circuits) == list(contents().circuits)
    assert list(read.audit) == list(contents().audit)
    assert read.counters == COUNTERS
    assert read.generation == contents().generation + 1 > time.time()
    assert access.verify() == []
    _, member = cluster.join("a")
    store = member.term()
    assert len(store.load().circuits) == 300
    assert store.load().counters == COUNTERS
    assert store.election_id.high == read.generation


def test_a_store_that_is_in_use_is_not_filled(cluster: Cluster, access: EtcdAccess) -> None:
    _, member = cluster.join("a")
    Writer(member.term()).write(change(1))
    before = cluster.contents()

    with pytest.raises(StoreError, match="is not empty, so nothing was written"):
        access.fill(contents())

    assert cluster.contents() == before


def test_a_store_that_was_in_use_is_not_filled(cluster: Cluster, access: EtcdAccess) -> None:
    term = cluster.claimed_term()
    term.lease.release()
    before = cluster.contents()

    with pytest.raises(StoreError, match="is not empty"):
        access.fill(contents())

    assert cluster.contents() == before


def test_a_filling_that_breaks_off_leaves_nothing_that_a_controller_takes_up(
    cluster: Cluster, access: EtcdAccess
) -> None:
    def breaks_off() -> Iterator[CircuitRecord]:
        yield from contents(circuits=150).circuits
        raise OSError("the file cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        access.fill(replace(contents(), circuits=breaks_off()))

    with pytest.raises(StoreError, match="there is something, but no"):
        cluster.claimed_term()
    assert any("there is something, but no" in each for each in access.verify())


def test_an_empty_store_cannot_be_read(access: EtcdAccess) -> None:
    with pytest.raises(StoreError, match="nothing is stored there"):
        access.read()
    assert access.verify() == []


def test_damage_is_told_by_all(cluster: Cluster, access: EtcdAccess) -> None:
    access.fill(contents())
    key = cluster.layout.circuit(7)
    damaged = bytearray(cluster.contents()[key])
    damaged[3] ^= 1
    cluster.put(key, bytes(damaged))

    (sentence,) = access.verify()
    assert sentence.startswith(f"etcd {key.decode()}: ")
    with pytest.raises(StoreError, match="checksum"):
        access.read()


def test_the_newest_entries_of_the_audit_log_are_kept(cluster: Cluster, access: EtcdAccess) -> None:
    many = range(1, AUDIT_ENTRIES_KEPT + 51)
    access.fill(replace(contents(), audit=map(audit_entry, many)))
    _, member = cluster.join("a")
    writer = Writer(member.term())
    assert [each.seq for each in access.read().audit] == list(many[50:])

    last = many[-1] + 1
    writer.write(StateChange((), Counters(301, 1, last + 1), audit=(audit_entry(last),)))

    kept = [each.seq for each in access.read().audit]
    assert kept == list(range(last - AUDIT_ENTRIES_KEPT + 1, last + 1))


def test_out_of_reach_it_says_what_was_tried_and_what_to_do() -> None:
    access = EtcdAccess(["127.0.0.1:1"], "/grid")

    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1: .* See that a majority"):
        access.read()
