"""``make protect``: what circuits with a standby lack when things fail; exit code 0 only if all books balance."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from digitalgrid.client import AsyncPowerClient, PowerError
from digitalgrid.command_line import OutputType, Tool
from digitalgrid.gridfile import load_grid
from topologies.demo.observer import Observer
from topologies.demo.protect_figures import ProtectFigures
from topologies.demo.protect_story import ProtectStory
from topologies.emulator.addresses import NORTHBOUND_ADDRESS, SOUTHBOUND_PORT
from topologies.emulator.backends import BACKENDS, make_emulation
from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import EmulationError
from topologies.emulator.health import wait_until_healthy
from topologies.emulator.plan import EmulationOptions

_GRID = Path(__file__).parents[1] / "elan9.grid.yaml"
_START_TIMEOUT_S = 30.0


@click.command("protect", cls=Tool)
@click.option("--backend", type=click.Choice(BACKENDS), help="Default: as root mininet.")
@click.option("--circuits", default=100, show_default=True)
@click.option(
    "--protect", type=click.Choice(["link", "router", "risk"]), default="router", show_default=True
)
@click.option("--output", type=OutputType(), default=Path("protect.json"))
@click.option("--run-dir", type=click.Path(path_type=Path), default=Path(".run/protect"))
@click.option("--northbound", default=NORTHBOUND_ADDRESS, show_default=True)
@click.option("--southbound-port", default=SOUTHBOUND_PORT, show_default=True)
def main(
    backend: str | None,
    circuits: int,
    protect: str,
    output: Path,
    run_dir: Path,
    northbound: str,
    southbound_port: int,
) -> None:
    """Breaks lines, routers and a source under protected circuits, with a controller and without."""
    console = Console(stderr=True)
    backend = backend or ("mininet" if os.geteuid() == 0 else "local")
    began_s = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began_s:7.1f} s[/dim]  {text}")

    grid = load_grid(_GRID)
    options = EmulationOptions(
        run_dir=run_dir, northbound=northbound, southbound_port=southbound_port
    )
    emulation = make_emulation(grid, backend, options)
    figures = ProtectFigures(backend, len(grid.routers))
    say(f"starting {len(grid.routers)} routers ({backend})")
    try:
        emulation.start()
        failure = asyncio.run(_tell(emulation, northbound, figures, say, circuits, protect))
    except EmulationError as error:
        failure = str(error)
    finally:
        say("taking the network down")
        emulation.stop()
    _report(console, figures, failure, output)


async def _tell(
    emulation: Emulation,
    northbound: str,
    figures: ProtectFigures,
    say: Callable[[str], None],
    circuits: int,
    protect: str,
) -> str:
    """The whole story; why it broke off, or nothing."""
    try:
        async with AsyncPowerClient(northbound) as client:
            await wait_until_healthy(
                client, emulation.grid, _START_TIMEOUT_S, emulation.require_running
            )
            say("all sessions and all lines are up")
            async with Observer(client) as observer:
                story = ProtectStory(emulation, client, observer, figures, say)
                await story.request(circuits, protect)
                await story.break_all(controlled=True)
                await story.break_all(controlled=False)
                await story.move()
                await story.release_all()
    except (TimeoutError, PowerError, EmulationError) as error:
        # What was measured until here is still reported.
        return str(error)
    return ""


def _report(console: Console, figures: ProtectFigures, failure: str, output: Path) -> None:
    document = figures.to_json()
    output.write_text(json.dumps(document, indent=2) + "\n")
    names = ("what", "controller", "circuits", "p50 ms", "at most", "max ms", "at most", "ready s")
    table = Table(*names, title="missing, in milliseconds of promised power")
    for trial in document["trials"]:
        missing, most = trial["missing_ms"], trial["at_most_ms"]
        table.add_row(
            trial["what"],
            trial["controller"],
            str(trial["circuits"]),
            _figure(missing["p50"]),
            _figure(most["p50"]),
            _figure(missing["max"]),
            _figure(most["max"]),
            _figure(trial["protected_again_s"]),
            style="" if trial["kept"] else "yellow",
        )
    console.print(table)
    for sentence in figures.missed():
        console.print(f"[yellow]missed:[/yellow] {sentence}")
    broken = ([failure] if failure else []) + figures.broken()
    for sentence in broken:
        console.print(f"[red]not well:[/red] {sentence}")
    print(json.dumps(document))  # noqa: T201 - the last line is for machines
    sys.exit(1 if broken else 0)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    main()
