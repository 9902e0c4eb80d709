"""Processes: naming one beyond doubt, moving it to a network namespace, and ending it."""

import ctypes
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Of unshare(2).
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
# Between two looks at whether a process has ended (s).
_POLL_S = 0.02
# Of routers: their controller, which has the machine's same cores, is at 0. Each step is a quarter more of the time.
_ROUTERS_NICENESS = -5
# Of the session that all of them have together, where the kernel shares time among sessions first: nine tenths.
_ROUTERS_SESSION_NICENESS = -10
# Linux, sched(7), "The autogroup feature": there, the niceness of a process counts within its session alone.
_AUTOGROUP = Path("/proc/self/autogroup")


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid with the time its process started, so that a later process of the same pid is no match."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """None where no such process runs; a zombie does not run."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else cls(pid, int(fields[18]))

    @classmethod
    def current(cls) -> "ProcessId":
        """This process."""
        me = cls.of(os.getpid())
        if me is None:
            raise OSError("/proc does not show this process; is it mounted?")
        return me

    def runs(self) -> bool:
        return ProcessId.of(self.pid) == self


def enter_network_namespace(pid: int) -> None:
    """Move this thread into the network namespace of a process."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, _CLONE_NEWNET), "setns")
    finally:
        os.close(descriptor)


def go_before_controllers() -> None:
    """Give this process, a router's, precedence: a real one shares its processor with nobody who computes for long.

    Whoever is not root may not, and goes with the others.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _ROUTERS_NICENESS)


def take_the_session_before_others() -> None:
    """Likewise for the session of which this process, who will fork routers, is the first; they inherit it.

    A kernel that does not share time among sessions has nothing to be told.
    """
    with suppress(OSError):
        _AUTOGROUP.write_text(str(_ROUTERS_SESSION_NICENESS))


def end_process(process: ProcessId, grace_s: float) -> None:
    """Ask it to end, wait, then kill it. It may be anybody's child."""
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if not process.runs():
            return
        os.kill(process.pid, number)
        deadline = time.monotonic() + wait_s
        while process.runs() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    if process.runs():
        raise TimeoutError(
            f"process {process.pid} does not end; look at it with 'ps {process.pid}'"
        )


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
