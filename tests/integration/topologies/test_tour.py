"""The tour of the README can be taken literally, line by line."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from topologies import emulator
from topologies.emulator.ports import free_ports

ROOT = Path(__file__).parents[3]


def test_every_line_of_the_tour_works(tmp_path: Path) -> None:
    north, southbound_port = free_ports(2)
    northbound = f"127.0.0.1:{north}"
    tour = re.search(r"## A tour\s+```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert tour is not None
    # Where the tour is taken, programs and the run directory are where it expects them.
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    run_dir = tmp_path / ".run"
    options = emulator.EmulationOptions(
        run_dir, northbound=northbound, southbound_port=southbound_port
    )
    emulator.start_in_background(str(ROOT / "topologies" / "elan9.grid.yaml"), "local", options)
    try:
        tourist = subprocess.Popen(
            ["bash", "-exc", tour[1]],
            cwd=tmp_path,
            env=os.environ | {"DGCTL_SERVER": northbound},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            told, _ = tourist.communicate(timeout=60)
        except subprocess.TimeoutExpired as late:
            pytest.fail(f"the tour does not end:\n{(late.output or b'').decode()}")
        finally:
            # A tour that broke off leaves its watch behind, and may be waiting itself.
            with suppress(ProcessLookupError):
                os.killpg(tourist.pid, signal.SIGKILL)
    finally:
        emulator.stop(run_dir)
    assert tourist.returncode == 0, told
