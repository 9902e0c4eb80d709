"""Answers as tables for people. One function for each message that `dgctl` shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from dgctl import circuit_tables, drain_tables, meter_tables, register_tables, topology_tables
from dgctl.listing import natural
from dgctl.requests import ended
from digitalgrid.client import missing_mj
from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.units import (
    format_current,
    format_duration_ns,
    format_energy_mj,
    format_fraction,
    format_power,
    format_power_above,
    format_power_below,
    format_unix_ns,
)
from digitalgrid.v1 import northbound_pb2 as pb

# Of the figures of a refusal, what there is too little of; the others are what there is.
_LACKING = ("missing_w", "unserved_w")
Parts = Iterable[Part]


def render(message: Message) -> Parts:
    """A whole answer."""
    parts: Parts = _RENDERERS[type(message)](message)
    return parts


def render_event(event: pb.WatchCircuitsResponse) -> Parts:
    """One line of a watch."""
    if event.HasField("snapshot_done"):
        return [Styled("-- these were all circuits; changes follow --", "dim")]
    return [circuit_tables.line(event.circuit)]


def detail_lines(metadata: Mapping[str, str]) -> list[str]:
    """The ids and figures of a refusal, one a line."""
    return [f"{key}: {_readable(key, value)}" for key, value in sorted(metadata.items())]


def _readable(key: str, value: str) -> str:
    """Figures of error details are SI numbers whose key names the unit."""
    try:
        if key in _LACKING:
            return format_power_above(float(value))
        if key.endswith("_w"):
            return format_power_below(float(value))
        if key.endswith("_mj"):
            return format_energy_mj(int(value))
    except ValueError:
        return value
    return value


def _answered(answer: pb.RequestPowerResponse) -> Parts:
    return [circuit_tables.table(answer.circuits, f"request {answer.request_id}")]


def _listed(answer: pb.ListCircuitsResponse | pb.ComputePowerResponse) -> Parts:
    return [circuit_tables.table(answer.circuits) if answer.circuits else "no circuits"]


def _circuit(circuit: pb.Circuit) -> Parts:
    parts: list[Part] = [circuit_tables.table([circuit]), "", _facts_table(_facts(circuit)), ""]
    if circuit.shortfalls:
        parts += [_shortfalls(circuit), ""]
    parts.append(_links(circuit.links, "links"))
    if circuit.standby.links:
        parts += ["", _links(circuit.standby.links, "links of its standby")]
    return parts


def _shortfalls(circuit: pb.Circuit) -> Columns:
    table = Columns("from", ">for", "because of", ">lacked", title="when its load got less")
    for each in circuit.shortfalls:
        word = pb.ShortCause.Name(each.cause).removeprefix("SHORT_CAUSE_").lower()
        cause = "unknown" if not each.cause else word.replace("_", " ")
        table.add_row(
            format_unix_ns(each.from_unix_ns),
            format_duration_ns(each.to_unix_ns - each.from_unix_ns),
            f"{cause} {each.by}".strip(),
            format_energy_mj(each.missing_mj),
        )
    return table


def _hold(circuit: pb.Circuit) -> str:
    """What became of it; a hold that was released before it was activated stays "held" in the API."""
    until = format_unix_ns(circuit.hold.until_unix_ns)
    if circuit.hold.state == pb.HOLD_STATE_ACTIVATED:
        return "activated"
    if circuit.hold.state == pb.HOLD_STATE_EXPIRED:
        return f"expired at {until}; nobody had activated it"
    if circuit.state in circuit_tables.ENDED or not circuit.admin_up:
        return "released before anybody activated it"
    return f"held; kept until {until} unless activated"


def _links(links: Sequence[pb.PathLink], title: str) -> Columns:
    shares = any(link.pool_circuits for link in links)
    more = (">pool", ">shared by") if shares else ()
    table = Columns("link", "from", "to", ">sent", ">received", ">current", *more, title=title)
    for link in links:
        table.add_row(
            link.link_id,
            link.from_router_id,
            link.to_router_id,
            format_power(link.sent_w),
            format_power(link.received_w),
            format_current(link.current_a),
            *((format_current(link.pool_a), str(link.pool_circuits)) if shares else ()),
        )
    return table


def _facts_table(facts: Iterable[tuple[str, str]]) -> Columns:
    table = Columns("", "", show_names=False)
    for name, value in facts:
        table.add_row(name, value)
    return table


def _facts(circuit: pb.Circuit) -> Iterable[tuple[str, str]]:
    yield "request", circuit.request_id
    if circuit.owner:
        yield "owner", circuit.owner
    if circuit.HasField("hold"):
        yield "hold", _hold(circuit)
    if circuit.HasField("until_unix_ns"):
        yield "until", f"{format_unix_ns(circuit.until_unix_ns)}; then it ends by itself"
    yield "generation", str(circuit.generation)
    constraints = circuit.constraints
    if constraints.HasField("max_loss_fraction"):
        yield "max loss", format_fraction(constraints.max_loss_fraction)
    if constraints.HasField("max_hops"):
        yield "max hops", str(constraints.max_hops)
    if constraints.packets:
        yield "packets", "only over routers that carry them"
    if constraints.avoid_ids:
        yield "avoids", ", ".join(constraints.avoid_ids)
    yield "priority", f"setup {circuit.setup_priority}, hold {circuit.hold_priority}"
    if circuit.floor_w:
        yield "floor", format_power(circuit.floor_w)
    if circuit.HasField("curtailed"):
        curtailed = circuit.curtailed
        left, asked = format_power(curtailed.granted_w), format_power(curtailed.asked_w)
        since = format_unix_ns(curtailed.since_unix_ns)
        yield "curtailed", f"by {curtailed.by} since {since}: {left} of {asked}"
    if circuit.protect:
        own = ", with room of its own" if circuit.dedicated else ""
        yield "protected against", f"the loss of a {circuit_tables.against(circuit)}{own}"
    if circuit.HasField("standby"):
        standby = circuit.standby
        yield (
            "standby",
            f"generation {standby.generation}, {standby.source_id}, {circuit_tables.path_of(standby)}",
        )
        if standby.dedicated and not circuit.dedicated:
            yield "", "with room of its own: a router of any other way holds no pools"
    if circuit.timings.committed_after_ns:
        yield "committed after", format_duration_ns(circuit.timings.committed_after_ns)
    if circuit.timings.actuated_after_ns:
        yield "power after", format_duration_ns(circuit.timings.actuated_after_ns)
    interruptions = str(circuit.interruptions)
    if circuit.last_interruption_ns:
        interruptions += (
            f", the last until the first packet {format_duration_ns(circuit.last_interruption_ns)}"
        )
    yield "interruptions", interruptions
    if not circuit.HasField("missing"):
        yield "missing", "unknown: its sink's router has not counted any yet"
        return
    promised = format_energy_mj(circuit.missing.promised_mj)
    lacked = format_energy_mj(sum(missing_mj(circuit.missing).values()))
    yield "missing", f"{lacked} of {promised} promised"
    by_cause = circuit_tables.missing_by_cause(circuit)
    if by_cause:
        yield "  of its power", by_cause


def _outcomes(answer: pb.BatchRequestPowerResponse) -> Parts:
    table = Columns(">#", "request", "circuits", ">power", "outcome")
    for number, outcome in enumerate(answer.outcomes, start=1):
        became = ended(outcome.circuits)
        refusal = [f"{became}; use a new id"] if became else []
        if outcome.code:
            refusal = _refusal(outcome)
        table.add_row(
            str(number),
            outcome.request_id,
            ", ".join(str(circuit.circuit_id) for circuit in outcome.circuits),
            format_power(sum(circuit.power_w for circuit in outcome.circuits)),
            Styled(refusal[0], "red") if refusal else "done",
        )
        for line in refusal[1:]:
            table.add_row("", "", "", "", Styled(f"  {line}", "red"))
    return [table]


def _paths(answer: pb.ComputePathsResponse) -> Parts:
    parts: list[Part] = [circuit_tables.table(answer.circuits)]
    if answer.shared_ids:
        parts.append(Styled(f"both need {', '.join(answer.shared_ids)}", "yellow"))
    if not answer.proven:
        parts.append(Styled("a better pair may exist", "yellow"))
    if answer.proposals:
        parts += ["", _proposals(answer)]
    return parts


def _proposals(answer: pb.ComputePathsResponse) -> Columns:
    """What routing algorithms would choose, side by side."""
    table = Columns("algorithm", "package", "path", ">injected", ">loss", ">took")
    for each in answer.proposals:
        name = f"{each.algorithm} (asked first)" if each.chosen else each.algorithm
        took = format_duration_ns(each.took_ns) if each.took_ns else ""
        if not each.HasField("circuit"):
            table.add_row(name, each.package, Styled(each.refused, "yellow"), "", "", took)
            continue
        table.add_row(
            name,
            each.package,
            circuit_tables.path_of(each.circuit),
            format_power(each.circuit.injected_w),
            format_fraction(each.circuit.loss_fraction),
            took,
        )
    return table


def _dispatched(answer: pb.DispatchResponse) -> Parts:
    if not answer.outcomes:
        return ["nothing is to be served: all loads have what they take"]
    parts: list[Part] = [_facts_table(_figures(answer)), ""]
    parts.append(
        circuit_tables.table(circuit for each in answer.outcomes for circuit in each.circuits)
    )
    for outcome in answer.outcomes:
        if outcome.code:
            first, *details = _refusal(outcome)
            parts += [Styled(first, "red"), *(Styled(f"  {each}", "red") for each in details)]
    if answer.unserved:
        unserved = Columns("load", ">power", title="not served")
        for demand in answer.unserved:
            unserved.add_row(demand.load_id, format_power(demand.power_w))
        bounds = (
            *answer.bottleneck_link_ids,
            *answer.bottleneck_source_ids,
            *answer.bottleneck_router_ids,
        )
        parts += ["", unserved, f"held up by {', '.join(bounds)}"]
    if answer.prices:
        prices = Columns("router", ">price of a MWh more")
        for each in sorted(answer.prices, key=lambda each: natural(each.router_id)):
            prices.add_row(each.router_id, f"{each.price_per_mwh:.6g}")
        parts += ["", prices]
    if answer.note:
        parts += ["", Styled(answer.note, "yellow")]
    return parts


def _figures(answer: pb.DispatchResponse) -> Iterable[tuple[str, str]]:
    yield "request", answer.request_id
    yield "served", format_power(answer.served_w)
    yield "generated", format_power(answer.generated_w)
    yield "line loss", format_power(answer.line_loss_w)
    yield "converter loss", format_power(answer.converter_loss_w)
    yield "cost per hour", f"{answer.cost_per_h:.6g}"
    if answer.carbon_kg_per_h:
        yield "carbon per hour", f"{answer.carbon_kg_per_h:.6g} kg"


def _reoptimised(answer: pb.ReoptimiseResponse) -> Parts:
    if not answer.moves:
        return [f"none of {answer.circuits} circuits has a better path"]
    table = Columns(">circuit", ">gain", "from", "to", "outcome")
    for move in answer.moves:
        table.add_row(
            str(move.circuit_id),
            format_power(move.gain_w),
            " > ".join(move.from_router_ids),
            " > ".join(move.to_router_ids),
            Styled("moving", "green") if move.moving else move.reason or "would move",
        )
    losses = (
        f"loss of {answer.circuits} circuits: {format_power(answer.loss_before_w)} now,"
        f" {format_power(answer.loss_after_w)} at best found,"
        f" {format_power(answer.loss_bound_w)} at least"
    )
    return [table, losses]


def _refusal(outcome: pb.BatchOutcome) -> list[str]:
    lines = [f"refused{f' ({outcome.reason})' if outcome.reason else ''}: {outcome.message}"]
    if outcome.field:
        lines.append(f"field {outcome.field}")
    return [*lines, *detail_lines(outcome.metadata)]


_RENDERERS: dict[type[Message], Callable[[Any], Parts]] = {
    pb.RequestPowerResponse: _answered,
    pb.ComputePowerResponse: _listed,
    pb.ListCircuitsResponse: _listed,
    pb.BatchRequestPowerResponse: _outcomes,
    pb.ComputePathsResponse: _paths,
    pb.DispatchResponse: _dispatched,
    pb.ReoptimiseResponse: _reoptimised,
    pb.Circuit: _circuit,
    pb.DrainResponse: drain_tables.render,
    pb.WhatIfResponse: drain_tables.consequences,
    pb.UndrainResponse: lambda _: ["in service; nothing moves back by itself"],
    pb.Topology: topology_tables.render,
    pb.ReadAllMetersResponse: meter_tables.render,
    pb.ListRegistersResponse: lambda answer: register_tables.render(answer.registers),
}
