"""The verbs of ``dgc`` that run a network on this machine: emulate, fault and stop."""

import os
import shlex
import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import click

from digitalgrid.client.defaults import DEFAULT_SERVER
from digitalgrid.command_line import AddressType
from digitalgrid.printable import quoted
from digitalgrid.units import parse_duration_s

_DEFAULT_RUN_DIR = Path(".run")
_RUN_DIR = click.option(
    "--run-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=_DEFAULT_RUN_DIR,
    show_default=True,
    help="Where the emulation keeps its state, configurations and logs.",
)
# A load of less is no example.
_WORTH_ASKING_W = 1e3
_PORT = click.IntRange(1, 65535)


class SubnetType(click.ParamType[IPv4Network]):
    """``10.214.0.0/16``."""

    name = "subnet"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Network:
        try:
            return IPv4Network(value)
        except ValueError as error:
            self.fail(f"{error}; write it like 10.214.0.0/16", param, ctx)


class ShareType(click.ParamType[float]):
    """``60%`` or ``0.6``."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
        except ValueError:
            share = -1.0
        if not 0.0 <= share <= 1.0:
            self.fail(f"{quoted(text)} is no share; write it like 60% or 0.6", param, ctx)
        return share


class DurationType(click.ParamType[float]):
    """Seconds of ``30s``, ``500ms``, ``2min`` or ``1h``."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return parse_duration_s(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--backend",
    type=click.Choice(["mininet", "local"]),
    help="Mininet hosts, or plain processes on loopback.  [default: mininet as root, else local]",
)
@click.option(
    "--control-switches",
    type=click.IntRange(min=1),
    help="Switches of the control network; a ring from three on.  [default: one for 32 routers]",
)
@click.option(
    "--northbound",
    type=AddressType(),
    default=DEFAULT_SERVER,
    show_default=True,
    metavar="HOST:PORT",
    help="Where the controller answers `dgctl --server`; a second network needs another.",
)
@click.option(
    "--page",
    type=AddressType(),
    metavar="HOST:PORT",
    help="Where the operator's page is.  [default: 127.0.0.1:50080, or a port that is free]",
)
@click.option(
    "--southbound-port",
    type=_PORT,
    default=50052,
    show_default=True,
    help="Where routers find the controller; a second local network needs another.",
)
@click.option(
    "--openflow-port",
    type=_PORT,
    default=6653,
    show_default=True,
    help="Where switches find it; a second network in Mininet needs another.",
)
@click.option(
    "--subnet",
    type=SubnetType(),
    default="10.213.0.0/16",
    show_default=True,
    metavar="CIDR",
    help="Of the control network; a second network in Mininet needs another.",
)
@click.option(
    "--router-metrics",
    is_flag=True,
    help="Routers tell Prometheus what they do; where, is in router-metrics.json of the run directory.",
)
@click.option(
    "--trace",
    type=AddressType(),
    metavar="HOST:PORT",
    help="Where controller and routers send spans (OTLP over gRPC); Mininet hosts find this machine at .1 of --subnet.",
)
@click.option(
    "--market",
    type=AddressType(),
    metavar="HOST:PORT",
    help="Where an exchange (`dgm`) answers, or will, whose market the page shows.",
)
@click.option("--detach", is_flag=True, help="Returns when the network is up and healthy.")
@click.option("-q", "--quiet", is_flag=True, help="Says nothing but what is wrong.")
@_RUN_DIR
def emulate(
    file: str,
    backend: str | None,
    control_switches: int | None,
    detach: bool,
    quiet: bool,
    **wanted: Any,
) -> None:
    """Brings up the network of a grid or topology FILE, with a controller, until SIGTERM or SIGINT.

    Several run beside each other, each with a run directory, ports and a subnet of its own.
    """
    import logging

    from digitalgrid.logs import log_to_standard_error
    from topologies import emulator

    if backend is None:
        backend = "mininet" if os.geteuid() == 0 else "local"
        if backend == "local" and not quiet:
            click.echo("not root: the routers run on loopback, not in Mininet hosts", err=True)
    options = emulator.EmulationOptions(control_switches=control_switches or 0, **wanted)
    log_to_standard_error(
        logging.WARNING if quiet else logging.INFO, "%(asctime)s %(levelname)s %(message)s"
    )
    if not detach:
        emulator.run(file, backend, options)
        return
    emulator.start_in_background(file, backend, options)
    if not quiet:
        page = emulator.page_address(options.run_dir)
        click.echo(_what_to_try(options.run_dir, options.northbound, page))


