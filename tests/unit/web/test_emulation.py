"""Faults from the page: only where routers are emulated, and as the emulation answers."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.web.emulation import VERBS
from digitalgrid.supervision import start_thread_once
from tests.support.northbound import in_loop, northbound
from tests.support.page import Page, page, page_over
from topologies.emulator.control import VERBS as OBEYED


@pytest.fixture
def emulation(tmp_path: Path) -> Iterator[tuple[Path, list[Any]]]:
    """Obeys what it is told as the emulator does, but for what is called nowhere."""
    heard: list[Any] = []
    # Longer than a socket's path may be.
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        listener.bind("control.sock")
    listener.listen()

    def obey() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                command = json.loads(connection.makefile("rb").readline())
                heard.append(command)
                unknown = command["target"] == "nowhere"
                answer = {"error": "no link is called 'nowhere'"} if unknown else {"done": "done"}
                connection.sendall(json.dumps(answer).encode() + b"\n")

    start_thread_once("emulation", obey)
    yield folder / "control.sock", heard
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


async def fault(served: Page, verb: str, said: Any) -> tuple[int, str]:
    where = f"{served.address}api/v1/emulation/{verb}"
    async with served.http.post(where, json=said) as answer:
        return answer.status, await answer.text()


def test_faults_are_told_to_the_emulation(emulation: tuple[Path, list[Any]]) -> None:
    path, heard = emulation

    @in_loop
    async def story() -> None:
        async with northbound() as api, page_over(api, emulation=path) as served:
            status, text = await fault(served, "cut", {"id": "r1-r2"})
            assert (status, json.loads(text)) == (200, {"done": "done"})
            assert (await fault(served, "cloud", {"id": "pv", "share": 0.5, "for_s": 3}))[0] == 200
            status, text = await fault(served, "cut", {"id": "nowhere"})
            assert (status, json.loads(text)) == (
                409,
                {"message": "no link is called 'nowhere'"},
            )
            nonsense: list[Any] = [{}, [], "x"]
            for said in nonsense:
                assert (await fault(served, "cut", said))[0] == 400
            assert (await fault(served, "kill-controller", {"id": ""}))[0] == 404

    story()
    assert heard[0] == {"verb": "cut", "target": "r1-r2"}
    assert heard[1] == {"verb": "cloud", "target": "pv", "share": 0.5, "for_s": 3}


@in_loop
async def test_where_routers_are_real_there_are_no_faults() -> None:
    async with page() as served:
        assert (await fault(served, "cut", {"id": "r1-r2"}))[0] == 404


def test_an_emulation_that_has_gone_is_said_to_be(tmp_path: Path) -> None:
    @in_loop
    async def story() -> None:
        async with northbound() as api, page_over(api, emulation=tmp_path / "none") as served:
            status, text = await fault(served, "cut", {"id": "r1-r2"})
            assert status == 503
            assert "does not answer" in text

    story()


def test_the_page_asks_for_nothing_that_the_emulation_does_not_know() -> None:
    assert set(OBEYED) >= VERBS
