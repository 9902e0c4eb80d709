"""The embedded store on disks that are full, or may not be written."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.core.circuits.records import Counters, StateChange
from controller.store.protocol import StoreError
from controller.store.sqlite import SqliteStore
from tests.support.durability import Durability
from tests.support.records import circuit_record

_DISK_KIB = 512


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_KIB}k", "tmpfs", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    if mount.returncode:
        reason = f"a disk of its own cannot be mounted: {mount.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def fill_up(disk: Path, leave_kib: int = 0) -> None:
    statistics = os.statvfs(disk)
    left = statistics.f_bavail * statistics.f_frsize - leave_kib * 1024
    (disk / "ballast").write_bytes(bytes(left))


def change(number: int) -> StateChange:
    return StateChange((circuit_record(number),), Counters(number + 1))


def test_a_disk_that_fills_up_ends_the_writing_and_keeps_what_was_reported(disk: Path) -> None:
    path = disk / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    durability = Durability(store)
    store.submit(1, change(1))
    durability.wait(1)
    fill_up(disk, leave_kib=16)
    for ticket in range(2, 2001):
        store.submit(ticket, change(ticket))
    failure = durability.wait_for_failure()
    assert str(path) in str(failure)
    assert "make room and start again" in str(failure)
    store.close()

    (disk / "ballast").unlink()
    store = SqliteStore(path)
    present = {each.circuit_id for each in store.load().circuits}
    store.close()
    assert set(range(1, durability.tickets[-1] + 1)) <= present
    assert present == set(range(1, len(present) + 1)), "of a commit there is all or nothing"
    assert len(durability.failures) == 1


def test_no_store_is_begun_on_a_full_disk(disk: Path) -> None:
    fill_up(disk)
    path = disk / "store.sqlite"
    with pytest.raises(StoreError, match=r"store\.sqlite"):
        SqliteStore(path)
    assert not path.exists()
    (disk / "ballast").unlink()
    store = SqliteStore(path)
    assert store.load().circuits == ()
    store.close()


@pytest.mark.parametrize("leave_kib", [0, 4, 16])
def test_who_starts_on_a_full_disk_is_told_what_to_do(disk: Path, leave_kib: int) -> None:
    path = disk / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    store.close()
    fill_up(disk, leave_kib)
    with pytest.raises(StoreError, match="no space is left on its disk; make room and start again"):
        led(path)
    (disk / "ballast").unlink()
    led(path)


def led(path: Path) -> None:
    store = SqliteStore(path)
    try:
        store.load()
    finally:
        store.close()


def test_a_directory_that_may_not_be_written_is_named(disk: Path) -> None:
    SqliteStore(disk / "store.sqlite").close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StoreError, match="must be writable by the user"):
        SqliteStore(disk / "store.sqlite")
    with pytest.raises(StoreError, match="must be writable by the user"):
        SqliteStore(disk / "beneath" / "store.sqlite")


def test_a_file_that_may_not_be_written_is_named(
    disk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The lock can be made beside it, but the file is on a disk that is read-only."""
    original = disk / "store.sqlite"
    SqliteStore(original).close()
    beside = tmp_path_factory.mktemp("beside") / "store.sqlite"
    beside.touch()
    subprocess.run(["mount", "--bind", original, beside], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", beside], check=True)
        store = SqliteStore(beside)
        with pytest.raises(StoreError, match=r"store\.sqlite: must be writable"):
            store.load()
        store.close()
    finally:
        subprocess.run(["umount", beside], check=True)
