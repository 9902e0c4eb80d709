"""The verbs of ``dgctl`` for work on the network: drain and undrain."""

import re
from typing import Any

import click

from dgctl.options import Settings, common, complete_avoidable, pass_settings
from digitalgrid.command_line import IdType
from digitalgrid.units import NS_PER_S

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class DurationType(click.ParamType[int]):
    """``90s``, ``10m``, ``2h`` or ``1d``; as nanoseconds."""

    name = "duration"
    _DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?P<unit>[smhd])")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = self._DURATION.fullmatch(str(value).strip())
        duration_ns = (
            round(float(match["number"]) * _UNITS_S[match["unit"]] * NS_PER_S) if match else 0
        )
        if not 0 < duration_ns < 2**63:
            self.fail(f"{value!r} is no duration; write it like 90s, 10m or 2h", param, ctx)
        return duration_ns


_ID_ARGUMENT = click.argument(
    "id_", metavar="LINK|ROUTER", type=IdType(), shell_complete=complete_avoidable
)


@click.command()
@_ID_ARGUMENT
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
@common
@pass_settings
def drain(
    settings: Settings,
    id_: str,
    wait: bool,
    give_up_after_ns: int | None,
    keep: bool,
    emergency_use: bool,
) -> None:
    """Takes a link or router out of service without a loss of power.

    Nothing new uses it from now on. What is there moves elsewhere, made before it is broken, until it is free to work
    on; `dgctl topology` shows how far that is, and who is in the way.
    """
    from dgctl.output import say, show
    from digitalgrid.v1 import northbound_pb2 as pb

    if keep and give_up_after_ns is not None:
        raise click.UsageError("--keep never gives up; leave out --give-up")
    asked = pb.DrainRequest(
        id=id_,
        give_up_after_ns=give_up_after_ns or 0,
        keep=keep,
        emergency_use=emergency_use,
    )
    with settings.client() as client:
        answer = client.drain(asked)
        if wait:
            client.wait_until_drained(id_, timeout_s=settings.timeout_s)
            word = pb.AdminWord(
                state=pb.ADMIN_STATE_DRAINED, emergency_use=answer.word.emergency_use
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
