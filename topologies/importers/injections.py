"""What feeds and what takes power: sources and loads of a grid from pandapower's many tables."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from digitalgrid.gridfile import Load, Source
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.units import W_PER_MEGAWATT
from topologies.importers.identifiers import Identifiers
from topologies.importers.imported import Origin
from topologies.importers.reading import Reading, flag, number, text
from topologies.importers.transformers import IronLoss

# Of what a person may shed at will, a little is served after all else.
_CONTROLLABLE_PRIORITY = -1
_ENDLESS = 10.0
_LEAST_ENDLESS_W = 1e6
_RENEWABLE = re.compile(
    r"(^|[^a-z])(pv\d*|wp\d*|wka|wea|bm\d*|res)([^a-z]|$)|solar|photovolt|wind|hydro|water|wasser|bio|renew|lv_res",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Injections:
    sources: list[Source] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    source_origins: dict[str, Origin] = field(default_factory=dict)
    load_origins: dict[str, Origin] = field(default_factory=dict)
    external_source_ids: list[str] = field(default_factory=list)

    def endless_w(self) -> float:
        """More than the network can use: where no limit is known, one that never binds but is no absurd number."""
        total_w = sum(load.power_w for load in self.loads)
        total_w += sum(
            source.max_power_w for source in self.sources if not self._is_external(source)
        )
        return min(max(_ENDLESS * total_w, _LEAST_ENDLESS_W), MAX_POWER_W)

    def _is_external(self, source: Source) -> bool:
        return self.source_origins[source.id].table == "ext_grid"


class InjectionReader:
    """Reads all tables of injections in turn; warnings go to ``reading``."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._found = Injections()
        self._load_names = Identifiers()
        self._source_names = Identifiers()
        self._cost_per_mwh = _costs(reading)
        self._off = 0

    def read(self, iron: list[IronLoss]) -> Injections:
        for table, taken_w in _TAKING.items():
            for row in self._rows(table):
                self._take(table, row, taken_w(self._reading, row))
        for table in ("sgen", "asymmetric_sgen", "gen"):
            for row in self._rows(table):
                self._feed(table, row)
        self._storages()
        if self._reading.options.iron_losses_as_loads:
            self._iron(iron)
        self._external_grids()
        self._report()
        return self._found

    def _rows(self, table: str) -> Iterator[Any]:
        for row in self._reading.rows_in_service(table):
            if row.bus in self._reading.router_of:
                yield row
            else:
                self._off += 1

    def _take(self, table: str, row: Any, power_w: float) -> None:
        if power_w < 0.0:
            self._add_source(table, row, -power_w, sign=-1)
        elif power_w > 0.0 or table in ("load", "asymmetric_load"):
            self._add_load(table, row, power_w, sign=1)

    def _feed(self, table: str, row: Any) -> None:
        power_w = _scheduled_w(row)
        if power_w < 0.0:
            self._add_load(table, row, -power_w, sign=-1)
            return
        most_w = number(row, "max_p_mw", math.nan) * W_PER_MEGAWATT
        dispatchable = table == "gen" or flag(row, "controllable", False)
        if dispatchable and most_w > power_w:
            power_w = most_w
        self._add_source(table, row, power_w, sign=1)

    def _storages(self) -> None:
        """At their set points: those with a time series can both take and feed."""
        for row in self._rows("storage"):
            power_w = _scheduled_w(row)
            both = bool(text(row, "profile"))
            if power_w > 0.0 or both:
                self._add_load("storage", row, max(power_w, 0.0), sign=1)
            if power_w < 0.0 or both:
                self._add_source("storage", row, max(-power_w, 0.0), sign=-1)

    def _external_grids(self) -> None:
        endless_w = self._found.endless_w()
        for row in self._rows("ext_grid"):
            most_w = number(row, "max_p_mw", math.inf) * W_PER_MEGAWATT
            power_w = most_w if 0.0 < most_w < endless_w else endless_w
            self._add_source("ext_grid", row, power_w, sign=1)

    def _iron(self, iron: list[IronLoss]) -> None:
        for loss in iron:
            if loss.power_w > 0.0:
                load_id = self._load_names.unique(loss.name, loss.otherwise)
                self._found.loads.append(Load(load_id, loss.router, loss.power_w, priority=1))

    def _add_load(self, table: str, row: Any, power_w: float, sign: int) -> None:
        load_id = self._load_names.unique(getattr(row, "name", None), f"{table}{row.Index}")
        controllable = table == "load" and flag(row, "controllable", False)
        priority = _CONTROLLABLE_PRIORITY if controllable else 0
        router = self._reading.router_of[row.bus]
        self._found.loads.append(Load(load_id, router, power_w, priority))
        self._found.load_origins[load_id] = Origin(table, row.Index, sign)

    def _add_source(self, table: str, row: Any, power_w: float, sign: int) -> None:
        source_id = self._source_names.unique(getattr(row, "name", None), f"{table}{row.Index}")
        cost = self._cost_per_mwh.get((table, row.Index), 0.0)
        kind = f"{text(row, 'type')} {text(row, 'name')}"
        renewable = table in ("sgen", "asymmetric_sgen", "gen") and bool(_RENEWABLE.search(kind))
        router = self._reading.router_of[row.bus]
        self._found.sources.append(Source(source_id, router, power_w, cost, renewable))
        self._found.source_origins[source_id] = Origin(table, row.Index, sign)
        if table == "ext_grid" or (table == "gen" and flag(row, "slack", False)):
            self._found.external_source_ids.append(source_id)

    def _report(self) -> None:
        reading = self._reading
        reading.warn_of(
            self._off, "load or source", "loads and sources", "left out, on buses out of service"
        )
        reading.warn_of(
            reading.count("storage"),
            "storage",
            "storages",
            "a grid file has none; taken as a load or source at the set point",
        )
        reading.warn_of(
            reading.count("asymmetric_load") + reading.count("asymmetric_sgen"),
            "asymmetric load or source",
            "asymmetric loads and sources",
            "spread over the three phases; real losses are higher",
        )
        reading.warn_of(
            reading.count("ward") + reading.count("xward"),
            "ward",
            "wards",
            "taken as loads at nominal voltage",
        )


