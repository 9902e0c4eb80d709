import msgspec
import pytest

from controller.store.etcd.layout import SCHEMA_VERSION, Layout, Meta, after, read_meta
from controller.store.protocol import StoreError

LAYOUT = Layout("/grid")


def test_keys_are_ordered_as_their_numbers_are() -> None:
    numbers = [1, 9, 10, 255, 256, 2**40, 2**63]

    keys = [LAYOUT.circuit(number) for number in numbers]

    assert keys == sorted(keys)
    assert [LAYOUT.circuit_id(key) for key in keys] == numbers


def test_every_key_lies_within_the_range_of_the_store_and_none_of_a_neighbour() -> None:
    own = [
        LAYOUT.meta,
        LAYOUT.leader,
        LAYOUT.counters,
        LAYOUT.circuit(2**63),
        LAYOUT.audit_entry(0),
        LAYOUT.part(b"t", 0),
        LAYOUT.decided(b"t"),
    ]

    assert all(LAYOUT.start <= key < LAYOUT.end for key in own)
    assert not LAYOUT.start <= Layout("/grid2").meta < LAYOUT.end
    assert LAYOUT.part(b"t", 2**31) < after(LAYOUT.parts_of(b"t"))


def test_parts_know_their_transaction_and_place() -> None:
    assert LAYOUT.part_key(LAYOUT.part(b"7-1", 12)) == (b"7-1", 12)
    assert LAYOUT.part_key(LAYOUT.decided(b"7-1")) == (b"7-1", None)


@pytest.mark.parametrize("prefix", ["", "grid", "/grid/", "/"])
def test_a_prefix_that_could_hold_others_keys_is_refused(prefix: str) -> None:
    with pytest.raises(StoreError, match="must begin with a slash"):
        Layout(prefix)


def test_a_newer_schema_is_refused_and_its_program_named() -> None:
    value = msgspec.json.encode(Meta(SCHEMA_VERSION + 1, 1, 1))

    with pytest.raises(StoreError, match=f"written by schema version {SCHEMA_VERSION + 1}"):
        read_meta(LAYOUT, value)


@pytest.mark.parametrize("value", [b"", b"{}", b'{"schema_version":"1"}', b"\xff"])
def test_damaged_figures_are_told(value: bytes) -> None:
    with pytest.raises(StoreError, match="/grid/meta: damaged"):
        read_meta(LAYOUT, value)


def test_a_key_of_somebody_else_is_told() -> None:
    with pytest.raises(StoreError, match="none of this store's"):
        LAYOUT.circuit_id(LAYOUT.circuits + b"mine")
