"""Ties: what is open now and would close a loop. A power router in its place makes the loop controllable."""

import math
from dataclasses import dataclass, replace

from digitalgrid.gridfile import Router
from topologies.importers.branch import Branch, three_phase
from topologies.importers.lines import OpenLine
from topologies.importers.reading import Reading, number


@dataclass(frozen=True, slots=True)
class Ties:
    routers: list[Router]
    branches: list[Branch]


def read_ties(reading: Reading, open_lines: list[OpenLine]) -> Ties:
    """Power routers in place of open lines and open bus switches, each between two links; or none, as asked.

    The router of a line stands where the line is open: the line itself leads to it, and a piece of busbar on.
    """
    candidates = _candidates(reading, open_lines)
    if not reading.options.tie_routers:
        reading.warn_of(
            len(candidates),
            "open tie (line or switch)",
            "open ties (lines or switches)",
            "left out; with tie_routers they become power routers",
        )
        return Ties([], [])
    ties = Ties([], [])
    for candidate in candidates:
        _build(reading, candidate, ties)
    reading.warn_of(
        len(ties.routers),
        "open tie",
        "open ties",
        f"turned into power routers of efficiency {reading.options.tie_efficiency:g}",
    )
    return ties


def _candidates(reading: Reading, open_lines: list[OpenLine]) -> list[OpenLine]:
    """Open between two different routers; whether in one island or two, closing them gives a new way."""
    candidates = [line for line in open_lines if line.branch.a != line.branch.b]
    for row in reading.rows("switch"):
        if row.et != "b" or row.closed:
            continue
        if row.bus not in reading.router_of or row.element not in reading.router_of:
            continue
        ends = (reading.router_of[row.bus], reading.router_of[row.element])
        if ends[0] != ends[1]:
            nominal_kv = reading.nominal_kv[row.bus]
            rating_ka = number(row, "in_ka", math.inf)
            name = getattr(row, "name", None)
            otherwise = f"switch{row.Index}"
            busbar = three_phase(reading, name, otherwise, ends, (0, 0), nominal_kv, rating_ka)
            candidates.append(OpenLine(busbar, open_at_a=False))
    return candidates


def _build(reading: Reading, line: OpenLine, ties: Ties) -> None:
    branch = line.branch
    wanted = f"{branch.name} tie" if isinstance(branch.name, str) else None
    router_id = reading.names.unique(wanted, f"{branch.otherwise}-tie")
    ties.routers.append(Router(router_id, reading.options.tie_efficiency))
    far, near = (branch.b, branch.a) if line.open_at_a else (branch.a, branch.b)
    busbar = replace(
        branch,
        name=f"{router_id} busbar",
        otherwise=f"{branch.otherwise}-busbar",
        a=router_id,
        b=near,
        resistance_ohm=0.0,
        reactance_ohm=0.0,
    )
    ties.branches.extend((replace(branch, a=far, b=router_id), busbar))
