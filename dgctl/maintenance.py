"""The verbs of ``dgctl`` for work on the network: drain, undrain and what-if."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dgctl.options import DurationType, Settings, common, complete_avoidable, pass_settings
from digitalgrid.command_line import IdType

F = TypeVar("F", bound=Callable[..., Any])
_CURTAIL = click.option(
    "--curtail",
    is_flag=True,
    help="Lets circuits go down to their floors that cannot leave otherwise, until there is room again.",
)

_ID_ARGUMENT = click.argument(
    "id_", metavar="LINK|ROUTER", type=IdType(), shell_complete=complete_avoidable
)


@click.command()
@_ID_ARGUMENT
@click.option(
    "--dry-run", is_flag=True, help="Only what would become of circuits, as `what-if drain`."
)
@click.option("--wait", is_flag=True, help="Returns only when no router holds a hop there.")
@click.option(
    "--give-up",
    "give_up_after_ns",
    type=DurationType(),
    metavar="DURATION",
    help="Puts it into service again if it is not drained by then.  [default: 10m]",
)
@click.option("--keep", is_flag=True, help="Never gives up, also where circuits can never leave.")
@click.option(
    "--emergency-use",
    is_flag=True,
    help="Lets circuits use it that lost their path to a fault and have no other.",
)
@_CURTAIL
@common
@pass_settings
def drain(
    settings: Settings,
    id_: str,
    dry_run: bool,
    wait: bool,
    give_up_after_ns: int | None,
    keep: bool,
    emergency_use: bool,
    curtail: bool,
) -> None:
    """Takes a link or router out of service without a loss of power.

    Nothing new uses it from now on. What is there moves elsewhere, made before it is broken, until it is free to work
    on; `dgctl topology` shows how far that is, and who is in the way.
    """
    from dgctl.output import say, show
    from digitalgrid.v1 import northbound_pb2 as pb

    if keep and give_up_after_ns is not None:
        raise click.UsageError("--keep never gives up; leave out --give-up")
    if dry_run:
        with settings.client() as client:
            plan = client.what_if(pb.WhatIfRequest(drain_ids=[id_], curtail=curtail))
        show(plan, settings.output)
        return
    asked = pb.DrainRequest(
        id=id_,
        give_up_after_ns=give_up_after_ns or 0,
        keep=keep,
        emergency_use=emergency_use,
        curtail=curtail,
    )
    with settings.client() as client:
        answer = client.drain(asked)
        if wait:
            client.wait_until_drained(id_, timeout_s=settings.timeout_s)
            word = pb.AdminWord(
                state=pb.ADMIN_STATE_DRAINED,
                emergency_use=answer.word.emergency_use,
                curtail=answer.word.curtail,
            )
            answer = pb.DrainResponse(changed=answer.changed, word=word)
    if not answer.changed:
        say(f"{id_} was taken out of service before; this changes nothing")
    show(answer, settings.output)


@click.command()
@_ID_ARGUMENT
@common
@pass_settings
def undrain(settings: Settings, id_: str) -> None:
    """Puts a link or router into service again; nothing moves back by itself."""
    from dgctl.output import show
    from digitalgrid.v1 import northbound_pb2 as pb

    with settings.client() as client:
        client.undrain(id_)
    show(pb.UndrainResponse(), settings.output)


@click.group("what-if")
def what_if() -> None:
    """Shows who would switch, move, wait or lose; changes nothing."""


def _ids_argument(metavar: str) -> Callable[[F], F]:
    def add(command: F) -> F:
        return click.argument(
            "ids",
            metavar=metavar,
            nargs=-1,
            required=True,
            type=IdType(),
            shell_complete=complete_avoidable,
        )(command)

    return add


@what_if.command("cut")
@_ids_argument("LINK|ROUTER|SOURCE...")
@common
@pass_settings
def _cut(settings: Settings, ids: tuple[str, ...]) -> None:
    """If these were lost, all in one instant."""
    from dgctl.output import show
    from digitalgrid.v1 import northbound_pb2 as pb

    with settings.client() as client:
        answer = client.what_if(pb.WhatIfRequest(cut_ids=ids))
    show(answer, settings.output)


@what_if.command("drain")
@_ids_argument("LINK|ROUTER...")
@_CURTAIL
@common
@pass_settings
def _drain(settings: Settings, ids: tuple[str, ...], curtail: bool) -> None:
    """If these were drained, one after another."""
    from dgctl.output import show
    from digitalgrid.v1 import northbound_pb2 as pb

    with settings.client() as client:
        answer = client.what_if(pb.WhatIfRequest(drain_ids=ids, curtail=curtail))
    show(answer, settings.output)
