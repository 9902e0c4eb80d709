"""The verbs of ``dgc`` that need no daemon and no root: import, plan and study."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from digitalgrid.command_line import FiniteRange, OutputType
from digitalgrid.progress import progress

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False, path_type=Path)
_PRICE = FiniteRange(min=0)
_FRACTION = FiniteRange(0, 1, min_open=True)


def _model_options(command: F) -> F:
    """How things of a network of pandapower or SimBench are modelled."""
    for option in (
        click.option(
            "--assume-missing",
            is_flag=True,
            help="Empty cells that should hold a figure are filled with a usual one, each with a note.",
        ),
        click.option(
            "--iron-losses-as-loads",
            is_flag=True,
            help="What transformers lose under voltage becomes loads.",
        ),
        click.option(
            "--power-factor",
            type=_FRACTION,
            default=1.0,
            show_default=True,
            help="Cos phi of all currents: below 1 they grow as reactive power makes them.",
        ),
        click.option(
            "--router-efficiency",
            type=_FRACTION,
            help="Every bus is a power router of this efficiency.  [default: buses are passive]",
        ),
        click.option(
            "--tie-efficiency",
            type=_FRACTION,
            default=0.97,
            show_default=True,
            help="Of the power routers at ties.",
        ),
    ):
        command = option(command)
    return command


@click.command("import")
@click.argument("network")
@click.option(
    "-o", "--output", "path", type=OutputType(), required=True, help="The grid file to be written."
)
@click.option("--tie-routers", is_flag=True, help="Open ties between feeders become power routers.")
@_model_options
def import_(network: str, path: Path, **options: Any) -> None:
    """Makes a grid file of NETWORK, and says what was left out.

    \b
    pandapower:case118            any of pandapower.networks
    simbench:1-MV-rural--0-sw     any code of SimBench
    path/to/network.json          what pandapower.to_json wrote
    """
    from topologies.importers.imported import Options
    from topologies.importers.specification import import_to_file

    with progress() as begin:
        imported = import_to_file(network, path, Options(**options), begin)
    for warning in imported.warnings:
        click.echo(f"note: {warning}", err=True)
    grid = imported.grid
    click.echo(
        f"{path}: {len(grid.routers)} routers, {len(grid.links)} links,"
        f" {len(grid.sources)} sources, {len(grid.loads)} loads"
    )


@click.command()
@click.argument("file", type=_FILE)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to write the plan.",
)
@click.option("--loss-price", "loss_per_mwh", type=_PRICE, default=0.0, help="Of every MWh lost.")
@click.option("--carbon-price", "carbon_per_kg", type=_PRICE, default=0.0, help="Of every kg.")
@click.option(
    "--generation-share",
    type=_PRICE,
    default=1.0,
    show_default=True,
    help="How much of the costs of generation counts.",
)
@click.option(
    "--toll-share",
    type=_PRICE,
    default=1.0,
    show_default=True,
    help="How much of the tolls of links counts.",
)
def plan(file: Path, output: str, **prices: float) -> None:
    """Computes the best dispatch of a grid FILE, and the circuits that carry it.

    Power is served by priority, then by value; then costs count, then losses.
    """
    from controller.planning.plan import plan_file
    from controller.planning.tables import render
    from controller.routing.dispatch import Prices

    try:
        asked = Prices(**prices)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with progress() as begin:
        found = plan_file(file, asked, begin)
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else 160).print(render(found))
    sys.exit(0 if found["status"] == "optimal" else 1)


@click.command()
@click.argument("network")
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where results are kept; an interrupted study goes on there.",
)
@click.option("--period", type=click.Choice(["day", "year"]), default="day", show_default=True)
@click.option(
    "--day",
    type=click.IntRange(min=1),
    help="Of the year.  [default: that of the greatest exchange with the grid beyond]",
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Take every n-th quarter hour only.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@click.option(
    "--ac-samples",
    type=click.IntRange(min=0),
    default=24,
    show_default=True,
    help="Steps that are checked by an AC power flow.",
)
@_model_options
def study(
    network: str,
    directory: Path,
    period: Literal["day", "year"],
    day: int | None,
    every: int,
    workers: int | None,
    ac_samples: int,
    **options: Any,
) -> None:
    """Runs a day or a year of the profiles of NETWORK, as it is operated and with power routers at its ties.

    NETWORK is simbench:CODE, or a pandapower JSON file with SimBench's profiles. Writes results.csv, summary.json
    and plot.png.
    """
    from topologies.importers.imported import Options
    from topologies.study.study import run_study

    run_study(
        network,
        directory,
        period=period,
        day=day,
        every=every,
        options=Options(tie_routers=True, **options),
        workers=workers,
        ac_samples=ac_samples,
    )
