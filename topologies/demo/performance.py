"""What all demonstrations do alike: bring a network up, tell a story on it, take it down, whatever happened."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from digitalgrid.client import AsyncPowerClient, PowerError
from digitalgrid.command_line import OutputType
from topologies.demo.observer import Observer
from topologies.emulator.addresses import NORTHBOUND_ADDRESS, SOUTHBOUND_PORT
from topologies.emulator.backends import BACKENDS
from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import EmulationError
from topologies.emulator.health import wait_until_healthy

# Until all routers are connected and all lines up (s): some seconds in Mininet, for a dozen routers.
_UP_WITHIN_S = 30.0

Say = Callable[[str], None]
# What is told once all routers and lines are up.
Story = Callable[[AsyncPowerClient, Observer], Awaitable[None]]
_Command = Callable[..., Any]


def run_options(name: str) -> Callable[[_Command], _Command]:
    """Options of where a demonstration runs, and writes its figures."""
    options = (
        click.option("--backend", type=click.Choice(BACKENDS), help="Default: as root mininet."),
        click.option("--output", type=OutputType(), default=Path(f"{name}.json")),
        click.option("--run-dir", type=click.Path(path_type=Path), default=Path(f".run/{name}")),
        click.option("--northbound", default=NORTHBOUND_ADDRESS, show_default=True),
        click.option("--southbound-port", default=SOUTHBOUND_PORT, show_default=True),
    )

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def chosen(backend: str | None, say: Say) -> str:
    """The backend that was asked for, or the best that there is."""
    if backend is None and os.geteuid() != 0:
        say("not root: plain processes on loopback instead of Mininet hosts")
    return backend or ("mininet" if os.geteuid() == 0 else "local")


def narrator(console: Console) -> Say:
    """Tells people what goes on, and when."""
    began_s = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began_s:7.1f} s[/dim]  {text}")

    return say


def perform(emulation: Emulation, northbound: str, story: Story, say: Say) -> str:
    """The whole story on a network of its own; why it broke off, or nothing.

    What was measured before it broke off can still be reported.
    """
    say(f"starting {len(emulation.grid.routers)} routers ({emulation.backend})")
    try:
        emulation.start()
        asyncio.run(_tell(emulation, northbound, story, say))
    except (TimeoutError, PowerError, EmulationError) as error:
        return str(error)
    finally:
        say("taking the network down")
        emulation.stop()
    return ""


async def _tell(emulation: Emulation, northbound: str, story: Story, say: Say) -> None:
    async with AsyncPowerClient(northbound) as client:
        await wait_until_healthy(client, emulation.grid, _UP_WITHIN_S, emulation.require_running)
        say("all sessions and all lines are up")
        async with Observer(client) as observer:
            await story(client, observer)
