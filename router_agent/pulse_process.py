"""What the process does that says that a router lives: see :mod:`router_agent.pulse`."""

import ast
import gc
import logging
import mmap
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from digitalgrid.processes import die_with_parent
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.device.signs import pulse

_log = logging.getLogger(__name__)

# Room for the last sign of a line; one is shorter, and what is behind it is padding.
SIGN_BYTES = 128
_MESSAGE_BYTES = 1024
# Of those that go before all others (SCHED_RR), the last.
_PRIORITY = 1


@dataclass(slots=True)
class _End:
    line: socket.socket
    address: tuple[Any, ...]
    # When to look at its sign again.
    next_ns: int = 0


def become_pulse(
    channel: socket.socket, signs: mmap.mmap, hello_ns: int, router_pid: int
) -> NoReturn:
    """The rest of a forked process, which ends when the router closes the channel, or ends however that happens."""
    status = 1
    try:
        die_with_parent(router_pid)
        # A router that is told to end still has something to say.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # It makes no cycles, and shares its memory with the router as long as nobody writes to it.
        gc.disable()
        _go_first()
        _Beating(channel, signs, hello_ns, router_pid).run()
        status = 0
    except Exception:  # noqa: BLE001 - logged with its traceback
        _log.exception("signs of life end after an error")
    finally:
        os._exit(status)


def _go_first() -> None:
    """It takes some hundredths of a millisecond at a time, which must not wait for what others compute."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
    except OSError as error:
        _log.info(
            "signs of life wait for a core like whatever else runs here (%s): on a machine whose cores are full this"
            " router may be taken for dead. As root, or with a limit of %d for real-time priorities (ulimit -r), they"
            " do not",
            *(error.strerror, _PRIORITY),
        )


class _Beating:
    def __init__(
        self, channel: socket.socket, signs: mmap.mmap, hello_ns: int, router_pid: int
    ) -> None:
        self._channel = channel
        self._signs = signs
        self._hello_ns = hello_ns
        self._router_pid = router_pid
        self._ends: dict[int, _End] = {}

    def run(self) -> None:
        next_ns = time.monotonic_ns()
        while self._hear_until(next_ns):
            next_ns = self._say(time.monotonic_ns())

    def _hear_until(self, at_ns: int) -> bool:
        """What the router says of its lines, unless nothing is heard by then; False once it has closed the channel."""
        self._channel.settimeout(max(at_ns - time.monotonic_ns(), NS_PER_MS) / NS_PER_S)
        try:
            message, descriptors, _, _ = socket.recv_fds(self._channel, _MESSAGE_BYTES, 1)
        except TimeoutError:
            return True
        if message:
            self._take(message, descriptors)
        return bool(message)

    def _take(self, message: bytes, descriptors: Sequence[int]) -> None:
        number, address = ast.literal_eval(message.decode())
        former = self._ends.pop(number, None)
        if former is not None:
            former.line.close()
        if descriptors:
            self._ends[number] = _End(socket.socket(fileno=descriptors[0]), address)

    def _say(self, now_ns: int) -> int:
        """Says what is to be said; returns when to look again."""
        due: list[tuple[_End, bytes]] = []
        for number, end in self._ends.items():
            if now_ns < end.next_ns:
                continue
            place = SIGN_BYTES * number
            sign = self._signs[place : place + SIGN_BYTES]
            datagram, end.next_ns = pulse(sign, self._hello_ns, now_ns)
            if datagram is not None:
                due.append((end, datagram))
        if due and not _is_stopped(self._router_pid):
            for end, datagram in due:
                # A line that is down, or full.
                with suppress(OSError):
                    end.line.sendto(datagram, end.address)
        later_ns = now_ns + self._hello_ns
        return min((end.next_ns for end in self._ends.values()), default=later_ns)


def _is_stopped(pid: int) -> bool:
    """By SIGSTOP: it does not work late, but not at all until somebody lets it go on."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    # Behind the program's name, which may hold anything.
    return stat.rpartition(")")[2].split()[0] == "T"
