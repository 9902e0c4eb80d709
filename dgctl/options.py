"""Options that every verb takes, and values as people write them."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from dgctl.formats import Format
from digitalgrid.client.defaults import DEFAULT_SERVER
from digitalgrid.command_line import AddressType, FiniteRange, IdType
from digitalgrid.units import NS_PER_S, parse_fraction, parse_power_w

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from digitalgrid.client import PowerClient
    from digitalgrid.v1 import northbound_pb2 as pb

F = TypeVar("F", bound=Callable[..., Any])

# How long (s) the shell's completion of an id may keep the user waiting.
_COMPLETION_TIMEOUT_S = 1.0


@dataclass
class Settings:
    """Where to ask and how to write; set by the options, before or after the verb."""

    server: str = DEFAULT_SERVER
    output: Format = Format.TABLE
    timeout_s: float = 10.0
    # Where spans of what is asked go; empty: nothing is traced.
    trace: str = ""
    # Of `dgctl market`: which market (empty: the default one), and who asks, with the file of its key.
    market_server: str = ""
    party: str = ""
    key_file: str = ""

    @contextmanager
    def client(self) -> Iterator["PowerClient"]:
        """A client whose errors end the program with their message and exit code."""
        # Here, so that help and completion scripts need no gRPC.
        from dgctl.output import show_error
        from digitalgrid.client import PowerClient, PowerError

        try:
            with self._traced(), PowerClient(self.server, timeout_s=self.timeout_s) as client:
                yield client
        except PowerError as error:
            raise click.exceptions.Exit(show_error(error, self.output)) from error

    def _traced(self) -> AbstractContextManager[object]:
        """Calls inside are part of one trace, which begins here."""
        if not self.trace:
            return nullcontext()
        from digitalgrid.tracing.extra import open_spans

        verb = click.get_current_context().command_path
        return open_spans(self.trace, "dgctl").current(verb)


class PowerType(click.ParamType[float]):
    """``2MW``, ``350 kW``, ``2e6``; as a number of watts."""

    name = "power"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return value if isinstance(value, float) else parse_power_w(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class FractionType(click.ParamType[float]):
    """``0.05`` or ``5%``."""

    name = "fraction"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return parse_fraction(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_NOW = "dgctl.now_unix_ns"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?P<unit>[smhd])")


def _duration_ns(text: str) -> int | None:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    return round(float(match["number"]) * _UNITS_S[match["unit"]] * NS_PER_S)


class DurationType(click.ParamType[int]):
    """``90s``, ``10m``, ``2h`` or ``1d``; as nanoseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        duration_ns = _duration_ns(str(value)) or 0
        if not 0 < duration_ns < 2**63:
            self.fail(f"{value!r} is no duration; write it like 90s, 10m or 2h", param, ctx)
        return duration_ns


class MomentType(click.ParamType[int]):
    """``2026-12-01T06:00`` by this machine's clock, seconds since 1970, or a duration: so long ago, or from now where
    it is of what is to come; as nanoseconds since 1970.
    """

    name = "time"

    def __init__(self, *, to_come: bool = False) -> None:
        self._sign, self._words = (1, "from now") if to_come else (-1, "ago")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        duration_ns = _duration_ns(text)
        if duration_ns is None:
            moment_ns = _by_clock_unix_ns(text) or 0
        else:
            moment_ns = _now_unix_ns(ctx) + self._sign * duration_ns
        if not 0 < moment_ns < 2**63:
            self.fail(
                f"{value!r} is no time; write it like 2026-12-01T06:00, in seconds since 1970, or like 15m,"
                f" which is so long {self._words}",
                param,
                ctx,
            )
        return moment_ns


def _by_clock_unix_ns(text: str) -> int | None:
    try:
        is_count = text.isascii() and text.isdigit()
        moment_s = int(text) if is_count else int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        return None
    return moment_s * NS_PER_S


def _now_unix_ns(ctx: click.Context | None) -> int:
    """The same for all moments of a command."""
    now_unix_ns = time.time_ns()
    return now_unix_ns if ctx is None else int(ctx.meta.setdefault(_NOW, now_unix_ns))


# As wide as the API's.
PRIORITY = click.IntRange(min=-(2**31), max=2**31 - 1)


