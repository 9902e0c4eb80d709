"""What feeds and what takes power: sources and loads of a grid from pandapower's many tables."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from digitalgrid.gridfile import Load, Source
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.units import W_PER_MEGAWATT
from topologies.importers.costs import Costs
from topologies.importers.errors import NetworkError
from topologies.importers.identifiers import Identifiers
from topologies.importers.imported import Origin
from topologies.importers.reading import Reading, Row
from topologies.importers.transformers import IronLoss

# Of what a person may shed at will, a little is served after all else.
_CONTROLLABLE_PRIORITY = -1
_ENDLESS = 10.0
_MIN_ENDLESS_W = 1e6
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
    # Sources that state no limit: they get one that never binds.
    unlimited: set[str] = field(default_factory=set)

    def endless_w(self) -> float:
        """More than the network can use: where no limit is known, one that never binds but is no absurd number."""
        total_w = sum(load.power_w for load in self.loads)
        total_w += sum(source.max_power_w for source in self.sources if not self._is_apart(source))
        return min(max(_ENDLESS * total_w, _MIN_ENDLESS_W), MAX_POWER_W)

    def _is_apart(self, source: Source) -> bool:
        return source.id in self.unlimited or self.source_origins[source.id].table == "ext_grid"


class InjectionReader:
    """Reads all tables of injections in turn; warnings go to ``reading``."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._found = Injections()
        self._load_names = Identifiers()
        self._source_names = Identifiers()
        self._costs = Costs(reading)

    def read(self, iron: list[IronLoss]) -> Injections:
        for table, taken_w in _TAKING.items():
            for row in self._rows(table):
                self._take(row, taken_w(self._reading, row))
        for table in ("sgen", "asymmetric_sgen", "gen"):
            for row in self._rows(table):
                self._feed(row)
        self._storages()
        if self._reading.options.iron_losses_as_loads:
            self._iron(iron)
        self._external_grids()
        self._costs.note_unused()
        self._report()
        return self._found

    def _rows(self, table: str) -> Iterator[Row]:
        for row in self._reading.rows_in_service(table):
            if row.bus("bus") in self._reading.router_of:
                yield row
            else:
                row.note("left out, on a bus out of service")

    def _take(self, row: Row, power_w: float) -> None:
        if power_w < 0.0:
            row.note("takes less than nothing; imported as a source")
            self._add_source(row, -power_w, sign=-1)
        elif power_w > 0.0 or row.table in ("load", "asymmetric_load"):
            self._add_load(row, power_w, sign=1)

    def _feed(self, row: Row) -> None:
        power_w = _scheduled_w(row)
        if power_w < 0.0:
            row.note("gives less than nothing; imported as a load")
            self._add_load(row, -power_w, sign=-1)
            return
        is_limited = row.table in ("gen", "sgen")
        most_mw = row.optional("max_p_mw") if is_limited else None
        if row.table != "gen" and not row.flag("controllable", False):
            self._add_source(row, power_w, sign=1)
        elif most_mw is None:
            if is_limited and row.has("max_p_mw"):
                row.note("max_p_mw is missing: p_mw is taken as the most that it gives")
            self._add_source(row, power_w, sign=1)
        elif most_mw * W_PER_MEGAWATT > MAX_POWER_W:
            row.note(f"max_p_mw is {most_mw:g}, which is no limit: what lines carry limits it")
            self._add_source(row, MAX_POWER_W, sign=1, is_unlimited=True)
        else:
            if most_mw * W_PER_MEGAWATT < power_w:
                row.note("max_p_mw is below p_mw, which is taken as the most that it gives")
            self._add_source(row, max(power_w, most_mw * W_PER_MEGAWATT), sign=1)

    def _storages(self) -> None:
        """At their set points: those with a time series can both take and feed."""
        for row in self._rows("storage"):
            power_w = _scheduled_w(row)
            both = bool(row.text("profile"))
            if power_w > 0.0 or both:
                self._add_load(row, max(power_w, 0.0), sign=1)
            if power_w < 0.0 or both:
                self._add_source(row, max(-power_w, 0.0), sign=-1)

    def _external_grids(self) -> None:
        """Last, since what is endless depends on all that is limited."""
        endless_w = self._found.endless_w()
        for index, source in enumerate(self._found.sources):
            if source.id in self._found.unlimited:
                self._found.sources[index] = replace(source, max_power_w=endless_w)
        for row in self._rows("ext_grid"):
            most_mw = row.optional("max_p_mw")
            limit_w = endless_w if most_mw is None else most_mw * W_PER_MEGAWATT
            if most_mw is None and row.has("max_p_mw"):
                row.note("max_p_mw is missing, which is taken as no limit")
            if limit_w > MAX_POWER_W:
                row.note(f"max_p_mw is {most_mw:g}, which is no limit: what lines carry limits it")
            elif limit_w <= 0.0:
                row.note(f"max_p_mw is {most_mw:g}, which is taken as no limit")
            power_w = limit_w if 0.0 < limit_w < endless_w else endless_w
            self._add_source(row, power_w, sign=1)

    def _iron(self, iron: list[IronLoss]) -> None:
        for loss in iron:
            if loss.power_w > 0.0:
                load_id = self._load_names.unique(loss.name, loss.otherwise)
                self._found.loads.append(Load(load_id, loss.router, loss.power_w, priority=1))

    def _add_load(self, row: Row, power_w: float, sign: int) -> None:
        load_id = self._load_names.unique(row.name, f"{row.table}{row.index}")
        controllable = row.table == "load" and row.flag("controllable", False)
        priority = _CONTROLLABLE_PRIORITY if controllable else 0
        router = self._reading.router_of[row.bus("bus")]
        self._found.loads.append(Load(load_id, router, self._possible(row, power_w), priority))
        self._found.load_origins[load_id] = Origin(row.table, row.index, sign)

    def _add_source(self, row: Row, power_w: float, sign: int, is_unlimited: bool = False) -> None:
        source_id = self._source_names.unique(row.name, f"{row.table}{row.index}")
        cost = self._costs.take(row)
        kind = f"{row.text('type')} {row.text('name')}"
        renewable = row.table in ("sgen", "asymmetric_sgen", "gen") and bool(
            _RENEWABLE.search(kind)
        )
        router = self._reading.router_of[row.bus("bus")]
        power_w = self._possible(row, power_w)
        self._found.sources.append(Source(source_id, router, power_w, cost, renewable))
        self._found.source_origins[source_id] = Origin(row.table, row.index, sign)
        if is_unlimited:
            self._found.unlimited.add(source_id)
        if row.table == "ext_grid" or (row.table == "gen" and row.flag("slack", False)):
            self._found.external_source_ids.append(source_id)

    @staticmethod
    def _possible(row: Row, power_w: float) -> float:
        """Each factor is in its domain; their product must be, too."""
        if power_w <= MAX_POWER_W:
            return power_w
        raise NetworkError(f"{row}: its power is {power_w:g} W; it must be at most {MAX_POWER_W:g}")

    def _report(self) -> None:
        reading = self._reading
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


