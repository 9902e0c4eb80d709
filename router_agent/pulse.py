"""Pulse: tells neighbours, from a thread of its own, that a router lives whose work keeps it from saying so in time.

A router with very many circuits, or on a crowded machine, may be late with its next hello by more than makes it count
as dead. So its sign of life does not wait for its work, as that of a line card does not (why BFD is offloaded). It ends
where the work has stood still for longer than any router is late: then the loop hangs, and the router is dead.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from digitalgrid.units import NS_PER_S
from router_agent.device.line import Line

# Hellos between two looks. A neighbour is dead after three, and whoever has missed one is found before that.
_HELLOS_A_LOOK = 1.5


class Pulse:
    """``send`` puts a datagram on a line, and may be called from any thread."""

    def __init__(
        self, lines: Mapping[str, Line], send: Callable[[str, bytes], None], hello_ns: int
    ) -> None:
        self._lines = lines
        self._send = send
        self._interval_s = _HELLOS_A_LOOK * hello_ns / NS_PER_S
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Nothing is said any more once this has returned."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._interval_s):
            now_ns = time.monotonic_ns()
            for link_id, line in self._lines.items():
                datagram = line.pulse(now_ns)
                if datagram is not None:
                    # A line that is being closed, or opened anew: it is down.
                    with suppress(OSError):
                        self._send(link_id, datagram)
