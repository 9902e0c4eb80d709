"""The file: lines that are added and read, and all that follows from them."""

import fcntl
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    RegisterRecord,
    StateChange,
)
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.protocol import StoreError
from controller.store.records_codec import require_sense
from digitalgrid.model import CircuitGeneration

# A checksum in hexadecimal, and a space.
_CHECKSUM_BYTES = 9


class Commit(msgspec.Struct, frozen=True):
    """One line. A term begins with one that changes nothing."""

    generation: int
    epoch: int
    changes: tuple[StateChange, ...] = ()


@dataclass(slots=True)
class Contents:
    """What all lines together say; the last word wins."""

    generation: int = 0
    epoch: int = 0
    counters: Counters = field(default_factory=Counters)
    circuits: dict[int, CircuitRecord] = field(default_factory=dict)
    routers: dict[str, RouterRecord] = field(default_factory=dict)
    drains: dict[str, DrainRecord] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)
    registers: dict[CircuitGeneration, RegisterRecord] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        known = self.circuits or self.routers or self.drains or self.audit or self.registers
        return not known and self.counters == Counters()

    def take(self, commit: Commit) -> None:
        self.generation, self.epoch = commit.generation, commit.epoch
        for change in commit.changes:
            self.counters = change.counters
            self.circuits.update((each.circuit_id, each) for each in change.circuits)
            self.routers.update((each.router_id, each) for each in change.routers)
            self.drains.update((each.id, each) for each in change.drains)
            self.audit.extend(change.audit)
            for register in change.registers:
                # But of these the first word stands.
                self.registers.setdefault(register.key, register)
            for circuit_id in change.forgotten_ids:
                self.circuits.pop(circuit_id, None)
            for router_id in change.forgotten_router_ids:
                self.routers.pop(router_id, None)
            for drained_id in change.undrained_ids:
                self.drains.pop(drained_id, None)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Commit)


def read(path: Path) -> Contents:
    """As of now, whatever is written meanwhile. StoreError where it is damaged, or there is none."""
    contents = Contents()
    for commit in commits(path):
        contents.take(commit)
    return contents


def commits(path: Path) -> Iterator[Commit]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}; see store.at") from error
    # What comes after the last line's end is not written yet, or never will be.
    for number, line in enumerate(lines[:-1], 1):
        if not _is_whole(line):
            raise StoreError(f"{path}:{number}: is not as it was written; restore a backup")
        try:
            commit = _decoder.decode(line[_CHECKSUM_BYTES:])
            for change in commit.changes:
                for record in change.circuits:
                    require_sense(record)
        except (msgspec.MsgspecError, StoreError) as error:
            raise StoreError(f"{path}:{number}: {error}; restore a backup") from error
        yield commit


def _is_whole(line: bytes) -> bool:
    return line[:_CHECKSUM_BYTES] == b"%08x " % zlib.crc32(line[_CHECKSUM_BYTES:])


class Writer:
    """The one who may add lines: nobody else can open it so while this is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}; see store.at") from error
        self.closed = False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The name of a new file, too, is to survive a crash.
            directory = os.open(path.parent, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)
            self._cut_off_what_is_torn()
        except BlockingIOError as error:
            self.close()
            raise StoreError(
                f"{path}: another daemon uses this journal; stop it, or give this one another store.at"
            ) from error
        except OSError as error:
            self.close()
            raise StoreError(f"{path}: cannot be used: {error.strerror}") from error
        self._size = os.fstat(self._file).st_size

    def add(self, *some: Commit) -> None:
        """On the disk when this returns. StoreError where that fails: nothing may be added after it."""
        data = b"".join(_line(each) for each in some)
        try:
            if os.fstat(self._file).st_size != self._size:
                raise StoreError(
                    f"{self._path}: somebody else has written to it; nothing more was written: see"
                    " that one daemon alone is given this file"
                )
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError as error:
            raise StoreError(
                f"{self._path}: cannot be written: {error.strerror}; make room or mend the disk, and"
                " start again: all that was acknowledged is kept"
            ) from error
        self._size += len(data)

    def close(self) -> None:
        """Any number of times."""
        if not self.closed:
            self.closed = True
            os.close(self._file)

    def _cut_off_what_is_torn(self) -> None:
        whole = self._path.read_bytes()
        end = whole.rfind(b"\n") + 1
        if end and not _is_whole(whole[whole.rfind(b"\n", 0, end - 1) + 1 : end - 1]):
            # A machine that lost its power may have kept the end of a line, and not its beginning.
            end = whole.rfind(b"\n", 0, end - 1) + 1
        if end < len(whole):
            os.ftruncate(self._file, end)
            os.fsync(self._file)


def _line(commit: Commit) -> bytes:
    body = _encoder.encode(commit)
    return b"%08x %b\n" % (zlib.crc32(body), body)
