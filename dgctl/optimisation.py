"""The verbs of ``dgctl`` that look at more than one request or path: dispatch, reoptimise and paths."""

from collections import Counter
from typing import Any

import click

from dgctl.options import (
    FractionType,
    PowerType,
    Settings,
    common,
    complete_loads,
    pass_settings,
    retry_option,
    route_options,
    source_option,
)
from digitalgrid.command_line import IdType

_DISJOINTNESS = {
    "link": "DISJOINTNESS_LINK",
    "router": "DISJOINTNESS_ROUTER",
    "risk-group": "DISJOINTNESS_RISK_GROUP",
}


class DemandType(click.ParamType[tuple[str, float | None]]):
    """``load3`` (all that it takes), or ``load3=2MW``."""

    name = "demand"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float | None]:
        load_id, equals, power = str(value).partition("=")
        load_id = IdType().convert(load_id, param, ctx)
        return load_id, PowerType().convert(power, param, ctx) if equals else None


@click.command()
@click.option(
    "--load",
    "demands",
    type=DemandType(),
    metavar="ID[=POWER]",
    multiple=True,
    shell_complete=complete_loads,
    help="A load to be served, and with how much; may be repeated.  [default: all loads, in full]",
)
@source_option
@click.option(
    "--loss-price", "loss_price_per_mwh", type=float, default=0.0, help="Of every MWh lost."
)
@click.option("--carbon-price", "carbon_price_per_kg", type=float, default=0.0, help="Of every kg.")
@click.option(
    "--generation-share", type=float, help="How much of generation costs counts.  [default: 1]"
)
@click.option("--toll-share", type=float, help="How much of the links' tolls counts.  [default: 1]")
@click.option(
    "--one-by-one",
    is_flag=True,
    help="Serve what can be served, load by load.  [default: everything or nothing]",
)
@click.option("--dry-run", is_flag=True, help="Only the plan; reserves nothing.")
@retry_option
@common
@pass_settings
def dispatch(
    settings: Settings,
    /,
    demands: tuple[tuple[str, float | None], ...],
    loss_price_per_mwh: float,
    carbon_price_per_kg: float,
    generation_share: float | None,
    toll_share: float | None,
    **wanted: Any,
) -> None:
    """Serves many loads from many sources at once, at least cost."""
    from dgctl.output import EXIT_REFUSED, show
    from digitalgrid.client import dispatch_request
    from digitalgrid.v1 import northbound_pb2 as pb

    twice = [
        load_id for load_id, count in Counter(load for load, _ in demands).items() if count > 1
    ]
    if twice:
        raise click.UsageError(f"load {twice[0]!r} is named twice; name it once")
    objective = pb.Objective(
        loss_price_per_mwh=loss_price_per_mwh,
        carbon_price_per_kg=carbon_price_per_kg,
        generation_share=generation_share,
        toll_share=toll_share,
    )
    asked = dispatch_request(dict(demands), objective=objective, **wanted)
    with settings.client() as client:
        answer = client.dispatch(asked)
    show(answer, settings.output)
    if any(outcome.code for outcome in answer.outcomes):
        raise click.exceptions.Exit(EXIT_REFUSED)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only the plan and its gain; moves nothing.")
@click.option("--most-moves", type=click.IntRange(min=0, max=2**32 - 1), help="In this round.")
@click.option(
    "--least-gain",
    "least_gain_fraction",
    type=FractionType(),
    metavar="FRACTION",
    help="What a move must save at least of what its circuit loses, such as 2%.",
)
@common
@pass_settings
def reoptimise(
    settings: Settings, dry_run: bool, most_moves: int | None, least_gain_fraction: float | None
) -> None:
    """Moves circuits to better paths, those that gain most first, without interrupting them."""
    from dgctl.output import show
    from digitalgrid.v1 import northbound_pb2 as pb

    asked = pb.ReoptimiseRequest(
        dry_run=dry_run, most_moves=most_moves, least_gain_fraction=least_gain_fraction
    )
    with settings.client() as client:
        answer = client.reoptimise(asked)
    show(answer, settings.output)


@click.command()
@route_options
@click.option(
    "-k", "most_paths", type=click.IntRange(1, 64), help="How many, best first.  [default: 3]"
)
@click.option(
    "--disjoint",
    type=click.Choice(sorted(_DISJOINTNESS)),
    help="Two paths that have no such thing in common.",
)
@click.option(
    "--algorithm",
    "algorithms",
    metavar="NAME",
    multiple=True,
    help="What that routing algorithm would choose, too, or all of them: '*'; may be repeated.",
)
@common
@pass_settings
def paths(
    settings: Settings,
    /,
    most_paths: int | None,
    disjoint: str | None,
    algorithms: tuple[str, ...],
    **wanted: Any,
) -> None:
    """Shows the best paths for a request, or a disjoint pair; reserves nothing."""
    from dgctl.output import show
    from digitalgrid.client import power_request
    from digitalgrid.v1 import northbound_pb2 as pb

    if disjoint is not None and most_paths is not None:
        raise click.UsageError("-k goes with single paths; --disjoint always finds a pair")
    asked = pb.ComputePathsRequest(
        request=power_request(**wanted),
        most_paths=most_paths or 3,
        disjointness=pb.Disjointness.Value(
            _DISJOINTNESS.get(disjoint or "", "DISJOINTNESS_UNSPECIFIED")
        ),
        algorithms=algorithms,
    )
    with settings.client() as client:
        answer = client.compute_paths(asked)
    show(answer, settings.output)
