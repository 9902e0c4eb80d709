"""Starts router agents by forking a process that has everything imported already.

A hundred agents start in a second or two this way, and share most of their memory. The spawner is
forked off early, while its parent has one thread and few descriptors; it stays single-threaded, reaps
its children, and its children end with it as it ends with its parent.
"""

import gc
import json
import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topologies.emulator.errors import SpawnError
from topologies.emulator.processes import die_with_parent, enter_network_namespace

log = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES = 65536
_ANSWER_TIMEOUT_S = 30.0
# How long agents may take to end when all are asked to.
END_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent to start. ``namespace_pid``: a process in whose network namespace it runs, or None."""

    router_id: str
    config_path: Path
    log_path: Path
    namespace_pid: int | None = None


class Spawner:
    """The parent's handle of the spawner. Use it from the thread that made it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent_pid = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _exit_with(lambda: _serve(theirs, parent_pid))
        theirs.close()
        ours.settimeout(_ANSWER_TIMEOUT_S)
        self._socket = ours

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
        if self._socket.fileno() >= 0:
            self._socket.close()
            os.waitpid(self.pid, 0)

    def _ask(self, operation: str, router_id: str = "", **arguments: Any) -> dict[str, Any]:
        message = {"operation": operation, "router_id": router_id} | arguments
        try:
            self._socket.sendall(json.dumps(message).encode())
            answer = self._socket.recv(_MAX_MESSAGE_BYTES)
        except OSError as error:
            raise SpawnError(f"the spawner does not answer: {error}") from error
        if not answer:
            raise SpawnError("the spawner has died; see the emulator's log")
        decoded: dict[str, Any] = json.loads(answer)
        if "error" in decoded:
            raise SpawnError(decoded["error"])
        return decoded


class _Server:
    """The spawner's own side: one thread, one loop."""

    def __init__(self, connection: socket.socket, run_agent: Callable[[Path], int]) -> None:
        self._connection = connection
        self._run_agent = run_agent
        self._agents: dict[str, int] = {}
        self._wakeup_read, self._wakeup_write = socket.socketpair()
        self._wakeup_read.setblocking(False)
        self._wakeup_write.setblocking(False)

    def serve(self) -> int:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_write.fileno())
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(self._wakeup_read, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wakeup_read:
                        self._wakeup_read.recv(4096)
                        self._reap(os.WNOHANG)
                        continue
                    request = self._connection.recv(_MAX_MESSAGE_BYTES)
                    if not request:
                        self._end_all()
                        return 0
                    self._connection.sendall(json.dumps(self._answer(json.loads(request))).encode())

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        router_id = request["router_id"]
        try:
            match request["operation"]:
                case "start":
                    return {"pid": self._start(router_id, request)}
                case "signal":
                    self._signal(router_id, request["number"])
                    return {}
                case _:
                    return {"pids": self._agents}
        except (OSError, ValueError) as error:
            return {"error": f"router {router_id!r}: {error}"}

    def _start(self, router_id: str, request: dict[str, Any]) -> int:
        if router_id in self._agents:
            raise ValueError(f"runs already, as process {self._agents[router_id]}")
        spawner_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            _exit_with(lambda: self._become_agent(request, spawner_pid))
        self._agents[router_id] = pid
        return pid

    def _become_agent(self, request: dict[str, Any], spawner_pid: int) -> int:
        die_with_parent(spawner_pid)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self._connection, self._wakeup_read, self._wakeup_write):
            end.close()
        output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        if request["namespace_pid"] is not None:
            enter_network_namespace(request["namespace_pid"])
        return self._run_agent(Path(request["config"]))

    def _signal(self, router_id: str, number: int) -> None:
        if router_id not in self._agents:
            raise ValueError("does not run")
        os.kill(self._agents[router_id], number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            _, status = os.waitpid(self._agents.pop(router_id), 0)
            log.info("router %s: %s", router_id, _describe(status))

    def _reap(self, options: int) -> None:
        for router_id, pid in list(self._agents.items()):
            reaped, status = os.waitpid(pid, options)
            if reaped:
                del self._agents[router_id]
                log.warning("router %s ended by itself: %s", router_id, _describe(status))

    def _end_all(self) -> None:
        """All are asked to end at once; who does not within the grace dies with the spawner."""
        for pid in self._agents.values():
            os.kill(pid, signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        signal.setitimer(signal.ITIMER_REAL, END_GRACE_S)
        for pid in self._agents.values():
            os.waitpid(pid, 0)


def _serve(connection: socket.socket, parent_pid: int) -> int:
    die_with_parent(parent_pid)
    # An interrupt at the terminal reaches the parent too, which then says what is to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    run_agent = _warm_up()
    gc.collect()
    gc.freeze()
    return _Server(connection, run_agent).serve()


def _warm_up() -> Callable[[Path], int]:
    from router_agent.config import load_config
    from router_agent.main import run_router

    def run_agent(config_path: Path) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
        )
        return run_router(load_config(config_path))

    return run_agent


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def _exit_with(main: Callable[[], int]) -> None:
    """Run the rest of a forked process: it never returns into its parent's code."""
    status = 1
    try:
        status = main()
    except Exception:
        log.exception("a forked process ends after an error")
    finally:
        logging.shutdown()
        os._exit(status)
