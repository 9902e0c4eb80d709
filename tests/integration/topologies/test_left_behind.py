"""A test that is killed leaves no network behind, nor what its shell has put into the background."""

import subprocess
import sys
from pathlib import Path

from tests.support.patience import wait_for
from topologies.emulator import workspace
from topologies.emulator.plan import RunFiles
from topologies.emulator.processes import ProcessId

KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from tests.support.left_behind import session_ends_with_us
from tests.support.networks import LINE3, network

shell = subprocess.Popen(["bash", "-c", "sleep 1000 & echo $!; wait"], start_new_session=True)
with session_ends_with_us(shell.pid), network(Path(sys.argv[1]), LINE3):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_is_killed_leaves_nothing_that_runs(tmp_path: Path) -> None:
    told = tmp_path / "told"
    with told.open("w") as output:
        killed = subprocess.Popen(
            [sys.executable, "-c", KILLED, tmp_path / "run"],
            cwd=Path(__file__).parents[3],
            stdout=output,
        )
        record, files = None, RunFiles.under(tmp_path / "run")
        while killed.poll() is None:
            record = workspace.read_record(files) or record
    assert record is not None
    sleeper = int(told.read_text())
    wait_for(lambda: not record.emulator.runs() and ProcessId.of(sleeper) is None)
    wait_for(lambda: workspace.read_record(files) is None)
