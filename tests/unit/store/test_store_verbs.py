"""``dgc store``: what is printed, and how it exits."""

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.config import ControllerConfig, EtcdConfig, StoreConfig
from controller.core.circuits.records import AuditEntry, Counters, StateChange
from controller.store.etcd.access import EtcdAccess
from controller.store.restored import beyond_lost
from controller.store.sqlite import SqliteAccess, SqliteStore
from dgc.cli import main
from dgc.store import open_access
from tests.support.durability import Durability
from tests.support.records import circuit_record

ROOT = Path(__file__).parents[3]
# 2026-01-31T12:00:00Z
_NOON_UNIX_NS = 1_769_860_800_000_000_000
_ENTRIES = tuple(
    AuditEntry(seq, _NOON_UNIX_NS + at_ns, "ops@10.0.0.1", "admit", subject, "[b]1 MW", "admitted")
    for seq, at_ns, subject in ((1, -1, "7"), (2, 0, "8"), (3, 1, "7"))
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    store.load()
    Durability(store)
    records = tuple(circuit_record(number) for number in range(1, 4))
    store.submit(1, StateChange(records, Counters(4, 1, 4), (), _ENTRIES))
    store.close()
    return path


def dgc_store(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["store", *map(str, arguments)])


def test_an_export_is_imported_into_a_new_store(path: Path, tmp_path: Path) -> None:
    export, copy = tmp_path / "export.jsonl", tmp_path / "copy.sqlite"
    assert dgc_store("export", export, "--path", path).exit_code == 0
    assert dgc_store("import", export, "--path", copy).exit_code == 0
    contents = SqliteAccess(copy).read()
    assert len(list(contents.circuits)) == 3
    assert tuple(contents.audit) == _ENTRIES
    assert contents.counters == beyond_lost(Counters(4, 1, 4)), "no number is given again"


def test_an_export_to_standard_output_is_the_same(path: Path, tmp_path: Path) -> None:
    dgc_store("export", tmp_path / "export.jsonl", "--path", path)
    printed = dgc_store("export", "--path", path)
    assert printed.exit_code == 0
    assert printed.stdout_bytes == (tmp_path / "export.jsonl").read_bytes()


def test_an_export_that_fails_leaves_the_one_before(path: Path, tmp_path: Path) -> None:
    export = tmp_path / "export.jsonl"
    export.write_text("the one before")
    store = SqliteStore(path)
    store._connection.execute("UPDATE circuits SET record = x'00' WHERE circuit_id = 2")
    store.close()
    result = dgc_store("export", export, "--path", path)
    assert (result.exit_code, "circuit 2: damaged" in result.stderr) == (1, True)
    assert export.read_text() == "the one before"
    assert not list(tmp_path.glob("*.new"))


def test_an_export_into_a_pipe_goes_through_it(path: Path, tmp_path: Path) -> None:
    """As a shell's process substitution makes one."""
    dgc_store("export", tmp_path / "export.jsonl", "--path", path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as reader:
        through = reader.submit(pipe.read_bytes)
        assert dgc_store("export", pipe, "--path", path).exit_code == 0
        assert through.result(10) == (tmp_path / "export.jsonl").read_bytes()
    assert pipe.is_fifo()


def test_a_device_is_written_and_stays_one(path: Path, tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    assert dgc_store("export", device, "--path", path).exit_code == 0
    assert device.is_char_device()
    result = dgc_store("backup", device, "--path", path)
    assert (result.exit_code, "is there already" in result.stderr) == (1, True)
    assert device.is_char_device()


def test_an_export_to_the_standard_output_by_name_is_not_put_in_its_place(
    path: Path, tmp_path: Path
) -> None:
    dgc_store("export", tmp_path / "export.jsonl", "--path", path)
    printed = tmp_path / "printed"
    program = "from dgc.cli import main; main()"
    command = [sys.executable, "-c", program, "store", "export", "/dev/stdout"]
    with printed.open("wb") as file:
        file.write(b"before\n")
        file.flush()
        subprocess.run([*command, "--path", path], stdout=file, check=True, cwd=ROOT)
    assert printed.read_bytes() == b"before\n" + (tmp_path / "export.jsonl").read_bytes()


@pytest.mark.parametrize("verb", ["export", "backup"])
def test_links_are_followed(path: Path, tmp_path: Path, verb: str) -> None:
    link = tmp_path / "link"
    link.symlink_to("real")
    assert dgc_store(verb, link, "--path", path).exit_code == 0
    assert link.is_symlink()
    assert (tmp_path / "real").is_file()


def test_what_another_run_has_not_finished_is_left_alone(path: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "export.jsonl", tmp_path / "backup.sqlite"):
        target.with_name(f"{target.name}.new").write_text("of another run")
    assert dgc_store("export", tmp_path / "export.jsonl", "--path", path).exit_code == 0
    assert dgc_store("backup", tmp_path / "backup.sqlite", "--path", path).exit_code == 0
    unfinished = list(tmp_path.glob("*.new"))
    assert [each.read_text() for each in unfinished] == ["of another run"] * 2


def test_an_import_is_refused_where_a_daemon_or_circuits_are(path: Path, tmp_path: Path) -> None:
    export = tmp_path / "export.jsonl"
    dgc_store("export", export, "--path", path)
    result = dgc_store("import", export, "--path", path)
    assert (result.exit_code, "is not empty" in result.stderr) == (1, True)
    store = SqliteStore(tmp_path / "empty.sqlite")
    result = dgc_store("import", export, "--path", tmp_path / "empty.sqlite")
    store.close()
    assert (result.exit_code, "another daemon uses" in result.stderr) == (1, True)


def test_a_cut_export_is_refused_before_anything_is_made(path: Path, tmp_path: Path) -> None:
    export, copy = tmp_path / "export.jsonl", tmp_path / "copy.sqlite"
    dgc_store("export", export, "--path", path)
    export.write_bytes(export.read_bytes()[:-20])
    result = dgc_store("import", export, "--path", copy)
    assert (result.exit_code, "cut off" in result.stderr) == (1, True)
    assert not copy.exists()


def test_verify_prints_what_is_wrong(path: Path) -> None:
    assert dgc_store("verify", "--path", path).exit_code == 0
    store = SqliteStore(path)
    store._connection.execute("UPDATE circuits SET record = x'00'")
    store.close()
    result = dgc_store("verify", "--path", path)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 3


def test_a_backup_is_made_once(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.sqlite"
    assert dgc_store("backup", target, "--path", path).exit_code == 0
    assert SqliteAccess(target).verify() == []
    assert dgc_store("backup", target, "--path", path).exit_code == 1


def test_audit_prints_one_object_a_line(path: Path) -> None:
    result = dgc_store("audit", "-o", "json", "--path", path)
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["seq"] for each in lines] == [1, 2, 3]
    assert lines[0] == {
        "seq": 1,
        "at_unix_ns": _NOON_UNIX_NS - 1,
        "who": "ops@10.0.0.1",
        "action": "admit",
        "subject": "7",
        "asked": "[b]1 MW",
        "decided": "admitted",
        "why": "",
        "roles": [],
        "proven": False,
    }


@pytest.mark.parametrize(
    ("options", "seqs"),
    [
        (["--subject", "7"], [1, 3]),
        (["--since", "2026-01-31T12:00"], [2, 3]),
        (["--since", "2026-01-31T13:00:00+01:00"], [2, 3]),
        (["--since", "2026-01-31T12:00Z", "--subject", "7"], [3]),
        (["--since", "2026-02-01"], []),
    ],
)
def test_audit_prints_only_what_is_asked_for(
    path: Path, options: list[str], seqs: list[int]
) -> None:
    result = dgc_store("audit", "-o", "json", "--path", path, *options)
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == seqs


def test_audit_prints_a_table_of_what_was_said_literally(path: Path) -> None:
    result = dgc_store("audit", "--path", path)
    assert result.exit_code == 0
    assert "2026-01-31 11:59:59.999" in result.stdout
    assert "[b]1 MW" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--path", "a", "--config", "b"],
        ["audit", "--since", "yesterday", "--path", "a"],
        ["verify", "--config", "not-there.yaml"],
        ["backup"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert dgc_store(*arguments).exit_code == 2


def test_the_configuration_of_the_daemon_chooses_the_store(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "dgc.yaml"
    config.write_text(f"store:\n  path: {path}\n")
    assert dgc_store("verify", "--config", config).exit_code == 0
    etcd = EtcdConfig(endpoints=("127.0.0.1:1",))
    assert isinstance(open_access(ControllerConfig(store=StoreConfig(etcd=etcd))), EtcdAccess)


def test_a_store_in_etcd_has_no_file_to_back_up(tmp_path: Path) -> None:
    config = tmp_path / "dgc.yaml"
    config.write_text("store:\n  etcd:\n    endpoints: ['127.0.0.1:1']\n")
    result = dgc_store("backup", tmp_path / "copy", "--config", config)
    assert (result.exit_code, "dgc store export" in result.stderr) == (1, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("verb", ["verify", "audit", "export", "backup {target}"])
def test_a_copy_of_a_stopped_store_is_read_where_nothing_can_be_written(
    path: Path, tmp_path: Path, verb: str
) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    words = verb.format(target=tmp_path / "backup.sqlite")
    program = Path(sys.executable).with_name("dgc")
    # In a mount namespace of its own: nothing stays mounted.
    steps = (
        f"mount -t tmpfs none {mounted} && cp {path} {mounted}/copy.sqlite"
        f" && mount -o remount,ro {mounted} && {program} store {words} --path {mounted}/copy.sqlite"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", steps], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_copy_of_a_running_store_cannot_be_read_there_and_says_so(
    path: Path, tmp_path: Path
) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    Path(f"{path}-wal").write_bytes(b"\0" * 100)
    program = Path(sys.executable).with_name("dgc")
    steps = (
        f"mount -t tmpfs none {mounted} && cp {path} {path}-wal {mounted}/"
        f" && mount -o remount,ro {mounted} && {program} store verify --path {mounted}/{path.name}"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", steps], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cannot be opened" in done.stdout + done.stderr
