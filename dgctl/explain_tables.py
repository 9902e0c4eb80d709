"""Explanations for people: of circuits, refusals, and the reasons of refusals."""

from collections.abc import Iterator, Sequence

from dgctl import circuit_tables
from dgctl.tables import detail_lines
from dgctl.topology_tables import used
from digitalgrid.client import PowerError, missing_mj, power_request
from digitalgrid.columns import Columns, Line, Part, Styled
from digitalgrid.reasons import Reason
from digitalgrid.units import (
    format_current,
    format_energy_mj,
    format_fraction,
    format_power,
    format_unix_ns,
)
from digitalgrid.v1 import northbound_pb2 as pb

# Of its ampacity, from which a line is said to be what binds: nothing of any use fits beside it.
_FULL = 0.95
_NUMBERS = {"power_w", "max_loss_fraction", "floor_w"}
_WHOLE = {"max_hops", "setup_priority", "hold_priority"}
_FLAGS = {"packets", "split", "dedicated"}
_LISTS = {"sources": "source_ids", "avoid": "avoid_ids"}


def circuit(
    circuit: pb.Circuit,
    topology: pb.Topology,
    other: pb.Circuit | None,
    why_none: str,
    entries: Sequence[pb.AuditEntry],
) -> list[Part]:
    """Why it goes where it goes, and what became of it."""
    links = {each.link_id: each for each in topology.links}
    parts: list[Part] = [_headline(circuit)]
    if circuit.router_ids:
        parts += ["", _hops(circuit, links), *_why(circuit, links, other, why_none)]
    elif circuit.state == pb.CIRCUIT_STATE_WAITING:
        parts += ["", _waiting(other, why_none)]
    parts += ["", *_protection(circuit), *_less(circuit)]
    return [*parts, "", _timeline(entries)]


def _headline(circuit: pb.Circuit) -> Line:
    source = f" from {circuit.source_id}" if circuit.source_id else ""
    words = f" {format_power(circuit.power_w)}{source} to {circuit.sink_id}, request {circuit.request_id}"
    because = Styled(f" ({circuit.reason})" if circuit.reason else "", "dim")
    return Line(
        (f"circuit {circuit.circuit_id}, ", circuit_tables.state(circuit), because, ":", words)
    )


def _waiting(other: pb.Circuit | None, why_none: str) -> Part:
    """What keeps a circuit without a path from having one now."""
    if other is None:
        return Styled(f"what binds now: {why_none}", "red")
    path = circuit_tables.path_of(other)
    return f"a path is free now, over {path}: it is about to be taken, or others come first"


def _hops(circuit: pb.Circuit, links: dict[str, pb.LinkState]) -> Columns:
    """What goes in and comes out, router by router and line by line."""
    table = Columns("through", ">in", ">out", ">lost", ">of it", ">current", ">line used by all")
    put_in = circuit.injected_w
    for link in circuit.links:
        _add_hop(table, f"router {link.from_router_id}", put_in, link.sent_w)
        state = links.get(link.link_id)
        share = used(state) if state is not None else None
        more = (
            format_current(link.current_a),
            format_fraction(share) if share is not None else "-",
        )
        _add_hop(table, f"line {link.link_id}", link.sent_w, link.received_w, *more)
        put_in = link.received_w
    _add_hop(table, f"router {circuit.router_ids[-1]}", put_in, circuit.power_w)
    lost_w = circuit.injected_w - circuit.power_w
    table.add_row(
        "all of it",
        format_power(circuit.injected_w),
        format_power(circuit.power_w),
        format_power(lost_w),
        format_fraction(circuit.loss_fraction),
        style="bold",
    )
    return table


def _add_hop(table: Columns, name: str, in_w: float, out_w: float, *more: str) -> None:
    lost_w = in_w - out_w
    share = format_fraction(lost_w / in_w) if in_w else "-"
    table.add_row(name, format_power(in_w), format_power(out_w), format_power(lost_w), share, *more)


