"""Programs in processes that are forked from one which has loaded them all: hundreds of runs start in no time.

What they do and how they end is as ever, to the interpreter's own end; what differs is how they begin. So each verb is
run as a process of its own too, by another test.
"""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.support.patience import PATIENCE_S
from tests.support.programs import DIES_WITH_PARENT

_ROOT = Path(__file__).parents[2]
# As the scripts of the distribution have them.
_MAIN = {"dgc": "dgc.cli", "dgctl": "dgctl", "dgm": "trading.cli", "dgr": "router_agent.main"}
# What verbs import when they run.
_OF_VERBS = (
    "controller.planning.plan",
    "controller.preflight",
    "dgctl.batch",
    "dgctl.market.output",
    "dgctl.output",
    "router_agent.run",
    "topologies.emulator",
    "trading.client.witnessing",
    "trading.exchange.preflight",
)


class LoadedPrograms:
    """One run at a time."""

    def __init__(self, loaded: subprocess.Popen[bytes], directory: Path) -> None:
        self._loaded = loaded
        self._directory = directory

    def run(
        self, command: list[str], env: Mapping[str, str], cwd: str, stdout: str = ""
    ) -> subprocess.CompletedProcess[bytes]:
        """Output goes to the file ``stdout``, if one is given."""
        told, complained = self._directory / "stdout", self._directory / "stderr"
        order = [command, dict(env), cwd, stdout or str(told), str(complained)]
        assert self._loaded.stdin is not None and self._loaded.stdout is not None
        self._loaded.stdin.write(json.dumps(order).encode() + b"\n")
        self._loaded.stdin.flush()
        code = int(self._loaded.stdout.readline())
        assert code != -signal.SIGALRM, f"{command} does not end"
        out = b"" if stdout else told.read_bytes()
        return subprocess.CompletedProcess(command, code, out, complained.read_bytes())


@contextmanager
def loaded_programs(directory: Path) -> Iterator[LoadedPrograms]:
    """``directory`` is for what they write."""
    with subprocess.Popen(
        [*DIES_WITH_PARENT, sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
    ) as loaded:
        yield LoadedPrograms(loaded, directory)


def _serve() -> Any:
    """The loaded process: returns what runs in it, where it is a fork of its."""
    for module in (*_MAIN.values(), *_OF_VERBS):
        import_module(module)
    gc.freeze()
    orders, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in orders:
        pid = os.fork()
        if pid == 0:
            orders.close()
            os.close(answers)
            return _become(*json.loads(line))
        _, status = os.waitpid(pid, 0)
        os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(status))
    return lambda: None


def _become(
    command: list[str], env: dict[str, str], cwd: str, stdout: str, stderr: str
) -> Callable[[], Any]:
    signal.alarm(int(PATIENCE_S))
    for fd, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), fd)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = command
    main: Callable[[], Any] = import_module(_MAIN[Path(command[0]).name]).main
    return main


if __name__ == "__main__":
    sys.exit(_serve()())
