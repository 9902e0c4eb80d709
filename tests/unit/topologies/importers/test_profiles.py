from typing import Any

import numpy as np
import pytest

pytest.importorskip("pandapower")
pytest.importorskip("simbench")

from tests.support.pandapower_networks import feeder
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Imported, Options
from topologies.importers.pandapower_import import import_pandapower
from topologies.importers.profiles import STEPS_PER_DAY, Profiles, profiles_of
from topologies.importers.specification import load_network

Rural = tuple[Any, Imported, Profiles]


@pytest.fixture(scope="module")
def rural() -> Rural:
    net = load_network("simbench:1-LV-rural1--1-sw")
    imported = import_pandapower(net, Options(), "rural")
    return net, imported, profiles_of(net, imported)


def test_a_year_of_quarter_hours_in_the_order_of_the_grid(rural: Rural) -> None:
    _, imported, profiles = rural
    assert profiles.steps == 366 * STEPS_PER_DAY
    assert profiles.load_w.shape == (profiles.steps, len(imported.grid.loads))
    assert profiles.source_w.shape == (profiles.steps, len(imported.grid.sources))
    assert profiles.times[1] == "01.01.2016 00:15"
    assert min(profiles.load_w.min(), profiles.source_w.min()) >= 0.0


def test_power_is_profile_times_rated_power(rural: Rural) -> None:
    net, imported, profiles = rural
    step = 20_000
    load_w, source_w = profiles.at(step)
    for position, load in enumerate(imported.grid.loads):
        origin = imported.load_origins[load.id]
        if origin.table == "load":
            row = net.load.loc[origin.row]
            factor = net.profiles["load"][f"{row.profile}_pload"].iloc[step]
            assert load_w[position] == pytest.approx(row.p_mw * factor * 1e6)
    for position, source in enumerate(imported.grid.sources):
        origin = imported.source_origins[source.id]
        if origin.table == "sgen":
            row = net.sgen.loc[origin.row]
            factor = net.profiles["renewables"][row.profile].iloc[step]
            assert source_w[position] == pytest.approx(row.p_mw * factor * 1e6)


def test_a_storage_is_a_load_or_a_source_as_its_profile_says(rural: Rural) -> None:
    net, imported, profiles = rural
    as_load = {o.row for o in imported.load_origins.values() if o.table == "storage"}
    as_source = {o.row for o in imported.source_origins.values() if o.table == "storage"}
    assert as_load == as_source == set(net.storage.index)
    loads = [imported.load_origins[load.id].table for load in imported.grid.loads]
    sources = [imported.source_origins[source.id].table for source in imported.grid.sources]
    taken_w = profiles.load_w[:, np.array(loads) == "storage"].sum(axis=1)
    fed_w = profiles.source_w[:, np.array(sources) == "storage"].sum(axis=1)
    assert max(taken_w.max(), fed_w.max()) > 0.0


def test_the_external_grid_stays(rural: Rural) -> None:
    _, imported, profiles = rural
    (external,) = imported.external_source_ids
    position = [source.id for source in imported.grid.sources].index(external)
    assert np.all(profiles.source_w[:, position] == imported.grid.sources[position].max_power_w)


def test_a_network_without_profiles_is_refused() -> None:
    net = feeder()
    with pytest.raises(NetworkError, match="has no time series; choose a SimBench network"):
        profiles_of(net, import_pandapower(net))