def _why(
    circuit: pb.Circuit, links: dict[str, pb.LinkState], other: pb.Circuit | None, why_none: str
) -> Iterator[Part]:
    yield ""
    lost_w = circuit.injected_w - circuit.power_w
    if other is None:
        yield f"no next best: {why_none}"
    else:
        more_w = other.injected_w - other.power_w - lost_w
        path = circuit_tables.path_of(other)
        if more_w >= 0:
            yield (
                f"why this path: of those with room it loses least; the next best, {other.source_id} over {path},"
                f" would lose {format_power(more_w)} more ({format_fraction(other.loss_fraction)})"
            )
        else:
            yield Styled(
                f"a better path is free now: {other.source_id} over {path} would lose {format_power(-more_w)} less"
                f" ({format_fraction(other.loss_fraction)}); `dgctl reoptimise` moves what pays to move",
                "yellow",
            )
    yield from _binding(circuit, links)


def _binding(circuit: pb.Circuit, links: dict[str, pb.LinkState]) -> Iterator[Part]:
    """What keeps it from having more, or from another path."""
    loads = [
        (share, each.link_id)
        for each in circuit.links
        if each.link_id in links and (share := used(links[each.link_id])) is not None
    ]
    if loads:
        share, link_id = max(loads)
        state = links[link_id]
        left_a = max(0.0, state.ampacity_a * (1.0 - share))
        word = "what binds" if share >= _FULL else "fullest line"
        yield (
            f"{word}: {link_id}, {format_fraction(share)} of {format_current(state.ampacity_a)} reserved,"
            f" {format_current(left_a)} left"
        )
    limits = circuit.constraints
    said = []
    if limits.HasField("max_loss_fraction"):
        said.append(
            f"loss {format_fraction(circuit.loss_fraction)} of {format_fraction(limits.max_loss_fraction)} at most"
        )
    if limits.HasField("max_hops"):
        said.append(f"{len(circuit.links)} of {limits.max_hops} links at most")
    if limits.avoid_ids:
        said.append(f"keeps away from {', '.join(limits.avoid_ids)}")
    if circuit.source_ids:
        said.append(f"only from {', '.join(circuit.source_ids)}")
    if said:
        yield f"asked for: {'; '.join(said)}"


def _protection(circuit: pb.Circuit) -> Iterator[Part]:
    if not circuit.protect:
        yield "not protected: a fault on its path interrupts it until it is rerouted; nobody asked for a standby"
        return
    why = f" ({circuit.protection_reason})" if circuit.protection_reason else ""
    yield Line(
        (
            f"protected against the loss of a {circuit_tables.against(circuit)}: ",
            circuit_tables.protection(circuit),
            why,
        )
    )
    if circuit.HasField("standby"):
        standby = circuit.standby
        room = "room of its own" if standby.dedicated else "room that it shares"
        yield (
            f"  standby from {standby.source_id} over {circuit_tables.path_of(standby)}, with {room}; it would lose"
            f" {format_fraction(standby.loss_fraction)}"
        )


def _less(circuit: pb.Circuit) -> Iterator[Part]:
    """What it gets less than it asked for, and what its load has lacked."""
    if circuit.HasField("curtailed"):
        cut = circuit.curtailed
        yield Styled(
            f"curtailed by {cut.by} since {format_unix_ns(cut.since_unix_ns)}: {format_power(cut.granted_w)} of"
            f" {format_power(cut.asked_w)}; floors are served first ({format_power(circuit.floor_w)} here), then by"
            f" hold priority ({circuit.hold_priority}), then by age",
            "yellow",
        )
    else:
        yield "not curtailed"
    if circuit.HasField("missing"):
        causes = ", ".join(
            f"{format_energy_mj(lacked)} ({cause})"
            for cause, lacked in missing_mj(circuit.missing).items()
            if lacked
        )
        promised = format_energy_mj(circuit.missing.promised_mj)
        yield (
            f"its load lacked {causes} of {promised} promised"
            if causes
            else "its load lacked nothing"
        )


