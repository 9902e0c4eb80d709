"""The spawner itself: one thread and one loop, which forks agents and reaps them."""

import gc
import json
import logging
import os
import pkgutil
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from digitalgrid.logs import log_to_standard_error
from digitalgrid.processes import die_with_parent
from digitalgrid.rate_limit import TokenBucket
from router_agent.config import load_config
from router_agent.failures import RESTART_STATUS
from router_agent.run import run_router
from topologies.emulator.processes import (
    enter_network_namespace,
    go_before_controllers,
    take_the_session_before_others,
)
from topologies.emulator.spawner import MAX_MESSAGE_BYTES

_log = logging.getLogger(__name__)

# A router that ends by a defect: five times at once, and once a minute in the long run.
_RESTARTS_AT_ONCE = 5
_RESTARTS_PER_S = 1 / 60
_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def run_router_agent(config_path: Path) -> int:
    """The agent of one router, until it is told to end."""
    return run_router(load_config(config_path))


class SpawnerProcess:
    """Obeys the requests of one :class:`topologies.emulator.spawner.Spawner`."""

    def __init__(
        self, connection: socket.socket, run_agent: Callable[[Path], int], end_grace_s: float
    ) -> None:
        self._connection = connection
        self._run_agent = run_agent
        self._end_grace_s = end_grace_s
        self._agents: dict[str, int] = {}
        self._requests: dict[str, dict[str, Any]] = {}
        self._restarts: dict[str, TokenBucket] = {}
        self._wakeup_read, self._wakeup_write = socket.socketpair()
        self._wakeup_read.setblocking(False)
        self._wakeup_write.setblocking(False)

    def serve(self) -> None:
        """Until the other side closes; then end all agents."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_write.fileno())
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(self._wakeup_read, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wakeup_read:
                        self._wakeup_read.recv(4096)
                        self._reap()
                        continue
                    request = self._connection.recv(MAX_MESSAGE_BYTES)
                    if not request:
                        self._end_all()
                        return
                    answer = self._answer(json.loads(request))
                    self._connection.sendall(json.dumps(answer).encode())

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
            self._become_agent(request, spawner_pid)
        self._agents[router_id] = pid
        self._requests[router_id] = request
        return pid

    def _become_agent(self, request: dict[str, Any], spawner_pid: int) -> NoReturn:
        """The rest of a forked process: it never returns into the spawner's loop."""
        status = 1
        try:
            die_with_parent(spawner_pid)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for end in (self._connection, self._wakeup_read, self._wakeup_write):
                end.close()
            output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            go_before_controllers()
            if request["namespace_pid"] is not None:
                enter_network_namespace(request["namespace_pid"])
            status = self._run_agent(Path(request["config"]))
        except Exception:  # noqa: BLE001 - logged with its traceback
            _log.exception("router %s ends after an error", request["router_id"])
        finally:
            logging.shutdown()
            os._exit(status)

    def _signal(self, router_id: str, number: int) -> None:
        if router_id not in self._agents:
            raise ValueError("does not run")
        os.kill(self._agents[router_id], number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            _, status = os.waitpid(self._agents.pop(router_id), 0)
            _log.info("router %s: %s", router_id, _describe(status))

    def _reap(self) -> None:
        for router_id, pid in list(self._agents.items()):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                del self._agents[router_id]
                _log.warning("router %s ended by itself: %s", router_id, _describe(status))
                if os.WIFEXITED(status) and os.WEXITSTATUS(status) == RESTART_STATUS:
                    self._start_again(router_id)

    def _start_again(self, router_id: str) -> None:
        """It has asked for it; one that does nothing else stays down, for people to look at."""
        restarts = self._restarts.setdefault(
            router_id, TokenBucket(_RESTARTS_PER_S, _RESTARTS_AT_ONCE)
        )
        if restarts.take(time.monotonic_ns()):
            _log.warning("router %s is started again", router_id)
            self._start(router_id, self._requests[router_id])
        else:
            _log.error("router %s fails too often, and stays down: see its log", router_id)

    def _end_all(self) -> None:
        """All are asked to end at once; who does not within the grace dies with the spawner."""
        for pid in self._agents.values():
            os.kill(pid, signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        signal.setitimer(signal.ITIMER_REAL, self._end_grace_s)
        for pid in self._agents.values():
            os.waitpid(pid, 0)


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def main() -> None:
    """``python -m topologies.emulator.spawner_process FD PARENT_PID MODULE:FUNCTION GRACE_S``."""
    descriptor, parent_pid, agent, end_grace_s = sys.argv[1:]
    die_with_parent(int(parent_pid))
    take_the_session_before_others()
    # It is for the parent to say what is to be done when somebody interrupts it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    log_to_standard_error(style=_LOG_FORMAT)
    connection = socket.socket(fileno=int(descriptor))
    connection.set_inheritable(False)
    spawner = SpawnerProcess(connection, pkgutil.resolve_name(agent), float(end_grace_s))
    # What exists now is shared by all agents for as long as nobody writes to it.
    gc.collect()
    gc.freeze()
    spawner.serve()


if __name__ == "__main__":
    main()
