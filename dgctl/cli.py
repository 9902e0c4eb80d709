"""The verbs of ``dgctl``. Exit codes: 0 done, 2 usage, 3 refused, 4 controller unreachable."""

from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dgctl.applying import apply, diff
from dgctl.explaining import explain
from dgctl.happenings import events
from dgctl.listings import list_, meters, registers, topology
from dgctl.maintenance import drain, undrain, what_if
from dgctl.market import market
from dgctl.optimisation import dispatch, paths, reoptimise
from dgctl.options import (
    PRIORITY,
    DurationType,
    MomentType,
    PowerType,
    Settings,
    common,
    complete_avoidable,
    complete_circuits,
    pass_settings,
    retry_option,
    route_options,
)
from dgctl.top import top
from digitalgrid.command_line import IdType, Program
from digitalgrid.units import NS_PER_MS

if TYPE_CHECKING:
    from digitalgrid.v1 import northbound_pb2 as pb

F = TypeVar("F", bound=Callable[..., Any])


@click.group("dgctl", cls=Program)
@click.version_option(package_name="digitalgrid")
@common
def main() -> None:
    """Asks a Digital Grid Controller for power, and looks at what it does.

    Power is written like 2MW, 350kW or 2e6.
    """


def _circuit_argument(command: F) -> F:
    return click.argument(
        "circuit_id",
        metavar="CIRCUIT",
        type=click.IntRange(1, 2**64 - 1),
        shell_complete=complete_circuits,
    )(command)


def _request_options(command: F) -> F:
    for option in (
        retry_option,
        click.option("--split", "allow_split", is_flag=True, help="Several circuits will do."),
        click.option(
            "--floor",
            "floor_w",
            type=PowerType(),
            default=0.0,
            help="Of the power, what is kept when power is short.  [default: nothing]",
        ),
        click.option(
            "--protect",
            type=click.Choice(["link", "router", "risk"]),
            help="Keeps a standby that outlives the loss of any link, router or risk group of the path.",
        ),
        click.option(
            "--dedicated",
            is_flag=True,
            help="The standby has room of its own.  [default: shared with what no single failure needs as well]",
        ),
        click.option(
            "--over",
            "over_link_ids",
            type=IdType(),
            metavar="LINK",
            multiple=True,
            shell_complete=complete_avoidable,
            help="The way to set it up on: its links, source first; may be repeated.  [default: the best]",
        ),
        click.option(
            "--hold",
            "hold_priority",
            type=PRIORITY,
            metavar="N",
            help="Whom it must not give way to: lower ones.  [default: the load's priority]",
        ),
        click.option(
            "--setup",
            "setup_priority",
            type=PRIORITY,
            metavar="N",
            help="Whom it may displace: circuits that hold with less.  [default: the load's priority]",
        ),
        route_options,
    ):
        command = option(command)
    return command


def _power_request(*, over_link_ids: tuple[str, ...], **wanted: Any) -> "pb.PowerRequest":
    from digitalgrid.client import power_request

    return power_request(**wanted, over_link_ids=over_link_ids or None)


@main.command()
@_request_options
@click.option(
    "--hold-for",
    type=DurationType(),
    metavar="DURATION",
    help="Only reserves it, until `dgctl activate`, and for so long at most, such as 30s.",
)
@click.option(
    "--until",
    "until_unix_ns",
    type=MomentType(to_come=True),
    metavar="TIME",
    help="Released by itself then: 2026-12-01T06:00, in seconds since 1970, or 10m, from now.  [default: never]",
)
@click.option("--wait", is_flag=True, help="Returns only when the power has arrived.")
@common
@pass_settings
def request(settings: Settings, /, wait: bool, hold_for: int | None, **wanted: Any) -> None:
    """Requests power for a load."""
    if hold_for is not None and wait:
        raise click.UsageError("what is held carries nothing that one could --wait for")
    from dgctl.output import show
    from dgctl.requests import refuse_ended
    from digitalgrid.v1 import northbound_pb2 as pb

    with settings.client() as client:
        hold_ms = None if hold_for is None else ceil(hold_for / NS_PER_MS)
        answer = client.request_power(_power_request(hold_ms=hold_ms, **wanted))
        refuse_ended(answer)
        if wait:
            ids = [circuit.circuit_id for circuit in answer.circuits]
            circuits = client.wait_until_active(ids, timeout_s=settings.timeout_s)
            answer = pb.RequestPowerResponse(request_id=answer.request_id, circuits=circuits)
    show(answer, settings.output)


