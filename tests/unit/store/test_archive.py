"""The export: streamed both ways, and no change of it goes unnoticed."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from controller.core.circuits.records import CircuitRecord, Counters
from controller.store.archive import check_archive, read_archive, write_archive
from controller.store.protocol import StoreContents, StoreError
from tests.support.records import (
    audit_entry,
    circuit_record,
    drain_record,
    register_record,
    router_record,
)

COUNTERS = Counters(4, 5, 3)


def contents() -> StoreContents:
    circuits = iter([circuit_record(number) for number in (1, 2, 3)])
    audit = iter([audit_entry(1), audit_entry(2)])
    routers = iter([router_record("r1", "home"), router_record("r2")])
    drains = iter([drain_record("r1-r2")])
    registers = iter([register_record(1, 2), register_record(2, 3)])
    return StoreContents(2, 1000, 7, COUNTERS, circuits, audit, routers, drains, registers)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "export.jsonl"
    with path.open("wb") as file:
        write_archive(contents(), file)
    return path


def test_everything_is_read_again(archive: Path) -> None:
    with archive.open("rb") as file:
        read = read_archive(file, archive)
        assert (read.schema_version, read.generation, read.epoch) == (2, 1000, 7)
        assert read.counters == COUNTERS
        assert list(read.drains) == list(contents().drains)
        assert list(read.routers) == list(contents().routers)
        assert list(read.circuits) == list(contents().circuits)
        assert list(read.registers) == list(contents().registers)
        assert list(read.audit) == list(contents().audit)


def test_each_line_is_json_and_the_header_names_the_fields(archive: Path) -> None:
    header, *lines = map(json.loads, archive.read_text().splitlines())
    names = header["fields"]["RouterRecord"]
    assert dict(zip(names, lines[1]["router"], strict=True))["load_ids"] == ["home"]
    names = header["fields"]["CircuitRecord"]
    assert dict(zip(names, lines[3]["circuit"], strict=True))["request_id"] == "request-1"


def test_an_export_of_the_first_version_is_read(archive: Path, tmp_path: Path) -> None:
    """It has no lines of routers, drains and registers, and did not count them."""
    later = (b'"router":', b'"drain":', b'"register":')
    lines = [
        each
        for each in archive.read_bytes().splitlines(True)
        if not any(key in each for key in later)
    ]
    lines[0] = lines[0].replace(b'"format_version":4', b'"format_version":1')
    digest = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    lines[-1] = b'{"circuits":3,"audit_entries":2,"sha256":"%s"}\n' % digest.encode()
    archive.write_bytes(b"".join(lines))
    check_archive(archive)
    with archive.open("rb") as file:
        read = read_archive(file, archive)
        assert list(read.drains) == []
        assert list(read.routers) == []
        assert list(read.circuits) == list(contents().circuits)
        assert list(read.registers) == []


def test_nothing_is_gathered_in_memory() -> None:
    """What has been produced has been written before the next is asked for."""
    file = io.BytesIO()
    sizes = []

    def circuits() -> Iterator[CircuitRecord]:
        for number in range(1, 4):
            sizes.append(file.tell())
            yield circuit_record(number)

    write_archive(StoreContents(2, 1, 1, COUNTERS, circuits(), iter(())), file)
    assert sizes == sorted(set(sizes))
    assert sizes[0] > 0


def test_audit_entries_cannot_be_read_before_registers(archive: Path) -> None:
    with archive.open("rb") as file, pytest.raises(RuntimeError, match="registers come before"):
        next(read_archive(file, archive).audit)


def test_registers_cannot_be_read_before_circuits(archive: Path) -> None:
    with archive.open("rb") as file, pytest.raises(RuntimeError, match="circuits come before"):
        next(read_archive(file, archive).registers)


def test_circuits_cannot_be_read_before_routers(archive: Path) -> None:
    with archive.open("rb") as file, pytest.raises(RuntimeError, match="routers come before"):
        next(read_archive(file, archive).circuits)


@pytest.mark.parametrize("lines", range(10))
def test_a_file_without_its_last_lines_is_refused(archive: Path, lines: int) -> None:
    kept = archive.read_bytes().splitlines(keepends=True)[:lines]
    archive.write_bytes(b"".join(kept))
    with pytest.raises(StoreError, match="cut off"):
        check_archive(archive)


def test_every_cut_is_noticed(archive: Path) -> None:
    whole = archive.read_bytes()
    for length in range(0, len(whole), 13):
        archive.write_bytes(whole[:length])
        with pytest.raises(StoreError, match=r"export\.jsonl"):
            check_archive(archive)


def test_every_flipped_bit_is_noticed(archive: Path) -> None:
    whole = archive.read_bytes()
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        archive.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"export\.jsonl"):
            check_archive(archive)


@pytest.mark.parametrize("change", ["a line twice", "a line less", "something after the end"])
def test_lines_that_are_whole_but_others_are_noticed(archive: Path, change: str) -> None:
    lines = archive.read_bytes().splitlines(keepends=True)
    match change:
        case "a line twice":
            lines.insert(2, lines[2])
        case "a line less":
            del lines[2]
        case _:
            lines.append(lines[2])
    archive.write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match="take another"):
        check_archive(archive)


def test_a_record_that_nobody_can_lead_with_is_refused(tmp_path: Path) -> None:
    """Whoever wrote it, and whatever its sums say."""
    path = tmp_path / "export.jsonl"
    records = iter([msgspec.structs.replace(circuit_record(1), ended_as="expired")])
    with path.open("wb") as file:
        write_archive(StoreContents(2, 1, 1, COUNTERS, records, iter(())), file)
    with pytest.raises(StoreError, match=r"export\.jsonl:2: .*ended_as 'expired'"):
        check_archive(path)


def test_a_later_format_is_refused(archive: Path) -> None:
    archive.write_bytes(
        archive.read_bytes().replace(b'"format_version":4', b'"format_version":5', 1)
    )
    with pytest.raises(
        StoreError, match="version 5; this program reads 'dgc-store', up to version 4"
    ):
        check_archive(archive)
