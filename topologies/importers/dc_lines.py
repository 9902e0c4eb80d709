"""DC lines: a power router between two lines without loss; its efficiency is what the DC line loses in proportion."""

import math
from dataclasses import dataclass

from digitalgrid.gridfile import Router
from digitalgrid.units import W_PER_MEGAWATT
from topologies.importers.branch import SQRT_3, Branch
from topologies.importers.reading import Reading, number


@dataclass(frozen=True, slots=True)
class DcLines:
    routers: list[Router]
    branches: list[Branch]


def read_dc_lines(reading: Reading) -> DcLines:
    """DC lines carry what a plan gives them, up to their limit and either way; their schedule is not imported."""
    routers: list[Router] = []
    branches: list[Branch] = []
    for row in reading.rows_in_service("dcline"):
        ends = (row.from_bus, row.to_bus)
        if any(bus not in reading.router_of for bus in ends):
            continue
        name = getattr(row, "name", None)
        router_id = reading.names.unique(name, f"dcline{row.Index}")
        efficiency = 1.0 - number(row, "loss_percent", 0.0) / 100.0
        if not 0.0 < efficiency <= 1.0:
            reading.warn(f"{router_id}: its loss of {1 - efficiency:.0%} cannot be; taken as none")
            efficiency = 1.0
        routers.append(Router(router_id, efficiency))
        reading.fixed_losses_w += max(number(row, "loss_mw", 0.0), 0.0) * W_PER_MEGAWATT
        scheduled_w = abs(number(row, "p_mw", 0.0)) * W_PER_MEGAWATT
        most_w = number(row, "max_p_mw", math.inf) * W_PER_MEGAWATT
        most_w = most_w if 0.0 < most_w < math.inf else scheduled_w or math.inf
        for side, bus in zip(("from", "to"), ends, strict=True):
            voltage_v = SQRT_3 * reading.nominal_kv[bus] * 1e3
            branches.append(
                Branch(
                    name=f"{router_id} {side}",
                    otherwise=f"dcline{row.Index}-{side}",
                    a=reading.router_of[bus],
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
