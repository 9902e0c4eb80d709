"""The file as tools see it: beside a daemon, damaged, filled, and copied."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from controller.core.circuits.records import CircuitRecord, Counters, StateChange
from controller.store.protocol import StoreContents, StoreError
from controller.store.sqlite import SqliteAccess, SqliteStore
from tests.support.durability import Durability
from tests.support.records import audit_entry, circuit_record

COUNTERS = Counters(1000, 1000, 1000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with 200 circuits and as many audit entries."""
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    Durability(store)
    records = tuple(circuit_record(number) for number in range(1, 201))
    entries = tuple(audit_entry(number) for number in range(1, 201))
    store.submit(1, StateChange(records, COUNTERS, (), entries))
    store.close()
    return path


def generation_of(path: Path) -> int:
    store = SqliteStore(path)
    store.load()
    store.close()
    return store.election_id.high


def execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def contents_with(circuits: Iterator[CircuitRecord], generation: int = 1) -> StoreContents:
    return StoreContents(2, generation, 3, COUNTERS, circuits, iter((audit_entry(1),)))


def test_a_reader_sees_one_moment_while_the_daemon_goes_on(path: Path) -> None:
    store = SqliteStore(path)
    store.load()
    durability = Durability(store)
    contents = SqliteAccess(path).read()
    first = next(contents.circuits)
    store.submit(1, StateChange((circuit_record(201),), COUNTERS, (150,), (audit_entry(201),)))
    durability.wait(1)
    assert [first, *contents.circuits] == [circuit_record(number) for number in range(1, 201)]
    assert [each.seq for each in contents.audit] == list(range(1, 201))
    store.close()


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    access = SqliteAccess(tmp_path / "store.sqlite")
    for look in (access.read, access.verify, lambda: access.backup(tmp_path / "copy")):
        with pytest.raises(StoreError, match="there is no store"):
            look()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_found_in_a_sound_store(path: Path) -> None:
    assert SqliteAccess(path).verify() == []


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE circuits SET record = x'00' WHERE circuit_id = 7", "circuit 7: damaged"),
        ("UPDATE circuits SET circuit_id = 777 WHERE circuit_id = 7", "circuit 7 is in the place"),
        ("UPDATE meta SET value = 1 WHERE key = 'next_circuit_id'", "the checksum of meta"),
        (
            "INSERT INTO audit VALUES (777, 0, '', '', '', '', '', '', 0, '', 0)",
            "audit entry 777: its ch",
        ),
        (
            "INSERT INTO audit VALUES (777, 0, CAST(x'ff' AS TEXT), '', '', '', '', '', 0, '', 0)",
            "UTF-8",
        ),
    ],
)
def test_each_fault_is_a_sentence_that_names_the_file(
    path: Path, statement: str, sentence: str
) -> None:
    execute(path, statement)
    (said,) = SqliteAccess(path).verify()
    assert sentence in said
    assert str(path) in said


def test_a_record_that_nobody_can_lead_with_is_found(path: Path) -> None:
    store = SqliteStore(path)
    store.load()
    Durability(store)
    strange = msgspec.structs.replace(circuit_record(7), ended_as="expired")
    store.submit(1, StateChange((strange,), COUNTERS))
    store.close()
    (said,) = SqliteAccess(path).verify()
    assert "circuit 7: damaged CircuitRecord: ended_as 'expired'" in said


def test_one_fault_does_not_hide_another(path: Path) -> None:
    execute(path, "UPDATE circuits SET record = x'00' WHERE circuit_id IN (7, 9)")
    execute(path, "INSERT INTO audit VALUES (777, 0, '', '', '', '', '', '', 0, '', 0)")
    assert len(SqliteAccess(path).verify()) == 3