def _scheduled_w(row: Row) -> float:
    scaling = row.figure("scaling")
    if row.table.startswith("asymmetric"):
        phases = sum(row.figure(f"p_{phase}_mw") for phase in "abc")
        return phases * scaling * W_PER_MEGAWATT
    return row.figure("p_mw") * scaling * W_PER_MEGAWATT


def _load_w(_: Reading, row: Row) -> float:
    return _scheduled_w(row)


def _motor_w(_: Reading, row: Row) -> float:
    mechanical_w = row.figure("pn_mech_mw") * row.figure("scaling") * W_PER_MEGAWATT
    return mechanical_w * row.figure("loading_percent") / row.figure("efficiency_percent")


def _ward_w(_: Reading, row: Row) -> float:
    return (row.figure("ps_mw") + row.figure("pz_mw")) * W_PER_MEGAWATT


def _shunt_w(reading: Reading, row: Row) -> float:
    rated_kv = row.optional("vn_kv")
    if rated_kv is None:
        row.note("vn_kv is missing and taken as that of its bus")
    ratio = 1.0 if rated_kv is None else reading.nominal_kv[row.bus("bus")] / rated_kv
    return row.figure("p_mw") * row.figure("step") * ratio**2 * W_PER_MEGAWATT


_TAKING: dict[str, Callable[[Reading, Row], float]] = {
    "load": _load_w,
    "asymmetric_load": _load_w,
    "motor": _motor_w,
    "ward": _ward_w,
    "xward": _ward_w,
    "shunt": _shunt_w,
}
