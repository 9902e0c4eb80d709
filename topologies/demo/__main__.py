"""``make demo``: runs the demonstration and prints its figures; exit code 0 only if all is well."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from digitalgrid.client import AsyncPowerClient
from digitalgrid.command_line import Tool
from digitalgrid.gridfile import load_grid
from topologies.demo.figures import Figures
from topologies.demo.observer import Observer
from topologies.demo.performance import chosen, narrator, perform, run_options
from topologies.demo.probes import with_probes
from topologies.demo.scenario import Scenario
from topologies.emulator.backends import make_emulation
from topologies.emulator.plan import EmulationOptions

_GRID = Path(__file__).parents[1] / "elan9.grid.yaml"


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
@click.option("--first-cut", default="r3-r5", show_default=True, help="Line to cut first.")
@click.option("--router", default="r7", show_default=True, help="Router to kill.")
@click.option("--cuts", default=10, show_default=True, help="Of each kind.")
@click.option("--cycles", default=300, show_default=True)
@click.option("--seed", default=1, show_default=True)
@run_options("demo")
def main(
    path: Path,
    backend: str | None,
    output: Path,
    run_dir: Path,
    northbound: str,
    southbound_port: int,
    **wanted: Any,
) -> None:
    """Serves all loads of a network, breaks it in every way, and measures what that costs."""
    console = Console(stderr=True)
    say = narrator(console)
    options = EmulationOptions(
        run_dir=run_dir, northbound=northbound, southbound_port=southbound_port
    )
    emulation = make_emulation(with_probes(load_grid(path)), chosen(backend, say), options)
    figures = Figures(backend=emulation.backend, routers=len(emulation.grid.routers))
    plan = Plan(**wanted)

    async def story(client: AsyncPowerClient, observer: Observer) -> None:
        await _tell(Scenario(emulation, client, observer, figures, say, plan.seed), plan)

    failure = perform(emulation, northbound, story, say)
    _report(console, figures, failure, output)


async def _tell(scenario: Scenario, plan: Plan) -> None:
    await scenario.serve_loads()
    await scenario.cut_lines(plan.cuts, plan.first_cut)
    await scenario.silence_lines(plan.cuts)
    await scenario.move_circuits()
    await scenario.kill_router(plan.router)
    await scenario.kill_controller()
    scenario.count_lost()
    await scenario.cycle(plan.cycles)
    await scenario.release_all()


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
