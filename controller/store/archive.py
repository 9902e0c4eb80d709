"""Portable export and import of a store: JSON lines, to be kept, read, and filled into a store of any kind.

A header with the figures of the store; then a line for each drain, router, circuit, final register, and audit entry, in
this order, as lists whose order the header names; last the counts, and the SHA-256 of all lines before, so that a cut
file is noticed.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    GenerationRecord,
    LinkRegister,
    RegisterRecord,
)
from controller.core.circuits.route import Route, RouteLink
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.protocol import StoreContents, StoreError
from controller.store.records_codec import require_sense
from digitalgrid.config_file import open_regular

FORMAT = "dgc-store"
FORMAT_VERSION = 4
# Without what routers own; version 2 is without drains, version 3 without final registers.
_OLDEST_VERSION = 1
_FIELDS = {
    kind.__name__: kind.__struct_fields__
    for kind in (
        CircuitRecord,
        GenerationRecord,
        Route,
        RouteLink,
        AuditEntry,
        Counters,
        RouterRecord,
        DrainRecord,
        RegisterRecord,
        LinkRegister,
    )
}


class _Version(msgspec.Struct):
    """The part of a header that every version has."""

    format: str
    format_version: int


class _Header(_Version):
    schema_version: int
    generation: int
    epoch: int
    counters: Counters
    # For readers other than this program.
    fields: dict[str, tuple[str, ...]]


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One of these, or with ``sha256`` the last line."""

    drain: DrainRecord | None = None
    router: RouterRecord | None = None
    circuit: CircuitRecord | None = None
    register: RegisterRecord | None = None
    audit: AuditEntry | None = None
    drains: int = 0
    routers: int = 0
    circuits: int = 0
    registers: int = 0
    audit_entries: int = 0
    sha256: str = ""


_encoder = msgspec.json.Encoder()
_line_decoder = msgspec.json.Decoder(_Line)


def write_archive(contents: StoreContents, file: BinaryIO) -> None:
    """Line by line; nothing is gathered in memory."""
    digest = hashlib.sha256()
    drains = routers = circuits = registers = audit_entries = 0

    def put(line: object) -> None:
        data = _encoder.encode(line) + b"\n"
        digest.update(data)
        file.write(data)

    put(
        _Header(
            FORMAT,
            FORMAT_VERSION,
            contents.schema_version,
            contents.generation,
            contents.epoch,
            contents.counters,
            _FIELDS,
        )
    )
    for drain in contents.drains:
        drains += 1
        put(_Line(drain=drain))
    for owner in contents.routers:
        routers += 1
        put(_Line(router=owner))
    for record in contents.circuits:
        circuits += 1
        put(_Line(circuit=record))
    for register in contents.registers:
        registers += 1
        put(_Line(register=register))
    for entry in contents.audit:
        audit_entries += 1
        put(_Line(audit=entry))
    put(
        _Line(
            drains=drains,
            routers=routers,
            circuits=circuits,
            registers=registers,
            audit_entries=audit_entries,
            sha256=digest.hexdigest(),
        )
    )


def read_archive(file: BinaryIO, path: Path) -> StoreContents:
    """Lazily, so drains must be read to their end before routers, then circuits, then registers, then audit entries.

    StoreError where something is wrong, at the latest with the end of the audit entries.
    """
    reading = _Reading(file, path)
    header = reading.header()
    return StoreContents(
        header.schema_version,
        header.generation,
        header.epoch,
        header.counters,
        reading.circuits(),
        reading.audit(),
        reading.routers(),
        reading.drains(),
        reading.registers(),
    )


def check_archive(path: Path) -> None:
    """StoreError where it is cut or damaged; so that this is known before a store is filled."""
    with open(path, "rb", opener=open_regular) as file:
        contents = read_archive(file, path)
        for records in (
            *(contents.drains, contents.routers, contents.circuits),
            *(contents.registers, contents.audit),
        ):
            deque(records, maxlen=0)


class _Reading:
    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._digest = hashlib.sha256()
        self._line_number = 0
        self._drains = self._routers = self._circuits = self._registers = 0
        # What comes after the drains, once they have been read.
        self._after_drains: _Line | None = None
        # What comes after the routers, once they have been read.
        self._after_routers: _Line | None = None
        # What comes after the circuits, once they have been read.
        self._after_circuits: _Line | None = None
        # What comes after the registers, once they have been read.
        self._after_registers: _Line | None = None

    def header(self) -> _Header:
        data = self._take()
        try:
            version = msgspec.json.decode(data, type=_Version)
        except msgspec.MsgspecError as error:
            raise StoreError(f"{self._path}: is no export of a store ({error})") from error
        readable = range(_OLDEST_VERSION, FORMAT_VERSION + 1)
        if version.format != FORMAT or version.format_version not in readable:
            raise StoreError(
                f"{self._path}: is {version.format!r}, version {version.format_version}; this program"
                f" reads {FORMAT!r}, up to version {FORMAT_VERSION}: use the program that wrote it"
            )
        self._digest.update(data)
        try:
            return msgspec.json.decode(data, type=_Header)
        except msgspec.MsgspecError as error:
            raise self._wrong(str(error)) from error

    def drains(self) -> Iterator[DrainRecord]:
        while (record := (line := self._line()).drain) is not None:
            self._drains += 1
            yield record
        self._after_drains = line

    def routers(self) -> Iterator[RouterRecord]:
        line = self._after_drains
        if line is None:
            raise RuntimeError("drains come before routers in the file, and are read first")
        while (record := line.router) is not None:
            self._routers += 1
            yield record
            line = self._line()
        self._after_routers = line

    def circuits(self) -> Iterator[CircuitRecord]:
        line = self._after_routers
        if line is None:
            raise RuntimeError("routers come before circuits in the file, and are read first")
        while (record := line.circuit) is not None:
            self._circuits += 1
            try:
                require_sense(record)
            except StoreError as error:
                raise self._wrong(str(error)) from error
            yield record
            line = self._line()
        self._after_circuits = line

    def registers(self) -> Iterator[RegisterRecord]:
        line = self._after_circuits
        if line is None:
            raise RuntimeError("circuits come before registers in the file, and are read first")
        while (record := line.register) is not None:
            self._registers += 1
            yield record
            line = self._line()
        self._after_registers = line

    def audit(self) -> Iterator[AuditEntry]:
        line, entries = self._after_registers, 0
        if line is None:
            raise RuntimeError(
                "registers come before audit entries in the file, and are read first"
            )
        while (entry := line.audit) is not None:
            entries += 1
            yield entry
            line = self._line()
        if not line.sha256:
            raise self._wrong("a register, circuit, router or drain comes after audit entries")
        found = (self._drains, self._routers, self._circuits, self._registers, entries)
        said = (line.drains, line.routers, line.circuits, line.registers, line.audit_entries)
        if said != found:
            raise self._wrong("lines are missing, or there are too many")
        if self._file.read(1):
            raise self._wrong("something comes after the last line")

    def _line(self) -> _Line:
        data = self._take()
        try:
            line = _line_decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise self._wrong(str(error)) from error
        if not line.sha256:
            self._digest.update(data)
        elif line.sha256 != self._digest.hexdigest():
            raise self._wrong("lines before it are not as they were written")
        return line

    def _take(self) -> bytes:
        self._line_number += 1
        data = self._file.readline()
        if not data.endswith(b"\n"):
            raise self._wrong("the file is cut off")
        return data

    def _wrong(self, what: str) -> StoreError:
        return StoreError(
            f"{self._path}:{self._line_number}: {what}; this export cannot be used: take another"
        )
