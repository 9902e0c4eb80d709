from pathlib import Path

import pytest

from topologies.emulator import runtime, workspace
from topologies.emulator.errors import AlreadyRunning
from topologies.emulator.plan import RunFiles
from topologies.emulator.processes import ProcessId
from topologies.emulator.workspace import RunRecord


@pytest.fixture(autouse=True)
def locks_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "_NETWORK_LOCK", str(tmp_path / "network{}.lock"))


def test_a_control_network_that_is_taken_without_a_signature_stays_its_last_owners(
    tmp_path: Path,
) -> None:
    owner = workspace.network_lock(1)
    owner.sign(tmp_path / "owner")
    assert workspace.is_held(1)
    with pytest.raises(AlreadyRunning, match=f"dgc stop --run-dir {tmp_path}/owner"):
        workspace.network_lock(1)
    owner.close()
    assert not workspace.is_held(1)
    workspace.network_lock(1).close()
    assert workspace.run_dir_of(1) == tmp_path / "owner"
    assert workspace.used_numbers() == [1]


def test_stopping_leaves_what_another_emulation_has_recorded_meanwhile(tmp_path: Path) -> None:
    files = RunFiles.under(tmp_path)
    ended, other = (RunRecord("local", ProcessId(2**22 + each, 1)) for each in (1, 2))
    workspace.write_record(files, ended)
    runtime.stop(tmp_path)
    assert workspace.read_record(files) is None
    workspace.write_record(files, other)
    lock = workspace.prepare(files)
    runtime._erase(files, ended)
    assert workspace.read_record(files) == other
    lock.close()
    runtime._erase(files, ended)
    assert workspace.read_record(files) == other


def test_a_run_directory_is_the_same_by_whichever_way_one_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    monkeypatch.chdir(tmp_path / "link")
    for way in (".run", "../link/.run", "../here/x/../.run", str(tmp_path / "link" / ".run")):
        assert RunFiles.under(Path(way)).root == tmp_path / "here" / ".run"


def test_who_has_a_run_directory_with_a_long_name_is_said_in_full(tmp_path: Path) -> None:
    files = RunFiles.under(tmp_path.joinpath(*["a" * 100] * 4))
    lock = workspace.prepare(files)
    with pytest.raises(AlreadyRunning, match=f"--run-dir {files.root}`"):
        workspace.prepare(files)
    lock.close()
