"""Meters as tables for people."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from dgctl.listing import Column, Listing, View, natural
from digitalgrid.client import missing_mj
from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.model import MissingCause
from digitalgrid.units import (
    MILLIJOULES_PER_J,
    MILLIWATTS_PER_W,
    format_energy_mj,
    format_power,
    format_unix_ns,
    parse_si,
    parse_unix_ns,
)
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2

_FIGURES: tuple[tuple[str, Callable[[power_link_pb2.RouterMeters], int]], ...] = (
    ("injected", lambda m: sum(source.injected_mj for source in m.sources)),
    ("delivered", lambda m: sum(load.delivered_mj for load in m.loads)),
    ("line-loss", lambda m: sum(link.line_loss_mj for link in m.links)),
    ("converter-loss", lambda m: m.converter_loss_mj),
    ("dissipated", lambda m: m.dissipated_mj),
    ("buffered", lambda m: m.buffered_mj),
    ("lost-to-faults", lambda m: sum(link.lost_to_faults_mj for link in m.links)),
    ("lost-in-transit", lambda m: sum(link.lost_in_transit_mj for link in m.links)),
)
_LOST = ("lost-to-faults", "lost-in-transit", "dissipated")
# Circuits of which it is shown what is missing: those that lack most, as many as a screen has lines.
_MOST_MISSING = 20
# What the row of sums is called.
_ALL = "all"
# Milliwatts: demands are rounded up on their way, those of a hundred circuits by so much.
_ROUNDED_MW = 1000


def joules(text: str) -> float:
    """Millijoules, of an energy as people write it."""
    return parse_si(text, "J") * MILLIJOULES_PER_J


def _energy(
    name: str, energy_mj: Callable[[power_link_pb2.RouterMeters], int]
) -> Column[power_link_pb2.RouterMeters]:
    return Column(
        name,
        lambda meters: format_energy_mj(energy_mj(meters)),
        energy_mj,
        joules,
        head=name.replace("-", " "),
        right=True,
    )


def _most_lost(meters: power_link_pb2.RouterMeters) -> tuple[Any, ...]:
    """More often over-subscribed before less, then by what went neither to a load nor into heat as it should."""
    lost_mj = sum(energy_mj(meters) for name, energy_mj in _FIGURES if name in _LOST)
    return (-meters.oversubscribed_instants, -lost_mj, natural(meters.router_id))


BOOKS: Listing[power_link_pb2.RouterMeters] = Listing(
    "meters",
    (
        Column("router", lambda meters: meters.router_id),
        *(_energy(name, energy_mj) for name, energy_mj in _FIGURES),
        Column(
            "oversubscribed",
            lambda meters: str(meters.oversubscribed_instants),
            lambda meters: meters.oversubscribed_instants,
            right=True,
        ),
        Column(
            "read-at",
            lambda meters: format_unix_ns(meters.time_unix_ns) if meters.time_unix_ns else "",
            lambda meters: meters.time_unix_ns or None,
            parse_unix_ns,
            default=False,
            head="read at",
        ),
    ),
    _most_lost,
    lambda meters: "bold" if meters.router_id == _ALL else "",
)


def render(
    answer: pb.ReadAllMetersResponse, view: View[power_link_pb2.RouterMeters] | None = None
) -> list[Part]:
    """The books of all routers, what loads lacked, and what is odd about any of it."""
    view = view or View(BOOKS)
    rows = view.rows(answer.meters)
    table = view.table([*rows, _sum(rows)])
    parts: list[Part] = [table]
    if len(rows) == len(answer.meters) and not answer.missing_router_ids:
        parts += _under_way(rows)
    parts += [*_read_at(rows), *_promises(answer.meters), *_pools(answer.meters)]
    if answer.missing_router_ids:
        silent = ", ".join(answer.missing_router_ids)
        parts.append(Styled(f"did not answer in time: {silent}", "red"))
    parts += [Styled(each, "red") for each in _meter_faults(answer.meters)]
    parts += [Styled(each, "dim") for each in _former_meters(answer.meters)]
    return parts


def _sum(meters: Sequence[power_link_pb2.RouterMeters]) -> power_link_pb2.RouterMeters:
    """Of those that are shown."""
    return power_link_pb2.RouterMeters(
        router_id=_ALL,
        sources=[source for each in meters for source in each.sources],
        loads=[load for each in meters for load in each.loads],
        links=[link for each in meters for link in each.links],
        converter_loss_mj=sum(each.converter_loss_mj for each in meters),
        dissipated_mj=sum(each.dissipated_mj for each in meters),
        buffered_mj=sum(each.buffered_mj for each in meters),
        oversubscribed_instants=sum(each.oversubscribed_instants for each in meters),
    )


def _under_way(meters: Iterable[power_link_pb2.RouterMeters]) -> list[Part]:
    """What the row of sums lacks to be all that was injected: what one end has sent, and the other not yet taken."""
    energy_mj = sum(
        link.sent_mj
        - link.line_loss_mj
        - link.received_mj
        - link.lost_to_faults_mj
        - link.lost_in_transit_mj
        for each in meters
        for link in each.links
    )
    said = (
        f"under way between routers, as one was read after the other: {format_energy_mj(energy_mj)}"
    )
    return [Styled(said, "dim")] if energy_mj else []


def _read_at(meters: Iterable[power_link_pb2.RouterMeters]) -> list[Part]:
    """When, by the routers' own clocks; nothing of routers that do not say."""
    times = sorted({each.time_unix_ns for each in meters if each.time_unix_ns})
    if not times:
        return []
    until = f" to {format_unix_ns(times[-1])}" if len(times) > 1 else ""
    return [Styled(f"read at {format_unix_ns(times[0])}{until}, by routers' own clocks", "dim")]


