"""What all verbs that list have in common: options, rows that are wanted, and how they are shown, once or live."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dgctl.formats import Format
from dgctl.options import Settings

if TYPE_CHECKING:
    from dgctl.listing import Listing, View
    from digitalgrid.columns import Part

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E")

# Between two looks (s) at what no feed tells of.
_ASK_S = 2.0
# Lines that are not rows: a head, and how many rows there is no room for.
_NO_ROWS = 2


def listing_options(command: F) -> F:
    for option in (
        click.option("--watch", is_flag=True, help="Shows it again when it has changed."),
        click.option(
            "--filter",
            "filters",
            metavar="WORD",
            multiple=True,
            help="Only rows with it: a text, state=waiting,failed, power>=2MW, sink~mill, id=7; may be repeated.",
        ),
        click.option(
            "--sort",
            metavar="COLUMN",
            multiple=True,
            help="By a column, -COLUMN from the other end; several with commas.  [default: worst first]",
        ),
        click.option("--columns", metavar="NAMES", help="Which, with commas between; '?' says."),
    ):
        command = option(command)
    return command


def view_of(
    listing: "Listing[E]",
    output: Format,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
) -> "View[E]":
    from dgctl.listing import ListingError, View

    if columns == "?":
        click.echo(f"columns of {listing.kind}: {listing.names()}")
        raise click.exceptions.Exit(0)
    if columns is not None and output is not Format.TABLE:
        raise click.UsageError("--columns is for tables; -o json and yaml have all fields")
    try:
        return View(listing, columns, sort, filters)
    except ListingError as error:
        raise click.UsageError(str(error)) from error


def rows_of(view: "View[E]", rows: Iterable[E], room: int | None, none: str) -> "list[Part]":
    """A table, as far as there is room."""
    wanted = view.rows(rows)
    if not wanted:
        return [none]
    if room is None or len(wanted) <= room - 1:
        return [view.table(wanted)]
    shown = wanted[: max(1, room - _NO_ROWS)]
    return [view.table(shown), f"... and {len(wanted) - len(shown)} more; --filter narrows"]


class Live:
    """A watch whose latest is shown, again and again; each of its events is told with whether it is the first."""

    def __init__(
        self,
        settings: Settings,
        watch: Callable[[], Iterator[E]],
        take: Callable[[tuple[bool, E]], bool],
    ) -> None:
        from dgctl.live import Feeder, Remark
        from dgctl.output import say
        from dgctl.watching import watched

        self._output = settings.output
        self._remark = Remark(say)
        events = watched(
            lambda: ((number == 0, event) for number, event in enumerate(watch())), self._remark
        )
        self._feeder = Feeder(events, take)

    def show(
        self, parts: "Callable[[int | None], Iterable[Part]]", message: Callable[[], Any]
    ) -> None:
        from dgctl.live import show_tables, show_texts
        from dgctl.output import document

        if self._output is Format.TABLE:
            show_tables(self._feeder, parts, self._remark)
        else:
            show_texts(self._feeder, lambda: document(message(), self._output))


def again_and_again(ask: Callable[[], E]) -> Iterator[E]:
    """What is answered now, and every two seconds."""
    while True:
        yield ask()
        time.sleep(_ASK_S)


def show_asked(
    settings: Settings,
    view: "View[E]",
    ask: Callable[[], list[E]],
    message: Callable[[list[E]], Any],
    none: str,
    *,
    watch: bool,
    newest: int = 0,
) -> None:
    """Rows that no feed tells of, in the order in which they are answered: once, or again every two seconds.

    ``newest``: how many are asked for, and so looked at, at most; 0: it is all that there are.
    """
    latest: list[E] = []

    def take(told: tuple[bool, list[E]]) -> bool:
        latest[:] = told[1]
        return True

    def chosen() -> Any:
        return message(view.rows(latest, as_given=True))

    def left_out() -> list[str]:
        if not (view.chooses and 0 < newest <= len(latest)):
            return []
        return [f"only the newest {newest} were looked at; --newest takes more"]

    def table(room: int | None) -> "list[Part]":
        said = left_out()
        return [*rows_of(view, latest, room and room - len(said), none), *said]

    if watch:
        Live(settings, lambda: again_and_again(ask), take).show(table, chosen)
        return
    latest[:] = ask()
    if settings.output is Format.TABLE:
        write(table(None))
        return
    from dgctl.output import say

    show(chosen(), settings)
    for remark in left_out():
        say(remark)


def write(parts: "Iterable[Part]") -> None:
    from digitalgrid.columns import parts_text

    sys.stdout.write(parts_text(parts, sys.stdout))


def show(message: Any, settings: Settings) -> None:
    from dgctl.output import show

    show(message, settings.output)
