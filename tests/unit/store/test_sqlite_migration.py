"""Files of older schema versions, as those wrote them."""

import json
import sqlite3
import zlib
from pathlib import Path

import msgspec
import pytest

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    GenerationRecord,
    StateChange,
)
from controller.core.circuits.route import Route, RouteLink
from controller.store.protocol import RegisterPage, RegisterQuestion, StoreError
from controller.store.sqlite import SqliteAccess, SqliteStore
from controller.store.sqlite import schema as schema_module
from digitalgrid.model import ElectionId
from tests.support.durability import Durability
from tests.support.records import (
    circuit_record,
    drain_record,
    register_record,
    router_record,
)

_VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE circuits (
    circuit_id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    ended_as TEXT NOT NULL,
    record BLOB NOT NULL
);
"""
_META = {
    "schema_version": 1,
    "generation": 1_700_000_000,
    "epoch": 4,
    "next_circuit_id": 12,
    "next_admission_seq": 31,
}
# As version 1 encoded it, by the names of fields.
_RECORD = {
    "circuit_id": 7,
    "request_id": "request-7",
    "request_fingerprint": "f",
    "sink_id": "town",
    "source_ids": ["pv", "gas"],
    "constraints": {"max_loss_fraction": 0.1, "max_hops": None, "avoid_ids": ["r9"]},
    "power_w": 1000.0,
    "priority": 3,
    "admin_up": True,
    "last_generation": 2,
    "ended_as": "",
    "generations": [
        {
            "generation": 2,
            "admission_seq": 30,
            "route": {
                "source_id": "pv",
                "sink_id": "town",
                "router_ids": ["r1", "r2"],
                "links": [
                    {
                        "link_id": "r1-r2",
                        "from_router_id": "r1",
                        "to_router_id": "r2",
                        "sent_w": 1040.0,
                        "received_w": 1030.0,
                        "current_a": 0.05,
                        "resistance_ohm": 0.5,
                        "voltage_v": 20000.0,
                    }
                ],
                "entering_w": [1100.0, 1030.0],
                "power_w": 1000.0,
                "efficiency": [0.97, 0.97],
            },
            "retiring": False,
            "freed_ids": ["r2"],
        }
    ],
}
# The first releases did not write freed_ids.
_OLDER = {**_RECORD, "circuit_id": 8, "ended_as": "withdrawn", "generations": []}

_LINK = RouteLink("r1-r2", "r1", "r2", 1040.0, 1030.0, 0.05, 0.5, 20000.0)
_ROUTE = Route("pv", "town", ("r1", "r2"), (_LINK,), (1100.0, 1030.0), 1000.0, (0.97, 0.97))
_EXPECTED = CircuitRecord(
    circuit_id=7,
    request_id="request-7",
    request_fingerprint="f",
    sink_id="town",
    source_ids=("pv", "gas"),
    constraints=Constraints(0.1, None, ("r9",)),
    power_w=1000.0,
    priority=3,
    admin_up=True,
    last_generation=2,
    ended_as="",
    generations=(GenerationRecord(2, 30, _ROUTE, False, ("r2",)),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(_VERSION_1)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", _META.items())
    for each in (_RECORD, _OLDER):
        row = (each["circuit_id"], each["request_id"], each["ended_as"], json.dumps(each).encode())
        connection.execute("INSERT INTO circuits VALUES (?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    # Version 1 wrote nothing into it.
    Path(f"{path}.lock").touch()
    return path


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


def test_a_store_of_version_1_is_led_with_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1.0)
    store = SqliteStore(path)
    state = store.load()
    store.close()
    assert state.circuits[0] == _EXPECTED
    assert [each.circuit_id for each in state.circuits] == [7, 8]
    assert state.counters == Counters(12, 31, 1)
    assert store.election_id == ElectionId(1_700_000_000, 5)
    assert SqliteAccess(path).verify() == []


def test_a_migration_that_fails_leaves_everything_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise StoreError("the second step failed")

    before = dump(path)
    monkeypatch.setattr(schema_module, "MIGRATIONS", (*schema_module.MIGRATIONS, fail))
    with pytest.raises(StoreError, match="the second step failed"):
        SqliteStore(path)
    assert dump(path) == before


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("{", "a circuit of schema ver"),
        (json.dumps({**_OLDER, "ended_as": "expired"}), "damaged Circ"),
    ],
)
def test_a_damaged_record_of_version_1_is_reported_and_kept(
    path: Path, record: str, said: str
) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE circuits SET record = ? WHERE circuit_id = 8", (record.encode(),))
    connection.commit()
    connection.close()
    before = dump(path)
    with pytest.raises(StoreError, match=rf"store\.sqlite: is damaged \({said}"):
        SqliteStore(path)
    assert dump(path) == before


def test_tools_say_how_an_older_store_is_brought_up_to_date(path: Path) -> None:
    with pytest.raises(StoreError, match="start the daemon with it once"):
        SqliteAccess(path).read()


def test_a_store_of_version_2_is_read_as_it_stands_and_led_with(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as connection:
        for statement in (schema_module._META, *schema_module._VERSION_2):
            connection.execute(statement)
        # As version 2 wrote it.
        figures = {"schema_version": 2, "generation": 1_700_000_000, "epoch": 4, "is_backup": 0}
        figures |= {"next_circuit_id": 1, "next_admission_seq": 1, "next_audit_seq": 3}
        figures["crc32"] = zlib.crc32(repr(sorted(figures.items())).encode())
        connection.executemany("INSERT INTO meta VALUES (?, ?)", figures.items())
        entry = (2, 5, "ops (ipv4:10.0.0.1:5)", "release", "7", "release", "done", "")
        crc32 = zlib.crc32(msgspec.msgpack.encode(entry))
        connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*entry, crc32))
    connection.close()
    Path(f"{path}.lock").touch()
    assert SqliteAccess(path).verify() == []
    assert list(SqliteAccess(path).read().audit) == [AuditEntry(*entry)]
    store = SqliteStore(path)
    store.load()
    store.close()
    assert SqliteAccess(path).verify() == []
    assert list(SqliteAccess(path).read().audit) == [AuditEntry(*entry)]


@pytest.mark.parametrize(
    ("version", "without"),
    [(3, ("routers", "drains", "registers")), (4, ("drains", "registers")), (5, ("registers",))],
)
def test_a_store_without_a_later_table_is_led_with_as_it_was(
    tmp_path: Path, version: int, without: tuple[str, ...]
) -> None:
    """Version 3 is as 4, but for the table of routers, that as 5, but for that of drains, and that as 6, but for that
    of final registers.
    """
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    durability = Durability(store)
    store.submit(1, StateChange((circuit_record(1),), Counters(2, 3, 4)))
    durability.wait(1)
    store.close()
    connection = sqlite3.connect(path)
    for table in without:
        connection.execute(f"DROP TABLE {table}")
    figures = dict(connection.execute("SELECT key, value FROM meta"))
    del figures["crc32"]
    figures["schema_version"] = version
    figures["crc32"] = zlib.crc32(repr(sorted(figures.items())).encode())
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", figures.items())
    connection.commit()
    connection.close()
    SqliteAccess(path).backup(tmp_path / "backup.sqlite")
    assert SqliteAccess(tmp_path / "backup.sqlite").verify() == []
    store = SqliteStore(path)
    state = store.load()
    assert (state.circuits, state.counters) == ((circuit_record(1),), Counters(2, 3, 4))
    assert (state.routers, state.drains) == ((), ())
    assert store.registers(RegisterQuestion(10)) == RegisterPage(())
    durability = Durability(store)
    drain, owner = drain_record("r1"), router_record("r1")
    ended = register_record(1, 1)
    store.submit(
        1,
        StateChange((), Counters(2, 3, 4), routers=(owner,), drains=(drain,), registers=(ended,)),
    )
    durability.wait(1)
    store.close()
    assert SqliteAccess(path).verify() == []
    assert list(SqliteAccess(path).read().routers) == [owner]
    assert list(SqliteAccess(path).read().drains) == [drain]
    assert list(SqliteAccess(path).read().registers) == [ended]
