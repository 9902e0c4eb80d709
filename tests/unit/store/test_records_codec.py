"""Records as bytes: every flipped bit is noticed."""

import gc

import msgspec
import pytest

from controller.core.circuits.records import AuditEntry, CircuitRecord
from controller.store.protocol import StoreError
from controller.store.records_codec import decode, encode, garbage_collection_paused
from tests.support.records import audit_entry, circuit_record


def test_records_and_entries_make_the_round_trip() -> None:
    assert decode(encode(circuit_record(7)), CircuitRecord) == circuit_record(7)
    assert decode(encode(audit_entry(7)), AuditEntry) == audit_entry(7)


@pytest.mark.parametrize("original", [circuit_record(7), audit_entry(7)], ids=["circuit", "entry"])
def test_every_flipped_bit_is_reported(original: CircuitRecord | AuditEntry) -> None:
    sound = encode(original)
    for bit in range(8 * len(sound)):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoreError, match="damaged"):
            decode(bytes(damaged), type(original))  # type: ignore[type-var]


@pytest.mark.parametrize("length", [0, 3, 4, 50])
def test_what_is_cut_off_is_reported(length: int) -> None:
    with pytest.raises(StoreError, match="damaged CircuitRecord"):
        decode(encode(circuit_record(7))[:length], CircuitRecord)


@pytest.mark.parametrize("ended_as", ["", "withdrawn", "failed"])
def test_every_way_to_end_comes_back(ended_as: str) -> None:
    record = msgspec.structs.replace(circuit_record(7), ended_as=ended_as)
    assert decode(encode(record), CircuitRecord) == record


@pytest.mark.parametrize("ended_as", ["expired", "active"])
def test_a_record_that_nobody_can_lead_with_is_reported(ended_as: str) -> None:
    data = encode(msgspec.structs.replace(circuit_record(7), ended_as=ended_as))
    with pytest.raises(StoreError, match=f"damaged CircuitRecord: ended_as '{ended_as}'"):
        decode(data, CircuitRecord)


def test_another_kind_of_record_is_reported() -> None:
    with pytest.raises(StoreError, match="damaged CircuitRecord"):
        decode(encode(audit_entry(7)), CircuitRecord)


def test_the_search_for_cycles_goes_on_after_a_failure() -> None:
    # A command that was tried in this process before may have paused it for good.
    gc.enable()
    with pytest.raises(StoreError), garbage_collection_paused():
        assert not gc.isenabled()
        raise StoreError("damaged")
    assert gc.isenabled()