def _scheduled_w(row: Any) -> float:
    scaling = number(row, "scaling", 1.0)
    if hasattr(row, "p_a_mw"):
        phases = sum(number(row, f"p_{phase}_mw", 0.0) for phase in "abc")
        return phases * scaling * W_PER_MEGAWATT
    return number(row, "p_mw", 0.0) * scaling * W_PER_MEGAWATT


def _load_w(_: Reading, row: Any) -> float:
    return _scheduled_w(row)


def _motor_w(_: Reading, row: Any) -> float:
    efficiency = number(row, "efficiency_percent", 100.0) / 100.0
    loading = number(row, "loading_percent", 100.0) / 100.0
    mechanical_w = number(row, "pn_mech_mw", 0.0) * number(row, "scaling", 1.0) * W_PER_MEGAWATT
    return mechanical_w * loading / efficiency if efficiency > 0.0 else 0.0


def _ward_w(_: Reading, row: Any) -> float:
    return (number(row, "ps_mw", 0.0) + number(row, "pz_mw", 0.0)) * W_PER_MEGAWATT


def _shunt_w(reading: Reading, row: Any) -> float:
    nominal_kv = reading.nominal_kv[row.bus]
    ratio = nominal_kv / number(row, "vn_kv", nominal_kv)
    return number(row, "p_mw", 0.0) * number(row, "step", 1.0) * ratio**2 * W_PER_MEGAWATT


_TAKING: dict[str, Callable[[Reading, Any], float]] = {
    "load": _load_w,
    "asymmetric_load": _load_w,
    "motor": _motor_w,
    "ward": _ward_w,
    "xward": _ward_w,
    "shunt": _shunt_w,
}


def _costs(reading: Reading) -> dict[tuple[str, int], float]:
    """The linear part of polynomial costs; of piecewise linear ones the slope of the first piece."""
    costs: dict[tuple[str, int], float] = {}
    curved = 0
    for row in reading.rows("poly_cost"):
        costs[row.et, int(row.element)] = number(row, "cp1_eur_per_mw", 0.0)
        curved += number(row, "cp2_eur_per_mw2", 0.0) != 0.0
    for row in reading.rows("pwl_cost"):
        first = row.points[0]
        costs[row.et, int(row.element)] = float(first[2])
        curved += len(row.points) > 1
    reading.warn_of(curved, "cost curve", "cost curves", "only the first linear part is taken")
    return costs
