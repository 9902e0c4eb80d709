"""Lines, impedances and switches with impedance as branches; open lines apart, because ties are made of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from topologies.importers.branch import Branch, joined_routers, three_phase
from topologies.importers.bus_groups import SWITCH_R_TO_X
from topologies.importers.places import course
from topologies.importers.reading import Reading, Row
from topologies.importers.switches import OpenEnds, switches


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A line that carries nothing now; ``open_at_a`` says at which end its power router would stand."""

    row: Row
    ends: tuple[str, str]
    open_at_a: bool


def read_lines(reading: Reading) -> tuple[list[Branch], list[OpenLine]]:
    """Lines that are closed, and lines that are not (by a switch, or out of service)."""
    open_ends = OpenEnds(reading, "l")
    closed: list[Branch] = []
    opened: list[OpenLine] = []
    for row in reading.rows("line"):
        in_service = row.flag("in_service", True)
        buses = row.bus("from_bus"), row.bus("to_bus")
        routers = joined_routers(reading, row, buses, in_service)
        if routers is None:
            continue
        open_at = open_ends.of(row, buses)
        if open_at or not in_service:
            opened.append(OpenLine(row, routers, buses[0] in open_at))
            continue
        closed.append(line_branch(reading, row, routers))
        if row.figure("g_us_per_km") != 0.0:
            row.note("leaks; losses by shunt conductance left out")
    return closed, opened


def line_branch(reading: Reading, row: Row, routers: tuple[str, str]) -> Branch:
    """A line between two routers, all its parallel systems together."""
    parallel = row.figure("parallel")
    length_km = row.figure("length_km")
    phase_ohm = (
        row.figure("r_ohm_per_km") * length_km / parallel,
        row.figure("x_ohm_per_km") * length_km / parallel,
    )
    rating_ka = row.optional("max_i_ka")
    ampacity_ka = math.inf if rating_ka is None else rating_ka * row.figure("df") * parallel
    nominal_kv = reading.nominal_kv[row.bus("from_bus")]
    otherwise = f"line{row.index}"
    line = three_phase(reading, row.name, otherwise, routers, phase_ohm, nominal_kv, ampacity_ka)
    return replace(line, via=course(row))


def read_impedances(reading: Reading) -> Iterator[Branch]:
    """Impedance elements, whose figures are per unit of the first bus's voltage and their own ``sn_mva``."""
    for row in reading.rows_in_service("impedance"):
        buses = row.bus("from_bus"), row.bus("to_bus")
        routers = joined_routers(reading, row, buses)
        if routers is None:
            continue
        nominal_kv = reading.nominal_kv[buses[0]]
        forth, back = row.figure("rft_pu"), row.figure("rtf_pu")
        if not math.isclose(forth, back):
            row.note("differs by direction: the larger resistance taken")
        base_ohm = nominal_kv**2 / row.figure("sn_mva")
        phase_ohm = (max(forth, back) * base_ohm, row.figure("xft_pu") * base_ohm)
        otherwise = f"impedance{row.index}"
        yield three_phase(reading, row.name, otherwise, routers, phase_ohm, nominal_kv, math.inf)


def read_switches_with_impedance(reading: Reading) -> Iterator[Branch]:
    """Closed switches between buses that are more than a piece of busbar."""
    for switch in switches(reading, "b"):
        row = switch.row
        impedance_ohm = row.figure("z_ohm")
        if not switch.closed or impedance_ohm <= 0.0:
            continue
        routers = joined_routers(reading, row, (switch.bus, switch.element))
        if routers is not None:
            reactance_ohm = impedance_ohm / math.hypot(SWITCH_R_TO_X, 1.0)
            rating_ka = row.optional("in_ka")
            yield three_phase(
                reading,
                row.name,
                f"switch{row.index}",
                routers,
                (SWITCH_R_TO_X * reactance_ohm, reactance_ohm),
                reading.nominal_kv[switch.bus],
                math.inf if rating_ka is None else rating_ka,
            )


def read_series_compensators(reading: Reading) -> Iterator[Branch]:
    """Thyristor-controlled series capacitors: they shift reactive power and lose next to nothing."""
    for row in reading.rows_in_service("tcsc"):
        buses = row.bus("from_bus"), row.bus("to_bus")
        routers = joined_routers(reading, row, buses)
        if routers is not None:
            kv = reading.nominal_kv[buses[0]]
            otherwise = f"tcsc{row.index}"
            yield three_phase(reading, row.name, otherwise, routers, (0.0, 0.0), kv, math.inf)
