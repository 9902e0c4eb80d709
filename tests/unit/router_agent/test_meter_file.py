"""The energy books outlive a crash, whole, however many circuits there are."""

import errno
import os
import random
import struct
from pathlib import Path

import pytest

from digitalgrid.model import CircuitGeneration
from router_agent.device.meter_image import ImageCodec, ImageError, unpack_image
from router_agent.device.meters import ENDED_KEPT, CircuitBooks, LinkBooks, RouterBooks
from router_agent.meter_file import MeterFile


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


def failing(*_arguments: object) -> None:
    raise OSError(errno.EIO, "the disk is broken")


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
        assert books.circuits == {
            CircuitGeneration(7, 2): CircuitBooks(8, 9, 10, line_counted=False)
        }
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
        with pytest.raises(RuntimeError, match="no books"):
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


def test_books_that_outgrow_their_file_get_a_larger_one(tmp_path: Path) -> None:
    books = books_of(4)
    meters = MeterFile(tmp_path)
    meters.keep(books)
    for number in range(60_000):
        books.begin_circuit(CircuitGeneration(number, 1)).delivered_mj = number
        if number % 20_000 == 0:
            meters.save()
    meters.save()
    books.dissipated_mj += 1
    meters.save()
    meters.close()
    assert (tmp_path / "meters").stat().st_size == 2 * 4 * 2**20
    assert [each.name for each in tmp_path.iterdir()] == ["meters"]
    meters = MeterFile(tmp_path)
    assert meters.load() == books
    meters.close()


def test_where_there_is_no_room_for_a_larger_file_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = books_of(5)
    meters = MeterFile(tmp_path)
    meters.keep(books)
    before = unpack_image(ImageCodec(books).pack())
    for number in range(30_000):
        books.begin_circuit(CircuitGeneration(number, 1))
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", failing)
        for _ in range(3):
            with pytest.raises(OSError):
                meters.save()
        again = MeterFile(tmp_path)
        assert again.load() == before
        again.close()
    meters.save()
    meters.close()
    meters = MeterFile(tmp_path)
    assert meters.load() == books
    meters.close()
