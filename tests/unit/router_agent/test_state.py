"""What outlives a crash: promises at once, books whole."""

import errno
import os
import resource
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from digitalgrid.model import NO_ELECTION_ID, ElectionId
from router_agent import state
from router_agent.device import promise
from router_agent.state import PromiseJournal, StateError


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """As on a disk that takes no file beyond this size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def failing(*_arguments: object) -> None:
    raise OSError(errno.EIO, "the disk is broken")


class TestPromises:
    def test_a_new_directory_begins_with_boot_one(self, tmp_path: Path) -> None:
        journal = PromiseJournal(tmp_path / "new" / "r1")
        assert (journal.boot_id, journal.election_id, journal.floors) == (1, NO_ELECTION_ID, {})
        assert len(journal.instance_id) == 16
        journal.close()

    def test_promises_and_identity_are_kept_and_the_boot_counted(self, tmp_path: Path) -> None:
        journal = PromiseJournal(tmp_path)
        journal.record(ElectionId(1, 2**64 - 1), {7: 2})
        journal.record(None, {7: 3, 9: 1})
        instance_id = journal.instance_id
        journal.close()
        for boot_id in (2, 3):
            journal = PromiseJournal(tmp_path)
            assert journal.boot_id == boot_id
            assert journal.election_id == ElectionId(1, 2**64 - 1)
            assert journal.floors == {7: 3, 9: 1}
            assert journal.instance_id == instance_id
            journal.close()

    def test_a_torn_end_is_left_out(self, tmp_path: Path) -> None:
        journal = PromiseJournal(tmp_path)
        journal.record(None, {7: 2})
        journal.record(None, {8: 2})
        journal.close()
        path = tmp_path / "promises"
        path.write_bytes(path.read_bytes()[:-3])
        journal = PromiseJournal(tmp_path)
        assert journal.floors == {7: 2}
        journal.close()

    def test_a_damaged_end_is_left_out(self, tmp_path: Path) -> None:
        journal = PromiseJournal(tmp_path)
        journal.record(None, {7: 2, 8: 2})
        journal.close()
        path = tmp_path / "promises"
        damaged = bytearray(path.read_bytes())
        damaged[-1] ^= 1
        path.write_bytes(damaged)
        journal = PromiseJournal(tmp_path)
        assert journal.floors == {7: 2}
        journal.close()

    @pytest.mark.parametrize("damage", ["flipped", "missing"])
    def test_promises_behind_damage_are_not_forgotten_but_refused(
        self, tmp_path: Path, damage: str
    ) -> None:
        journal = PromiseJournal(tmp_path)
        journal.record(ElectionId(100, 1), {7: 2})
        journal.record(ElectionId(100, 2), {8: 2})
        journal.close()
        path = tmp_path / "promises"
        data = bytearray(path.read_bytes())
        if damage == "flipped":
            data[85] ^= 1
        else:
            del data[85:96]
        path.write_bytes(data)
        with pytest.raises(StateError, match=r"promises: damaged at byte 84, .*forget-router"):
            PromiseJournal(tmp_path)
        assert path.read_bytes() == data

    def test_a_promise_that_half_fits_is_not_made_and_later_ones_are_read(
        self, tmp_path: Path
    ) -> None:
        journal = PromiseJournal(tmp_path)
        journal.record(ElectionId(100, 1), {7: 2})
        with room_for((tmp_path / "promises").stat().st_size + 30), pytest.raises(OSError):
            journal.record(ElectionId(100, 2), {8: 2})
        assert (journal.election_id, journal.floors) == (ElectionId(100, 1), {7: 2})
        journal.record(ElectionId(100, 3), {9: 2})
        journal.close()
        journal = PromiseJournal(tmp_path)
        assert (journal.election_id, journal.floors) == (ElectionId(100, 3), {7: 2, 9: 2})
        journal.close()

    def test_what_could_not_be_cut_off_at_once_is_cut_off_before_the_next_promise(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = PromiseJournal(tmp_path)
        with monkeypatch.context() as broken:
            broken.setattr(os, "ftruncate", failing)
            with room_for((tmp_path / "promises").stat().st_size + 30), pytest.raises(OSError):
                journal.record(ElectionId(100, 2), {8: 2})
            with pytest.raises(OSError):
                journal.record(ElectionId(100, 3), {})
        journal.record(None, {9: 2})
        journal.close()
        journal = PromiseJournal(tmp_path)
        assert (journal.election_id, journal.floors) == (NO_ELECTION_ID, {9: 2})
        journal.close()

    def test_a_journal_that_cannot_be_compacted_stays_as_it_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(state, "MAX_TOMBSTONES", 2)
        journal = PromiseJournal(tmp_path)
        with monkeypatch.context() as broken:
            broken.setattr(Path, "rename", failing)
            for generation in range(1, 10):
                journal.record(None, {7: generation})
        journal.record(ElectionId(100, 1), {})
        journal.close()
        journal = PromiseJournal(tmp_path)
        assert (journal.election_id, journal.floors) == (ElectionId(100, 1), {7: 9})
        journal.close()

    def test_a_directory_has_one_router(self, tmp_path: Path) -> None:
        journal = PromiseJournal(tmp_path)
        with pytest.raises(StateError, match="another router uses this state_dir"):
            PromiseJournal(tmp_path)
        journal.close()
        PromiseJournal(tmp_path).close()

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StateError, match="file"):
            PromiseJournal(tmp_path / "file")


def test_tombstones_are_bounded_in_memory_and_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promise, "MAX_TOMBSTONES", 10)
    monkeypatch.setattr(state, "MAX_TOMBSTONES", 10)
    journal = PromiseJournal(tmp_path)
    for circuit_id in range(1, 101):
        journal.record(None, {circuit_id: 2})
    journal.close()
    assert (tmp_path / "promises").stat().st_size < 60 * 21
    again = PromiseJournal(tmp_path)
    assert sorted(again.floors) == list(range(91, 101))
    again.close()


class _Unlisted(OrderedDict[int, int]):
    """Whoever looks through all of them is found."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("all tombstones are looked at for one")


def test_a_tombstone_costs_the_same_however_many_there_are() -> None:
    full = promise.MAX_TOMBSTONES
    floors = _Unlisted()
    for circuit_id in range(full + 5):
        promise.keep_newest(floors, {circuit_id: 2})
    promise.keep_newest(floors, {7: 3})
    promise.keep_newest(floors, {full + 5: 2, full + 6: 2})
    assert len(floors) == full
    assert [circuit_id in floors for circuit_id in (5, 6, 7, 8)] == [False, False, True, True]
