"""``dgm``: the exchange, where power of a grid is traded by the interval.

What a verb needs is imported when it runs, so that ``dgm --help`` answers at once.
"""

import sys
from pathlib import Path

import click

from digitalgrid.command_line import Program
from digitalgrid.errors import ExplainedError

_CONFIG_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("dgm", cls=Program)
@click.version_option(package_name="digitalgrid")
def main() -> None:
    """The exchange: tenders become circuits of the Digital Grid Controller, and meters become payments."""


@main.command()
@click.option("--config", "path", type=_CONFIG_FILE, required=True, help="YAML of the market.")
def run(path: Path) -> None:
    """Runs the exchange until SIGTERM or SIGINT."""
    from trading.exchange.config import load_config

    config = load_config(path)
    from trading.exchange import daemon

    sys.exit(daemon.run(config))


@main.command("check-config")
@click.argument("path", metavar="FILE", type=_CONFIG_FILE)
def check_config(path: Path) -> None:
    """Says whether `dgm run` can start with FILE on this machine, and all that is wrong with it if not."""
    from trading.exchange import preflight
    from trading.exchange.config import load_config

    try:
        config = load_config(path, preflight.problems)
    except ExplainedError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    click.echo(f"{path}: fine")
    if not Path(config.state_dir).is_absolute():
        click.echo(f"state_dir is {Path(config.state_dir).absolute()} where it is run from here")


@main.command()
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
def keygen(path: Path) -> None:
    """Makes a secret key in FILE, which only its owner may read, and prints the public key for the market's file."""
    from trading.ledger.key_files import remove_unfinished, write_new_key

    try:
        remove_unfinished(path)
        key = write_new_key(path)
    except FileExistsError as error:
        raise click.ClickException(f"{path} exists, and no key is ever written over") from error
    click.echo(key.public_key.hex())


@main.group()
def store() -> None:
    """Looks at what an exchange has written."""


@store.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def verify(directory: Path) -> None:
    """Verifies the ledger in a state directory from its first entry: hashes, signatures, order, balances, the head."""
    from trading.ledger.log_file import verify_file
    from trading.ledger.verifying import BadLog

    path = directory / "ledger.sqlite"
    if not path.is_file():
        raise click.ClickException(f"there is no ledger {path}")
    try:
        verifier = verify_file(path)
    except BadLog as error:
        raise click.ClickException(f"{path}: {error}") from error
    click.echo(
        f"{verifier.tree.size} entries, all as they were signed; {verifier.accounts.total} nano in all,"
        f" {len(verifier.accounts.escrows)} escrows open; log {verifier.log_id.hex()}"
    )
