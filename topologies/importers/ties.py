"""Ties: what is open now and would close a loop. A power router in its place makes the loop controllable."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from digitalgrid.gridfile import Router
from topologies.importers.branch import Branch, three_phase
from topologies.importers.lines import OpenLine, line_branch
from topologies.importers.reading import Reading
from topologies.importers.switches import Switch, switches


@dataclass(frozen=True, slots=True)
class Ties:
    routers: list[Router]
    branches: list[Branch]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What closing it would bring is read only where it is wanted: open lines may lack figures."""

    branch: Callable[[], Branch]
    open_at_a: bool


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
        _build(reading, candidate.branch(), candidate.open_at_a, ties)
    reading.warn_of(
        len(ties.routers),
        "open tie",
        "open ties",
        f"turned into power routers of efficiency {reading.options.tie_efficiency:g}",
    )
    return ties


def _candidates(reading: Reading, open_lines: list[OpenLine]) -> list[_Candidate]:
    """Open between two different routers; whether in one island or two, closing them gives a new way."""
    candidates = [_of_line(reading, line) for line in open_lines]
    for switch in switches(reading, "b"):
        if switch.closed:
            continue
        a, b = (reading.router_of.get(bus) for bus in (switch.bus, switch.element))
        if a is not None and b is not None and a != b:
            candidates.append(_of_switch(reading, switch, (a, b)))
    return candidates


def _of_line(reading: Reading, line: OpenLine) -> _Candidate:
    return _Candidate(lambda: line_branch(reading, line.row, line.ends), line.open_at_a)


def _of_switch(reading: Reading, switch: Switch, ends: tuple[str, str]) -> _Candidate:
    def busbar() -> Branch:
        row, nominal_kv = switch.row, reading.nominal_kv[switch.bus]
        rating_ka = row.optional("in_ka")
        return three_phase(
            reading,
            row.name,
            f"switch{row.index}",
            ends,
            (0.0, 0.0),
            nominal_kv,
            math.inf if rating_ka is None else rating_ka,
        )

    return _Candidate(busbar, open_at_a=False)


def _build(reading: Reading, branch: Branch, open_at_a: bool, ties: Ties) -> None:
    wanted = f"{branch.name} tie" if isinstance(branch.name, str) else None
    router_id = reading.names.unique(wanted, f"{branch.otherwise}-tie")
    ties.routers.append(Router(router_id, reading.options.tie_efficiency))
    far, near = (branch.b, branch.a) if open_at_a else (branch.a, branch.b)
    busbar = replace(
        branch,
        name=f"{router_id} busbar",
        otherwise=f"{branch.otherwise}-busbar",
        a=router_id,
        b=near,
        resistance_ohm=0.0,
        reactance_ohm=0.0,
        via=(),
    )
    ties.branches.extend((replace(branch, a=far, b=router_id, via=()), busbar))