@click.command()
@click.argument("verb")
@click.argument("target", metavar="[ID]", required=False)
@click.argument("share", metavar="[SHARE]", type=ShareType(), required=False)
@click.option(
    "--for", "for_s", type=DurationType(), metavar="TIME", help="A cloud passes by itself, as 30s."
)
@_RUN_DIR
def fault(
    verb: str, target: str | None, share: float | None, for_s: float | None, run_dir: Path
) -> None:
    """Breaks something in the network that is running, or mends it.

    \b
    cut, restore LINK     the line's carrier goes, and comes back
    silence, heal LINK    the line loses everything with its carrier up, and stops doing so
    cloud SOURCE 60%      so much of its rating is left to the source; --for 30s: until then
    clear SOURCE          it has all its power back
    unplug, plug LOAD     it takes nothing of its power, and takes it again
    kill, restart ROUTER  kill -9, and a new start
    kill-controller, restart-controller
    status                what runs, as JSON
    """
    from topologies import emulator

    try:
        answer = emulator.send_command(run_dir, verb, target, share, for_s)
    except emulator.BadCommand as error:
        raise click.UsageError(str(error)) from error
    click.echo(answer)


@click.command()
@_RUN_DIR
def stop(run_dir: Path) -> None:
    """Removes the network that `dgc emulate` started in a run directory, also after a crash.

    Networks of other run directories stay; those that still run in Mininet are named. As root, it also
    removes what is left of networks that no run directory has a record of.
    """
    from digitalgrid.logs import log_to_standard_error
    from topologies import emulator

    log_to_standard_error(style="%(message)s")
    emulator.stop(run_dir)


def _what_to_try(run_dir: Path, server: str, page: str) -> str:
    """The first steps in the network that has just come up, with ids that it has; each can be typed as it stands."""
    from digitalgrid.client import PowerClient
    from digitalgrid.units import format_power

    with PowerClient(server) as client:
        network = client.get_topology()
    programs = Path(sys.argv[0]).parent
    dgctl = shlex.quote(str(programs / "dgctl"))
    if server != DEFAULT_SERVER:
        dgctl += f" --server {shlex.quote(server)}"
    # Who started it by sudo needs sudo again for what belongs to the emulation.
    dgc = f"{'sudo ' if 'SUDO_USER' in os.environ else ''}{shlex.quote(str(programs / 'dgc'))}"
    where = "" if run_dir == _DEFAULT_RUN_DIR else f" --run-dir {shlex.quote(str(run_dir))}"
    steps = [f"{dgctl} topology"]
    for load in [load for load in network.loads if load.max_power_w >= _WORTH_ASKING_W][:1]:
        power = format_power(load.max_power_w / 2).replace(" ", "")
        steps.append(f"{dgctl} request --sink {load.load_id} --power {power} --wait")
    steps.append(f"{dgctl} list")
    for link in network.links[:1]:
        steps += [f"{dgc} fault {verb} {link.link_id}{where}" for verb in ("cut", "restore")]
    steps += [f"{dgctl} meters", f"{dgc} stop{where}"]
    count = f"{len(network.routers)} routers and a controller are running"
    look = f"Look at them at {page}, and try" if page else "Try"
    return "\n  ".join([f"{count}. {look}:\n", *steps])
