"""Copies of a SQLite store, however they were made: who leads with one is obeyed, and gives no number again."""

import os
import shutil
from pathlib import Path

import pytest

from controller.core.circuits.records import Counters, StateChange, StoredState
from controller.store.protocol import StoreContents
from controller.store.restored import beyond_lost
from controller.store.sqlite import SqliteAccess, SqliteStore
from digitalgrid.model import ElectionId
from tests.support.durability import Durability

COUNTERS = Counters(100, 200, 300)
START_UNIX_S = 2_000_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [float(START_UNIX_S)]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@pytest.fixture
def path(tmp_path: Path, clock: list[float]) -> Path:
    path = tmp_path / "live" / "store.sqlite"
    write(path, COUNTERS)
    return path


def write(path: Path, counters: Counters) -> None:
    store = SqliteStore(path)
    store.load()
    Durability(store)
    store.submit(1, StateChange((), counters))
    store.close()


def term(path: Path) -> tuple[ElectionId, StoredState]:
    store = SqliteStore(path)
    state = store.load()
    store.close()
    return store.election_id, state


def numbers(path: Path) -> Counters:
    return term(path)[1].counters


def test_the_last_to_start_is_obeyed_be_it_a_copy_or_not(path: Path, clock: list[float]) -> None:
    copy = path.with_name("copy.sqlite")
    shutil.copy(path, copy)
    elections = []
    for each in (path, copy, path, path, copy, copy, path):
        clock[0] += 1
        elections.append(term(each)[0])
    assert elections == sorted(set(elections))


def test_a_clock_that_was_set_back_does_not_set_a_store_back(
    path: Path, clock: list[float]
) -> None:
    before, _ = term(path)
    clock[0] = 1.0
    assert term(path)[0] == ElectionId(before.high, before.low + 1)


def test_numbers_go_on_after_a_restart(path: Path) -> None:
    assert [numbers(path) for _ in range(3)] == [COUNTERS] * 3


def test_numbers_go_on_after_a_daemon_was_killed(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    store.load()
    durability = Durability(store)
    store.submit(1, StateChange((), Counters(101, 202, 303)))
    durability.wait(1)
    # All that a killed process leaves.
    shutil.copytree(path.parent, tmp_path / "killed")
    store.close()
    assert numbers(tmp_path / "killed" / path.name) == Counters(101, 202, 303)


def test_what_earlier_versions_left_is_no_copy(path: Path) -> None:
    os.truncate(f"{path}.lock", 0)
    assert numbers(path) == COUNTERS


def test_a_copy_in_another_place_gives_no_number_again(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / path.name
    elsewhere.parent.mkdir()
    shutil.copy(path, elsewhere)
    assert numbers(elsewhere) == beyond_lost(COUNTERS)
    assert numbers(elsewhere) == beyond_lost(COUNTERS), "once"


def test_a_copy_gives_no_epoch_again(path: Path) -> None:
    """Routers know the transactions of the original's later terms by ids that begin with them."""
    shutil.copy(path, path.with_name("copy.sqlite"))
    SqliteAccess(path).backup(path.with_name("backup.sqlite"))
    contents = SqliteAccess(path).read()
    SqliteAccess(path.with_name("filled.sqlite")).fill(contents)
    of_original = {term(path)[1].epoch for _ in range(3)}
    for name in ("copy", "backup", "filled"):
        epochs = {term(path.with_name(f"{name}.sqlite"))[1].epoch for _ in range(3)}
        assert epochs.isdisjoint(of_original)


@pytest.mark.parametrize("terms_since", [0, 1])
def test_a_copy_that_is_put_back_gives_no_number_again(
    path: Path, tmp_path: Path, terms_since: int
) -> None:
    """Also where it was made since the last start, while the daemon was running."""
    store = SqliteStore(path)
    store.load()
    durability = Durability(store)
    store.submit(1, StateChange((), Counters(101, 202, 303)))
    durability.wait(1)
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(path.with_name(name), tmp_path / name)
    store.submit(2, StateChange((), Counters(102, 203, 304)))
    store.close()
    for _ in range(terms_since):
        term(path)
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(tmp_path / name, path.with_name(name))
    assert numbers(path) == beyond_lost(Counters(101, 202, 303))


def test_a_backup_gives_no_number_again(path: Path) -> None:
    target = path.with_name("backup.sqlite")
    SqliteAccess(path).backup(target)
    path.unlink()
    target.rename(path)
    assert numbers(path) == beyond_lost(COUNTERS)
    assert numbers(path) == beyond_lost(COUNTERS), "once"


def test_what_is_filled_in_place_of_another_store_is_no_copy(path: Path) -> None:
    path.unlink()
    SqliteAccess(path).fill(StoreContents(2, 1, 1, COUNTERS, iter(()), iter(())))
    assert numbers(path) == COUNTERS


def test_an_empty_store_begins_with_one(tmp_path: Path, clock: list[float]) -> None:
    SqliteStore(tmp_path / "store.sqlite").close()
    Path(tmp_path / "store.sqlite.lock").unlink()
    assert numbers(tmp_path / "store.sqlite") == Counters()
