import msgspec
import pytest

from controller.core.circuits.records import Counters
from controller.store.etcd.layout import Layout, Meta, Progress, Put
from controller.store.etcd.parts import DEFAULT_LIMITS, pack
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.etcd.verification import findings
from controller.store.records_codec import encode
from tests.support.records import audit_entry, circuit_record

LAYOUT = Layout("/grid")
SOUND = {
    LAYOUT.meta: msgspec.json.encode(Meta(1, 1000, 5)),
    LAYOUT.counters: msgspec.json.encode(Progress(Counters(3, 1, 2), 5, 1)),
    LAYOUT.circuit(1): encode(circuit_record(1)),
    LAYOUT.circuit(2): encode(circuit_record(2)),
    LAYOUT.audit_entry(1): encode(audit_entry(1)),
}


def verify(values: dict[bytes, bytes]) -> list[str]:
    return findings(LAYOUT, [pb.KeyValue(key=key, value=values[key]) for key in sorted(values)])


def test_nothing_is_found_in_a_sound_store_nor_in_an_empty_one() -> None:
    assert verify(SOUND) == []
    assert verify({}) == []


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (LAYOUT.meta, b"{", "/grid/meta: damaged"),
        (LAYOUT.counters, b"{", "/grid/counters: damaged"),
        (LAYOUT.circuit(1), encode(circuit_record(2)), "holds circuit 2"),
        (LAYOUT.circuit(3), encode(circuit_record(3)), "not below next_circuit_id 3"),
        (LAYOUT.audit_entry(1), encode(audit_entry(0)), "holds entry 0"),
        (LAYOUT.audit_entry(2), encode(audit_entry(2)), "not below next_audit_seq 2"),
        (LAYOUT.start + b"notes", b"", "none of this store's"),
        (LAYOUT.circuit(1), b"garbage", "circuits"),
    ],
)
def test_each_fault_is_a_sentence(key: bytes, value: bytes, sentence: str) -> None:
    found = verify(SOUND | {key: value})

    assert any(sentence in each for each in found), found


def test_one_fault_does_not_hide_another() -> None:
    found = verify(
        SOUND | {LAYOUT.circuit(1): b"garbage", LAYOUT.circuit(2): encode(circuit_record(1))}
    )

    assert len(found) == 2


def test_a_store_without_its_figures_is_found() -> None:
    without = {key: value for key, value in SOUND.items() if key != LAYOUT.meta}

    assert any("no /grid/meta" in each for each in verify(without))


def test_a_decided_transaction_counts_and_its_damage_is_found() -> None:
    (piece,) = pack([Put(LAYOUT.circuit(1), encode(circuit_record(2)))], DEFAULT_LIMITS)
    decided = {LAYOUT.decided(b"5-1"): b""}

    assert any(
        "holds circuit 2" in each
        for each in verify(SOUND | decided | {LAYOUT.part(b"5-1", 0): piece})
    )
    assert any(
        "transaction 5-1 are damaged" in each
        for each in verify(SOUND | decided | {LAYOUT.part(b"5-1", 0): piece[:-3]})
    )


def test_an_etcd_that_was_set_back_is_found() -> None:
    leader = pb.KeyValue(
        key=LAYOUT.leader, value=b'{"name":"a","northbound":"a:1"}', mod_revision=4
    )
    keys = [pb.KeyValue(key=key, value=SOUND[key]) for key in sorted(SOUND)]

    assert any("etcd was set back" in each for each in findings(LAYOUT, [leader, *keys]))
    assert findings(LAYOUT, [elected_at(leader, 5), *keys]) == []


def elected_at(kv: pb.KeyValue, revision: int) -> pb.KeyValue:
    changed = pb.KeyValue()
    changed.CopyFrom(kv)
    changed.mod_revision = revision
    return changed
