"""Options of the verbs of a market, and energy, prices, money and intervals as people write them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from dgctl.options import OUTPUT_OPTION, TIMEOUT_OPTION, Settings
from digitalgrid.command_line import AddressType, IdType
from digitalgrid.units import NS_PER_S
from trading.client.defaults import DEFAULT_MARKET

if TYPE_CHECKING:
    from digitalgrid.market.v1 import market_pb2 as pb
    from trading.client import MarketClient, Signer

F = TypeVar("F", bound=Callable[..., Any])

_NUMBER = r"(?P<number>[-+]?(?:[0-9]{1,15}\.?[0-9]{0,12}|\.[0-9]{1,12}))"
_WH = {"": 1, "Wh": 1, "kWh": 1_000, "MWh": 1_000_000, "GWh": 1_000_000_000}
_MICRO, _NANO = 1_000_000, 1_000_000_000


class _Whole(click.ParamType[int]):
    """A number that is whole in the market's unit."""

    pattern = re.compile(_NUMBER)
    example = ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = self.pattern.fullmatch(str(value).strip())
        factor = self.factor(match) if match else None
        if match is None or factor is None:
            self.fail(f"{value!r} is no {self.name}; write it like {self.example}", param, ctx)
        exact = Decimal(match["number"]) * factor
        if exact != int(exact) or not -(2**63) <= exact < 2**63:
            self.fail(f"{value!r} is finer, or more, than a market counts", param, ctx)
        return int(exact)

    def factor(self, match: "re.Match[str]") -> int | None:
        raise NotImplementedError


class EnergyType(_Whole):
    """``700Wh``, ``1.5 kWh``; as whole Wh."""

    name = "energy"
    pattern = re.compile(_NUMBER + r"\s*(?P<unit>[A-Za-z]*)")
    example = "700Wh or 1.5kWh, of whole Wh"

    def factor(self, match: "re.Match[str]") -> int | None:
        return _WH.get(match["unit"])


class PriceType(_Whole):
    """``0.22`` of the currency per kWh; as millionths."""

    name = "price"
    example = "0.22, per kWh"

    def factor(self, match: "re.Match[str]") -> int | None:
        return _MICRO


class MoneyType(_Whole):
    """``12.50`` of the currency; as nanos."""

    name = "money"
    example = "12.50"

    def factor(self, match: "re.Match[str]") -> int | None:
        return _NANO


class IntervalType(click.ParamType[str]):
    """``next``, ``+1`` for the one after, or a start: ``2026-11-30T12:00:00Z``, or in seconds since 1970."""

    name = "interval"
    _WRITTEN = re.compile(r"next|\+[0-9]{1,4}|[0-9]{9,11}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z?")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if self._WRITTEN.fullmatch(text) is None or (text[4:5] == "-" and not _is_time(text)):
            self.fail(
                f"{value!r} is no interval; write next, +1, or when it begins, as 2026-11-30T12:00:00Z",
                param,
                ctx,
            )
        return text


def _is_time(text: str) -> bool:
    from datetime import datetime

    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def start_ns_of(interval: str, market: "pb.GetMarketResponse") -> int:
    """When it begins (ns since 1970). Raises UsageError where the market has none such open."""
    from datetime import UTC, datetime

    from digitalgrid.market.v1 import market_pb2 as pb

    if interval[4:5] == "-":
        moment = datetime.fromisoformat(interval)
        # Without a zone it is UTC, as everywhere else here.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(aware.timestamp()) * NS_PER_S
    if interval.isdecimal():
        return int(interval) * NS_PER_S
    starts = sorted(
        each.interval.start_unix_ns
        for each in market.intervals
        if each.phase == pb.INTERVAL_PHASE_OPEN
    )
    number = 0 if interval == "next" else int(interval)
    if number >= len(starts):
        raise click.UsageError(
            f"of the market {len(starts)} intervals are open, and so there is no {interval}"
        )
    return starts[number]


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """What was typed goes before what the environment says, wherever of the command it stands."""
    settings = ctx.ensure_object(Settings)
    name = str(param.name)
    is_typed = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    if value is not None and (is_typed or not getattr(settings, name)):
        setattr(settings, name, value)


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, callback=_remember, expose_value=False, **settings)


_SERVER = _option(
    "--server",
    "market_server",
    type=AddressType(),
    envvar="DGM_SERVER",
    metavar="HOST:PORT",
    help=f"Which market to ask (or DGM_SERVER).  [default: {DEFAULT_MARKET}]",
)
_PARTY = _option(
    "--party",
    type=IdType(),
    envvar="DGM_PARTY",
    metavar="NAME",
    help="Who asks (or DGM_PARTY).",
)
_KEY = _option(
    "--key",
    "key_file",
    type=click.Path(),
    envvar="DGM_KEY",
    metavar="FILE",
    help="The party's secret key, as `dgm keygen` makes it (or DGM_KEY).",
)


def reads(command: F) -> F:
    """Adds the options of whoever only looks."""
    for option in (TIMEOUT_OPTION, OUTPUT_OPTION, _SERVER):
        command = option(command)
    return command


def signs(command: F) -> F:
    """Adds the options of whoever changes something, and so signs it."""
    return reads(_PARTY(_KEY(command)))


def names_a_party(command: F) -> F:
    """Adds the options of whoever looks at what is a party's."""
    return reads(_PARTY(command))


def trade_argument(command: F) -> F:
    return click.argument("trade_id", metavar="TRADE", type=IdType())(command)


@contextmanager
def market_client(settings: Settings, signer: "Signer | None" = None) -> Iterator["MarketClient"]:
    """A client whose errors end the program with their message and exit code."""
    from dgctl.output import MARKET, show_error
    from digitalgrid.client import PowerError
    from trading.client import MarketClient

    server = settings.market_server or DEFAULT_MARKET
    try:
        with MarketClient(server, signer=signer, timeout_s=settings.timeout_s) as client:
            yield client
    except PowerError as error:
        raise click.exceptions.Exit(show_error(error, settings.output, asked=MARKET)) from error


def signer_of(settings: Settings) -> "Signer":
    from trading.client import Signer

    if not settings.party or not settings.key_file:
        raise click.UsageError(
            "who asks for this has to sign it: give --party NAME and --key FILE (or DGM_PARTY and"
            " DGM_KEY)"
        )
    return Signer.of_file(settings.party, Path(settings.key_file))
