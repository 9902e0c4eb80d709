"""Answers as tables for people. One function for each message that `dgctl` shows."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from digitalgrid.units import (
    format_current,
    format_duration_ns,
    format_energy_mj,
    format_fraction,
    format_power,
    format_voltage,
)
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2

_STATE_STYLES = {
    pb.CIRCUIT_STATE_ACTIVE: "green",
    pb.CIRCUIT_STATE_DEGRADED: "yellow",
    pb.CIRCUIT_STATE_REROUTING: "yellow",
    pb.CIRCUIT_STATE_WAITING: "yellow",
    pb.CIRCUIT_STATE_FAILED: "red",
}


def render(message: Message) -> RenderableType:
    """A whole answer."""
    table: RenderableType = _RENDERERS[type(message)](message)
    return table


def render_event(message: Message) -> RenderableType:
    """One line (or one table) of a stream."""
    if isinstance(message, pb.WatchCircuitsResponse):
        if message.HasField("snapshot_done"):
            return Text("-- these were all circuits; changes follow --", style="dim")
        return _circuit_line(message.circuit)
    return render(message)


def state_name(state: int) -> str:
    return pb.CircuitState.Name(state).removeprefix("CIRCUIT_STATE_")  # type: ignore[arg-type]


def path_of(circuit: pb.Circuit) -> str:
    return " > ".join(circuit.router_ids)


def detail_lines(metadata: Mapping[str, str]) -> list[str]:
    """The ids and figures of a refusal, one a line."""
    return [f"{key}: {_readable(key, value)}" for key, value in sorted(metadata.items())]


def _readable(key: str, value: str) -> str:
    """Figures of error details are SI numbers whose key names the unit."""
    try:
        if key.endswith("_w"):
            return format_power(float(value))
        if key.endswith("_mj"):
            return format_energy_mj(int(value))
    except ValueError:
        return value
    return value


def _circuit_line(circuit: pb.Circuit) -> Text:
    line = Text(f"circuit {circuit.circuit_id} ")
    line.append(state_name(circuit.state), style=_STATE_STYLES.get(circuit.state, ""))
    line.append(
        f"  {circuit.source_id} -> {circuit.sink_id}  {format_power(circuit.power_w)}"
        f"  {path_of(circuit)}"
    )
    if circuit.reason:
        line.append(f"  ({circuit.reason})", style="dim")
    return line


def _table(title: str, *columns: str) -> Table:
    """Columns whose name starts with ``>`` are figures and stand to the right."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        figure = column.startswith(">")
        table.add_column(
            column.removeprefix(">"), justify="right" if figure else "left", no_wrap=figure
        )
    return table


def _circuits(circuits: Iterable[pb.Circuit], title: str = "") -> Table:
    columns = (">id", "state", "source", "sink", ">power", ">injected", ">loss", "path", "reason")
    table = _table(title, *columns)
    for circuit in circuits:
        table.add_row(
            str(circuit.circuit_id) if circuit.circuit_id else "-",
            Text(state_name(circuit.state), style=_STATE_STYLES.get(circuit.state, "")),
            circuit.source_id,
            circuit.sink_id,
            format_power(circuit.power_w),
            format_power(circuit.injected_w),
            format_fraction(circuit.loss_fraction),
            path_of(circuit),
            circuit.reason,
        )
    return table


def _answered(answer: pb.RequestPowerResponse) -> Table:
    return _circuits(answer.circuits, f"request {answer.request_id}")


def _listed(answer: pb.ListCircuitsResponse | pb.ComputePowerResponse) -> RenderableType:
    return _circuits(answer.circuits) if answer.circuits else Text("no circuits")


def _circuit(circuit: pb.Circuit) -> Group:
    links = _table("links", "link", "from", "to", ">sent", ">received", ">current")
    for link in circuit.links:
        links.add_row(
            link.link_id,
            link.from_router_id,
            link.to_router_id,
            format_power(link.sent_w),
            format_power(link.received_w),
            format_current(link.current_a),
        )
    return Group(_circuits([circuit]), Text(), _facts_table(_facts(circuit)), Text(), links)


def _facts_table(facts: Iterable[tuple[str, str]]) -> Table:
    table = _table("", "", "")
    table.show_header = False
    for name, value in facts:
        table.add_row(name, value)
    return table


