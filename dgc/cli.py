"""``dgc``: the daemon, and networks of software routers to run it with.

What a verb needs is imported when it runs, so that ``dgc --help`` answers at once. The emulator stands above the
controller in the house; only this file, its front door, opens it.
"""

import os
import shlex
import sys
from pathlib import Path

import click

from dgc.offline import import_, plan, study
from dgc.operations import forget_router, reconcile
from dgc.store import store
from digitalgrid.command_line import Program
from digitalgrid.errors import ExplainedError

_DEFAULT_RUN_DIR = Path(".run")
_RUN_DIR = click.option(
    "--run-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=_DEFAULT_RUN_DIR,
    show_default=True,
    help="Where the emulation keeps its state, configurations and logs.",
)
_CONFIG_FILE = click.Path(dir_okay=False, path_type=Path)
# A load of less is no example.
_WORTH_ASKING_W = 1e3


@click.group("dgc", cls=Program)
@click.version_option(package_name="digitalgrid")
def main() -> None:
    """The Digital Grid Controller: routes power over virtual circuits between digital grid routers."""


for _verb in (import_, plan, study, store, reconcile, forget_router):
    main.add_command(_verb)


@main.command()
@click.option("--config", "path", type=_CONFIG_FILE, help="YAML; every key has a default.")
def serve(path: Path | None) -> None:
    """Runs the controller until SIGTERM or SIGINT."""
    from controller.config import load_config

    config = load_config(path)
    from controller import daemon

    sys.exit(daemon.run(config))


@main.command("check-config")
@click.argument("path", metavar="FILE", type=_CONFIG_FILE)
def check_config(path: Path) -> None:
    """Says whether `dgc serve` can start with FILE on this machine, and all that is wrong with it if not."""
    from controller import preflight
    from controller.config import load_config

    try:
        load_config(path, preflight.problems)
    except ExplainedError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    click.echo(f"{path}: fine")


@main.command()
@click.argument("file", type=_CONFIG_FILE)
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
@click.option("--detach", is_flag=True, help="Returns when the network is up and healthy.")
@_RUN_DIR
def emulate(
    file: Path, backend: str | None, control_switches: int | None, detach: bool, run_dir: Path
) -> None:
    """Brings up the network of a grid or topology FILE, with a controller, until SIGTERM or SIGINT."""
    from topologies import emulator

    if backend is None:
        backend = "mininet" if os.geteuid() == 0 else "local"
        if backend == "local":
            click.echo("not root: the routers run on loopback, not in Mininet hosts", err=True)
    start = emulator.start_in_background if detach else emulator.run
    status = start(file, backend=backend, control_switches=control_switches, run_dir=run_dir)
    if detach and status == 0:
        click.echo(_what_to_try(run_dir))
    sys.exit(status)


@main.command()
@click.argument("verb")
@click.argument("target", metavar="[ID]", required=False)
@_RUN_DIR
def fault(verb: str, target: str | None, run_dir: Path) -> None:
    """Breaks something in the network that is running, or mends it.

    \b
    cut, restore LINK     the line's carrier goes, and comes back
    silence, heal LINK    the line loses everything with its carrier up, and stops doing so
    kill, restart ROUTER  kill -9, and a new start
    kill-controller, restart-controller
    status                what runs, as JSON
    """
    from topologies import emulator

    try:
        answer = emulator.send_command(run_dir, verb, target)
    except emulator.BadCommand as error:
        raise click.UsageError(str(error)) from error
    click.echo(answer)


@main.command()
@_RUN_DIR
def stop(run_dir: Path) -> None:
    """Removes everything that `dgc emulate` started, also after a crash."""
    from digitalgrid.logs import log_to_standard_error
    from topologies import emulator

    log_to_standard_error(style="%(message)s")
    emulator.stop(run_dir)


def _what_to_try(run_dir: Path) -> str:
    """The first steps in the network that has just come up, with ids that it has; each can be typed as it stands."""
    from digitalgrid.client import PowerClient
    from digitalgrid.units import format_power

    with PowerClient() as client:
        network = client.get_topology()
    programs = Path(sys.argv[0]).parent
    dgctl = shlex.quote(str(programs / "dgctl"))
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
    return "\n  ".join([f"{count}. Try:\n", *steps])
