"""Lines, impedances and switches with impedance as branches; open lines apart, because ties are made of them."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from topologies.importers.branch import Branch, three_phase
from topologies.importers.bus_groups import SWITCH_R_TO_X
from topologies.importers.reading import Reading, flag, number


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A line that carries nothing now; ``open_at_a`` says at which end its power router would stand."""

    branch: Branch
    open_at_a: bool


def read_lines(reading: Reading) -> tuple[list[Branch], list[OpenLine]]:
    """Lines that are closed, and lines that are not (by a switch, or out of service)."""
    open_at = _open_line_ends(reading)
    closed: list[Branch] = []
    opened: list[OpenLine] = []
    leaking = stranded = 0
    for row in reading.rows("line"):
        if row.from_bus not in reading.router_of or row.to_bus not in reading.router_of:
            stranded += flag(row, "in_service", True)
            continue
        branch = _line(reading, row)
        if open_at.get(row.Index) or not flag(row, "in_service", True):
            opened.append(OpenLine(branch, row.from_bus in open_at.get(row.Index, ())))
        else:
            closed.append(branch)
            leaking += number(row, "g_us_per_km", 0.0) > 0.0
    reading.warn_of(stranded, "line", "lines", "left out, an end is out of service")
    reading.warn_of(leaking, "line leaks", "lines leak", "losses by shunt conductance left out")
    return closed, opened


def read_impedances(reading: Reading) -> Iterator[Branch]:
    """Impedance elements, whose figures are per unit of the first bus's voltage and their own ``sn_mva``."""
    for row in reading.rows_in_service("impedance"):
        ends = _ends(reading, row.from_bus, row.to_bus)
        if ends is None:
            continue
        nominal_kv = reading.nominal_kv[row.from_bus]
        forth, back = number(row, "rft_pu", 0.0), number(row, "rtf_pu", 0.0)
        if not math.isclose(forth, back):
            reading.warn(f"impedance{row.Index} differs by direction: the larger resistance taken")
        base_ohm = nominal_kv**2 / number(row, "sn_mva", 1.0)
        phase_ohm = (max(forth, back) * base_ohm, number(row, "xft_pu", 0.0) * base_ohm)
        name = getattr(row, "name", None)
        otherwise = f"impedance{row.Index}"
        yield three_phase(reading, name, otherwise, ends, phase_ohm, nominal_kv, math.inf)


def read_switches_with_impedance(reading: Reading) -> Iterator[Branch]:
    """Closed switches between buses that are more than a piece of busbar."""
    for row in reading.rows("switch"):
        impedance_ohm = number(row, "z_ohm", 0.0)
        if row.et != "b" or not row.closed or impedance_ohm <= 0.0:
            continue
        ends = _ends(reading, row.bus, row.element)
        if ends is not None:
            reactance_ohm = impedance_ohm / math.hypot(SWITCH_R_TO_X, 1.0)
            yield three_phase(
                reading,
                getattr(row, "name", None),
                f"switch{row.Index}",
                ends,
                (SWITCH_R_TO_X * reactance_ohm, reactance_ohm),
                reading.nominal_kv[row.bus],
                number(row, "in_ka", math.inf),
            )


def read_series_compensators(reading: Reading) -> Iterator[Branch]:
    """Thyristor-controlled series capacitors: they shift reactive power and lose next to nothing."""
    for row in reading.rows_in_service("tcsc"):
        ends = _ends(reading, row.from_bus, row.to_bus)
        if ends is not None:
            nominal_kv = reading.nominal_kv[row.from_bus]
            name = getattr(row, "name", None)
            otherwise = f"tcsc{row.Index}"
            yield three_phase(reading, name, otherwise, ends, (0.0, 0.0), nominal_kv, math.inf)


def _line(reading: Reading, row: Any) -> Branch:
    parallel = max(number(row, "parallel", 1.0), 1.0)
    length_km = number(row, "length_km", 1.0)
    phase_ohm = (
        number(row, "r_ohm_per_km", 0.0) * length_km / parallel,
        number(row, "x_ohm_per_km", 0.0) * length_km / parallel,
    )
    ampacity_ka = number(row, "max_i_ka", math.inf) * number(row, "df", 1.0) * parallel
    return three_phase(
        reading,
        getattr(row, "name", None),
        f"line{row.Index}",
        (reading.router_of[row.from_bus], reading.router_of[row.to_bus]),
        phase_ohm,
        reading.nominal_kv[row.from_bus],
        ampacity_ka,
    )


def _open_line_ends(reading: Reading) -> dict[int, set[int]]:
    """For each line with open switches the buses at which they are."""
    open_at: dict[int, set[int]] = defaultdict(set)
    for row in reading.rows("switch"):
        if row.et == "l" and not row.closed:
            open_at[row.element].add(row.bus)
    return open_at


def _ends(reading: Reading, a: int, b: int) -> tuple[str, str] | None:
    """The routers at two buses, None where one is out of service."""
    if a in reading.router_of and b in reading.router_of:
        return reading.router_of[a], reading.router_of[b]
    return None