def test_a_torn_page_is_found(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(bytes(2048))
    assert SqliteAccess(path).verify()


def test_of_a_file_that_was_cut_off_the_rest_is_verified(path: Path) -> None:
    execute(path, "UPDATE circuits SET record = x'00' WHERE circuit_id IN (7, 9)")
    os.truncate(path, path.stat().st_size * 3 // 4)
    found = "\n".join(SqliteAccess(path).verify())
    assert "malformed" in found
    assert "circuit 7: damaged" in found
    assert "circuit 9: damaged" in found


def test_what_is_missing_does_not_hide_other_faults(path: Path) -> None:
    execute(path, "UPDATE circuits SET record = x'00' WHERE circuit_id = 7")
    execute(path, "DROP TRIGGER audit_ascends")
    missing, damaged = SqliteAccess(path).verify()
    assert "audit_ascends is missing" in missing
    assert "circuit 7: damaged" in damaged


def test_what_is_no_database_is_said_once(path: Path) -> None:
    path.write_bytes(b"never was a database" * 100)
    (said,) = SqliteAccess(path).verify()
    assert "not a database" in said


def test_contradictions_are_found(path: Path) -> None:
    store = SqliteStore(path)
    store.load()
    Durability(store)
    store.submit(1, StateChange((), Counters(200, 1000, 200)))
    store.close()
    assert SqliteAccess(path).verify() == [
        f"{path}: circuit 200 is not below next_circuit_id 200",
        f"{path}: audit entry 200 is not below next_audit_seq 200",
    ]


def test_a_store_that_has_only_been_opened_is_filled_above_its_own_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.sqlite"
    before = generation_of(path)
    monkeypatch.setattr("time.time", lambda: 1.0)
    SqliteAccess(path).fill(contents_with(iter((circuit_record(1),))))
    assert generation_of(path) > before


@pytest.mark.parametrize("there", [True, False])
def test_a_filling_that_fails_leaves_nothing(tmp_path: Path, there: bool) -> None:
    def circuits() -> Iterator[CircuitRecord]:
        yield circuit_record(1)
        raise StoreError("the export is cut off")

    path = tmp_path / "store.sqlite"
    if there:
        SqliteStore(path).close()
    with pytest.raises(StoreError, match="cut off"):
        SqliteAccess(path).fill(contents_with(circuits()))
    assert path.exists() == there
    store = SqliteStore(path)
    assert store.load().circuits == ()
    store.close()


def test_a_backup_beside_the_daemon_is_whole(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    store.load()
    durability = Durability(store)
    store.submit(1, StateChange((circuit_record(201),), COUNTERS))
    durability.wait(1)
    target = tmp_path / "copies" / "copy.sqlite"
    SqliteAccess(path).backup(target)
    store.close()
    assert [each.name for each in target.parent.iterdir()] == ["copy.sqlite"], "in one file"
    assert len(list(SqliteAccess(target).read().circuits)) == 201
    assert SqliteAccess(target).verify() == []


def test_a_backup_replaces_nothing(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.sqlite"
    target.write_bytes(b"precious")
    with pytest.raises(StoreError, match="is there already"):
        SqliteAccess(path).backup(target)
    assert target.read_bytes() == b"precious"


def test_who_leads_with_a_backup_is_obeyed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after many more terms with the original that it was made of, and with a clock that was set back."""
    target = tmp_path / "copy.sqlite"
    monkeypatch.setattr("time.time", lambda: 1.0)
    SqliteAccess(path).backup(target)
    original = [generation_of(path) for _ in range(3)][-1]
    first = generation_of(target)
    assert first == original + 1
    assert generation_of(target) == first, "it is a store like any other from then on"


def test_a_backup_gets_the_present_time_for_a_generation(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy.sqlite"
    SqliteAccess(path).backup(target)
    now = generation_of(path) + 1000
    monkeypatch.setattr("time.time", lambda: float(now))
    assert generation_of(target) == now


def test_a_filled_store_is_above_the_present_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 5000.0)
    SqliteAccess(tmp_path / "a").fill(contents_with(iter(()), generation=10))
    SqliteAccess(tmp_path / "b").fill(contents_with(iter(()), generation=9000))
    assert generation_of(tmp_path / "a") == 5001
    assert generation_of(tmp_path / "b") == 9001
