"""``make demo``: runs the demonstration and prints its figures; exit code 0 only if all is well."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from digitalgrid.client import AsyncPowerClient, PowerError
from digitalgrid.command_line import OutputType, Tool
from digitalgrid.gridfile import load_grid
from topologies.demo.figures import Figures
from topologies.demo.observer import Observer
from topologies.demo.probes import with_probes
from topologies.demo.scenario import Scenario
from topologies.emulator.addresses import NORTHBOUND_ADDRESS, SOUTHBOUND_PORT
from topologies.emulator.backends import BACKENDS, make_emulation
from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import EmulationError
from topologies.emulator.health import wait_until_healthy
from topologies.emulator.plan import EmulationOptions

_GRID = Path(__file__).parents[1] / "elan9.grid.yaml"
_START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the story does, and how often."""

    first_cut: str
    router: str
    cuts: int
    cycles: int
    seed: int


@click.command("demo", cls=Tool)
@click.option("--grid", "path", type=click.Path(path_type=Path), default=_GRID)
@click.option("--backend", type=click.Choice(BACKENDS), help="Default: as root mininet.")
@click.option("--first-cut", default="r3-r5", show_default=True, help="Line to cut first.")
@click.option("--router", default="r7", show_default=True, help="Router to kill.")
@click.option("--cuts", default=10, show_default=True, help="Of each kind.")
@click.option("--cycles", default=300, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--output", type=OutputType(), default=Path("demo.json"))
@click.option("--run-dir", type=click.Path(path_type=Path), default=Path(".run/demo"))
@click.option("--northbound", default=NORTHBOUND_ADDRESS, show_default=True)
@click.option("--southbound-port", default=SOUTHBOUND_PORT, show_default=True)
def main(
    path: Path,
    backend: str | None,
    output: Path,
    run_dir: Path,
    northbound: str,
    southbound_port: int,
    **plan: Any,
) -> None:
    """Serves all loads of a network, breaks it in every way, and measures what that costs."""
    console = Console(stderr=True)
    if backend is None:
        backend = "mininet" if os.geteuid() == 0 else "local"
        if backend == "local":
            console.print("not root: plain processes on loopback instead of Mininet hosts")
    started_s = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started_s:7.1f} s[/dim]  {text}")

    options = EmulationOptions(
        run_dir=run_dir, northbound=northbound, southbound_port=southbound_port
    )
    grid = with_probes(load_grid(path))
    emulation = make_emulation(grid, backend, options)
    figures = Figures(backend=backend, routers=len(grid.routers))
    say(f"starting {len(grid.routers)} routers ({backend})")
    try:
        emulation.start()
        failure = asyncio.run(_tell(emulation, northbound, figures, say, Plan(**plan)))
    except EmulationError as error:
        failure = str(error)
    finally:
        say("taking the network down")
        emulation.stop()
    _report(console, figures, failure, output)


async def _tell(
    emulation: Emulation,
    northbound: str,
    figures: Figures,
    say: Callable[[str], None],
    plan: Plan,
) -> str:
    """The whole story; why it broke off, or nothing."""
    try:
        async with AsyncPowerClient(northbound) as client:
            await wait_until_healthy(
                client, emulation.grid, _START_TIMEOUT_S, emulation.require_running
            )
            say("all sessions and all lines are up")
            async with Observer(client) as observer:
                scenario = Scenario(emulation, client, observer, figures, say, plan.seed)
                await scenario.serve_loads()
                await scenario.cut_lines(plan.cuts, plan.first_cut)
                await scenario.silence_lines(plan.cuts)
                await scenario.move_circuits()
                await scenario.kill_router(plan.router)
                await scenario.kill_controller()
                scenario.count_lost()
                await scenario.cycle(plan.cycles)
                await scenario.release_all()
    except (TimeoutError, PowerError, EmulationError) as error:
        # What was measured until here is still reported.
        return str(error)
    return ""


def _report(console: Console, figures: Figures, failure: str, output: Path) -> None:
    document = figures.to_json()
    output.write_text(json.dumps(document, indent=2) + "\n")
    table = Table("figure", "measured", title="what was measured")
    for key, value in document.items():
        if key != "loads":
            table.add_row(key, json.dumps(value))
    console.print(table)
    shortcomings = ([failure] if failure else []) + figures.shortcomings()
    for shortcoming in shortcomings:
        console.print(f"[red]not well:[/red] {shortcoming}")
    print(json.dumps(document))  # noqa: T201 - the last line is for machines
    sys.exit(1 if shortcomings else 0)


if __name__ == "__main__":
    main()
