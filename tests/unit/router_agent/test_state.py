"""What outlives a crash: promises at once, books whole."""

import errno
import os
import random
import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from digitalgrid.model import NO_ELECTION_ID, CircuitGeneration, ElectionId
from router_agent import state
from router_agent.device import promise
from router_agent.device.meters import (
    ENDED_KEPT,
    CircuitBooks,
    ImageCodec,
    ImageError,
    LinkBooks,
    RouterBooks,
    unpack_image,
)
from router_agent.state import MeterFile, PromiseJournal, StateError


def books_of(seed: int) -> RouterBooks:
    draw = random.Random(seed)
    books = RouterBooks(draw.getrandbits(60), draw.getrandbits(60), 17, 3, 0.75)
    books.open(["r1-r2", "r1-r3"], ["pv1"], ["town", "mill"])
    books.links["r1-r2"].sent_mj = draw.getrandbits(60)
    books.links["r1-r3"].heard_total_mj = draw.getrandbits(60)
    books.injected_mj["pv1"] = draw.getrandbits(60)
    books.delivered_mj["mill"] = draw.getrandbits(60)
    books.begin_circuit(CircuitGeneration(2**40, 3)).missed_ticks = 5
    return books


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
        monkeypatch.setattr(state, "MOST_TOMBSTONES", 2)
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


class TestMeterFile:
    def test_books_come_back_as_they_were(self, tmp_path: Path) -> None:
        books = books_of(1)
        meters = MeterFile(tmp_path)
        assert meters.load() == RouterBooks()
        meters.keep(books)
        books.links["r1-r2"].frames_sent = 9
        meters.save()
        meters.close()
        meters = MeterFile(tmp_path)
        assert meters.load() == books
        meters.close()

    def test_an_image_of_the_first_version_is_read(self) -> None:
        ids = b'[["r1-r2"], ["pv1"], ["town"]]'
        image = struct.pack("!IIqqqqd", len(ids), 1, 1, 2, 3, 4, 0.5) + ids
        image += struct.pack("!10q", *range(10, 20)) + struct.pack("!qq", 5, 6)
        books = unpack_image(image + struct.pack("!QQqqq", 7, 2, 8, 9, 10))
        assert books.links["r1-r2"] == LinkBooks(10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 0)
        assert books.circuits == {CircuitGeneration(7, 2): CircuitBooks(8, 9, 10)}
        assert (books.dissipated_mj, books.injected_mj, books.delivered_mj) == (
            2,
            {"pv1": 5},
            {"town": 6},
        )

    def test_a_full_meter_stays_at_the_largest_number_and_says_so(self) -> None:
        books = books_of(1)
        assert not books.saturated
        books.links["r1-r2"].sent_mj = 2**63 + 5
        books.dissipated_mj = 2**70
        assert books.saturated
        image = unpack_image(ImageCodec(books).pack())
        assert image.saturated and image == books.capped()
        assert image.links["r1-r2"].sent_mj == image.dissipated_mj == 2**63 - 1

    def test_whatever_is_torn_one_whole_image_is_there(self, tmp_path: Path) -> None:
        """As if the process died while it wrote the newer slot."""
        books = books_of(2)
        meters = MeterFile(tmp_path)
        meters.keep(books)
        before = books.links["r1-r2"].sent_mj
        books.links["r1-r2"].sent_mj += 1
        meters.save()
        meters.close()
        path = tmp_path / "meters"
        whole = path.read_bytes()
        half = len(whole) // 2
        draw = random.Random(3)
        found = set()
        for _ in range(40):
            torn = bytearray(whole)
            at = draw.choice([0, half]) + draw.randrange(200)
            torn[at] ^= 0xFF
            path.write_bytes(torn)
            meters = MeterFile(tmp_path)
            found.add(meters.load().links["r1-r2"].sent_mj - before)
            meters.close()
        assert found == {0, 1}

    def test_a_full_disk_is_an_error_and_leaves_the_image_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Writing a page of the map that the disk has no room for would be the end of the process."""
        books = books_of(1)
        meters = MeterFile(tmp_path)
        meters.keep(books)
        whole = (tmp_path / "meters").read_bytes()
        for number in range(500):
            books.begin_circuit(CircuitGeneration(number, 1))
        with monkeypatch.context() as full:
            full.setattr(os, "posix_fallocate", failing)
            with pytest.raises(OSError):
                meters.save()
            assert (tmp_path / "meters").read_bytes() == whole
        meters.save()
        meters.close()
        meters = MeterFile(tmp_path)
        assert meters.load() == books
        meters.close()

    def test_without_books_there_is_nothing_to_save(self, tmp_path: Path) -> None:
        meters = MeterFile(tmp_path)
        with pytest.raises(StateError, match="no books"):
            meters.save()
        meters.close()

    @pytest.mark.parametrize("image", [b"", b"\0" * 43, os.urandom(400), b"\xff" * 400])
    def test_other_bytes_are_no_image(self, image: bytes) -> None:
        with pytest.raises(ImageError):
            unpack_image(image)


class TestBooks:
    def test_what_was_held_at_a_crash_is_dissipated(self) -> None:
        books = books_of(4)
        before = books.imbalance_mj()
        dissipated_mj = books.dissipated_mj
        books.dissipate_buffers()
        assert books.buffered_mj == 0 and books.dissipated_mj == dissipated_mj + 17
        assert books.imbalance_mj() == before

    def test_meters_of_ended_circuits_are_kept_for_a_while(self) -> None:
        books = RouterBooks()
        keys = [CircuitGeneration(number, 1) for number in range(ENDED_KEPT + 5)]
        for key in keys:
            books.begin_circuit(key)
            books.end_circuit(key)
        assert list(books.circuits) == keys[5:]

    def test_a_circuit_that_is_back_goes_on_with_its_meter(self) -> None:
        books = RouterBooks()
        key = CircuitGeneration(1, 1)
        books.begin_circuit(key).delivered_mj = 5
        books.end_circuit(key)
        assert books.begin_circuit(key).delivered_mj == 5
        for number in range(ENDED_KEPT + 1):
            books.begin_circuit(CircuitGeneration(2 + number, 1))
            books.end_circuit(CircuitGeneration(2 + number, 1))
        assert key in books.circuits


def test_tombstones_are_bounded_in_memory_and_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promise, "MOST_TOMBSTONES", 10)
    monkeypatch.setattr(state, "MOST_TOMBSTONES", 10)
    journal = PromiseJournal(tmp_path)
    for circuit_id in range(1, 101):
        journal.record(None, {circuit_id: 2})
    journal.close()
    assert (tmp_path / "promises").stat().st_size < 60 * 21
    again = PromiseJournal(tmp_path)
    assert sorted(again.floors) == list(range(91, 101))
    again.close()
