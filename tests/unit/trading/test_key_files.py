"""Secret keys stand in files of their own, which nobody else may read and nothing is written over."""

import errno
import os
import stat
from pathlib import Path

import pytest

from trading.ledger.key_files import BadKeyFile, read_key, remove_unfinished, write_new_key


def test_a_key_that_was_written_is_read_again_and_is_for_its_owner_only(tmp_path: Path) -> None:
    key = write_new_key(tmp_path / "key")
    assert read_key(tmp_path / "key").public_key == key.public_key
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_no_key_is_written_over(tmp_path: Path) -> None:
    before = write_new_key(tmp_path / "key")
    with pytest.raises(FileExistsError):
        write_new_key(tmp_path / "key")
    assert read_key(tmp_path / "key").public_key == before.public_key


def test_a_key_file_is_whole_or_not_there_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as disk, pytest.raises(OSError, match="no space left"):
        disk.setattr(os, "fsync", full)
        write_new_key(tmp_path / "key")
    assert not list(tmp_path.iterdir())
    write_new_key(tmp_path / "key")
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_what_a_killed_maker_has_left_is_no_second_name_of_a_key_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: Path) -> None:
        raise KeyboardInterrupt

    others = tmp_path / ".key.backup"
    others.write_text("his own")
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(Path, "unlink", die)
        write_new_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_nlink == 2
    remove_unfinished(tmp_path / "key")
    assert {each.name for each in tmp_path.iterdir()} == {"key", others.name}
    read_key(tmp_path / "key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_can_use_is_none(mode: int, tmp_path: Path) -> None:
    write_new_key(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(BadKeyFile, match="chmod 600"):
        read_key(tmp_path / "key")


@pytest.mark.parametrize(
    "content", [b"", b"00", b"x" * 64, b"00" * 33, b"00" * 10_000, bytes(range(200, 232))]
)
def test_a_file_that_holds_no_key_is_refused_and_its_content_is_not_told(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadKeyFile, match="holds no key") as caught:
        read_key(path)
    assert len(str(caught.value)) < len(str(path)) + 120
