"""What is taken out of service, as tables for people."""

from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.units import format_fraction, format_power, format_unix_ns
from digitalgrid.v1 import northbound_pb2 as pb

_OUTCOME_STYLES = {
    pb.OUTCOME_SWITCHES: "green",
    pb.OUTCOME_MOVES: "yellow",
    pb.OUTCOME_WAITS: "red",
    pb.OUTCOME_LOSES: "red",
    pb.OUTCOME_STAYS: "yellow",
}


def word(state: str, well: bool, admin: pb.AdminWord) -> str | Styled:
    """How something is, and that it is taken out of service, if it is."""
    names = {pb.ADMIN_STATE_DRAINING: ", draining", pb.ADMIN_STATE_DRAINED: ", drained"}
    text = state + names.get(admin.state, "")
    if not well:
        return Styled(text, "red")
    return Styled(text, "yellow") if admin.state else text


def drains(topology: pb.Topology) -> list[Part]:
    """Who is in the way of what is being drained."""
    words = [(each.link_id, each.admin) for each in topology.links]
    words += [(each.router_id, each.admin) for each in topology.routers]
    parts: list[Part] = []
    for id_, word in words:
        if word.state == pb.ADMIN_STATE_DRAINING:
            parts += ["", *_draining(id_, word)]
    return parts


def _draining(id_: str, word: pb.AdminWord) -> list[Part]:
    until = "it is kept closed whatever happens"
    if word.give_up_unix_ns:
        until = f"given up at {format_unix_ns(word.give_up_unix_ns)}"
    parts: list[Part] = [f"{id_} is being drained; {until}"]
    if word.blocks:
        table = Columns(">circuit", "stays, for")
        for block in word.blocks:
            table.add_row(str(block.circuit_id) if block.circuit_id else "-", block.text)
        if word.block_count > len(word.blocks):
            table.add_row("", f"and {word.block_count - len(word.blocks)} more")
        parts.append(table)
    return parts


def render(answer: pb.DrainResponse) -> list[Part]:
    if answer.word.state == pb.ADMIN_STATE_DRAINED:
        return [Styled("drained: no router holds a hop there", "green")]
    return _draining("it", answer.word)


def consequences(answer: pb.WhatIfResponse) -> list[Part]:
    if not answer.consequences:
        return [f"none of {answer.circuits} circuits is concerned"]
    table = Columns(">circuit", "load", ">power", "outcome", "from", "to", ">loss", ">then", "for")
    for each in answer.consequences:
        outcome = pb.Outcome.Name(each.outcome).removeprefix("OUTCOME_").lower()
        goes_on = bool(each.to_router_ids)
        table.add_row(
            str(each.circuit_id),
            each.sink_id,
            format_power(each.power_w),
            Styled(outcome, _OUTCOME_STYLES.get(each.outcome, "")),
            " > ".join(each.from_router_ids),
            " > ".join(each.to_router_ids),
            format_fraction(each.loss_before),
            format_fraction(each.loss_after) if goes_on else "-",
            each.text,
        )
    return [table, f"{len(answer.consequences)} of {answer.circuits} circuits are concerned"]