def _facts(circuit: pb.Circuit) -> Iterable[tuple[str, str]]:
    yield "request", circuit.request_id
    yield "generation", str(circuit.generation)
    constraints = circuit.constraints
    if constraints.HasField("max_loss_fraction"):
        yield "max loss", format_fraction(constraints.max_loss_fraction)
    if constraints.HasField("max_hops"):
        yield "max hops", str(constraints.max_hops)
    if constraints.avoid_ids:
        yield "avoids", ", ".join(constraints.avoid_ids)
    if circuit.timings.committed_after_ns:
        yield "committed after", format_duration_ns(circuit.timings.committed_after_ns)
    if circuit.timings.actuated_after_ns:
        yield "power after", format_duration_ns(circuit.timings.actuated_after_ns)
    interruptions = str(circuit.interruptions)
    if circuit.last_interruption_ns:
        interruptions += f", the last {format_duration_ns(circuit.last_interruption_ns)}"
    yield "interruptions", interruptions


def _outcomes(answer: pb.BatchRequestPowerResponse) -> Table:
    table = _table("", ">#", "request", "circuits", ">power", "outcome")
    for number, outcome in enumerate(answer.outcomes, start=1):
        table.add_row(
            str(number),
            outcome.request_id,
            ", ".join(str(circuit.circuit_id) for circuit in outcome.circuits),
            format_power(sum(circuit.power_w for circuit in outcome.circuits)),
            Text(_refusal(outcome), style="red") if outcome.code else "done",
        )
    return table


def _paths(answer: pb.ComputePathsResponse) -> RenderableType:
    parts: list[RenderableType] = [_circuits(answer.circuits)]
    if answer.shared_ids:
        parts.append(Text(f"both need {', '.join(answer.shared_ids)}", style="yellow"))
    if not answer.proven:
        parts.append(Text("a better pair may exist", style="yellow"))
    return Group(*parts)


def _dispatched(answer: pb.DispatchResponse) -> Group:
    if not answer.outcomes:
        return Group(Text("nothing is to be served: all loads have what they take"))
    parts: list[RenderableType] = [_facts_table(_figures(answer)), Text()]
    parts.append(_circuits(circuit for each in answer.outcomes for circuit in each.circuits))
    parts += [Text(_refusal(each), style="red") for each in answer.outcomes if each.code]
    if answer.unserved:
        unserved = _table("not served", "load", ">power")
        for demand in answer.unserved:
            unserved.add_row(demand.load_id, format_power(demand.power_w))
        bounds = ", ".join([*answer.bottleneck_link_ids, *answer.bottleneck_source_ids])
        parts += [Text(), unserved, Text(f"held up by {bounds}")]
    if answer.note:
        parts += [Text(), Text(answer.note, style="yellow")]
    return Group(*parts)


def _figures(answer: pb.DispatchResponse) -> Iterable[tuple[str, str]]:
    yield "request", answer.request_id
    yield "served", format_power(answer.served_w)
    yield "generated", format_power(answer.generated_w)
    yield "line loss", format_power(answer.line_loss_w)
    yield "converter loss", format_power(answer.converter_loss_w)
    yield "cost per hour", f"{answer.cost_per_h:.6g}"
    if answer.carbon_kg_per_h:
        yield "carbon per hour", f"{answer.carbon_kg_per_h:.6g} kg"


def _reoptimised(answer: pb.ReoptimiseResponse) -> RenderableType:
    if not answer.moves:
        return Text(f"none of {answer.circuits} circuits has a better path")
    table = _table("", ">circuit", ">gain", "from", "to", "outcome")
    for move in answer.moves:
        table.add_row(
            str(move.circuit_id),
            format_power(move.gain_w),
            " > ".join(move.from_router_ids),
            " > ".join(move.to_router_ids),
            Text("moving", style="green") if move.moving else move.reason or "would move",
        )
    losses = Text(
        f"loss of {answer.circuits} circuits: {format_power(answer.loss_before_w)} now,"
        f" {format_power(answer.loss_after_w)} at best found,"
        f" {format_power(answer.loss_bound_w)} at least"
    )
    return Group(table, losses)


def _refusal(outcome: pb.BatchOutcome) -> str:
    lines = [f"refused{f' ({outcome.reason})' if outcome.reason else ''}: {outcome.message}"]
    if outcome.field:
        lines.append(f"field {outcome.field}")
    return "\n  ".join([*lines, *detail_lines(outcome.metadata)])


def _topology(topology: pb.Topology) -> Group:
    routers = _table("routers", "id", "connected", ">efficiency", ">boot")
    for router in topology.routers:
        connected = Text("yes") if router.connected else Text("no", style="red")
        efficiency = format_fraction(router.efficiency)
        routers.add_row(router.router_id, connected, efficiency, str(router.boot_id))
    sources = _table("sources", "id", "router", ">reserved", ">of", ">cost/MWh", "renewable")
    for source in topology.sources:
        sources.add_row(
            source.source_id,
            source.router_id,
            format_power(source.reserved_w),
            format_power(source.max_power_w),
            f"{source.cost_per_mwh:g}",
            "yes" if source.renewable else "no",
        )
    loads = _table("loads", "id", "router", ">reserved", ">of", ">priority", ">value/MWh")
    for load in topology.loads:
        loads.add_row(
            load.load_id,
            load.router_id,
            format_power(load.reserved_w),
            format_power(load.max_power_w),
            str(load.priority),
            f"{load.value_per_mwh:g}",
        )
    parts = (routers, Text(), _links(topology), Text(), sources, Text(), loads)
    return Group(*parts, *_refused_claims(topology))


