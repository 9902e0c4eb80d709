"""``dgc reconcile`` and ``dgc forget-router``: for those who run the network, asked of a controller that runs.

They say what ``dgctl`` says, and end with its exit codes.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from digitalgrid.client.defaults import DEFAULT_SERVER
from digitalgrid.command_line import AddressType, IdType

if TYPE_CHECKING:
    from digitalgrid.client import PowerClient
    from digitalgrid.v1 import northbound_pb2 as pb

T = TypeVar("T")
# Exit code where routers run something else than was promised.
EXIT_DIFFERS = 1

_SERVER = click.option(
    "--server",
    type=AddressType(several=True),
    default=DEFAULT_SERVER,
    envvar="DGCTL_SERVER",
    show_default=True,
    metavar="HOST:PORT",
    help="Whom to ask, or HOST:PORT,HOST:PORT of a cluster (or DGCTL_SERVER).",
)
_OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to write the answer.",
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only shows the differences; exit code 1 if any.")
@click.option(
    "--router",
    "router_ids",
    type=IdType(),
    metavar="ID",
    multiple=True,
    help="Only this one; may be repeated.",
)
@_SERVER
@_OUTPUT
def reconcile(dry_run: bool, router_ids: tuple[str, ...], server: str, output: str) -> None:
    """Compares what routers run with what they should run, and repairs it.

    What is being changed just now is counted as under way, and is no difference.
    """
    from dgctl.formats import Format
    from dgctl.output import show
    from digitalgrid.v1 import northbound_pb2 as pb

    request = pb.ReconcileRequest(router_ids=router_ids, dry_run=dry_run)
    answer = _ask(server, output, lambda client: client.reconcile(request))
    if output == "json":
        show(answer, Format.JSON)
    else:
        _show(answer, dry_run)
    if dry_run and any(_differences(answer)):
        sys.exit(EXIT_DIFFERS)


@click.command("forget-router")
@click.argument("router_id", metavar="ID", type=IdType())
@_SERVER
@_OUTPUT
def forget_router(router_id: str, server: str, output: str) -> None:
    """Gives up a router that never returns, and frees what it holds.

    Refused while it is alive. If it comes back after all, what it still runs is taken off it.
    """
    from dgctl.formats import Format
    from dgctl.output import show

    answer = _ask(server, output, lambda client: client.forget_router(router_id))
    if output == "json":
        show(answer, Format.JSON)
    else:
        hops = "hop" if answer.freed_hops == 1 else "hops"
        click.echo(f"router {router_id} is forgotten; it held {answer.freed_hops} {hops}")


def _ask(server: str, output: str, call: "Callable[[PowerClient], T]") -> T:
    """The answer of whoever leads; ends the program where there is none."""
    from dgctl.formats import Format
    from dgctl.output import show_error
    from digitalgrid import client as clients

    try:
        with clients.PowerClient(server) as client:
            return call(client)
    except ValueError as error:
        raise click.UsageError(f"--server: {error}") from error
    except clients.PowerError as error:
        sys.exit(show_error(error, Format(output), program="dgc"))


def _differences(answer: "pb.ReconcileResponse") -> list[tuple[str, str, "pb.HopDifference"]]:
    """Router, kind and hop of each."""
    from digitalgrid.client.differences import KINDS

    return [
        (router.router_id, kind, hop)
        for router in answer.routers
        for kind in KINDS
        for hop in getattr(router, kind)
    ]


def _show(answer: "pb.ReconcileResponse", dry_run: bool) -> None:
    from digitalgrid.client.differences import KINDS
    from digitalgrid.columns import Columns, Part, parts_text

    kinds = (kind.replace("_", " ") for kind in KINDS)
    routers = Columns("router", "as it should be", "under way", *kinds)
    for router in answer.routers:
        counts = [len(getattr(router, kind)) for kind in KINDS]
        routers.add_row(router.router_id, *map(str, (router.confirmed, router.under_way, *counts)))
    for router_id in answer.disconnected_router_ids:
        routers.add_row(router_id, "not connected")
    for router_id in answer.silent_router_ids:
        routers.add_row(router_id, "no answer in time")
    parts: list[Part] = [routers]
    differences = _differences(answer)
    if differences:
        hops = Columns("router", "hop is", "circuit", "generation", "what differs")
        for router_id, kind, hop in differences:
            hops.add_row(router_id, kind, str(hop.circuit_id), str(hop.generation), hop.contrast)
        parts += ["", hops]
        if not dry_run:
            parts += ["", "all of this is being repaired"]
    sys.stdout.write(parts_text(parts, sys.stdout))
