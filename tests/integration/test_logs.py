"""Logs of the programs that run on: for whoever takes them, without being told."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.exchanges import market_file
from tests.support.patience import PATIENCE_S
from tests.support.terminals import at_terminal
from topologies.emulator.ports import free_ports


@pytest.fixture
def taken() -> Iterator[str]:
    """An address where somebody else listens: they say so, and end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _controller(directory: Path, taken: str) -> list[str]:
    (port,) = free_ports(1)
    return _command(
        directory,
        f"northbound: {{listen: '{taken}'}}\n"
        f"southbound: {{listen: ['127.0.0.1:{port}']}}\n"
        f"store: {{path: {directory / 'store.sqlite'}}}\n"
        "web: {listen: ''}\n"
        "engine: interpreted\n",
        *("dgc", "serve", "--config"),
    )


def _router(directory: Path, taken: str) -> list[str]:
    text = f"router_id: r1\nstate_dir: {directory / 'state'}\nmetrics: {{listen: '{taken}'}}\n"
    return _command(directory, text, "dgr", "run")


def _exchange(directory: Path, taken: str) -> list[str]:
    text = market_file(listen=taken, state_dir=str(directory / "state"))
    return _command(directory, text, *("dgm", "run", "--config"))


def _command(directory: Path, text: str, program: str, *words: str) -> list[str]:
    file = directory / "program.yaml"
    file.write_text(text)
    return [str(Path(sys.executable).with_name(program)), *words, str(file)]


@pytest.mark.parametrize("program", [_controller, _router, _exchange])
def test_a_terminal_has_lines_for_people_and_a_pipe_objects(
    tmp_path: Path, taken: str, program: Callable[[Path, str], list[str]]
) -> None:
    command = program(tmp_path, taken)
    piped = subprocess.run(
        command, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False
    )
    # gRPC has words of its own for an address that it cannot have.
    ours = [line for line in piped.stderr.splitlines() if not re.match(r"[EWI]\d{4} ", line)]
    last = [json.loads(line) for line in ours][-1]
    assert (piped.returncode, last["level"] in ("ERROR", "CRITICAL")) == (1, True), piped.stderr
    assert taken in last["message"]
    ended, told = at_terminal(command, PATIENCE_S)
    assert ended.returncode == 1, told
    (said,) = [line for line in told.splitlines() if last["message"] in line]
    assert f" {last['level']} {last['logger']}: {last['message']}" in said
