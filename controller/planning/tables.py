"""A plan as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from digitalgrid.units import format_current, format_power


def render(report: Mapping[str, Any]) -> RenderableType:
    """What a plan comes to, what it leaves unserved and why, its flows and its circuits."""
    parts: list[RenderableType] = [_summary(report)]
    if report["note"]:
        parts.append(Text(f"Note: {report['note']}.", style="yellow"))
    if report["unserved"]:
        parts.append(_unserved(report["unserved"]))
        if report["status"] == "optimal":
            parts.append(_binding_cut(report["binding_cut"]))
    if report["flows"]:
        parts += [_flows(report["flows"]), _circuits(report["circuits"])]
    return Group(*parts)


def _summary(report: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    generated_w = report["generated_w"]
    fraction = f" ({report['loss_w'] / generated_w:.2%} of it)" if generated_w > 0.0 else ""
    for name, value in (
        ("status", f"{report['status']}, in {report['solve_s']:.3f} s"),
        ("served", format_power(report["served_w"])),
        ("generated", format_power(generated_w)),
        ("lost", format_power(report["loss_w"]) + fraction),
        ("  on lines", format_power(report["line_loss_w"])),
        ("  in converters", format_power(report["converter_loss_w"])),
        ("cost", f"{report['cost_per_h']:,.2f} per hour"),
        ("carbon", f"{report['carbon_kg_per_h']:,.1f} kg per hour"),
    ):
        table.add_row(name, value)
    return table


def _unserved(unserved: Mapping[str, float]) -> Table:
    table = Table("load", "unserved", title="Unserved", title_justify="left")
    for load_id, power_w in unserved.items():
        table.add_row(load_id, format_power(power_w))
    return table


def _binding_cut(cut: Mapping[str, list[str]]) -> Text:
    """Why."""
    reasons = []
    if cut["links"]:
        reasons.append(f"full links {', '.join(cut['links'])}")
    if cut["sources"]:
        reasons.append(f"exhausted sources {', '.join(cut['sources'])}")
    if cut["routers"]:
        reasons.append(f"routers {', '.join(cut['routers'])} that convert all they can")
    why = " and ".join(reasons) or "no source that reaches them"
    return Text(f"What keeps these loads from more: {why}.")


def _flows(flows: list[Mapping[str, Any]]) -> Table:
    table = Table("link", "from", "to", "sent", "received", "current", title="Flows")
    table.title_justify = "left"
    for flow in flows:
        table.add_row(
            flow["link"],
            flow["from"],
            flow["to"],
            format_power(flow["sent_w"]),
            format_power(flow["received_w"]),
            format_current(flow["current_a"]),
        )
    return table


def _circuits(circuits: list[Mapping[str, Any]]) -> Table:
    table = Table("source", "sink", "path", "delivered", "injected", title="Circuits")
    table.title_justify = "left"
    for circuit in circuits:
        table.add_row(
            circuit["source"],
            circuit["sink"],
            " → ".join(circuit["path"]),
            format_power(circuit["delivered_w"]),
            format_power(circuit["injected_w"]),
        )
    return table
