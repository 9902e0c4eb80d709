"""The verbs of ``dgctl market`` about the ledger's log: taken away, checked offline, and witnessed."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dgctl.formats import Format
from dgctl.market.options import market_client, reads
from dgctl.options import OUTPUT_OPTION, Settings, pass_settings
from digitalgrid.command_line import EXIT_FAILED, OutputType
from digitalgrid.units import format_unix_ns

if TYPE_CHECKING:
    from trading.client import Checked, Comparison

_READABLE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=OutputType(new=True))
@reads
@pass_settings
def log(settings: Settings, file: Path) -> None:
    """Takes a copy of the whole log away, into a FILE that `verify` checks without the market.

    FILE must not be there yet: what is named by mistake, such as a key, is not written over.
    """
    from digitalgrid.market.v1 import ledger_pb2
    from trading.client.checking import write_copy

    with market_client(settings) as client:
        head = client.head().head
        size = ledger_pb2.TreeHead.FromString(head.head).size
        with file.open("xb") as copy:
            try:
                written = write_copy(copy, client.entries(0, size), head)
            except BaseException:
                # Half a copy is none, and would stand in the way of the next.
                file.unlink()
                raise
    click.echo(f"{written} entries in {file}; `dgctl market verify {file}` checks them")


@click.command()
@click.argument("file", metavar="LOGFILE", type=_READABLE)
@click.option(
    "--witnessed",
    "seen_files",
    type=_READABLE,
    multiple=True,
    metavar="FILE",
    help="What `witness` keeps; may be repeated. Without any, a log that was cut short or rewritten with its own key"
    " looks right.",
)
@OUTPUT_OPTION
@pass_settings
def verify(settings: Settings, file: Path, seen_files: tuple[Path, ...]) -> None:
    """Checks a log offline: each entry, signature and balance, and the head. Names the entry that was altered.

    LOGFILE is what `log` writes, or the database of a ledger, ledger.sqlite. Nobody is asked.
    """
    from dgctl.output import write_document
    from trading.client import BadLog, check_log, read_seen

    witnessed = [read_seen(each) for each in seen_files]
    try:
        checked = check_log(file, witnessed)
    except BadLog as bad:
        if settings.output is Format.TABLE:
            raise
        document = {"right": False, "entry": bad.seq, "why": str(bad)}
        write_document(document, settings.output)
        raise click.exceptions.Exit(EXIT_FAILED) from bad
    if settings.output is Format.TABLE:
        _show_checked(checked)
    else:
        import msgspec

        write_document({"right": True} | msgspec.to_builtins(checked), settings.output)


def _show_checked(checked: "Checked") -> None:
    from dgctl.market import wording
    from digitalgrid.columns import Columns, Styled, parts_text

    seen = (
        f"the first {checked.witnessed} entries are those that were witnessed"
        if checked.witnessed
        else Styled(
            "nobody is known to have seen it before: give --witnessed to find out more", "yellow"
        )
    )
    table = Columns("account", ">free")
    for account, nano in checked.balances_nano.items():
        table.add_row(account, wording.money(nano))
    parts = [
        f"right: {checked.size} entries of the log {checked.log_id}, the last of"
        f" {format_unix_ns(checked.at_unix_ns)}",
        seen,
        f"money: {wording.money(checked.issued_nano)} came in, of which {wording.money(checked.locked_nano)} are in"
        f" {checked.open_escrows} escrows; none was made or lost",
        *([f"meters: {checked.meters} are registered"] if checked.meters else []),
        table,
    ]
    sys.stdout.write(parts_text(parts, sys.stdout))


@click.command()
@click.argument("first", metavar="LOGFILE", type=_READABLE)
@click.argument("second", metavar="LOGFILE", type=_READABLE)
@OUTPUT_OPTION
@pass_settings
def compare(settings: Settings, first: Path, second: Path) -> None:
    """Checks two markets' logs, and names each meter that both have at one time, which neither can tell alone.

    Two copies of one log are to be of one history.
    """
    from dgctl.output import write_document
    from trading.client import compare_logs

    compared = compare_logs(first, second)
    if settings.output is Format.TABLE:
        _show_compared(compared)
    else:
        import msgspec

        write_document(msgspec.to_builtins(compared), settings.output)
    if compared.found:
        raise click.exceptions.Exit(EXIT_FAILED)


def _show_compared(compared: "Comparison") -> None:
    from digitalgrid.columns import Columns, parts_text

    first, second = compared.log_ids
    head = f"the logs {first} and {second} are right; {compared.both} meters have been in both"
    if not compared.found:
        sys.stdout.write(parts_text([head, "none of them at one time"], sys.stdout))
        return
    table = Columns("meter", ">epochs", ">entries", "registered")
    for each in compared.found:
        table.add_row(each.meter, *map(_both, (each.epochs, each.entries)), each.what)
    sys.stdout.write(parts_text([head, table], sys.stdout))


def _both(numbers: tuple[int | None, int | None]) -> str:
    return ", ".join("-" if each is None else str(each) for each in numbers)


@click.command()
@click.argument("file", type=_READABLE)
@click.option(
    "--key",
    "own_key",
    type=_READABLE,
    required=True,
    metavar="FILE",
    help="The witness's own secret key, as `dgm keygen` makes it.",
)
@reads
@pass_settings
def witness(settings: Settings, file: Path, own_key: Path) -> None:
    """Signs the newest head of the log, if it goes on from the one that FILE has, and keeps it there.

    What was cut short or rewritten meanwhile is refused, and FILE stays as it was. Run it now and then, where the
    market has no say; two files that do not go on from each other show that the market has told two histories.
    """
    from trading.client import read_seen, witness_once
    from trading.client.signing import read_key
    from trading.client.witnessing import read_head, write_seen

    before = read_seen(file) if file.exists() else None
    signer = read_key(own_key)
    with market_client(settings) as client:
        seen = witness_once(client, signer, before)
    write_seen(file, seen)
    head = read_head(seen)
    if settings.output is Format.TABLE:
        earlier = f", which goes on from the {read_head(before).size} before" if before else ""
        click.echo(f"witnessed: {head.size} entries of the log {head.log_id.hex()}{earlier}")
    else:
        from dgctl.output import write_document

        document = {"logId": head.log_id.hex(), "size": head.size, "root": head.root.hex()}
        write_document(document, settings.output)
