"""Final registers as tables for people."""

from collections.abc import Iterable, Sequence

from dgctl.listing import Column, Listing, View
from dgctl.meter_tables import joules
from digitalgrid.columns import Part
from digitalgrid.units import format_energy_mj, format_unix_ns, parse_unix_ns
from digitalgrid.v1 import northbound_pb2 as pb


def _energy(name: str, field: str) -> Column[pb.FinalRegister]:
    """What was never heard is no zero."""

    def figure(register: pb.FinalRegister) -> float | None:
        return getattr(register, field) if register.HasField(field) else None  # type: ignore[arg-type]

    return Column(
        name,
        lambda register: (
            format_energy_mj(getattr(register, field)) if figure(register) is not None else "-"
        ),
        figure,
        joules,
        right=True,
    )


REGISTERS: Listing[pb.FinalRegister] = Listing(
    "registers",
    (
        Column(
            "circuit",
            lambda register: str(register.circuit_id),
            lambda register: register.circuit_id,
            right=True,
        ),
        Column(
            "generation",
            lambda register: str(register.generation),
            lambda register: register.generation,
            right=True,
        ),
        Column("request", lambda register: register.request_id),
        Column("source", lambda register: register.source_id),
        Column("sink", lambda register: register.sink_id),
        _energy("injected", "injected_mj"),
        _energy("delivered", "delivered_mj"),
        Column(
            "ended",
            lambda register: format_unix_ns(register.ended_unix_ns),
            lambda register: register.ended_unix_ns,
            parse_unix_ns,
        ),
        Column(
            "standby",
            lambda register: "standby" if register.standby else "",
            when=lambda rows: any(each.standby for each in rows),
        ),
    ),
    worst=lambda register: (register.circuit_id, register.generation),
)
_PLAIN = View(REGISTERS)


def render(
    registers: Iterable[pb.FinalRegister],
    view: View[pb.FinalRegister] = _PLAIN,
    room: int | None = None,
) -> list[Part]:
    """Each generation that is wanted, as far as there is room, and what all of them come to."""
    wanted = view.rows(registers)
    if not wanted:
        return ["no generation has ended that is asked for"]
    # Those that ended last are at the end.
    shown = wanted if room is None else wanted[-max(1, room - 2) :]
    return [view.table(shown), _sums(wanted)]


def _sums(registers: Sequence[pb.FinalRegister]) -> str:
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
