"""Runs a grid on one machine: its routers as processes, in Mininet or on loopback, and its controller.

:func:`run` stays in the foreground, :func:`start_in_background` returns once the network is healthy,
:func:`stop` removes it, also after a crash, and :func:`send_command` breaks and mends things.
"""

from topologies.emulator.control import send_command
from topologies.emulator.errors import BadCommand, EmulationError
from topologies.emulator.page import page_address
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.runtime import run, start_in_background, stop

__all__ = [
    "BadCommand",
    "EmulationError",
    "EmulationOptions",
    "page_address",
    "run",
    "send_command",
    "start_in_background",
    "stop",
]
