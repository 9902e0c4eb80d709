"""Logs of the programs that run on: for whoever takes them, without being told."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.exchanges import market_file
from topologies.emulator.ports import free_ports

# An address of documentation (RFC 5737), which this machine does not have: they say so, and end.
_ELSEWHERE = "192.0.2.1:50051"


def _controller(directory: Path) -> list[str]:
    (port,) = free_ports(1)
    return _command(
        directory,
        f"northbound: {{listen: '{_ELSEWHERE}'}}\n"
        f"southbound: {{listen: ['127.0.0.1:{port}']}}\n"
        f"store: {{path: {directory / 'store.sqlite'}}}\n"
        "web: {listen: ''}\n"
        "engine: interpreted\n",
        *("dgc", "serve", "--config"),
    )


def _router(directory: Path) -> list[str]:
    text = f"router_id: r1\nstate_dir: {directory / 'state'}\nmetrics: {{listen: '{_ELSEWHERE}'}}\n"
    return _command(directory, text, "dgr", "run")


def _exchange(directory: Path) -> list[str]:
    text = market_file(listen=_ELSEWHERE, state_dir=str(directory / "state"))
    return _command(directory, text, *("dgm", "run", "--config"))


def _command(directory: Path, text: str, program: str, *words: str) -> list[str]:
    file = directory / "program.yaml"
    file.write_text(text)
    return [str(Path(sys.executable).with_name(program)), *words, str(file)]


@pytest.mark.parametrize("program", [_controller, _router, _exchange])
def test_a_terminal_has_lines_for_people_and_a_pipe_objects(
    tmp_path: Path, program: Callable[[Path], list[str]]
) -> None:
    command = program(tmp_path)
    piped = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    # gRPC has words of its own for an address that is not here.
    ours = [line for line in piped.stderr.splitlines() if not re.match(r"[EWI]\d{4} ", line)]
    last = [json.loads(line) for line in ours][-1]
    assert (piped.returncode, last["level"] in ("ERROR", "CRITICAL")) == (1, True), piped.stderr
    assert "192.0.2.1" in last["message"]
    terminal, theirs = pty.openpty()
    assert subprocess.run(command, stderr=theirs, check=False).returncode == 1
    os.close(theirs)
    (said,) = [
        line for line in os.read(terminal, 1 << 16).decode().splitlines() if last["message"] in line
    ]
    os.close(terminal)
    assert f" {last['level']} {last['logger']}: {last['message']}" in said
