"""``python -m tests.chaos``: accidents, again and again, with what was promised checked after each.

Exits with 1 where something promised was lost, or a limit was missed.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from digitalgrid.command_line import OutputType, Tool
from tests.chaos.report import Report
from tests.chaos.scenarios import SCENARIOS, Scenario


async def run(
    scenarios: list[Scenario], rounds: int | None, seed: int, bars: Bars, together: Report
) -> None:
    for scenario in scenarios:
        total = rounds or scenario.rounds
        task = bars.add_task(scenario.name, total=total, note="starting")

        def note(number: int, what: str, task: TaskID = task) -> None:
            bars.update(task, completed=number, note=what)

        report = Report(progress=note)
        try:
            await scenario.run(total, seed, report)
        finally:
            # What it found before it failed itself is kept.
            together.add(report)


def _table(report: Report) -> Table:
    table = Table(title="chaos")
    for name in ("", "figures"):
        table.add_column(name)
    for key, figures in report.figures.items():
        table.add_row(key, "  ".join(f"{name} {value}" for name, value in figures.items()))
    return table


def _write(output: Path, seed: int, report: Report) -> None:
    result = {"seed": seed, **report.figures, "failures": report.failures, "missed": report.missed}
    output.write_text(json.dumps(result, indent=1) + "\n")


@click.command("chaos", cls=Tool)
@click.argument("names", nargs=-1, metavar="[SCENARIO]...", type=click.Choice(sorted(SCENARIOS)))
@click.option("--rounds", type=click.IntRange(min=1), help="Of each.  [default: as promised]")
@click.option("--seed", type=int, default=1, show_default=True, help="Makes the same choices.")
@click.option("--output", type=OutputType(), default=Path("chaos.json"))
def main(names: tuple[str, ...], rounds: int | None, seed: int, output: Path) -> None:
    """Runs all scenarios, or those NAMED."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    # Programs are started again and again: as wherever they are installed, they find their modules compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    chosen = [SCENARIOS[name] for name in names or SCENARIOS]
    report = Report()
    try:
        with Bars(*columns, console=console) as bars:
            asyncio.run(run(chosen, rounds, seed, bars, report))
    finally:
        _write(output, seed, report)
    for failure in report.failures + report.missed:
        console.print(failure, style="bold red", markup=False)
    Console(width=None if sys.stdout.isatty() else 160).print(_table(report))
    sys.exit(1 if report.failures or report.missed else 0)


if __name__ == "__main__":
    main()
