"""``make protect``: what circuits with a standby lack when things fail; exit code 0 only if all books balance."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from digitalgrid.client import AsyncPowerClient
from digitalgrid.command_line import Tool
from digitalgrid.gridfile import load_grid
from topologies.demo.observer import Observer
from topologies.demo.performance import chosen, narrator, perform, run_options
from topologies.demo.protect_figures import ProtectFigures
from topologies.demo.protect_story import FAULTS, ProtectStory
from topologies.emulator.backends import make_emulation
from topologies.emulator.plan import EmulationOptions

_GRID = Path(__file__).parents[1] / "elan9.grid.yaml"


@click.command("protect", cls=Tool)
@click.option("--circuits", default=100, show_default=True)
@click.option(
    "--protect", type=click.Choice(["link", "router", "risk"]), default="router", show_default=True
)
@click.option(
    "--fault",
    "faults",
    type=click.Choice(FAULTS),
    multiple=True,
    default=FAULTS,
    help="Break only this; may be given several times.  [default: all]",
)
@run_options("protect")
def main(
    backend: str | None,
    circuits: int,
    protect: str,
    faults: tuple[str, ...],
    output: Path,
    run_dir: Path,
    northbound: str,
    southbound_port: int,
) -> None:
    """Breaks lines, routers and a source under protected circuits, with a controller and without."""
    console = Console(stderr=True)
    say = narrator(console)
    options = EmulationOptions(
        run_dir=run_dir, northbound=northbound, southbound_port=southbound_port
    )
    emulation = make_emulation(load_grid(_GRID), chosen(backend, say), options)
    figures = ProtectFigures(emulation.backend, len(emulation.grid.routers))

    async def tell(client: AsyncPowerClient, observer: Observer) -> None:
        story = ProtectStory(emulation, client, observer, figures, say)
        await story.request(circuits, protect)
        await story.break_all(faults, controlled=True)
        await story.break_all(faults, controlled=False)
        await story.move()
        await story.release_all()

    failure = perform(emulation, northbound, tell, say)
    _report(console, figures, failure, output)


def _report(console: Console, figures: ProtectFigures, failure: str, output: Path) -> None:
    document = figures.to_json()
    output.write_text(json.dumps(document, indent=2) + "\n")
    names = ["what", "controller", "circuits", "p50 ms", "≤", "max ms", "≤", "ready s"]
    names += ["no pair"]
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
            str(trial["without_two_paths"]),
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
