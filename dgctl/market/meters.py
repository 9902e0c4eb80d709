"""The verbs of ``dgctl market meter``: where a meter is registered, and moving it from market to market."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dgctl.market.options import market_client, reads, signer_of, signs
from dgctl.options import Settings, pass_settings
from digitalgrid.command_line import IdType, OutputType

if TYPE_CHECKING:
    from digitalgrid.market.v1.ledger_pb2 import MeterDeparture

F = TypeVar("F", bound=Callable[..., Any])

_READABLE = click.Path(dir_okay=False, path_type=Path)
_METER = click.argument("meter_id", metavar="METER", type=IdType())
_METER_KEY = click.option(
    "--meter-key",
    type=_READABLE,
    required=True,
    metavar="FILE",
    help="The meter's own secret key, as `dgm keygen` makes it.",
)
_PROOF = click.option(
    "--proof",
    type=OutputType(new=True),
    metavar="FILE",
    help="Where to put the proof of its release, which the next market asks for; FILE must not be there yet.",
)


class LogIdType(click.ParamType[bytes]):
    """64 hexadecimal digits, as `dgctl market status` tells a market's."""

    name = "log id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        if isinstance(value, bytes):
            return value
        if re.fullmatch(r"[0-9a-f]{64}", str(value)) is None:
            self.fail(
                f"{value!r} is no log's id; write the 64 digits that `dgctl market status` tells",
                param,
                ctx,
            )
        return bytes.fromhex(str(value))


@click.group()
def meter() -> None:
    """Where a meter trades, which its own key says: one market at a time has it.

    Only meters whose keys stand in the market's file have to be registered.
    """


@meter.command()
@_METER
@_PROOF
@reads
@pass_settings
def show(settings: Settings, meter_id: str, proof: Path | None) -> None:
    """Says under which epoch a meter is registered here, or whereto it was released.

    METER is its id; or its public key, of one that the market's file has no more.
    """
    from dgctl.market.output import show as show_answer

    with market_client(settings) as client:
        answer = client.get_meter(meter_id)
    if proof is not None:
        if not answer.HasField("departure"):
            raise click.ClickException(
                f"meter {meter_id} is not released: there is nothing to prove"
            )
        _keep(proof, answer.departure)
    show_answer(answer, settings.output)


@meter.command()
@_METER
@_METER_KEY
@click.option(
    "--released",
    type=_READABLE,
    metavar="FILE",
    help="The proof of its release, of a meter that comes from another market.",
)
@signs
@pass_settings
def register(settings: Settings, meter_id: str, meter_key: Path, released: Path | None) -> None:
    """Has a meter trade here from now on: by its party or the operator, with the meter's own key.

    A meter that another market has had needs that market's release, to this one.
    """
    from dgctl.market.output import show as show_answer
    from trading.client import read_departure
    from trading.client.signing import read_key

    departure = None if released is None else read_departure(released)
    key = read_key(meter_key)
    with market_client(settings, signer_of(settings)) as client:
        answer = client.register_meter(meter_id, key, departure)
    show_answer(answer, settings.output)


@meter.command()
@_METER
@_METER_KEY
@click.option(
    "--to",
    "to_log_id",
    type=LogIdType(),
    default=b"",
    metavar="LOG",
    help="The id of the log of the market that may have it next; without it, it can only come back here.",
)
@_PROOF
@signs
@pass_settings
def release(
    settings: Settings, meter_id: str, meter_key: Path, to_log_id: bytes, proof: Path | None
) -> None:
    """Has a meter trade here no more, so that another market can have it: with the meter's own key.

    Where something of it waits, or is agreed for an interval that is not over, it stays.

    METER is its id; or its public key, of one that the market's file has no more.
    """
    from dgctl.market.output import show as show_answer
    from trading.client.signing import read_key

    key = read_key(meter_key)
    with market_client(settings, signer_of(settings)) as client:
        answer = client.release_meter(meter_id, key, to_log_id)
    if proof is not None and answer.HasField("departure"):
        _keep(proof, answer.departure)
    show_answer(answer, settings.output)


def _keep(proof: Path, departure: "MeterDeparture") -> None:
    from trading.client import departure_text

    proof.write_text(departure_text(departure))
