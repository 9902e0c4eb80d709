"""Starts an emulation in a process of its own (``topologies.emulator.__main__``), and waits for its word."""

import json
import os
import sys

from topologies.emulator.errors import EmulationError
from topologies.emulator.plan import EmulationOptions, RunFiles

# What the emulation says when all is well; anything else is why not.
HEALTHY = "healthy"


def start_detached(file: str, backend: str, options: EmulationOptions) -> None:
    """Start an emulation that outlives this process; returns once it is healthy.

    EmulationError, with the emulation's own words, where it does not become so.
    """
    files = RunFiles.under(options.run_dir)
    files.root.mkdir(parents=True, exist_ok=True)
    request = {"file": file, "backend": backend, "options": options.to_plain()}
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", __package__, str(write_end), json.dumps(request)],
        os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(files.emulator_log), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    os.close(write_end)
    with os.fdopen(read_end) as reader:
        outcome = reader.read()
    if outcome != HEALTHY:
        os.waitpid(pid, 0)
        died = f"the emulation died while it started; see {files.emulator_log}"
        raise EmulationError(outcome or died)
