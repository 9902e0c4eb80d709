"""Final registers as tables for people."""

from collections.abc import Iterable

from digitalgrid.columns import Columns, Part
from digitalgrid.units import format_energy_mj, format_unix_ns
from digitalgrid.v1 import northbound_pb2 as pb


def render(answer: pb.ListRegistersResponse) -> list[Part]:
    """Each generation, and what all of them come to."""
    if not answer.registers:
        return ["no generation has ended that is asked for"]
    table = Columns(
        *(">circuit", ">generation", "request", "source", "sink"),
        *(">injected", ">delivered", "ended", ""),
    )
    for each in answer.registers:
        table.add_row(
            *(str(each.circuit_id), str(each.generation), each.request_id),
            *(each.source_id, each.sink_id),
            format_energy_mj(each.injected_mj) if each.HasField("injected_mj") else "-",
            format_energy_mj(each.delivered_mj) if each.HasField("delivered_mj") else "-",
            format_unix_ns(each.ended_unix_ns),
            "standby" if each.standby else "",
        )
    return [table, _sums(answer.registers)]


def _sums(registers: Iterable[pb.FinalRegister]) -> str:
    injected_mj = sum(each.injected_mj for each in registers)
    delivered_mj = sum(each.delivered_mj for each in registers)
    ends = [name for each in registers for name in ("injected_mj", "delivered_mj")]
    said = sum(each.HasField("injected_mj") + each.HasField("delivered_mj") for each in registers)
    unknown = len(ends) - said
    lacks = (
        f"; {unknown} of {len(ends)} registers were never heard, and are not in it"
        if unknown
        else ""
    )
    return f"in all: injected {format_energy_mj(injected_mj)}, delivered {format_energy_mj(delivered_mj)}{lacks}"
