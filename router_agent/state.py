"""What a router keeps across crashes and never breaks: its identity and promises, in a journal.

The journal is a write-ahead log: appended to and synced before an answer leaves. Opening it writes it anew, compacted,
under the next boot id. What it has metered is kept by :mod:`router_agent.meter_file`.
"""

import fcntl
import logging
import os
import secrets
import struct
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from digitalgrid.errors import ExplainedError
from digitalgrid.model import NO_ELECTION_ID, ElectionId
from router_agent.device.promise import MAX_TOMBSTONES, keep_newest

_log = logging.getLogger(__name__)

_RECORD = struct.Struct("!BQQ")
_CRC = struct.Struct("!I")
_RECORD_BYTES = _RECORD.size + _CRC.size
_INSTANCE, _BOOT, _ELECTION, _FLOOR = 1, 2, 3, 4


class StateError(ExplainedError, RuntimeError):
    """A state directory that cannot be used."""


class PromiseJournal:
    """Identity, boot counter, highest election id and tombstones of one router."""

    def __init__(self, directory: Path) -> None:
        """Raises StateError where another process uses the directory, it is damaged, or cannot be written."""
        self._path = directory / "promises"
        self.instance_id = secrets.token_bytes(16)
        self.boot_id = 0
        self.election_id = NO_ELECTION_ID
        self.floors: OrderedDict[int, int] = OrderedDict()
        # What an earlier failure has left to be done before anything more is promised.
        self._torn = self._misplaced = False
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(directory)
            self._read()
            self.boot_id += 1
            self._rewrite()
        except OSError as error:
            raise StateError(
                f"{directory}: cannot keep the router's state here: {error.strerror}"
            ) from error

    def record(self, election_id: ElectionId | None, floors: Mapping[int, int]) -> None:
        """Returns once it is on disk. OSError where it cannot be: then nothing of it is promised."""
        records = [] if election_id is None else [_pack(_ELECTION, *election_id)]
        records += [_pack(_FLOOR, circuit_id, floor) for circuit_id, floor in floors.items()]
        self._append(b"".join(records))
        if election_id is not None:
            self.election_id = election_id
        keep_newest(self.floors, floors)
        self._appended += len(records)
        if self._appended > 2 * MAX_TOMBSTONES:
            self._compact()

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)

    def _read(self) -> None:
        """A torn record at the end was never promised to anyone; one that others follow was."""
        data = self._path.read_bytes() if self._path.exists() else b""
        for at in range(0, len(data), _RECORD_BYTES):
            if not _intact(data, at):
                self._check_torn(data, at)
                return
            kind, first, second = _RECORD.unpack_from(data, at)
            if kind == _INSTANCE:
                self.instance_id = struct.pack("!QQ", first, second)
            elif kind == _BOOT:
                self.boot_id = first
            elif kind == _ELECTION:
                self.election_id = ElectionId(first, second)
            elif kind == _FLOOR:
                keep_newest(self.floors, {first: second})

    def _check_torn(self, data: bytes, at: int) -> None:
        """StateError where more than the end is unreadable; bytes may be missing, so any place is looked at."""
        if any(_intact(data, later) for later in range(at + 1, len(data))):
            raise StateError(
                f"{self._path}: damaged at byte {at}, and intact promises follow: without what is lost there this"
                " router might break its word. Check the disk, then put back a backup of this file; or have the"
                " router forgotten (dgc forget-router), delete its state_dir, and let it begin as a new device"
            )
        _log.warning("%s: the journal ends torn at byte %d", self._path, at)

    def _append(self, data: bytes) -> None:
        self._mend()
        try:
            _write_all(self._file, data)
            os.fdatasync(self._file)
        except OSError:
            self._torn = True
            self._mend()
            raise
        self._size += len(data)

    def _mend(self) -> None:
        if self._torn:
            # Behind half a record nothing could be read, and whole ones would be found that were never promised.
            os.ftruncate(self._file, self._size)
            self._torn = False
        if self._misplaced:
            _sync_directory(self._path.parent)
            self._misplaced = False

    def _compact(self) -> None:
        """What was promised is on disk already: where there is no room, the journal stays long a while."""
        old = self._file
        try:
            self._rewrite()
        except OSError as error:
            _log.warning("%s: cannot be compacted: %s", self._path, error.strerror)
            self._appended = 0
        if self._file != old:
            os.close(old)

    def _rewrite(self) -> None:
        data = b"".join(
            [
                _pack(_INSTANCE, *struct.unpack("!QQ", self.instance_id)),
                _pack(_BOOT, self.boot_id, 0),
                _pack(_ELECTION, *self.election_id),
                *(_pack(_FLOOR, circuit_id, floor) for circuit_id, floor in self.floors.items()),
            ]
        )
        fresh = self._path.with_suffix(".new")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        file = os.open(fresh, flags, 0o644)
        try:
            _write_all(file, data)
            os.fsync(file)
            fresh.rename(self._path)
        except OSError:
            os.close(file)
            raise
        self._file, self._size, self._appended = file, len(data), 0
        # Until its directory is on disk too, a crash would bring the old one back.
        self._misplaced = True
        self._mend()


def _pack(kind: int, first: int, second: int) -> bytes:
    body = _RECORD.pack(kind, first, second)
    return body + _CRC.pack(zlib.crc32(body))


def _intact(data: bytes, at: int) -> bool:
    """Whether a whole record stands there."""
    body = data[at : at + _RECORD.size]
    return len(data) - at >= _RECORD_BYTES and _CRC.unpack_from(data, at + _RECORD.size)[
        0
    ] == zlib.crc32(body)


def _write_all(file: int, data: bytes) -> None:
    """A disk that has just become full takes a part, and says so only of the rest."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _lock(directory: Path) -> int:
    """Two routers on one directory would give each other's promises away."""
    lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StateError(f"{directory}: another router uses this state_dir; stop it") from error
    return lock
