"""DC lines: a power router between two lines without loss; its efficiency is what the DC line loses in proportion."""

import math
from dataclasses import dataclass

from digitalgrid.gridfile import Router
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.units import W_PER_MEGAWATT
from topologies.importers.branch import SQRT_3, Branch, joined_routers
from topologies.importers.reading import Reading, Row


@dataclass(frozen=True, slots=True)
class DcLines:
    routers: list[Router]
    branches: list[Branch]


def read_dc_lines(reading: Reading) -> DcLines:
    """DC lines carry what a plan gives them, up to their limit and either way; their schedule is not imported."""
    routers: list[Router] = []
    branches: list[Branch] = []
    for row in reading.rows_in_service("dcline"):
        buses = row.bus("from_bus"), row.bus("to_bus")
        ends = joined_routers(reading, row, buses)
        if ends is None:
            continue
        router_id = reading.names.unique(row.name, f"dcline{row.index}")
        routers.append(Router(router_id, 1.0 - row.figure("loss_percent") / 100.0))
        reading.fixed_losses_w += row.figure("loss_mw") * W_PER_MEGAWATT
        most_w = _most_w(row)
        for side, bus, end in zip(("from", "to"), buses, ends, strict=True):
            voltage_v = SQRT_3 * reading.nominal_kv[bus] * 1e3
            branches.append(
                Branch(
                    name=f"{router_id} {side}",
                    otherwise=f"dcline{row.index}-{side}",
                    a=end,
                    b=router_id,
                    resistance_ohm=0.0,
                    reactance_ohm=0.0,
                    voltage_v=voltage_v,
                    ampacity_a=most_w / voltage_v,
                )
            )
    reading.warn_of(
        len(routers),
        "DC line",
        "DC lines",
        "imported as a power router that a plan controls, not at its schedule",
    )
    return DcLines(routers, branches)


def _most_w(row: Row) -> float:
    """The limit, else what is scheduled; infinite where both are nothing."""
    scheduled_w = abs(row.figure("p_mw")) * W_PER_MEGAWATT
    stated_mw = row.optional("max_p_mw")
    if stated_mw is not None and stated_mw * W_PER_MEGAWATT > MAX_POWER_W:
        row.note(f"max_p_mw is {stated_mw:g}, which is no limit: what other lines carry limits it")
        return math.inf
    if stated_mw is not None and stated_mw > 0.0:
        return stated_mw * W_PER_MEGAWATT
    row.note("max_p_mw is missing or 0: the schedule p_mw is taken as the most that it carries")
    return scheduled_w or math.inf