def common(command: F) -> F:
    """Adds ``--server``, ``-o``, ``--timeout`` and ``--trace`` to the program and to each of its verbs."""
    for option in (_TRACE, TIMEOUT_OPTION, OUTPUT_OPTION, _SERVER):
        command = option(command)
    return command


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    name = str(param.name)
    # The program has looked there; what was said to it goes before that.
    again = ctx.get_parameter_source(name) is ParameterSource.ENVIRONMENT and ctx.parent
    if value is not None and not again:
        setattr(ctx.ensure_object(Settings), name, value)


_SERVER = click.option(
    "--server",
    type=AddressType(several=True),
    envvar="DGCTL_SERVER",
    metavar="HOST:PORT",
    callback=_remember,
    expose_value=False,
    help=f"Whom to ask, or HOST:PORT,HOST:PORT of a cluster (or DGCTL_SERVER).  [default: {DEFAULT_SERVER}]",
)
OUTPUT_OPTION = click.option(
    "-o",
    "--output",
    type=click.Choice(Format, case_sensitive=False),
    callback=_remember,
    expose_value=False,
    help="How to write the answer.  [default: table]",
)
# A day: what is waited for longer, nobody waits for; and gRPC takes much more for no time at all.
_MOST_TIMEOUT_S = 86_400.0
_TRACE = click.option(
    "--trace",
    type=AddressType(),
    envvar="DGCTL_TRACE",
    metavar="HOST:PORT",
    callback=_remember,
    expose_value=False,
    help="Traces what it asks for; spans go there by OTLP over gRPC (or DGCTL_TRACE).",
)
TIMEOUT_OPTION = click.option(
    "--timeout",
    "timeout_s",
    envvar="DGCTL_TIMEOUT",
    type=FiniteRange(min=0, min_open=True, max=_MOST_TIMEOUT_S),
    metavar="SECONDS",
    callback=_remember,
    expose_value=False,
    help="How long to wait for an answer (or DGCTL_TIMEOUT).  [default: 10]",
)


def completes(
    ids: "Callable[[pb.Topology], list[str]]",
) -> "Callable[[click.Context, click.Parameter, str], list[CompletionItem]]":
    """Completion of an option by ids that the controller knows; nothing, where it cannot be reached."""

    def complete(ctx: click.Context, _: click.Parameter, prefix: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        from digitalgrid.client import PowerClient, PowerError

        server = ctx.ensure_object(Settings).server
        try:
            with PowerClient(server, timeout_s=_COMPLETION_TIMEOUT_S) as client:
                known = ids(client.get_topology())
        except PowerError:
            return []
        return [CompletionItem(id_) for id_ in known if id_.startswith(prefix)]

    return complete


complete_loads = completes(lambda topology: [load.load_id for load in topology.loads])
complete_sources = completes(lambda topology: [source.source_id for source in topology.sources])
complete_avoidable = completes(
    lambda topology: [
        *(router.router_id for router in topology.routers),
        *(link.link_id for link in topology.links),
    ]
)
complete_circuits = completes(
    lambda topology: sorted({str(id_) for link in topology.links for id_ in link.circuit_ids})
)


pass_settings = click.make_pass_decorator(Settings, ensure=True)


source_option = click.option(
    "--source",
    "source_ids",
    type=IdType(),
    metavar="ID",
    multiple=True,
    shell_complete=complete_sources,
    help="A source that may serve; may be repeated.  [default: any]",
)
retry_option = click.option(
    "--request-id", type=IdType(optional=True), default="", help="Makes a retry idempotent."
)


def route_options(command: F) -> F:
    """Adds what a route is asked for by: load, power, sources and constraints."""
    for option in (
        click.option(
            "--avoid",
            "avoid_ids",
            type=IdType(),
            metavar="ID",
            multiple=True,
            shell_complete=complete_avoidable,
            help="A router or link to keep away from; may be repeated.",
        ),
        click.option("--packets", is_flag=True, help="Only over routers that carry power packets."),
        click.option(
            "--max-loss",
            "max_loss_fraction",
            type=FractionType(),
            metavar="FRACTION",
            help="Largest (injected - delivered) / injected, such as 0.1 or 10%.",
        ),
        click.option(
            "--max-hops", type=click.IntRange(min=0, max=2**32 - 1), help="Most links crossed."
        ),
        source_option,
        click.option(
            "--power",
            "power_w",
            type=PowerType(),
            required=True,
            help="What shall be delivered, such as 2MW.",
        ),
        click.option(
            "--sink",
            "sink_id",
            type=IdType(),
            metavar="ID",
            required=True,
            shell_complete=complete_loads,
            help="The load to be served.",
        ),
    ):
        command = option(command)
    return command
