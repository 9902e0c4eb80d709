"""What a test starts and is no child of it ends with it all the same, also where the test is killed.

Emulations in the background outlive who started them, as they should, and so does what a shell has put there. A
watchman, a process of its own, knows of them; once this process is gone, it stops what is left. With ``kill -9`` and a
time that ran out there is nobody else to do so.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def networks_end_with_us(directory: Path) -> Iterator[None]:
    """Of emulations whose run directories are ``directory``, or below it."""
    with _known("network", str(directory.absolute())):
        yield


@contextmanager
def session_ends_with_us(leader: int) -> Iterator[None]:
    """Of the processes in a session, by the pid of its first."""
    with _known("session", str(leader)):
        yield


@contextmanager
def _known(kind: str, name: str) -> Iterator[None]:
    _tell(f"+ {kind} {name}\n")
    try:
        yield
    finally:
        _tell(f"- {kind} {name}\n")


def _tell(line: str) -> None:
    # A process that was forked from this one has none of its own yet.
    stdin = _watchman(os.getpid()).stdin
    assert stdin is not None
    stdin.write(line.encode())
    stdin.flush()


@cache
def _watchman(_pid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, cwd=_ROOT, start_new_session=True
    )


def _watch() -> None:
    """The watchman's: ends when nobody can tell him anything any more."""
    known: set[tuple[str, str]] = set()
    for line in sys.stdin:
        sign, kind, name = line.rstrip("\n").split(" ", 2)
        (known.add if sign == "+" else known.discard)((kind, name))
    for kind, name in sorted(known, reverse=True):
        if kind == "session":
            _kill_session(int(name))
        else:
            _stop_networks(Path(name))


def _kill_session(leader: int) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getsid(int(process.name)) == leader:
                os.kill(int(process.name), signal.SIGKILL)


def _stop_networks(directory: Path) -> None:
    dgc = Path(sys.executable).with_name("dgc")
    for record in sorted(directory.rglob("emulation.json"), reverse=True):
        subprocess.run([dgc, "stop", "--run-dir", record.parent], check=False)


if __name__ == "__main__":
    _watch()
