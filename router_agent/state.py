"""What a router keeps across crashes: its identity and promises in a journal, its books in a mapped file.

The journal is appended to and synced before an answer leaves; opening it writes it anew, compacted, under the next
boot id. The books' file has two slots that are written in turn, so that one is whole whenever the process dies.
"""

import fcntl
import logging
import mmap
import os
import secrets
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from digitalgrid.model import NO_ELECTION_ID, ElectionId
from router_agent.circuit_table import MOST_TOMBSTONES, keep_newest
from router_agent.meters import ImageCodec, ImageError, RouterBooks, unpack_image

log = logging.getLogger(__name__)

_RECORD = struct.Struct("!BQQ")
_CRC = struct.Struct("!I")
_RECORD_BYTES = _RECORD.size + _CRC.size
_INSTANCE, _BOOT, _ELECTION, _FLOOR = 1, 2, 3, 4

# Sparse: only the pages that books fill are ever there.
_SLOT_BYTES = 1 << 20
_SLOT = struct.Struct("!QII")


class StateError(RuntimeError):
    """A state directory that cannot be used."""


class PromiseJournal:
    """Identity, boot counter, highest election id and tombstones of one router."""

    def __init__(self, directory: Path) -> None:
        """Raises StateError when another process uses the directory, or it cannot be written."""
        self._path = directory / "promises"
        self.instance_id = secrets.token_bytes(16)
        self.boot_id = 0
        self.election_id = NO_ELECTION_ID
        self.floors: dict[int, int] = {}
        self._appended = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(directory)
            self._read()
            self.boot_id += 1
            self._file = self._rewrite(directory)
        except OSError as error:
            raise StateError(
                f"{directory}: cannot keep the router's state here: {error.strerror}"
            ) from error

    def record(self, election_id: ElectionId | None, floors: Mapping[int, int]) -> None:
        """Returns once it is on disk."""
        records = []
        if election_id is not None:
            self.election_id = election_id
            records.append(_pack(_ELECTION, *election_id))
        keep_newest(self.floors, floors)
        records += [_pack(_FLOOR, circuit_id, floor) for circuit_id, floor in floors.items()]
        os.write(self._file, b"".join(records))
        os.fdatasync(self._file)
        self._appended += len(records)
        if self._appended > 2 * MOST_TOMBSTONES:
            os.close(self._file)
            self._file = self._rewrite(self._path.parent)

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)

    def _read(self) -> None:
        """A torn record at the end was never promised to anyone."""
        data = self._path.read_bytes() if self._path.exists() else b""
        for at in range(0, len(data) - _RECORD_BYTES + 1, _RECORD_BYTES):
            body = data[at : at + _RECORD.size]
            if _CRC.unpack_from(data, at + _RECORD.size)[0] != zlib.crc32(body):
                log.warning("%s: the journal ends torn at byte %d", self._path, at)
                return
            kind, first, second = _RECORD.unpack(body)
            if kind == _INSTANCE:
                self.instance_id = struct.pack("!QQ", first, second)
            elif kind == _BOOT:
                self.boot_id = first
            elif kind == _ELECTION:
                self.election_id = ElectionId(first, second)
            elif kind == _FLOOR:
                keep_newest(self.floors, {first: second})

    def _rewrite(self, directory: Path) -> int:
        records = [
            _pack(_INSTANCE, *struct.unpack("!QQ", self.instance_id)),
            _pack(_BOOT, self.boot_id, 0),
            _pack(_ELECTION, *self.election_id),
            *(_pack(_FLOOR, circuit_id, floor) for circuit_id, floor in self.floors.items()),
        ]
        self._appended = 0
        fresh = self._path.with_suffix(".new")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        file = os.open(fresh, flags, 0o644)
        os.write(file, b"".join(records))
        os.fsync(file)
        fresh.rename(self._path)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
        return file


class MeterFile:
    """The books' image; :meth:`save` is a copy in memory, which the kernel keeps when the process dies."""

    def __init__(self, directory: Path) -> None:
        path = directory / "meters"
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        os.ftruncate(file, 2 * _SLOT_BYTES)
        self._map = mmap.mmap(file, 2 * _SLOT_BYTES)
        os.close(file)
        self._seq = 0
        self._codec: ImageCodec | None = None

    def load(self) -> RouterBooks:
        """The newest whole image, or empty books."""
        newest = RouterBooks()
        for slot in range(2):
            at = slot * _SLOT_BYTES
            seq, length, checksum = _SLOT.unpack_from(self._map, at)
            start = at + _SLOT.size
            image = self._map[start : start + min(length, _SLOT_BYTES)]
            if seq <= self._seq or checksum != _checksum(seq, image):
                continue
            try:
                newest, self._seq = unpack_image(image), seq
            except ImageError as error:
                log.warning("meters of another version are left out: %s", error)
        return newest

    def keep(self, books: RouterBooks) -> None:
        """From now on these books are saved; all their links, sources and loads are known."""
        self._codec = ImageCodec(books)
        self.save()

    def save(self) -> None:
        if self._codec is None:
            raise StateError("there are no books to save; call keep() first")
        image = self._codec.pack()
        if len(image) > _SLOT_BYTES - _SLOT.size:
            raise StateError(f"books of {len(image)} bytes do not fit into {_SLOT_BYTES}")
        self._seq += 1
        at = self._seq % 2 * _SLOT_BYTES
        start = at + _SLOT.size
        self._map[start : start + len(image)] = image
        _SLOT.pack_into(self._map, at, self._seq, len(image), _checksum(self._seq, image))

    def close(self) -> None:
        self._map.close()


def _pack(kind: int, first: int, second: int) -> bytes:
    body = _RECORD.pack(kind, first, second)
    return body + _CRC.pack(zlib.crc32(body))


def _checksum(seq: int, image: bytes) -> int:
    return zlib.crc32(image, seq & 0xFFFFFFFF)


def _lock(directory: Path) -> int:
    """Two routers on one directory would give each other's promises away."""
    lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StateError(f"{directory}: another router uses this state_dir; stop it") from error
    return lock
