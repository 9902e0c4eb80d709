"""Transformers as branches: copper resistance on the low-voltage side, rating, and iron losses apart.

Taps are left out: they set voltages, which the transport model holds at nominal.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from topologies.importers.branch import SQRT_3, Branch, joined_routers, three_phase
from topologies.importers.reading import Reading, Row
from topologies.importers.switches import OpenEnds

_SIDES = ("hv", "mv", "lv")
# Of the voltage of its bus: a winding's rated voltage beyond that is likely a slip.
_USUAL_RATIO = (0.5, 2.0)
# Of a square: what the difference of two equal ones may be.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class IronLoss:
    """What a transformer loses at ``router`` as long as it is under voltage."""

    name: object
    otherwise: str
    router: str
    power_w: float


def read_transformers(reading: Reading) -> tuple[list[Branch], list[IronLoss]]:
    """Two-winding transformers that are closed on both sides; the iron losses of those closed on one, too."""
    open_ends = OpenEnds(reading, "t")
    branches: list[Branch] = []
    iron: list[IronLoss] = []
    tapped = 0
    for row in reading.rows_in_service("trafo"):
        buses = row.bus("hv_bus"), row.bus("lv_bus")
        open_at = open_ends.of(row, buses)
        live = [bus for bus in buses if bus in reading.router_of and bus not in open_at]
        if live:
            iron.append(_iron_loss(reading, row, live[0], row.figure("parallel")))
        if len(live) < len(buses):
            row.note("left out, a side is switched off")
            continue
        routers = joined_routers(reading, row, buses)
        if routers is None:
            continue
        tapped += _is_tapped(row)
        branches.append(_two_windings(reading, row, buses, routers))
    _note_taps(reading, tapped)
    return branches, iron


def read_three_winding_transformers(
    reading: Reading,
) -> tuple[list[Branch], list[IronLoss], list[str]]:
    """Each as a star of three branches; returns the routers at the stars' centres too."""
    open_ends = OpenEnds(reading, "t3")
    branches: list[Branch] = []
    iron: list[IronLoss] = []
    centres: list[str] = []
    tapped = 0
    for row in reading.rows_in_service("trafo3w"):
        sides = {side: row.bus(f"{side}_bus") for side in _SIDES}
        off = open_ends.of(row, sides.values())
        live = {
            side: bus for side, bus in sides.items() if bus in reading.router_of and bus not in off
        }
        if len(live) < len(_SIDES):
            gone = ", ".join(side for side in _SIDES if side not in live)
            row.note(f"its side {gone} is switched off and left out")
        if not live:
            continue
        tapped += _is_tapped(row)
        centre = reading.names.unique(row.named("star"), f"trafo3w{row.index}-star")
        centres.append(centre)
        iron.append(_iron_loss(reading, row, next(iter(live.values())), 1.0))
        branches += _star(reading, row, live, centre)
    _note_taps(reading, tapped)
    reading.warn_of(
        len(centres),
        "three-winding transformer",
        "three-winding transformers",
        "imported as a star of three links",
    )
    return branches, iron, centres


def _two_windings(
    reading: Reading, row: Row, buses: tuple[int, int], routers: tuple[str, str]
) -> Branch:
    for side, bus in zip(("hv", "lv"), buses, strict=True):
        _note_odd_voltage(reading, row, side, bus)
    rating_mva, rated_kv = row.figure("sn_mva"), row.figure("vn_lv_kv")
    parallel = row.figure("parallel")
    base_ohm = rated_kv**2 / rating_mva / 100.0
    resistance_percent = row.figure("vkr_percent")
    reactance_percent = _reactance(row, row.figure("vk_percent"), resistance_percent)
    return three_phase(
        reading,
        row.name,
        f"trafo{row.index}",
        routers,
        (resistance_percent * base_ohm / parallel, reactance_percent * base_ohm / parallel),
        reading.nominal_kv[buses[1]],
        rating_mva * parallel * row.figure("df") / (SQRT_3 * rated_kv),
    )


def _reactance(row: Row, impedance: float, resistance: float) -> float:
    """What an impedance has beside its resistance, in the unit of both, with the impedance's sign."""
    square = impedance**2 - resistance**2
    if square < -_ROUNDING * resistance**2:
        row.note("its short-circuit voltage is less than its copper losses: reactance taken as 0")
    return math.copysign(math.sqrt(max(square, 0.0)), impedance)


def _star(reading: Reading, row: Row, live: dict[str, int], centre: str) -> Iterator[Branch]:
    """Three branches at the high-voltage bus's level, from the losses measured between each two of the windings.

    As in pandapower, each winding's ohms are per unit of its own rated voltage, and act at that of its bus.
    """
    level_kv = reading.nominal_kv.get(row.bus("hv_bus"), row.figure("vn_hv_kv"))
    resistance = _delta_to_star(row, "vkr")
    impedance = _delta_to_star(row, "vk")
    for side, bus in live.items():
        _note_odd_voltage(reading, row, side, bus)
        off_nominal = row.figure(f"vn_{side}_kv") / reading.nominal_kv[bus]
        base_ohm = (level_kv * off_nominal) ** 2
        r_ohm = resistance[side] * base_ohm
        x_ohm = _reactance(row, impedance[side], resistance[side]) * base_ohm
        yield three_phase(
            reading,
            row.named(side),
            f"trafo3w{row.index}-{side}",
            (reading.router_of[bus], centre),
            (r_ohm, x_ohm),
            level_kv,
            row.figure(f"sn_{side}_mva") / (SQRT_3 * level_kv * off_nominal),
        )


def _delta_to_star(row: Row, kind: str) -> dict[str, float]:
    """Of the three windings, per unit of 1 MVA; ``vk_hv_percent`` and the like stand for hv-mv, mv-lv and hv-lv, in
    this order, each per unit of the smaller rating of the two windings."""

    def between(column: str, one: str, other: str) -> float:
        rating_mva = min(row.figure(f"sn_{one}_mva"), row.figure(f"sn_{other}_mva"))
        return row.figure(f"{kind}_{column}_percent") / 100.0 / rating_mva

    hv_mv = between("hv", "hv", "mv")
    mv_lv = between("mv", "mv", "lv")
    hv_lv = between("lv", "hv", "lv")
    return {
        "hv": 0.5 * (hv_mv + hv_lv - mv_lv),
        "mv": 0.5 * (hv_mv + mv_lv - hv_lv),
        "lv": 0.5 * (hv_lv + mv_lv - hv_mv),
    }


def _note_odd_voltage(reading: Reading, row: Row, side: str, bus: int) -> None:
    column, nominal_kv = f"vn_{side}_kv", reading.nominal_kv[bus]
    rated_kv = row.figure(column)
    least, most = _USUAL_RATIO
    if not least <= rated_kv / nominal_kv <= most:
        row.note(f"{column} is {rated_kv:g} kV at bus {bus} of {nominal_kv:g} kV; taken as it is")


def _is_tapped(row: Row) -> bool:
    return (row.optional("tap_pos") or 0.0) != (row.optional("tap_neutral") or 0.0)


def _note_taps(reading: Reading, tapped: int) -> None:
    reading.warn_of(
        tapped,
        "transformer is tapped",
        "transformers are tapped",
        "taps left out, voltages are taken as nominal",
    )


def _iron_loss(reading: Reading, row: Row, bus: int, parallel: float) -> IronLoss:
    power_w = row.figure("pfe_kw") * 1e3 * parallel
    otherwise = f"{row.table}{row.index}-iron"
    return IronLoss(row.named("iron"), otherwise, reading.router_of[bus], power_w)
