"""``dgc``: the daemon, and networks of software routers to run it with.

What a verb needs is imported when it runs, so that ``dgc --help`` answers at once. The emulator stands above the
controller in the house; only this file, its front door, opens it.
"""

import sys
from pathlib import Path

import click

from dgc.emulation import emulate, fault, stop
from dgc.offline import import_, plan, study
from dgc.operations import forget_router, reconcile
from dgc.plugins import plugins
from dgc.store import store
from digitalgrid.command_line import Program
from digitalgrid.errors import ExplainedError
from digitalgrid.garbage_collector import pause_while_loading

_CONFIG_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("dgc", cls=Program)
@click.version_option(package_name="digitalgrid")
def main() -> None:
    """The Digital Grid Controller: routes power over virtual circuits between digital grid routers."""


for _verb in (emulate, fault, stop, import_, plan, study, plugins, store, reconcile, forget_router):
    main.add_command(_verb)


@main.command()
@click.option("--config", "path", type=_CONFIG_FILE, help="YAML; every key has a default.")
def serve(path: Path | None) -> None:
    """Runs the controller until SIGTERM or SIGINT."""
    pause_while_loading()
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
