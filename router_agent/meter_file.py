"""The energy books on disk: an image in a memory-mapped file, which the kernel keeps when the process dies.

The file is two slots of equal size that are written in turn, so that one is whole whenever that happens. Where an image
outgrows them, a larger file takes its place. While nothing changes in a router only the progress of its image is
written, behind it and in two places by turns, which takes no longer for a thousand circuits than for one.
"""

import errno
import logging
import mmap
import os
import struct
import zlib
from pathlib import Path

from router_agent.device.meter_image import (
    ImageCodec,
    ImageError,
    apply_progress,
    progress_bytes,
    unpack_image,
)
from router_agent.device.meters import RouterBooks

_log = logging.getLogger(__name__)

# Bytes of a slot in the file that a router begins with; about 26,000 circuits. Sparse: pages exist once filled.
_FIRST_SLOT_BYTES = 1 << 20
# Bytes of the largest slot: 6.7 million circuits, more than a router could work through in a tick.
_MAX_SLOT_BYTES = 1 << 28
# Room is asked of the disk in steps of so many bytes.
_ROOM_STEP = 1 << 14
_SLOT = struct.Struct("!QII")
# Behind an image: how often its progress was written, which image that is of, and the checksum of it all.
_PROGRESS = struct.Struct("!QQI")


class _Slots:
    """One mapped file. OSError where it cannot be, or the disk has no room."""

    def __init__(self, path: Path, slot_bytes: int | None = None) -> None:
        """``slot_bytes``: of a new file; None opens the one that is there, or makes a first one."""
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        self._file = os.open(path, flags if slot_bytes is None else flags | os.O_TRUNC, 0o644)
        try:
            found_bytes = os.fstat(self._file).st_size // 2
            self.slot_bytes = slot_bytes or min(
                max(found_bytes, _FIRST_SLOT_BYTES), _MAX_SLOT_BYTES
            )
            os.ftruncate(self._file, 2 * self.slot_bytes)
            self._map = mmap.mmap(self._file, 2 * self.slot_bytes)
        except OSError:
            os.close(self._file)
            raise
        self._room = 0

    def close(self) -> None:
        self._map.close()
        os.close(self._file)

    def fits(self, image: bytes) -> bool:
        return _SLOT.size + len(image) <= self.slot_bytes

    def read(self, slot: int) -> tuple[int, bytes]:
        """Sequence number and image; 0 where no whole one is there."""
        at = slot * self.slot_bytes
        seq, length, checksum = _SLOT.unpack_from(self._map, at)
        start = at + _SLOT.size
        image = self._map[start : start + min(length, self.slot_bytes)]
        return (seq if checksum == _checksum(seq, image) else 0), image

    def write(self, seq: int, image: bytes) -> None:
        self._make_room(_SLOT.size + len(image))
        at = seq % 2 * self.slot_bytes
        start = at + _SLOT.size
        self._map[start : start + len(image)] = image
        _SLOT.pack_into(self._map, at, seq, len(image), _checksum(seq, image))

    def write_progress(self, seq: int, image_bytes: int, number: int, progress: bytes) -> bool:
        """Of the image ``seq``, which is here; False where there is no place behind it."""
        at = self._progress_at(seq, image_bytes, number, len(progress))
        end = at + _PROGRESS.size + len(progress) - seq % 2 * self.slot_bytes
        if end > self.slot_bytes:
            return False
        self._make_room(end)
        checksum = _progress_checksum(number, seq, progress)
        _PROGRESS.pack_into(self._map, at, number, seq, checksum)
        start = at + _PROGRESS.size
        self._map[start : start + len(progress)] = progress
        return True

    def read_progress(self, seq: int, image_bytes: int, length: int) -> bytes:
        """The latest of the image ``seq``; nothing where no whole one is there."""
        latest, found = 0, b""
        for place in range(2):
            at = self._progress_at(seq, image_bytes, place, length)
            start = at + _PROGRESS.size
            if start + length > (seq % 2 + 1) * self.slot_bytes:
                continue
            number, of_seq, checksum = _PROGRESS.unpack_from(self._map, at)
            progress = self._map[start : start + length]
            whole = of_seq == seq and checksum == _progress_checksum(number, seq, progress)
            if whole and number > latest:
                latest, found = number, progress
        return found

    def _progress_at(self, seq: int, image_bytes: int, number: int, length: int) -> int:
        behind = seq % 2 * self.slot_bytes + _SLOT.size + image_bytes
        return behind + number % 2 * (_PROGRESS.size + length)

    def _make_room(self, size: int) -> None:
        """Have the disk give all pages before they are written: on a full one, the kernel would kill who writes."""
        if size <= self._room:
            return
        room = min(-(-size // _ROOM_STEP) * _ROOM_STEP, self.slot_bytes)
        for slot in range(2):
            os.posix_fallocate(self._file, slot * self.slot_bytes, room)
        self._room = room


class MeterFile:
    """The newest image of one router's books; :meth:`save` is a copy in memory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "meters"
        self._slots = _Slots(self._path)
        self._seq = 0
        self._codec: ImageCodec | None = None
        self._image_bytes = 0
        self._progress_no = 0

    def load(self) -> RouterBooks:
        """The newest whole image, or empty books."""
        newest = RouterBooks()
        for slot in range(2):
            seq, image = self._slots.read(slot)
            if seq <= self._seq:
                continue
            try:
                newest, self._seq = self._unpack(seq, image), seq
            except ImageError as error:
                _log.warning("%s: meters that cannot be read are left out: %s", self._path, error)
        return newest

    def _unpack(self, seq: int, image: bytes) -> RouterBooks:
        books = unpack_image(image)
        if progress := self._slots.read_progress(seq, len(image), progress_bytes(books)):
            apply_progress(books, progress)
        return books

    def keep(self, books: RouterBooks) -> None:
        """From now on these books are saved; all their links, sources and loads are known."""
        self._codec = ImageCodec(books)
        self.save()

    def save(self) -> None:
        """OSError where the disk has no room for what is new; the image before stays."""
        if self._codec is None:
            raise RuntimeError("there are no books to save; call keep() first")
        progress = self._codec.progress()
        if progress is not None and self._write_progress(progress):
            return
        image = self._codec.pack()
        if self._slots.fits(image):
            self._slots.write(self._seq + 1, image)
        else:
            self._save_larger(image)
        self._seq += 1
        self._image_bytes, self._progress_no = len(image), 0

    def close(self) -> None:
        self._slots.close()

    def _write_progress(self, progress: bytes) -> bool:
        number = self._progress_no + 1
        if not self._slots.write_progress(self._seq, self._image_bytes, number, progress):
            return False
        self._progress_no = number
        return True

    def _save_larger(self, image: bytes) -> None:
        """Write the image into a larger file, then put that in the old one's place."""
        slot_bytes = 2 * self._slots.slot_bytes
        while _SLOT.size + len(image) > slot_bytes:
            slot_bytes *= 2
        if slot_bytes > _MAX_SLOT_BYTES:
            raise OSError(errno.EFBIG, f"books of {len(image)} bytes are larger than any router's")
        path = self._path.with_suffix(".new")
        larger = _Slots(path, slot_bytes)
        try:
            larger.write(self._seq + 1, image)
            path.rename(self._path)
        except OSError:
            larger.close()
            raise
        self._slots.close()
        self._slots = larger


def _checksum(seq: int, image: bytes) -> int:
    return zlib.crc32(image, seq & 0xFFFFFFFF)


def _progress_checksum(number: int, seq: int, progress: bytes) -> int:
    return zlib.crc32(progress, (number * 31 + seq) & 0xFFFFFFFF)
