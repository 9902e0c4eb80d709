"""Transformers as branches: copper resistance on the low-voltage side, rating, and iron losses apart.

Taps are left out: they set voltages, which the transport model holds at nominal.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from topologies.importers.branch import SQRT_3, Branch, three_phase
from topologies.importers.reading import Reading, number

_SIDES = ("hv", "mv", "lv")


@dataclass(frozen=True, slots=True)
class IronLoss:
    """What a transformer loses at ``router`` as long as it is under voltage."""

    name: object
    otherwise: str
    router: str
    power_w: float


def read_transformers(reading: Reading) -> tuple[list[Branch], list[IronLoss]]:
    """Two-winding transformers that are closed on both sides; the iron losses of those closed on one, too."""
    open_at = _open_sides(reading, "t")
    branches: list[Branch] = []
    iron: list[IronLoss] = []
    tapped = cut_off = 0
    for row in reading.rows_in_service("trafo"):
        sides = {side: getattr(row, f"{side}_bus") for side in ("hv", "lv")}
        live = [bus for bus in sides.values() if bus in reading.router_of]
        live = [bus for bus in live if bus not in open_at.get(row.Index, ())]
        parallel = max(number(row, "parallel", 1.0), 1.0)
        if live:
            iron.append(_iron_loss(reading, row, "trafo", live[0], parallel))
        if len(live) < 2:
            cut_off += 1
            continue
        tapped += number(row, "tap_pos", 0.0) != number(row, "tap_neutral", 0.0)
        branches.append(_two_windings(reading, row, parallel))
    reading.warn_of(
        tapped,
        "transformer is tapped",
        "transformers are tapped",
        "taps left out, voltages are taken as nominal",
    )
    reading.warn_of(cut_off, "transformer", "transformers", "left out, a side is switched off")
    return branches, iron


def read_three_winding_transformers(
    reading: Reading,
) -> tuple[list[Branch], list[IronLoss], list[str]]:
    """Each as a star of three branches; returns the routers at the stars' centres too."""
    open_at = _open_sides(reading, "t3")
    branches: list[Branch] = []
    iron: list[IronLoss] = []
    centres: list[str] = []
    for row in reading.rows_in_service("trafo3w"):
        off = open_at.get(row.Index, ())
        sides = {side: getattr(row, f"{side}_bus") for side in _SIDES}
        live = {
            side: bus for side, bus in sides.items() if bus in reading.router_of and bus not in off
        }
        if len(live) < len(_SIDES):
            gone = ", ".join(side for side in _SIDES if side not in live)
            reading.warn(f"trafo3w{row.Index}: its side {gone} is switched off and left out")
        if not live:
            continue
        name = getattr(row, "name", None)
        centre = reading.names.unique(
            f"{name} star" if isinstance(name, str) else None, f"trafo3w{row.Index}-star"
        )
        centres.append(centre)
        iron.append(_iron_loss(reading, row, "trafo3w", next(iter(live.values())), 1.0))
        branches += _star(reading, row, live, centre)
    reading.warn_of(
        len(centres),
        "three-winding transformer",
        "three-winding transformers",
        "imported as a star of three links",
    )
    return branches, iron, centres


def _two_windings(reading: Reading, row: Any, parallel: float) -> Branch:
    rating_mva = number(row, "sn_mva", math.inf)
    base_ohm = number(row, "vn_lv_kv", reading.nominal_kv[row.lv_bus]) ** 2 / rating_mva / 100.0
    resistance_percent = number(row, "vkr_percent", 0.0)
    impedance_percent = number(row, "vk_percent", 0.0)
    reactance_percent = math.sqrt(max(impedance_percent**2 - resistance_percent**2, 0.0))
    ampacity_ka = rating_mva * parallel * number(row, "df", 1.0)
    ampacity_ka /= SQRT_3 * number(row, "vn_lv_kv", reading.nominal_kv[row.lv_bus])
    return three_phase(
        reading,
        getattr(row, "name", None),
        f"trafo{row.Index}",
        (reading.router_of[row.hv_bus], reading.router_of[row.lv_bus]),
        (resistance_percent * base_ohm / parallel, reactance_percent * base_ohm / parallel),
        reading.nominal_kv[row.lv_bus],
        ampacity_ka,
    )


def _star(reading: Reading, row: Any, live: dict[str, int], centre: str) -> Iterator[Branch]:
    """Three branches at the high-voltage level, from the losses measured between each two of the windings."""
    hv_kv = number(row, "vn_hv_kv", 0.0)
    resistance_ohm = _delta_to_star(row, "vkr", hv_kv)
    impedance_ohm = _delta_to_star(row, "vk", hv_kv)
    level_kv = reading.nominal_kv.get(row.hv_bus, hv_kv)
    for side, bus in live.items():
        r_ohm, z_ohm = resistance_ohm[side], impedance_ohm[side]
        reactance_ohm = math.copysign(math.sqrt(max(z_ohm**2 - r_ohm**2, 0.0)), z_ohm)
        name = getattr(row, "name", None)
        yield three_phase(
            reading,
            f"{name} {side}" if isinstance(name, str) else None,
            f"trafo3w{row.Index}-{side}",
            (reading.router_of[bus], centre),
            (r_ohm, reactance_ohm),
            level_kv,
            number(row, f"sn_{side}_mva", math.inf) / (SQRT_3 * hv_kv),
        )


def _delta_to_star(row: Any, kind: str, hv_kv: float) -> dict[str, float]:
    """Ohms of the three windings; ``vk_hv_percent`` and the like stand for hv-mv, mv-lv and hv-lv, in this order,
    each per unit of the smaller rating of the two windings."""
    rating_mva = {side: number(row, f"sn_{side}_mva", math.inf) for side in _SIDES}

    def between(column: str, one: str, other: str) -> float:
        percent = number(row, f"{kind}_{column}_percent", 0.0)
        return percent / 100.0 * hv_kv**2 / min(rating_mva[one], rating_mva[other])

    hv_mv = between("hv", "hv", "mv")
    mv_lv = between("mv", "mv", "lv")
    hv_lv = between("lv", "hv", "lv")
    return {
        "hv": 0.5 * (hv_mv + hv_lv - mv_lv),
        "mv": 0.5 * (hv_mv + mv_lv - hv_lv),
        "lv": 0.5 * (hv_lv + mv_lv - hv_mv),
    }


def _iron_loss(reading: Reading, row: Any, table: str, bus: int, parallel: float) -> IronLoss:
    power_w = max(number(row, "pfe_kw", 0.0), 0.0) * 1e3 * parallel
    name = getattr(row, "name", None)
    wanted = f"{name} iron" if isinstance(name, str) else None
    return IronLoss(wanted, f"{table}{row.Index}-iron", reading.router_of[bus], power_w)


def _open_sides(reading: Reading, kind: str) -> dict[int, set[int]]:
    """For each transformer with open switches the buses at which they are."""
    open_at: dict[int, set[int]] = defaultdict(set)
    for row in reading.rows("switch"):
        if row.et == kind and not row.closed:
            open_at[row.element].add(row.bus)
    return open_at
