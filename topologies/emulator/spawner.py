"""Starts router agents, by way of a process that has everything imported and forks one for each.

A hundred agents start in a second or two this way, and share most of their memory. The spawner is a
process of its own, made anew: a fork of this one would inherit whatever threads and channels it has.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topologies.emulator.errors import SpawnError

# Of one datagram to the spawner: a router's configuration and environment.
MAX_MESSAGE_BYTES = 65536
ROUTER_AGENT = "topologies.emulator.spawner_process:run_router_agent"

# For its answer (s): it forks within milliseconds, on a machine with time.
_ANSWER_TIMEOUT_S = 30.0
# Until it is killed (s); its routers die with it.
_END_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent to start. ``namespace_pid``: a process in whose network namespace it runs, or None."""

    router_id: str
    config_path: Path
    log_path: Path
    namespace_pid: int | None = None


class Spawner:
    """The handle of a spawner, which ends with the thread that made it, as agents end with the spawner.

    ``agent`` names the function, as ``module:function``, that is called with the path of an agent's
    configuration and returns its exit status. Agents that do not end when asked to are killed after
    ``end_grace_s``.
    """

    def __init__(self, agent: str = ROUTER_AGENT, end_grace_s: float = _END_GRACE_S) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = (str(theirs.fileno()), str(os.getpid()), agent, str(end_grace_s))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "topologies.emulator.spawner_process", *arguments],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            # Whatever else its parent does has no part in the time of the routers' session.
            start_new_session=True,
        )
        theirs.close()
        ours.settimeout(_ANSWER_TIMEOUT_S)
        self._socket = ours

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, spec: AgentSpec) -> int:
        """Fork an agent; returns its pid. SpawnError where it runs already."""
        answer = self._ask(
            "start",
            spec.router_id,
            config=str(spec.config_path),
            log=str(spec.log_path),
            namespace_pid=spec.namespace_pid,
        )
        return int(answer["pid"])

    def signal(self, router_id: str, number: signal.Signals) -> None:
        """Send a signal to an agent that runs, and wait for its end where that is what it brings."""
        self._ask("signal", router_id, number=int(number))

    def running(self) -> dict[str, int]:
        """The pids of the agents that run."""
        return dict(self._ask("running")["pids"])

    def close(self) -> None:
        """End all agents, then the spawner. Safe to call again."""
        self._socket.close()
        self._process.wait()

    def _ask(self, operation: str, router_id: str = "", **arguments: Any) -> dict[str, Any]:
        message = {"operation": operation, "router_id": router_id} | arguments
        try:
            self._socket.sendall(json.dumps(message).encode())
            answer = self._socket.recv(MAX_MESSAGE_BYTES)
        except OSError as error:
            raise SpawnError(f"the spawner does not answer: {error}") from error
        if not answer:
            raise SpawnError("the spawner has died; see the emulator's log")
        decoded: dict[str, Any] = json.loads(answer)
        if "error" in decoded:
            raise SpawnError(decoded["error"])
        return decoded
