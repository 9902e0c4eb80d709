"""``dgctl events``: what happened that an operator acts on, of the last quarter of an hour, and as it comes."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from dgctl.formats import Format
from dgctl.options import MomentType, Settings, common, complete_avoidable, pass_settings
from digitalgrid.command_line import IdType
from digitalgrid.units import NS_PER_MS

if TYPE_CHECKING:
    from digitalgrid.client import PowerClient
    from digitalgrid.columns import Columns, Line
    from digitalgrid.v1 import northbound_pb2 as pb


@click.command()
@click.option(
    "--kind",
    "kinds",
    metavar="KIND",
    multiple=True,
    help="Only of this kind, such as link_down or circuit_waiting; may be repeated.",
)
@click.option(
    "--id",
    "ids",
    type=IdType(),
    metavar="ID",
    multiple=True,
    shell_complete=complete_avoidable,
    help="Only about this circuit, link or router; may be repeated.",
)
@click.option(
    "--since",
    "since_unix_ns",
    type=MomentType(),
    metavar="TIME",
    help="Only from then on: 5m, ago, or 2026-12-01T06:00.  [default: all that is kept, 15 minutes]",
)
@click.option("--last", type=click.IntRange(min=1, max=10_000), help="Only so many, the newest.")
@click.option("--watch", is_flag=True, help="Goes on with what comes, until interrupted.")
@common
@pass_settings
def events(
    settings: Settings,
    kinds: tuple[str, ...],
    ids: tuple[str, ...],
    since_unix_ns: int | None,
    last: int | None,
    watch: bool,
) -> None:
    """Shows what happened: lines, routers, circuits that were rerouted, wait or are short, drains, who leads.

    Who admitted, changed or released what stands in the audit log: dgctl explain, or dgc store audit.
    """
    from digitalgrid.v1 import northbound_pb2 as pb

    since_ms = (since_unix_ns or 0) // NS_PER_MS
    asked = pb.WatchEventsRequest(
        kinds=kinds, ids=ids, since_unix_ms=since_ms, last=last or 0, only_known=not watch
    )
    with settings.client() as client:
        if watch:
            _watch(client, asked, settings.output)
            return
        known = next(iter(client.watch_events(asked)))
    if settings.output is Format.TABLE:
        from digitalgrid.columns import parts_text

        parts = [_table(known)] if known.events else ["nothing happened that is kept"]
        sys.stdout.write(parts_text(parts, sys.stdout))
    else:
        from dgctl.output import show

        show(known, settings.output)


def _watch(client: "PowerClient", asked: "pb.WatchEventsRequest", output: Format) -> None:
    from dgctl.output import document, say, show_events
    from dgctl.watching import watched
    from digitalgrid.columns import parts_text

    def text(event: "pb.Event") -> str:
        if output is Format.TABLE:
            return parts_text([_line(event)], sys.stdout)
        return document(event, output)

    # What was told of the last instant: a watch that is begun anew begins with that.
    told: set[str] = set()
    show_events(text(each) for each in watched(lambda: _once(client, asked, told), say))


def _once(
    client: "PowerClient", asked: "pb.WatchEventsRequest", told: set[str]
) -> "Iterator[pb.Event]":
    """The events of one watch; the next one goes on where it broke off, also at a daemon that has begun anew."""
    for answer in client.watch_events(asked):
        for event in answer.events:
            if event.at_unix_ms != asked.since_unix_ms:
                told.clear()
            asked.since_unix_ms, asked.last = event.at_unix_ms, 0
            if event.text not in told:
                told.add(event.text)
                yield event


def _table(known: "pb.WatchEventsResponse") -> "Columns":
    from digitalgrid.columns import Columns

    table = Columns("at", "kind", "id", "what happened")
    for event in known.events:
        table.add_row(_at(event), event.kind, event.id, event.text, style=_style(event))
    return table


def _line(event: "pb.Event") -> "Line":
    from digitalgrid.columns import Line, Styled

    return Line((f"{_at(event)}  ", Styled(f"{event.kind:18}  {event.text}", _style(event))))


def _at(event: "pb.Event") -> str:
    from digitalgrid.units import format_unix_ns

    return format_unix_ns(event.at_unix_ms * NS_PER_MS)


def _style(event: "pb.Event") -> str:
    from digitalgrid.v1 import northbound_pb2 as pb

    return {pb.SEVERITY_ALARM: "red", pb.SEVERITY_WARNING: "yellow"}.get(event.severity, "")