def _refused_claims(topology: pb.Topology) -> list[Text]:
    """A line for each router that advertises what others own."""
    lines = []
    for router in topology.routers:
        if router.refused_claims:
            first = router.refused_claims[0]
            more = f", and {router.refused_claim_count - 1} more" * (router.refused_claim_count > 1)
            line = (
                f"{router.router_id} advertises {first.kind} {first.id}, which belongs to"
                f" {' and '.join(first.owner_router_ids)}{more}: that does not count"
            )
            lines.append(Text(line, style="red"))
    return [Text(), *lines] if lines else []


def _links(topology: pb.Topology) -> Table:
    columns = (">a to b", ">b to a", ">ampacity", ">used", ">voltage", ">ohm", "circuits")
    table = _table("links", "id", "a", "b", "state", *columns)
    for link in topology.links:
        used_a = link.reserved_a_to_b_a + link.reserved_b_to_a_a
        table.add_row(
            link.link_id,
            link.a_router_id,
            link.b_router_id,
            Text("up") if link.up else Text("down", style="red"),
            format_current(link.reserved_a_to_b_a),
            format_current(link.reserved_b_to_a_a),
            format_current(link.ampacity_a),
            format_fraction(used_a / link.ampacity_a) if link.ampacity_a else "-",
            format_voltage(link.voltage_v),
            f"{link.resistance_ohm:g}",
            ", ".join(str(circuit_id) for circuit_id in link.circuit_ids),
        )
    return table


_BOOKS: tuple[tuple[str, Callable[[power_link_pb2.RouterMeters], int]], ...] = (
    (">injected", lambda m: sum(source.injected_mj for source in m.sources)),
    (">delivered", lambda m: sum(load.delivered_mj for load in m.loads)),
    (">line loss", lambda m: sum(link.line_loss_mj for link in m.links)),
    (">converter loss", lambda m: m.converter_loss_mj),
    (">dissipated", lambda m: m.dissipated_mj),
    (">buffered", lambda m: m.buffered_mj),
    (">lost to faults", lambda m: sum(link.lost_to_faults_mj for link in m.links)),
    (">lost in transit", lambda m: sum(link.lost_in_transit_mj for link in m.links)),
)


def _meters(answer: pb.ReadAllMetersResponse) -> Group:
    table = _table("", "router", *(name for name, _ in _BOOKS), ">oversubscribed")
    for meters in answer.meters:
        figures = (format_energy_mj(total_mj(meters)) for _, total_mj in _BOOKS)
        table.add_row(meters.router_id, *figures, str(meters.oversubscribed_instants))
    sums = (
        format_energy_mj(sum(total_mj(meters) for meters in answer.meters))
        for _, total_mj in _BOOKS
    )
    oversubscribed = sum(meters.oversubscribed_instants for meters in answer.meters)
    table.add_row("all", *sums, str(oversubscribed), style="bold")
    parts: list[RenderableType] = [table]
    if answer.missing_router_ids:
        silent = ", ".join(answer.missing_router_ids)
        parts.append(Text(f"did not answer in time: {silent}", style="red"))
    parts += [Text(each, style="red") for each in _meter_faults(answer.meters)]
    return Group(*parts)


def _meter_faults(meters: Iterable[power_link_pb2.RouterMeters]) -> Iterator[str]:
    for router in meters:
        if router.saturated:
            yield f"{router.router_id}: a meter is full, and shows too little from now on"
        for link in router.links:
            if link.frames_refused:
                yield (
                    f"{router.router_id}: {link.frames_refused} frames from the far end of {link.link_id} were"
                    " refused: they said what the line cannot carry; look at that router"
                )


_RENDERERS: dict[type[Message], Callable[[Any], RenderableType]] = {
    pb.RequestPowerResponse: _answered,
    pb.ComputePowerResponse: _listed,
    pb.ListCircuitsResponse: _listed,
    pb.BatchRequestPowerResponse: _outcomes,
    pb.ComputePathsResponse: _paths,
    pb.DispatchResponse: _dispatched,
    pb.ReoptimiseResponse: _reoptimised,
    pb.Circuit: _circuit,
    pb.Topology: _topology,
    pb.ReadAllMetersResponse: _meters,
}
