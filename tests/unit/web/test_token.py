"""The token of a page beyond loopback: kept for the daemon's user alone, and the same after a restart."""

import os
import stat
from pathlib import Path

import pytest

from controller.web.token import kept_token, read_token
from tests.support.northbound import free_port, in_loop, northbound
from tests.support.page import page_over


def test_it_is_made_once_and_readable_by_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "not yet there" / "page-token"
    assert read_token(path) == ""
    token = kept_token(path)
    assert len(token) >= 16
    assert kept_token(path) == read_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_whoever_would_rather_choose_one_puts_it_there(tmp_path: Path) -> None:
    path = tmp_path / "page-token"
    path.touch(0o600)
    path.write_text("correct.horse-battery~staple\n")
    assert kept_token(path) == "correct.horse-battery~staple"


@pytest.mark.parametrize("text", ["", "short", "with a blank in it, and long enough", "é" * 20])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page-token"
    path.touch(0o600)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OSError, match="holds no token"):
        kept_token(path)


def test_one_that_others_can_read_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "page-token"
    kept_token(path)
    path.chmod(0o640)
    with pytest.raises(OSError, match="chmod 600"):
        kept_token(path)


def test_what_is_no_file_is_no_token_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "page-token", 0o600)
    with pytest.raises(OSError, match="no regular file"):
        kept_token(tmp_path / "page-token")


@in_loop
async def test_a_page_that_is_open_goes_on_after_a_restart(tmp_path: Path) -> None:
    listen, file = f"0.0.0.0:{free_port()}", tmp_path / "page-token"
    tokens = []
    async with northbound() as api:
        for _ in range(2):
            async with page_over(api, listen, token_file=file) as served:
                tokens.append(served.address.partition("#token=")[2])
                where = served.address.partition("#")[0]
                held = {"Authorization": f"Bearer {tokens[0]}"}
                call = f"{where}api/v1/call/PowerService/ListCircuits"
                async with served.http.post(call, json={}, headers=held) as answer:
                    assert answer.status == 200
    assert tokens[0] == tokens[1]