@main.command()
@_request_options
@common
@pass_settings
def compute(settings: Settings, /, **wanted: Any) -> None:
    """Shows what a request would get now; reserves nothing."""
    from dgctl.output import show

    with settings.client() as client:
        answer = client.compute_power(_power_request(**wanted))
    show(answer, settings.output)


@main.command()
@click.argument("file", type=click.Path(allow_dash=True))
@common
@pass_settings
def batch(settings: Settings, file: str) -> None:
    """Sends the requests of a YAML file ('-': standard input), each decided by itself.

    \b
    requests:
      - {sink_id: load3, power_w: 5e6}
      - {sink_id: load9, power_w: 2e6, source_ids: [source1], allow_split: true}
    """
    from dgctl.batch import load_batch
    from dgctl.output import EXIT_REFUSED, show
    from dgctl.requests import ended

    requests = load_batch(file)
    with settings.client() as client:
        answer = client.batch_request_power(requests)
    show(answer, settings.output)
    if any(outcome.code or ended(outcome.circuits) for outcome in answer.outcomes):
        raise click.exceptions.Exit(EXIT_REFUSED)


@main.command()
@_circuit_argument
@click.option("--power", "power_w", type=PowerType(), required=True, help="Such as 2MW.")
@common
@pass_settings
def change(settings: Settings, circuit_id: int, power_w: float) -> None:
    """Changes the power of a circuit."""
    from dgctl.output import show

    with settings.client() as client:
        circuit = client.change_circuit(circuit_id, power_w)
    show(circuit, settings.output)


@main.command()
@_circuit_argument
@common
@pass_settings
def release(settings: Settings, circuit_id: int) -> None:
    """Gives a circuit's power back."""
    from dgctl.output import show

    with settings.client() as client:
        circuit = client.release_circuit(circuit_id)
    show(circuit, settings.output)


@main.command()
@_circuit_argument
@click.option("--wait", is_flag=True, help="Returns only when the power has arrived.")
@common
@pass_settings
def activate(settings: Settings, circuit_id: int, wait: bool) -> None:
    """Has a held circuit carry; see `request --hold-for`."""
    from dgctl.output import show

    with settings.client() as client:
        circuit = client.activate_circuit(circuit_id)
        if wait:
            (circuit,) = client.wait_until_active([circuit_id], timeout_s=settings.timeout_s)
    show(circuit, settings.output)


@main.command()
@_circuit_argument
@common
@pass_settings
def get(settings: Settings, circuit_id: int) -> None:
    """Shows one circuit with its path, losses and timings."""
    from dgctl.output import show

    with settings.client() as client:
        circuit = client.get_circuit(circuit_id)
    show(circuit, settings.output)


@main.command()
@common
@pass_settings
def watch(settings: Settings) -> None:
    """Shows all circuits, then every change, until interrupted; waits for a controller that restarts.

    A circuit is shown again when its line says something else, and with -o json or yaml when any of its fields does.
    """
    from dgctl.output import news, say, show_events
    from dgctl.watching import watched

    with settings.client() as client:
        show_events(watched(lambda: news(client.watch_circuits(), settings.output), say))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Prints a completion script: eval "$(dgctl completion bash)"."""
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    if completer is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(completer(main, {}, "dgctl", "_DGCTL_COMPLETE").source())


for _verb in (
    *(list_, topology, meters, registers, top, explain, events),
    *(dispatch, paths, reoptimise, diff, apply),
    *(drain, undrain, what_if),
    market,
):
    main.add_command(_verb)
