"""Pulse: tells neighbours, from a process of its own, that a router lives whose work keeps it from saying so in time.

A router with very many circuits, or on a crowded machine, may be late with its next hello by more than makes it count
as dead. So its sign of life does not wait for its work, as that of a line card does not (why BFD is offloaded). It ends
where the work has stood still for longer than any router is late: then the loop hangs, and the router is dead.

A thread beside the work is not enough: it waits for the interpreter's lock as long as whoever holds that waits for a
core, on full cores for longer than a neighbour is patient. The process has the lines' sockets, and shares memory with
the router, where the last sign of each line stands; :mod:`router_agent.pulse_process` is what it does.
"""

import logging
import mmap
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from router_agent.pulse_process import SIGN_BYTES, become_pulse

_log = logging.getLogger(__name__)

# What a line sends by, and to whom.
End = tuple[socket.socket, tuple[object, ...]]


class Pulse:
    """``start`` it before there is any thread or loop: the process is a fork of this one."""

    def __init__(
        self, link_ids: Sequence[str], signs: mmap.mmap, channel: socket.socket, pid: int
    ) -> None:
        self._places = {link_id: number for number, link_id in enumerate(link_ids)}
        self._signs = signs
        self._channel = channel
        self._pid: int | None = pid
        self._ends: dict[str, socket.socket] = {}

    @classmethod
    def start(cls, link_ids: Sequence[str], hello_ns: int) -> "Pulse":
        signs = mmap.mmap(-1, SIGN_BYTES * max(1, len(link_ids)))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # It is told of lines within the router's work, which waits for nobody.
        ours.setblocking(False)
        router_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            become_pulse(theirs, signs, hello_ns, router_pid)
        theirs.close()
        return cls(link_ids, signs, ours, pid)

    def fileno(self) -> int:
        """Of what can be read once the process has ended."""
        return self._channel.fileno()

    def sign(self, link_id: str, sign: bytes, end: End | None) -> None:
        """The last sign of life on a line; ``end`` is None where nothing goes out by it."""
        place = SIGN_BYTES * self._places[link_id]
        self._signs[place : place + SIGN_BYTES] = sign.ljust(SIGN_BYTES, b"\0")
        line = None if end is None else end[0]
        if line is not self._ends.get(link_id):
            self._hand_over(link_id, end)

    def _hand_over(self, link_id: str, end: End | None) -> None:
        if end is None:
            del self._ends[link_id]
        else:
            self._ends[link_id] = end[0]
        message = repr((self._places[link_id], end and end[1])).encode()
        try:
            socket.send_fds(self._channel, [message], [] if end is None else [end[0].fileno()])
        except BlockingIOError:
            # It is stopped, and would have lines that are others by now: that it has ended is read of the channel.
            self._kill()
        except OSError as error:
            _log.error("link %s: nothing is said beside the work: %s", link_id, error.strerror)

    def close(self) -> None:
        """Nothing is said any more once this has returned, though the process be stopped."""
        self._channel.close()
        if self._pid is None:
            return
        self._kill()
        pid, self._pid = self._pid, None
        # Whoever was started by something that ignores its children's ends has none to wait for.
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)

    def _kill(self) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
