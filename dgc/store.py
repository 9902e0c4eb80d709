"""``dgc store``: what whoever runs the daemon does with its store. Most of it works beside the daemon."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from digitalgrid.units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from controller.config import ControllerConfig
    from controller.core.circuits.records import AuditEntry
    from controller.store.protocol import StoreAccess, StoreContents

T = TypeVar("T")
_FILE = click.Path(dir_okay=False, path_type=Path)


def open_access(config: "ControllerConfig") -> "StoreAccess":
    """The store that the daemon with this configuration uses."""
    from controller.plugins import STORES
    from digitalgrid.plugins.table import find

    access: StoreAccess = find(STORES, config.store.chosen).load().access(config.store_setting)
    return access


@click.group("store")
def store() -> None:
    """Looks after what the controller keeps: circuits, reservations and the audit log."""


def _on_store(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the store that was chosen."""

    @click.option("--config", "config_path", type=_FILE, help="The daemon's.  [default: none]")
    @click.option("--path", "store_path", type=_FILE, help="A SQLite file, without --config.")
    @wraps(command)
    def chosen(config_path: Path | None, store_path: Path | None, **arguments: Any) -> None:
        if config_path is not None and store_path is not None:
            raise click.UsageError("--config and --path both choose the store; give one of them")
        command(_choose(config_path, store_path), **arguments)

    return chosen


@store.command("export")
@click.argument("target", metavar="[FILE]", type=click.Path(path_type=Path), default="-")
@_on_store
def export(access: "StoreAccess", target: Path) -> None:
    """Writes all of it as JSON lines to FILE, or to standard output, also while the daemon runs.

    A FILE that is there is replaced once the new one is whole. `dgc store backup` replaces none: it might be the store
    of a daemon.
    """
    from controller.store.archive import write_archive

    contents = _with_progress(access.read(), "exported")
    with _opened(target) as file:
        write_archive(contents, file)


@store.command("import")
@click.argument(
    "source", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@_on_store
def import_(access: "StoreAccess", source: Path) -> None:
    """Fills an empty or new store, of any kind, with what `dgc store export` wrote to FILE.

    Routers obey the controller that leads with it rather than the one that it came from. Numbers of circuits leave out
    those that may have been given since.
    """
    from controller.store.archive import check_archive, read_archive
    from controller.store.restored import beyond_lost
    from digitalgrid.config_file import open_regular

    check_archive(source)
    with open(source, "rb", opener=open_regular) as file:
        contents = read_archive(file, source)
        contents = replace(contents, counters=beyond_lost(contents.counters))
        access.fill(_with_progress(contents, "imported"))


@store.command("verify")
@_on_store
def verify(access: "StoreAccess") -> None:
    """Says what is damaged, or contradicts another thing; exit code 1 where anything is."""
    with _status("verifying"):
        findings = access.verify()
    for each in findings:
        click.echo(each)
    if findings:
        sys.exit(1)
    click.echo("nothing is wrong")


@store.command("backup")
@click.argument("target", type=_FILE)
@_on_store
def backup(access: "StoreAccess", target: Path) -> None:
    """Copies a SQLite store to TARGET, also while the daemon runs. TARGET can be its store.path later.

    Routers obey whoever starts last, with a copy too, if its clock is right; what was promised after the copy was made
    they are told to withdraw. Copy by other means only while the daemon is stopped, or the copy may lack what it wrote
    last, and never start two daemons with copies of one store.
    """
    from controller.store.sqlite import SqliteAccess

    if not isinstance(access, SqliteAccess):
        raise click.ClickException(
            "a store in etcd is not one file: use `dgc store export`, or `etcdctl snapshot save`"
        )
    with _status("copying"):
        access.backup(target)


@store.command("audit")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table, or one JSON object a line.",
)
@click.option("--since", help="ISO 8601, such as 2026-01-31T12:00; UTC where it names no zone.")
@click.option("--subject", help="The id of a request or of a circuit.")
@_on_store
def audit(access: "StoreAccess", output: str, since: str | None, subject: str | None) -> None:
    """Prints who asked for what, what was decided, and why."""
    since_unix_ns = _to_unix_ns(since) if since is not None else 0
    entries = (
        each
        for each in access.read().audit
        if each.at_unix_ns >= since_unix_ns and subject in (None, each.subject)
    )
    if output == "json":
        _print_json(entries)
    else:
        _print_table(entries)


def _choose(config_path: Path | None, store_path: Path | None) -> "StoreAccess":
    from controller.config import ControllerConfig, StoreConfig, load_config

    if store_path is not None:
        return open_access(ControllerConfig(store=StoreConfig(path=str(store_path))))
    return open_access(load_config(config_path))


@contextmanager
def _opened(target: Path) -> Iterator[BinaryIO]:
    """To be written. A file is there when it is whole, and not before; pipes and devices are written as they are."""
    if str(target) == "-" or _is_standard_output(target):
        yield sys.stdout.buffer
    elif target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
    else:
        # What links lead to is replaced, not the link.
        with _replacing(Path(os.path.realpath(target))) as file:
            yield file


def _is_standard_output(target: Path) -> bool:
    """Such as /dev/stdout, also where that is a file, which the shell may go on writing."""
    try:
        return target.samefile("/dev/stdout")
    except FileNotFoundError:
        return False


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of another one when it is whole, under a name of its own until then."""
    unfinished = target.with_name(f"{target.name}.{token_hex(4)}.new")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _to_unix_ns(time: str) -> int:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * NS_PER_S + moment.microsecond * 1000


def _print_json(entries: "Iterable[AuditEntry]") -> None:
    import msgspec

    for each in entries:
        sys.stdout.buffer.write(msgspec.json.encode(msgspec.structs.asdict(each)) + b"\n")


def _print_table(entries: "Iterable[AuditEntry]") -> None:
    from digitalgrid.columns import Columns, parts_text

    table = Columns("seq", "time (UTC)", "who", "action", "subject", "asked", "decided", "why")
    for each in entries:
        moment = datetime.fromtimestamp(each.at_unix_ns // NS_PER_S, UTC)
        milliseconds = each.at_unix_ns // NS_PER_MS % 1000
        cells = (each.who, each.action, each.subject, each.asked, each.decided, each.why)
        table.add_row(str(each.seq), f"{moment:%Y-%m-%d %H:%M:%S}.{milliseconds:03}", *cells)
    sys.stdout.write(parts_text([table], sys.stdout))


@contextmanager
def _status(doing: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(doing):
        yield


def _with_progress(contents: "StoreContents", done: str) -> "StoreContents":
    if not sys.stderr.isatty():
        return contents
    return replace(
        contents,
        circuits=_counted(contents.circuits, f"circuits {done}"),
        registers=_counted(contents.registers, f"final registers {done}"),
        audit=_counted(contents.audit, f"audit entries {done}"),
    )


def _counted(records: Iterable[T], what: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} {task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(records, description=what)
