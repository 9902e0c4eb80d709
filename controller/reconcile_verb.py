"""``dgc reconcile`` and ``dgc forget-router``: for those who run the network, asked of a controller that runs.

They say what ``dgctl`` says, and end with its exit codes.
"""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from digitalgrid.client import PowerError
    from digitalgrid.v1 import northbound_pb2 as pb

T = TypeVar("T")
EXIT_DIFFERS = 1
EXIT_REFUSED = 3
EXIT_UNREACHABLE = 4

_TIMEOUT_S = 10.0
# Wide enough that a pipe gets whole lines.
_PIPE_WIDTH = 240
_KINDS = ("missing", "excess", "different", "lingering")
_SERVER = click.option(
    "--server",
    default="127.0.0.1:50051",
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
    "--router", "router_ids", metavar="ID", multiple=True, help="Only this one; may be repeated."
)
@_SERVER
@_OUTPUT
def reconcile(dry_run: bool, router_ids: tuple[str, ...], server: str, output: str) -> None:
    """Compares what routers run with what they should run, and repairs it."""
    from digitalgrid.v1 import northbound_pb2 as pb

    request = pb.ReconcileRequest(router_ids=router_ids, dry_run=dry_run)
    answer = _ask(server, output, lambda stub, **how: stub.Reconcile(request, **how))
    if output == "json":
        click.echo(_as_json(answer))
    else:
        _show(answer, dry_run)
    if dry_run and any(_differences(answer)):
        sys.exit(EXIT_DIFFERS)


@click.command("forget-router")
@click.argument("router_id", metavar="ID")
@_SERVER
@_OUTPUT
def forget_router(router_id: str, server: str, output: str) -> None:
    """Gives up a router that never returns, and frees what it holds.

    Refused while it is alive. If it comes back after all, what it still runs is taken off it.
    """
    from digitalgrid.v1 import northbound_pb2 as pb

    request = pb.ForgetRouterRequest(router_id=router_id)
    answer = _ask(server, output, lambda stub, **how: stub.ForgetRouter(request, **how))
    if output == "json":
        click.echo(_as_json(answer))
    else:
        hops = "hop" if answer.freed_hops == 1 else "hops"
        click.echo(f"router {router_id} is forgotten; it held {answer.freed_hops} {hops}")


def _ask(server: str, output: str, call: Callable[..., T]) -> T:
    """The answer of whoever leads; ends the program where there is none."""
    from digitalgrid.client import PowerError

    try:
        return _ask_leader(server, call)
    except ValueError as error:
        raise click.UsageError(f"--server: {error}") from error
    except PowerError as error:
        sys.exit(_show_error(error, output))


def _ask_leader(server: str, call: Callable[..., T]) -> T:
    import time

    import grpc

    from digitalgrid.client.calls import who_asks
    from digitalgrid.client.errors import from_rpc_error
    from digitalgrid.client.servers import Attempts, Servers
    from digitalgrid.v1.northbound_pb2_grpc import OperationsServiceStub

    servers = Servers(server)
    attempts = Attempts(servers, _TIMEOUT_S, time.monotonic())
    while True:
        try:
            with grpc.insecure_channel(servers.current) as channel:
                timeout_s = attempts.remaining_s(time.monotonic())
                stub = OperationsServiceStub(channel)
                return call(stub, timeout=timeout_s, metadata=who_asks())
        except grpc.RpcError as rpc_error:
            error = from_rpc_error(rpc_error)
        pause_s = attempts.pause_s(error, time.monotonic())
        if pause_s is None:
            raise error
        time.sleep(pause_s)


def _differences(answer: "pb.ReconcileResponse") -> list[tuple[str, str, "pb.HopDifference"]]:
    """Router, kind and hop of each."""
    return [
        (router.router_id, kind, hop)
        for router in answer.routers
        for kind in _KINDS
        for hop in getattr(router, kind)
    ]


def _show(answer: "pb.ReconcileResponse", dry_run: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    routers = Table("router", "as it should be", *_KINDS, box=None)
    for router in answer.routers:
        counts = [len(getattr(router, kind)) for kind in _KINDS]
        routers.add_row(router.router_id, *map(str, (router.confirmed, *counts)))
    for router_id in answer.disconnected_router_ids:
        routers.add_row(router_id, "not connected")
    for router_id in answer.silent_router_ids:
        routers.add_row(router_id, "no answer in time")
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    console = Console(width=width, highlight=False, markup=False)
    console.print(routers)
    differences = _differences(answer)
    if differences:
        hops = Table("router", "hop is", "circuit", "generation", "what differs", box=None)
        for router_id, kind, hop in differences:
            hops.add_row(router_id, kind, str(hop.circuit_id), str(hop.generation), hop.contrast)
        console.print()
        console.print(hops)
        if not dry_run:
            console.print("\nall of this is being repaired")


def _show_error(error: "PowerError", output: str) -> int:
    """Writes why a call was not done to standard error; the exit code for it."""
    from digitalgrid.client import ControllerUnreachable
    from digitalgrid.dgctl.tables import detail_lines

    unreachable = isinstance(error, ControllerUnreachable)
    if output == "json":
        details = {
            "code": error.code.name,
            "message": error.message,
            "reason": error.reason,
            "metadata": error.metadata,
        }
        click.echo(json.dumps(details, indent=2), err=True)
    else:
        what = "controller unreachable" if unreachable else "refused"
        why = ", ".join(word for word in (error.code.name, error.reason) if word)
        click.echo(f"dgc: {what} ({why}): {error.message}", err=True)
        if unreachable:
            hint = "is `dgc serve` running? name another controller with --server HOST:PORT"
            click.echo(f"  {hint}", err=True)
        for line in detail_lines(error.metadata):
            click.echo(f"  {line}", err=True)
    return EXIT_UNREACHABLE if unreachable else EXIT_REFUSED


def _as_json(answer: Any) -> str:
    from google.protobuf.json_format import MessageToDict

    document = MessageToDict(answer, always_print_fields_with_no_presence=True)
    return json.dumps(document, indent=2)
