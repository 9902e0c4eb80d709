"""An emulation in a process of its own, and how the process that wants one hears of it.

Run as ``python -m topologies.emulator FD REQUEST``; the outcome, in words, is written to FD.
"""

import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from topologies.emulator.errors import EmulationError
from topologies.emulator.plan import EmulationOptions, RunFiles
from topologies.emulator.topology_file import load_network

log = logging.getLogger(__name__)

_HEALTHY = "healthy"


def start_detached(file: str, backend: str, options: EmulationOptions) -> None:
    """Start an emulation that outlives this process; returns once it is healthy.

    EmulationError, with the emulation's own words, where it does not become so.
    """
    files = RunFiles.under(options.run_dir)
    files.root.mkdir(parents=True, exist_ok=True)
    plain_options = asdict(options) | {"run_dir": str(files.root)}
    request = {"file": file, "backend": backend, "options": plain_options}
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
    if outcome != _HEALTHY:
        os.waitpid(pid, 0)
        died = f"the emulation died while it started; see {files.emulator_log}"
        raise EmulationError(outcome or died)


def main() -> int:
    """The emulation's own process."""
    # Only here: who starts an emulation needs none of what runs one.
    from topologies.emulator.runtime import emulate, log_to_standard_error

    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    request: dict[str, Any] = json.loads(sys.argv[2])
    options = EmulationOptions(
        **request["options"] | {"run_dir": Path(request["options"]["run_dir"])}
    )
    log_to_standard_error()
    with os.fdopen(descriptor, "w") as starter:

        def report(outcome: str) -> None:
            if not starter.closed:
                starter.write(outcome)
                starter.close()

        try:
            grid = load_network(request["file"])
            emulate(grid, request["backend"], options, on_healthy=lambda: report(_HEALTHY))
        except EmulationError as error:
            log.error("%s", error)
            report(str(error))
            return 1
    return 0
