"""The verbs of ``dgctl`` that list: circuits, the topology or a part of it, meters and registers; once, or live."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from dgctl.formats import Format
from dgctl.listed import Live, again_and_again, listing_options, rows_of, show, view_of, write
from dgctl.options import MomentType, Settings, common, pass_settings
from digitalgrid.command_line import IdType
from digitalgrid.units import NS_PER_S

if TYPE_CHECKING:
    from dgctl.listing import View
    from digitalgrid.columns import Part
    from digitalgrid.v1 import northbound_pb2 as pb

# By how much a controller's clock may be behind ours, or before it: what has ended is asked for anew for so long.
_CLOCKS_DIFFER_NS = 60 * NS_PER_S


@click.command("list")
@click.option(
    "--request-id", type=IdType(optional=True), default="", help="Only circuits of this request."
)
@click.option("--all", "include_ended", is_flag=True, help="Also those that have ended.")
@listing_options
@common
@pass_settings
def list_(
    settings: Settings,
    request_id: str,
    include_ended: bool,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    watch: bool,
) -> None:
    """Lists circuits, those that need somebody first."""
    from dgctl.circuit_tables import CIRCUITS, ENDED
    from digitalgrid.v1 import northbound_pb2 as pb

    view = view_of(CIRCUITS, settings.output, columns, sort, filters)
    known: dict[int, pb.Circuit] = {}
    is_whole = False

    def take(told: tuple[bool, pb.WatchCircuitsResponse]) -> bool:
        nonlocal is_whole
        is_first, event = told
        if is_first:
            known.clear()
        is_whole = event.HasField("snapshot_done") or (is_whole and not is_first)
        circuit = event.circuit
        if circuit.state in ENDED and not include_ended:
            known.pop(circuit.circuit_id, None)
        elif circuit.circuit_id and request_id in ("", circuit.request_id):
            known[circuit.circuit_id] = circuit
        return is_whole

    with settings.client() as client:
        if watch:
            live = Live(settings, lambda: client.watch_circuits(), take)
            live.show(
                lambda room: rows_of(view, known.values(), room, "no circuits"),
                lambda: pb.ListCircuitsResponse(circuits=_as_listed(view, known)),
            )
            return
        answer = client.list_circuits(request_id, include_ended=include_ended)
    if settings.output is Format.TABLE:
        write(rows_of(view, answer.circuits, None, "no circuits"))
    else:
        show(pb.ListCircuitsResponse(circuits=view.rows(answer.circuits, as_given=True)), settings)


def _as_listed(view: "View[pb.Circuit]", known: "dict[int, pb.Circuit]") -> "list[pb.Circuit]":
    return view.rows([known[each] for each in sorted(known)], as_given=True)


@click.command()
@click.argument("kind", required=False, type=click.Choice(["routers", "links", "sources", "loads"]))
@listing_options
@common
@pass_settings
def topology(
    settings: Settings,
    kind: str | None,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    watch: bool,
) -> None:
    """Shows routers, links, sources and loads with what is reserved on them; or only those of one kind.

    Columns are chosen, sorted and filtered of one kind: dgctl topology links --sort -used
    """
    from dgctl import topology_tables
    from digitalgrid.v1 import northbound_pb2 as pb

    if kind is None and (columns is not None or sort or filters):
        raise click.UsageError(
            "each kind has columns of its own; say which, as in: dgctl topology links --sort -used"
        )
    view = (
        view_of(topology_tables.LISTINGS[kind], settings.output, columns, sort, filters)
        if kind
        else None
    )
    latest = pb.Topology()

    def part(whole: pb.Topology) -> pb.Topology:
        if view is None:
            return whole
        rows = view.rows(getattr(whole, view.listing.kind), as_given=True)
        some = pb.Topology(lsdb_version=whole.lsdb_version, engine=whole.engine)
        getattr(some, view.listing.kind).extend(rows)
        return some

    def parts(whole: pb.Topology, room: int | None) -> "Iterable[Part]":
        if view is None:
            return topology_tables.render(whole)
        return rows_of(view, getattr(whole, view.listing.kind), room, f"no {view.listing.kind}")

    def take(told: tuple[bool, pb.Topology]) -> bool:
        nonlocal latest
        latest = told[1]
        return True

    with settings.client() as client:
        if watch:
            live = Live(settings, lambda: client.watch_topology(), take)
            live.show(lambda room: parts(latest, room), lambda: part(latest))
            return
        whole = client.get_topology()
    if settings.output is Format.TABLE:
        write(parts(whole, None))
    else:
        show(part(whole), settings)


@click.command()
@listing_options
@common
@pass_settings
def meters(
    settings: Settings,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    watch: bool,
) -> None:
    """Reads the energy books of all routers; with --watch every two seconds."""
    from dgctl import meter_tables
    from digitalgrid.v1 import northbound_pb2 as pb

    view = view_of(meter_tables.BOOKS, settings.output, columns, sort, filters)
    latest = pb.ReadAllMetersResponse()

    def part(answer: pb.ReadAllMetersResponse) -> pb.ReadAllMetersResponse:
        some = pb.ReadAllMetersResponse(missing_router_ids=answer.missing_router_ids)
        some.meters.extend(view.rows(answer.meters, as_given=True))
        return some

    def take(told: tuple[bool, pb.ReadAllMetersResponse]) -> bool:
        nonlocal latest
        latest = told[1]
        return True

    with settings.client() as client:
        if watch:
            live = Live(settings, lambda: again_and_again(client.read_meters), take)
            live.show(lambda _: meter_tables.render(latest, view), lambda: part(latest))
            return
        answer = client.read_meters()
    if settings.output is Format.TABLE:
        write(meter_tables.render(answer, view))
    else:
        show(part(answer), settings)


@click.command()
@click.argument(
    "circuit_id", required=False, type=click.IntRange(1, 2**63 - 1), metavar="[CIRCUIT]"
)
@click.option(
    "--request-id", type=IdType(optional=True), default="", help="Only of circuits of this request."
)
@click.option(
    "--since",
    "since_unix_ns",
    type=MomentType(),
    metavar="TIME",
    help="Only what ended then or later: 2026-12-01T06:00, in seconds since 1970, or 15m, ago.  [default: all]",
)
@click.option(
    "--until",
    "until_unix_ns",
    type=MomentType(),
    metavar="TIME",
    help="Only what ended before then, written likewise.  [default: all]",
)
@listing_options
@common
@pass_settings
def registers(
    settings: Settings,
    circuit_id: int | None,
    request_id: str,
    since_unix_ns: int | None,
    until_unix_ns: int | None,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    watch: bool,
) -> None:
    """Shows final registers: what each generation of a circuit had injected and delivered when it ended.

    They are kept for ever. A circuit's energy is the sum over its generations; '-' is what no router has said, which is
    not zero. What runs still is metered by: dgctl meters
    """
    from dgctl import register_tables
    from digitalgrid.v1 import northbound_pb2 as pb

    since_unix_ns, until_unix_ns = since_unix_ns or 0, until_unix_ns or 0
    if until_unix_ns and since_unix_ns >= until_unix_ns:
        raise click.UsageError("--since must be longer ago than --until: nothing ends in between")
    if watch and until_unix_ns:
        raise click.UsageError("--watch shows what ends from now on, and --until leaves that out")
    view = view_of(register_tables.REGISTERS, settings.output, columns, sort, filters)
    known: dict[tuple[int, int], pb.FinalRegister] = {}

    def look(from_unix_ns: int) -> None:
        found = client.list_registers(
            circuit_id or 0, request_id, since_unix_ns=from_unix_ns, until_unix_ns=until_unix_ns
        )
        known.update(((each.circuit_id, each.generation), each) for each in found)

    from_unix_ns = since_unix_ns

    def look_on() -> None:
        nonlocal from_unix_ns
        begun_unix_ns = time.time_ns()
        look(from_unix_ns)
        # From then on only what has ended since, with a margin for clocks that differ.
        from_unix_ns = max(since_unix_ns, begun_unix_ns - _CLOCKS_DIFFER_NS)

    def message() -> pb.ListRegistersResponse:
        rows = view.rows([known[each] for each in sorted(known)], as_given=True)
        return pb.ListRegistersResponse(registers=rows)

    with settings.client() as client:
        if watch:
            live = Live(settings, lambda: again_and_again(look_on), lambda told: True)
            live.show(lambda room: register_tables.render(known.values(), view, room), message)
            return
        look(since_unix_ns)
    if settings.output is Format.TABLE:
        write(register_tables.render(known.values(), view))
    else:
        show(message(), settings)
