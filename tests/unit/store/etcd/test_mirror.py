from collections.abc import Sequence

import msgspec
import pytest

from controller.core.circuits.records import Counters
from controller.store.etcd.layout import Delete, Layout, LeaderValue, Meta, Op, Progress, Put
from controller.store.etcd.mirror import KeyEvent, Mirror
from controller.store.etcd.parts import Limits, pack
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import Leader, StoreError
from controller.store.records_codec import encode
from digitalgrid.model import ElectionId
from tests.support.records import audit_entry, circuit_record

LAYOUT = Layout("/grid")


def put(key: bytes, value: bytes, mod_revision: int = 1, lease: int = 0) -> KeyEvent:
    return True, pb.KeyValue(key=key, value=value, mod_revision=mod_revision, lease=lease)


def delete(key: bytes) -> KeyEvent:
    return False, pb.KeyValue(key=key)


def circuit(circuit_id: int, power_w: float = 1.0) -> Op:
    return Put(LAYOUT.circuit(circuit_id), encode(circuit_record(circuit_id, power_w)))


def event(op: Op) -> KeyEvent:
    return put(op.key, op.value) if isinstance(op, Put) else delete(op.key)


def counters(next_circuit_id: int, commit: int = 1) -> KeyEvent:
    progress = Progress(Counters(next_circuit_id=next_circuit_id), 1, commit)
    return put(LAYOUT.counters, msgspec.json.encode(progress))


def in_parts(ops: Sequence[Op]) -> tuple[list[KeyEvent], KeyEvent]:
    """The pieces of a transaction, and what decides it."""
    pieces = pack(ops, Limits(ops=3, size_bytes=60))
    assert len(pieces) > 1
    puts = [put(LAYOUT.part(b"1-1", index), piece) for index, piece in enumerate(pieces)]
    return puts, put(LAYOUT.decided(b"1-1"), b"")


def ids(mirror: Mirror) -> set[int]:
    return {each.circuit_id for each in mirror.state().circuits}


def test_one_revision_is_one_change() -> None:
    mirror = Mirror(LAYOUT)
    mirror.take([event(circuit(1)), event(circuit(2))])

    change = mirror.take(
        [
            event(circuit(3)),
            delete(LAYOUT.circuit(1)),
            put(LAYOUT.audit_entry(7), encode(audit_entry(7))),
            counters(4),
        ]
    )

    assert change is not None
    assert [each.circuit_id for each in change.circuits] == [3]
    assert change.forgotten_ids == (1,)
    assert change.audit == (audit_entry(7),)
    assert change.counters.next_circuit_id == 4
    assert ids(mirror) == {2, 3}


def test_what_changes_nothing_is_not_told() -> None:
    mirror = Mirror(LAYOUT)

    assert mirror.take([counters(4)]) is None
    assert mirror.take([delete(LAYOUT.audit_entry(1))]) is None
    assert mirror.state().counters.next_circuit_id == 4


def test_a_transaction_in_parts_counts_as_a_whole_once_it_is_decided() -> None:
    mirror = Mirror(LAYOUT)
    mirror.take([event(circuit(1))])
    ops = [circuit(1, 9.0), circuit(2), circuit(3)]
    pieces, decided = in_parts(ops)

    told = [mirror.take([piece]) for piece in pieces]
    assert told == [None] * len(pieces)
    assert ids(mirror) == {1}

    change = mirror.take([decided, counters(4)])
    assert change is not None
    assert change.circuits == (circuit_record(1, 9.0), circuit_record(2), circuit_record(3))
    assert ids(mirror) == {1, 2, 3}


def test_carrying_a_decided_transaction_out_is_not_told_again() -> None:
    mirror = Mirror(LAYOUT)
    pieces, decided = in_parts([circuit(1), circuit(2), Delete(LAYOUT.circuit(3))])
    mirror.take([*pieces, decided])

    assert mirror.take([event(circuit(1))]) is None
    assert mirror.take([event(circuit(2)), delete(LAYOUT.circuit(3))]) is None
    assert (
        mirror.take([*(delete(piece[1].key) for piece in pieces), delete(decided[1].key)]) is None
    )
    later = mirror.take([event(circuit(2, 5.0))])
    assert later is not None


def test_whoever_comes_in_the_middle_of_it_sees_it_carried_out() -> None:
    entry = Put(LAYOUT.audit_entry(7), encode(audit_entry(7)))
    pieces, decided = in_parts([circuit(1, 9.0), circuit(2), Delete(LAYOUT.circuit(4)), entry])
    mirror = Mirror(LAYOUT)

    change = mirror.take([event(circuit(1)), event(circuit(4)), event(entry), *pieces, decided])

    assert change is not None
    assert change.audit == (audit_entry(7),)
    circuits = sorted(mirror.state().circuits, key=lambda each: each.circuit_id)
    assert circuits == [circuit_record(1, 9.0), circuit_record(2)]


def test_a_transaction_that_was_dropped_leaves_nothing() -> None:
    mirror = Mirror(LAYOUT)
    pieces, _ = in_parts([circuit(1), circuit(2)])
    for piece in pieces:
        mirror.take([piece])

    assert mirror.take([delete(piece[1].key) for piece in pieces]) is None
    assert mirror.take([event(circuit(5))]) is not None
    assert ids(mirror) == {5}


def test_the_leader_is_known_with_the_generation() -> None:
    mirror = Mirror(LAYOUT)
    mirror.take([put(LAYOUT.leader, msgspec.json.encode(LeaderValue("a", "a:1")), 17, lease=5)])
    assert mirror.leader() is None

    mirror.take([put(LAYOUT.meta, msgspec.json.encode(Meta(1, 1000, 17)))])

    assert mirror.leader() == Leader("a", "a:1", ElectionId(1000, 17))
    assert mirror.state().epoch == 17
    mirror.take([delete(LAYOUT.leader)])
    assert mirror.leader() is None


@pytest.mark.parametrize("key", [LAYOUT.circuit(1), LAYOUT.counters, LAYOUT.meta, LAYOUT.leader])
def test_damage_is_told(key: bytes) -> None:
    with pytest.raises(StoreError):
        Mirror(LAYOUT).take([put(key, b"damaged")])


def test_figures_that_vanish_under_the_reader_are_told() -> None:
    with pytest.raises(StoreError, match="/grid/meta: was deleted"):
        Mirror(LAYOUT).take([delete(LAYOUT.meta)])
