"""``dgctl registers``: what generations of circuits had injected and delivered when they ended."""

import time

import click

from dgctl.options import DurationType, Settings, common, pass_settings
from digitalgrid.command_line import IdType


@click.command()
@click.argument(
    "circuit_id", required=False, type=click.IntRange(1, 2**63 - 1), metavar="[CIRCUIT]"
)
@click.option(
    "--request-id", type=IdType(optional=True), default="", help="Only of circuits of this request."
)
@click.option(
    "--since",
    "since_ns",
    type=DurationType(),
    metavar="DURATION",
    help="Only what ended within so long, such as 15m.  [default: all]",
)
@click.option(
    "--until",
    "until_ns",
    type=DurationType(),
    metavar="DURATION",
    help="Only what ended longer ago than this, such as 5m: with --since, a time between the two.  [default: all]",
)
@common
@pass_settings
def registers(
    settings: Settings,
    circuit_id: int | None,
    request_id: str,
    since_ns: int | None,
    until_ns: int | None,
) -> None:
    """Shows final registers: what each generation of a circuit had injected and delivered when it ended.

    They are kept for ever. A circuit's energy is the sum over its generations; '-' is what no router has said, which is
    not zero. What runs still is metered by: dgctl meters
    """
    from dgctl.output import show
    from digitalgrid.v1 import northbound_pb2 as pb

    if since_ns is not None and until_ns is not None and since_ns <= until_ns:
        raise click.UsageError("--since must be longer ago than --until: nothing ends in between")
    now_ns = time.time_ns()
    with settings.client() as client:
        listed = client.list_registers(
            circuit_id or 0,
            request_id,
            since_unix_ns=now_ns - since_ns if since_ns is not None else 0,
            until_unix_ns=now_ns - until_ns if until_ns is not None else 0,
        )
    show(pb.ListRegistersResponse(registers=listed), settings.output)
