"""The embedded store: what was acknowledged is there again, and what is wrong is said."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from controller.core.circuit import Constraints
from controller.core.records import CircuitRecord, Counters, GenerationRecord, StateChange
from controller.core.route import Route, RouteLink
from controller.store.protocol import StoreError
from controller.store.sqlite import SqliteStore
from digitalgrid.model import ElectionId

_TIMEOUT_S = 10


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


class Durability:
    """Waits for tickets, or for the failure."""

    def __init__(self, store: SqliteStore) -> None:
        self._changed = threading.Condition()
        self._ticket = 0
        self.failure: StoreError | None = None
        store.start(self._on_durable, self._on_failure)

    def _on_durable(self, ticket: int) -> None:
        with self._changed:
            self._ticket = ticket
            self._changed.notify_all()

    def _on_failure(self, error: StoreError) -> None:
        with self._changed:
            self.failure = error
            self._changed.notify_all()

    def wait(self, ticket: int) -> None:
        with self._changed:
            done = self._changed.wait_for(
                lambda: self._ticket >= ticket or self.failure, timeout=_TIMEOUT_S
            )
        assert done


def change(*circuits: CircuitRecord, forgotten: tuple[int, ...] = ()) -> StateChange:
    return StateChange(circuits, Counters(10, 20), forgotten)


def test_everything_comes_back_under_a_higher_epoch(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    assert store.load().circuits == ()
    first_election = store.election_id
    durability = Durability(store)
    store.submit(1, change(record(1), record(2)))
    store.submit(2, change(record(1, power_w=2000.0)))
    store.submit(3, change(record(3), forgotten=(2,)))
    durability.wait(3)
    store.close()

    again = SqliteStore(path)
    state = again.load()
    again.close()
    assert sorted(state.circuits, key=lambda each: each.circuit_id) == [
        record(1, power_w=2000.0),
        record(3),
    ]
    assert state.counters == Counters(10, 20)
    assert again.election_id > first_election > ElectionId(0, 0)
    assert state.epoch == 2


def test_close_writes_what_was_submitted(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    Durability(store)
    for ticket in range(1, 1001):
        store.submit(ticket, change(record(ticket)))
    store.close()
    again = SqliteStore(path)
    assert len(again.load().circuits) == 1000
    again.close()


def test_a_second_daemon_is_kept_out(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="another daemon uses this store"):
        SqliteStore(path)
    store.close()
    SqliteStore(path).close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'")
    connection.close()
    with pytest.raises(StoreError, match="schema version 99"):
        SqliteStore(path)


def test_a_damaged_file_is_reported_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is no database, and never was" * 100)
    with pytest.raises(StoreError, match="cannot be opened as a store"):
        SqliteStore(path)
    assert path.read_bytes().startswith(b"this is no database")


def test_a_damaged_record_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO circuits VALUES (1, 'r', '', '{\"circuit_id\": 1}')")
    connection.close()
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="damaged"):
        store.load()
    store.close()


def test_a_failed_write_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE circuits")
    connection.close()
    durability = Durability(store)
    store.submit(1, change(record(1)))
    durability.wait(1)
    assert durability.failure is not None
    assert "cannot be written" in str(durability.failure)
    store.close()


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
