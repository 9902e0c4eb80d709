"""What is taken out of service, as tables for people."""

from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.units import format_unix_ns
from digitalgrid.v1 import northbound_pb2 as pb


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