def _promises(meters: Iterable[power_link_pb2.RouterMeters]) -> list[Part]:
    """What loads were promised and did not get: of the circuits that lack most."""
    lacking = [
        (sum(lacked.values()), router.router_id, promise, lacked)
        for router in meters
        for promise in router.promises
        if any((lacked := missing_mj(promise.missing)).values())
    ]
    if not lacking:
        return []
    lacking.sort(key=lambda each: -each[0])
    causes = [f">{cause}" for cause in MissingCause]
    shown = f", the first {_MOST_MISSING} of {len(lacking)}" * (len(lacking) > _MOST_MISSING)
    title = f"missing at loads{shown}"
    table = Columns(">circuit", "sink's router", ">promised", ">missing", *causes, title=title)
    for total_mj, router_id, promise, lacked in lacking[:_MOST_MISSING]:
        figures = (promise.missing.promised_mj, total_mj, *lacked.values())
        table.add_row(str(promise.circuit_id), router_id, *map(format_energy_mj, figures))
    return ["", table]


def _pools(meters: Iterable[power_link_pb2.RouterMeters]) -> list[Part]:
    """What shared standbys may put on lines, and do."""
    table = Columns(
        "link", "from", ">pool", ">used", ">wanted", title="pools of shared standbys, now"
    )
    pooled = [
        (link.link_id, router.router_id, link)
        for router in meters
        for link in router.links
        if link.pool_mw or link.pool_wanted_mw
    ]
    for link_id, router_id, link in sorted(pooled, key=lambda each: each[:2]):
        figures_mw = (link.pool_mw, link.pool_used_mw, link.pool_wanted_mw)
        figures = (format_power(power_mw / MILLIWATTS_PER_W) for power_mw in figures_mw)
        short = link.pool_wanted_mw - link.pool_used_mw > _ROUNDED_MW
        table.add_row(link_id, router_id, *figures, style="yellow" if short else "")
    return ["", table] if pooled else []


def _former_meters(meters: Iterable[power_link_pb2.RouterMeters]) -> Iterator[str]:
    for router in meters:
        ids = [
            *(each.link_id for each in router.links if each.former),
            *(each.source_id for each in router.sources if each.former),
            *(each.load_id for each in router.loads if each.former),
        ]
        if ids:
            yield (
                f"{router.router_id}: its figures include what {', '.join(ids)} carried here before; other routers"
                " have them by now"
            )


def _meter_faults(meters: Iterable[power_link_pb2.RouterMeters]) -> Iterator[str]:
    for router in meters:
        if router.saturated:
            yield f"{router.router_id}: a meter is full, and shows too little from now on"
        if router.through_power_clamped_instants:
            yield (
                f"{router.router_id}: its circuits wanted more than it converts {router.through_power_clamped_instants}"
                " times, and were held to that: compare max_through_w with what is reserved there"
            )
        for link in router.links:
            if link.frames_refused:
                yield (
                    f"{router.router_id}: {link.frames_refused} frames from the far end of {link.link_id} were"
                    " refused: they said what the line cannot carry; look at that router"
                )
            if link.frames_clamped:
                yield (
                    f"{router.router_id}: {link.frames_clamped} frames from the far end of {link.link_id} want or"
                    " grant more than the line carries: compare voltage_v and ampacity_a of its two ends"
                )
