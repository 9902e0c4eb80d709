"""The controller daemon (``dgc serve``) as a child of the emulation, to be killed and started again."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from topologies.emulator.errors import EmulationError
from topologies.emulator.last_words import ended_by_itself
from topologies.emulator.plan import RunFiles
from topologies.emulator.processes import ProcessId

# Until a controller that was told to end is killed (s): it takes a second at most.
_STOP_TIMEOUT_S = 10.0
# Between two looks at whether it has ended (s).
_POLL_S = 0.02


def serve_command(files: RunFiles) -> list[str]:
    """``dgc serve``, from where this Python's programs are installed."""
    program = Path(sys.executable).with_name("dgc")
    return [str(program), "serve", "--config", str(files.controller_config)]


class ControllerProcess:
    """Runs a command whose output goes to the controller's log; it dies with the thread that starts it."""

    def __init__(
        self, command: Sequence[str], log_path: Path, name: str = "the controller"
    ) -> None:
        """``name`` is what people call it when it ends."""
        self._name = name
        self._command = list(command)
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> ProcessId | None:
        """None while it does not run."""
        if self._process is None or self._process.poll() is not None:
            return None
        return ProcessId.of(self._process.pid)

    def start(self) -> None:
        """FileNotFoundError where the program is not installed."""
        if self.process_id is not None:
            raise EmulationError(f"{self._name} runs already; kill it first")
        with self._log_path.open("ab") as output:
            self._process = subprocess.Popen(
                # setpriv becomes the program, so that the pid is the controller's own.
                ["setpriv", "--pdeathsig", "SIGKILL", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def wait_listening(self, host: str, port: int, timeout_s: float = 20.0) -> None:
        """Return once it accepts connections. EmulationError where it ends, or takes too long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((host, port)) == 0:
                    return
            self.require_running()
            time.sleep(_POLL_S)
        raise EmulationError(f"{self._name} does not listen on {host}:{port}; see {self._log_path}")

    def require_running(self) -> None:
        """Unhealthy, with its last words, where it has ended."""
        if self.process_id is None:
            raise ended_by_itself(self._name, self._log_path)

    def kill(self) -> None:
        """Kill it, as a crash would. EmulationError where it does not run."""
        if self._process is None or self.process_id is None:
            raise EmulationError(f"{self._name} does not run")
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end; kill it where it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
