"""Loads and sources over time: SimBench's profiles, for the grid that was made of the same network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from digitalgrid.units import W_PER_MEGAWATT
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Imported, Options, Origin
from topologies.importers.optional import require
from topologies.importers.reading import Reading, Row

Floats = npt.NDArray[np.float64]

SECONDS_PER_STEP = 900.0
STEPS_PER_DAY = 96


@dataclass(frozen=True, slots=True)
class Profiles:
    """``load_w[t, i]`` is what load i of the grid asks at step t, ``source_w[t, j]`` the most that source j can inject.

    In the order of the grid's loads and sources; a step is a quarter of an hour. ``times`` names the steps as the
    data set does. External grids, and whatever has no profile, stay at what the grid file says.
    """

    times: tuple[str, ...]
    load_w: Floats
    source_w: Floats

    @property
    def steps(self) -> int:
        return len(self.times)

    def at(self, step: int) -> tuple[Floats, Floats]:
        """Loads' ``power_w`` and sources' ``max_power_w`` at one step."""
        return self.load_w[step], self.source_w[step]


def profiles_of(net: Any, imported: Imported) -> Profiles:
    """The time series of a SimBench network. Raises NetworkError where it has none."""
    net_profiles = net.get("profiles") or {}
    if "load" not in net_profiles or not len(net_profiles["load"]):
        raise NetworkError(
            f"{imported.grid.name} has no time series; choose a SimBench network, for example "
            "simbench:1-MV-rural--0-sw"
        )
    simbench = require("simbench")
    absolute_mw = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    times = tuple(str(time) for time in net_profiles["load"]["time"])
    loads = [load.power_w for load in imported.grid.loads]
    sources = [source.max_power_w for source in imported.grid.sources]
    load_origins = [imported.load_origins.get(load.id) for load in imported.grid.loads]
    source_origins = [imported.source_origins.get(source.id) for source in imported.grid.sources]
    return Profiles(
        times=times,
        load_w=_series(net, absolute_mw, len(times), load_origins, loads),
        source_w=_series(net, absolute_mw, len(times), source_origins, sources),
    )


def _series(
    net: Any, absolute_mw: Any, steps: int, origins: list[Origin | None], otherwise_w: list[float]
) -> Floats:
    """One column for each thing; power of the other sign is the business of the thing's counterpart."""
    series_w = np.tile(np.array(otherwise_w, dtype=np.float64), (steps, 1))
    reading = Reading(net, Options())
    rows: dict[str, dict[int, Row]] = {}
    for column, origin in enumerate(origins):
        if origin is None:
            continue
        table = absolute_mw.get((origin.table, "p_mw"))
        if table is None or origin.row not in table.columns:
            continue
        values_mw = np.asarray(table[origin.row], dtype=np.float64)
        if origin.table not in rows:
            rows[origin.table] = {row.index: row for row in reading.rows(origin.table)}
        scaling = rows[origin.table][origin.row].figure("scaling")
        if len(values_mw) != steps or not np.all(np.isfinite(values_mw)):
            raise NetworkError(
                f"the time series of {origin.table} {origin.row} has gaps; mend its profile"
            )
        series_w[:, column] = np.maximum(origin.sign * values_mw * scaling * W_PER_MEGAWATT, 0.0)
    return series_w