def _timeline(entries: Sequence[pb.AuditEntry]) -> Part:
    if not entries:
        return "the audit log has nothing of it any more"
    table = Columns("at (UTC)", "who", "action", "decided", "why", title="audit log")
    for each in entries:
        style = "red" if each.decided == "refused" else ""
        at = format_unix_ns(each.at_unix_ns).removesuffix(" UTC")
        decided = Styled(each.decided, style)
        table.add_row(at, each.who, each.action, decided, each.why)
    return table


# Refusals


def refused(
    entry: pb.AuditEntry,
    asked: pb.PowerRequest | None,
    would: pb.ComputePowerResponse | None,
    error: PowerError | None,
    entries: Sequence[pb.AuditEntry],
) -> list[Part]:
    """What bound then, and what would fit now."""
    name, _, message = entry.why.partition(": ")
    parts: list[Part] = [
        Styled(
            f"{entry.action} {entry.subject} was refused at {format_unix_ns(entry.at_unix_ns)}",
            "red",
        ),
        f"asked for: {entry.asked or '-'}",
        f"what bound: {message or name}",
        *_meaning(name),
        "",
    ]
    if asked is None:
        parts.append("whether it would fit now cannot be told from what the audit log has of it")
    elif would is not None:
        parts.append(Styled("it would be admitted now:", "green"))
        parts.append(circuit_tables.table(would.circuits))
    elif error is not None:
        parts.append(
            Styled(f"it would still be refused ({error.reason}): {error.message}", "yellow")
        )
        parts += [f"  {line}" for line in detail_lines(error.metadata)]
        parts += [f"  {line}" for line in _would_fit(error)]
    return [*parts, "", _timeline(entries)]


def _would_fit(error: PowerError) -> Iterator[str]:
    """What to ask for instead."""
    for key, words in (
        ("deliverable_w", "what would fit: {} or less"),
        ("largest_single_w", "what would fit in one circuit: {} or less; --split allows several"),
        ("available_w", "what would fit: a floor of {} or less"),
    ):
        if error.metadata.get(key):
            (line,) = detail_lines({key: error.metadata[key]})
            yield words.format(line.partition(": ")[2])
    if error.reason in Reason.__members__:
        yield f"what to do: {Reason[error.reason].remedy}"


def _meaning(name: str) -> Iterator[str]:
    if name in Reason.__members__:
        found = Reason[name]
        yield f"{name}: {found.meaning}; {found.remedy}"


def reason(found: Reason, entries: Sequence[pb.AuditEntry], most: int) -> list[Part]:
    """What it means, and who was refused with it of late."""
    parts: list[Part] = [
        Line((Styled(str(found), "bold"), f" ({found.code.name})")),
        f"means: {found.meaning}",
        f"what to do: {found.remedy}",
        "",
    ]
    if not entries:
        return [*parts, "nobody was refused so, as far as the audit log was looked through"]
    table = Columns("at (UTC)", "subject", "asked", "why", title=f"the last of {len(entries)}")
    for each in entries[-most:]:
        at = format_unix_ns(each.at_unix_ns).removesuffix(" UTC")
        table.add_row(at, each.subject, each.asked, each.why.partition(": ")[2])
    return [*parts, table]


def request_of(entry: pb.AuditEntry) -> pb.PowerRequest | None:
    """The request that an entry tells of, to be asked again; None where its words do not say all of it."""
    if entry.action != "request":
        return None
    said = [each.partition("=") for each in entry.asked.split(", ")]
    given: dict[str, object] = {}
    try:
        for key, equals, value in said:
            if not equals:
                return None
            given |= _field(key, value)
        return power_request(**given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _field(key: str, value: str) -> dict[str, object]:
    if key in _NUMBERS:
        return {key: float(value)}
    if key in _WHOLE:
        return {key: int(value)}
    if key in _FLAGS:
        return {"allow_split" if key == "split" else key: value == "True"}
    if key in _LISTS:
        return {_LISTS[key]: value.split()}
    return {"sink_id" if key == "sink" else key: value}
