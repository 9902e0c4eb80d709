"""The embedded store: what was acknowledged is there again, and what is wrong is said."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import CircuitRecord, Counters, GenerationRecord, StateChange
from controller.core.circuits.route import Route, RouteLink
from controller.store.protocol import StoreError
from controller.store.sqlite import SqliteStore
from controller.store.sqlite.file import room_of
from digitalgrid.model import ElectionId
from tests.support.durability import Durability
from tests.support.records import audit_entry, circuit_record


def record(circuit_id: int, power_w: float = 1000.0, ended_as: str = "") -> CircuitRecord:
    link = RouteLink("r1-r2", "r1", "r2", 1040.0, 1030.0, 0.05, resistance_ohm=0.5, voltage_v=20e3)
    route = Route("pv", "town", ("r1", "r2"), (link,), (1100.0, 1030.0), power_w, (0.97, 0.97))
    return CircuitRecord(
        circuit_id=circuit_id,
        request_id=f"request-{circuit_id}",
        request_fingerprint="f",
        sink_id="town",
        source_ids=("pv",),
        constraints=Constraints(max_hops=3, avoid_ids=("r9",)),
        power_w=power_w,
        priority=1,
        admin_up=True,
        last_generation=1,
        ended_as=ended_as,
        generations=(GenerationRecord(1, 7, route, retiring=False),),
    )


def change(*circuits: CircuitRecord) -> StateChange:
    return StateChange(circuits, Counters(1000, 1000, 1000))


def written(path: Path, *last: CircuitRecord, circuits: int = 1, audit: int = 0) -> None:
    """A store that was closed in good order."""
    store = SqliteStore(path)
    store.load()
    Durability(store)
    records = (*(circuit_record(number) for number in range(1, circuits + 1)), *last)
    entries = tuple(audit_entry(number) for number in range(1, audit + 1))
    store.submit(1, StateChange(records, Counters(1000, 1000, 1000), (), entries))
    store.close()


def refused(path: Path) -> str:
    """Why nobody can lead with the file, which is left as it is."""
    before = path.read_bytes()
    with pytest.raises(StoreError) as refusal:
        store = SqliteStore(path)
        try:
            store.load()
        finally:
            store.close()
    assert path.read_bytes() == before
    message = str(refusal.value)
    assert str(path) in message
    return message


def test_every_field_of_a_record_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    assert store.load().circuits == ()
    first_election = store.election_id
    Durability(store)
    store.submit(1, change(record(1), record(2, 2000.0, "withdrawn")))
    store.close()

    again = SqliteStore(path)
    state = again.load()
    again.close()
    assert state.circuits == (record(1), record(2, 2000.0, "withdrawn"))
    assert again.election_id > first_election > ElectionId(0, 0)
    assert state.epoch == 2


def test_it_says_how_it_fares(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    store.load()
    durability = Durability(store)
    before = store.room()
    for ticket in range(1, 4):
        store.submit(ticket, StateChange((circuit_record(ticket),), Counters(9, 9, 9)))
        durability.wait(ticket)
    vitals, room = store.vitals(), store.room()
    store.close()
    assert sum(vitals.batch_sizes.counts) == vitals.batch_sizes.total == 3
    assert vitals.least_lease_s is None
    assert room.size_bytes > before.size_bytes > 0
    assert 0 < room.free_bytes <= before.free_bytes + 2**30


def test_a_size_that_cannot_be_told_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="size cannot be told"):
        room_of(tmp_path / "none")


def test_a_second_daemon_is_kept_out(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="another daemon uses this store"):
        SqliteStore(path)
    store.close()
    SqliteStore(path).close()


def test_links_lead_to_the_same_lock(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real", target_is_directory=True)
    (tmp_path / "store.sqlite").symlink_to("linked/store.sqlite")
    store = SqliteStore(tmp_path / "store.sqlite")
    for name in ("real", "linked"):
        with pytest.raises(StoreError, match="another daemon uses this store"):
            SqliteStore(tmp_path / name / "store.sqlite")
    store.close()
    assert (tmp_path / "real" / "store.sqlite").is_file()


def test_who_was_replaced_writes_nothing_and_says_who_did_it(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    old = SqliteStore(path)
    old.load()
    durability = Durability(old)
    old.submit(1, change(record(1, 1000.0)))
    durability.wait(1)
    Path(f"{path}.lock").unlink()
    new = SqliteStore(path)
    new.load()
    of_new = Durability(new)
    new.submit(1, change(record(1, 2000.0)))
    of_new.wait(1)
    assert new.election_id > old.election_id

    old.submit(2, change(record(1, 3000.0)))
    assert f"{path}: another daemon has taken it" in str(durability.wait_for_failure())
    assert not old.may_act()
    assert new.may_act()
    old.close()
    new.close()
    store = SqliteStore(path)
    assert store.load().circuits == (record(1, 2000.0),)
    store.close()


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "replaced"])
def test_nothing_is_reported_durable_in_a_file_that_nobody_will_open(
    tmp_path: Path, again: bool
) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    durability = Durability(store)
    # Kept by another name, so that its inode is not given again.
    path.rename(tmp_path / "elsewhere")
    if again:
        path.write_bytes(b"")
    store.submit(1, change(record(1)))
    assert "was deleted or replaced" in str(durability.wait_for_failure())
    assert durability.tickets == []
    store.close()


def test_the_daemon_may_act_while_it_has_the_lock(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    assert store.may_act()
    store.close()
    assert not store.may_act()


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a directory; name a file"):
        SqliteStore(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    written(path)
    _execute(path, "UPDATE meta SET value = 99 WHERE key = 'schema_version'")
    assert "schema version 99, this program reads up to 6" in refused(path)


def _execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def _replace(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _overwrite(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def _flip_bit_of_record(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b"request-7")
    _overwrite(path, at, bytes((content[at] ^ 1,)))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no database": (lambda path: _replace(path, b"never was a database" * 100), "not a database"),
    "empty": (lambda path: _replace(path, b""), "it is empty"),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size // 2), "damaged"),
    "cut within a page": (lambda path: os.truncate(path, 5000), "damaged"),
    # The upper half of a page was written, the lower was not.
    "torn page": (lambda path: _overwrite(path, 3 * 4096, bytes(2048)), "damaged"),
    "flipped bit": (_flip_bit_of_record, "circuit 7: damaged CircuitRecord"),
    "exchanged records": (
        lambda path: _execute(path, "UPDATE circuits SET circuit_id = 777 WHERE circuit_id = 7"),
        "circuit 7 is in the place of 777",
    ),
    "no record": (
        lambda path: _execute(
            path,
            "UPDATE circuits SET record = 'text' WHERE circuit_id = 7",
        ),
        "circuit 7: has no record",
    ),
    "unknown ending": (
        lambda path: written(path, record(7, ended_as="expired")),
        "circuit 7: damaged CircuitRecord: ended_as 'expired'",
    ),
    "no table": (lambda path: _execute(path, "DROP TABLE circuits"), "circuits is missing"),
    "no meta": (lambda path: _execute(path, "DROP TABLE meta"), "no such table: meta"),
    "no trigger": (lambda path: _execute(path, "DROP TRIGGER audit_ascends"), "audit_ascends"),
    "no version": (
        lambda path: _execute(path, "DELETE FROM meta WHERE key = 'schema_version'"),
        "no schema_version",
    ),
    "version of another type": (
        lambda path: _execute(path, "UPDATE meta SET value = 'two' WHERE key = 'schema_version'"),
        "no schema_version",
    ),
    "no generation": (
        lambda path: _execute(path, "DELETE FROM meta WHERE key = 'generation'"),
        "no generation",
    ),
    "another counter": (
        lambda path: _execute(path, "UPDATE meta SET value = 1 WHERE key = 'next_circuit_id'"),
        "checksum of meta",
    ),
    "another program's": (
        lambda path: _execute(path, "DROP TABLE meta", "CREATE TABLE meta (key, value)"),
        "no schema_version",
    ),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_damaged_file_is_reported_and_kept(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "store.sqlite"
    written(path, circuits=200)
    do_damage, expected = DAMAGES[damage]
    do_damage(path)
    message = refused(path)
    assert expected in message
    assert "restore a backup" in message


def test_a_log_without_its_store_is_not_taken_for_the_log_of_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    Path(f"{path}-wal").write_bytes(b"frames")
    with pytest.raises(StoreError, match="is left of a store"):
        SqliteStore(path)
    assert not path.exists()


def test_what_is_left_of_a_creation_that_was_killed_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    left = [Path(f"{path}.new"), Path(f"{path}.new-journal")]
    for each in left:
        each.write_bytes(b"half a store")
    written(path)
    assert {*tmp_path.iterdir()} == {path, Path(f"{path}.lock"), *left}


def test_a_load_that_fails_does_not_count_as_a_term(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    written(path, circuits=200)
    sound = path.read_bytes()
    _flip_bit_of_record(path)
    refused(path)
    path.write_bytes(sound)
    store = SqliteStore(path)
    assert store.load().epoch == 2
    store.close()


def test_a_failed_write_is_reported_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    _execute(path, "DROP TABLE circuits")
    durability = Durability(store)
    store.submit(1, change(record(1)))
    assert f"{path}: is damaged (no such table" in str(durability.wait_for_failure())
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET who = 'somebody else'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT seq, 0, '', '', '', '', '', '', 0, '', 0 FROM audit",
    ],
)
def test_the_audit_log_is_append_only(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "store.sqlite"
    written(path, audit=3)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        _execute(path, statement)


_ACKNOWLEDGE = """
import sys
from tests.unit.store.test_sqlite import *
store = SqliteStore(Path(sys.argv[1]))
store.load()
durability = Durability(store)
for ticket in range(1, 100_000):
    store.submit(ticket, change(record(ticket)))
    durability.wait(ticket)
    print(ticket, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 5, 50])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "store.sqlite"
    root = Path(__file__).parents[3]
    writer = subprocess.Popen(
        [sys.executable, "-c", _ACKNOWLEDGE, str(path)],
        stdout=subprocess.PIPE,
        cwd=root,
        text=True,
    )
    assert writer.stdout is not None
    with writer:
        for line in writer.stdout:
            if int(line) == acknowledged:
                os.kill(writer.pid, signal.SIGKILL)
                break
    store = SqliteStore(path)
    present = {each.circuit_id for each in store.load().circuits}
    store.close()
    assert set(range(1, acknowledged + 1)) <= present
