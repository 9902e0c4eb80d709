"""Every figure that an import reads has a domain: what is missing or cannot be is an error, what is assumed a note."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pandapower")

import pandapower as pp

from tests.support.pandapower_networks import everything, feeder, line
from topologies.importers.columns import COLUMNS
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Imported, Options
from topologies.importers.pandapower_import import import_pandapower

NETWORK = everything()
BAD = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e30)


def numeric_columns() -> Iterator[tuple[str, str]]:
    """Of all tables with elements, whether an import reads them or not."""
    for table, frame in NETWORK.items():
        if not table.startswith(("_", "res_")) and hasattr(frame, "columns") and len(frame):
            for column in frame.columns:
                if column == "et" or frame[column].dtype.kind in "biuf":
                    yield table, column


def said(imported: Imported, part: str) -> bool:
    return any(part in warning for warning in imported.warnings)


def test_all_columns_that_are_read_are_tried() -> None:
    tried = set(numeric_columns())
    read = {(table, column) for table, columns in COLUMNS.items() for column in columns}
    assert read - tried == set()


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("options", [Options(tie_routers=True), Options(assume_missing=True)])
def test_a_bad_figure_is_an_error_a_note_or_irrelevant(value: float, options: Options) -> None:
    whole = import_pandapower(NETWORK, options, "whole")
    for table, column in numeric_columns():
        frame = NETWORK[table].copy()
        row = frame.index[0]
        frame[column] = frame[column].astype(object)
        frame.at[row, column] = value
        net = {**NETWORK, table: frame}
        try:
            imported = import_pandapower(net, options, "whole")
        except NetworkError as error:
            assert str(error).startswith(f"{table} {row}: {column} "), error
            continue
        except Exception as error:
            raise AssertionError(f"{table}.{column} = {value}") from error
        if imported.grid == whole.grid:
            continue
        # A state, an index: in its domain, or an error.
        if column not in COLUMNS.get(table, {}) and math.isfinite(value):
            continue
        is_noted = any(f"{table} {row}" in w or f"{table}{row}" in w for w in imported.warnings)
        # What is in its domain is taken as it is.
        assert is_noted or value in (0.0, -1.0), f"{table}.{column} = {value}"


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("line", "r_ohm_per_km"),
        ("line", "length_km"),
        ("load", "p_mw"),
        ("trafo", "vkr_percent"),
        ("gen", "p_mw"),
        ("trafo3w", "vk_mv_percent"),
        ("impedance", "rft_pu"),
        ("dcline", "loss_percent"),
    ],
)
def test_a_missing_figure_is_an_error_unless_it_may_be_assumed(table: str, column: str) -> None:
    net = everything()
    net[table].loc[net[table].index[0], column] = math.nan
    with pytest.raises(NetworkError, match=f"^{table} 0: {column} is missing; .*--assume-missing"):
        import_pandapower(net)
    imported = import_pandapower(net, Options(assume_missing=True))
    assert said(imported, f"{table} 0: {column} is missing and assumed to be")


@pytest.mark.parametrize(
    ("table", "column"),
    [("trafo", "sn_mva"), ("trafo", "vn_lv_kv"), ("trafo3w", "sn_lv_mva"), ("bus", "vn_kv")],
)
@pytest.mark.parametrize("value", [0.0, math.nan, 1e9])
def test_nobody_can_assume_what_a_figure_is_per_unit_of(
    table: str, column: str, value: float
) -> None:
    net = everything()
    net[table].loc[0, column] = value
    with pytest.raises(NetworkError, match=f"^{table} 0: {column} is "):
        import_pandapower(net, Options(assume_missing=True))


@pytest.mark.parametrize(("table", "limit_mw"), [("gen", 1e9), ("gen", math.inf), ("sgen", 1e9)])
def test_a_limit_that_is_none_is_bounded_by_what_lines_carry(table: str, limit_mw: float) -> None:
    net = feeder(3, load_mw=1.0)
    create = pp.create_gen if table == "gen" else pp.create_sgen
    create(net, 1, p_mw=0.5, max_p_mw=limit_mw, controllable=True, name="plant")
    imported = import_pandapower(net)
    (plant,) = (source for source in imported.grid.sources if source.id == "plant")
    carried_w = sum(link.ampacity_a * link.voltage_v for link in imported.grid.links)
    assert carried_w < plant.max_power_w < 1e12
    assert said(imported, f"{table} 0: max_p_mw is {limit_mw:g}, which is no limit")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("line", "from_bus"),
        ("line", "to_bus"),
        ("trafo", "lv_bus"),
        ("trafo3w", "mv_bus"),
        ("impedance", "to_bus"),
        ("dcline", "from_bus"),
        ("switch", "bus"),
        ("switch", "element"),
        ("load", "bus"),
        ("gen", "bus"),
        ("ext_grid", "bus"),
        ("poly_cost", "element"),
    ],
)
def test_an_index_that_leads_nowhere_is_an_error(table: str, column: str) -> None:
    net = everything()
    row = net[table].index[0]
    net[table].loc[row, column] = 99
    with pytest.raises(NetworkError, match=f"^{table} {row}: {column} is 99, and the table"):
        import_pandapower(net)


def _joined_by_switch(net: Any) -> None:
    pp.create_switch(net, 0, 1, et="b", closed=True)


def _self_loop(net: Any) -> None:
    net.line.loc[0, "to_bus"] = 0


def _bus_off(net: Any) -> None:
    net.bus.loc[0, "in_service"] = False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_joined_by_switch, "closed switches join its two ends"),
        (_self_loop, "both its ends are at bus 0"),
        (_bus_off, "an end is out of service"),
    ],
)
def test_a_line_that_is_left_out_has_the_true_reason(
    change: Callable[[Any], None], reason: str
) -> None:
    net = feeder(3)
    change(net)
    assert said(import_pandapower(net), f"line 0: left out, {reason}")


def test_a_switch_stands_at_an_end_of_its_line() -> None:
    net = feeder(3)
    pp.create_switch(net, 0, 0, et="l", closed=False)
    net.switch.loc[0, "bus"] = 2
    with pytest.raises(NetworkError, match=r"^switch 0: bus is 2, where line 0 does not end"):
        import_pandapower(net)


def test_rows_that_are_told_apart_by_nothing_are_an_error() -> None:
    net = feeder(3)
    net.line.index = [4, 4]
    with pytest.raises(NetworkError, match=r"^line 4: there are several rows of this index"):
        import_pandapower(net)


def test_the_cost_of_a_load_is_left_out_with_a_note() -> None:
    net = feeder(2)
    pp.create_poly_cost(net, 0, "load", cp1_eur_per_mw=7.0)
    pp.create_poly_cost(net, 0, "ext_grid", cp1_eur_per_mw=3.0)
    imported = import_pandapower(net)
    assert said(imported, "poly_cost 0: left out, load 0 is no source in service")
    assert not said(imported, "poly_cost 1")
    assert [source.cost_per_mwh for source in imported.grid.sources] == [3.0]


def test_an_open_line_without_figures_matters_only_as_a_tie() -> None:
    net = feeder(3)
    tie = line(net, 0, 2)
    net.line.loc[tie, ["in_service", "r_ohm_per_km"]] = [False, math.nan]
    assert len(import_pandapower(net).grid.links) == 2
    with pytest.raises(NetworkError, match=r"^line 2: r_ohm_per_km is missing"):
        import_pandapower(net, Options(tie_routers=True))


@pytest.mark.parametrize(
    "rated_kv", [(115.0, 20.0, 10.0), (110.0, 21.0, 10.5), (105.0, 19.0, 11.0)]
)
def test_windings_off_the_voltage_of_their_buses_have_pandapowers_per_unit(
    rated_kv: tuple[float, float, float],
) -> None:
    net = pp.create_empty_network(sn_mva=1.0)
    nominal_kv = (110.0, 20.0, 10.0)
    high, middle, low = (pp.create_bus(net, vn_kv=kv) for kv in nominal_kv)
    pp.create_ext_grid(net, high)
    figures = dict(zip(("vn_hv_kv", "vn_mv_kv", "vn_lv_kv"), rated_kv, strict=True))
    figures |= {"sn_hv_mva": 40.0, "sn_mv_mva": 25.0, "sn_lv_mva": 15.0}
    figures |= {"vk_hv_percent": 10.0, "vk_mv_percent": 11.0, "vk_lv_percent": 12.0}
    figures |= {"vkr_hv_percent": 0.3, "vkr_mv_percent": 0.31, "vkr_lv_percent": 0.32}
    pp.create_transformer3w_from_parameters(
        net, high, middle, low, pfe_kw=0.0, i0_percent=0.0, **figures
    )
    pp.create_load(net, middle, p_mw=10.0)
    pp.create_load(net, low, p_mw=5.0)
    imported = import_pandapower(net)
    pp.runpp(net, numba=False)
    # Columns of pandapower's branches: 2 is the resistance in per unit of 1 MVA; hv, mv, lv in this order.
    theirs = np.real(net._ppc["branch"][:, 2])
    ours = [link.resistance_ohm / link.voltage_v**2 * 1e6 for link in imported.grid.links]
    assert ours == pytest.approx(theirs, rel=1e-9)
    limits_w = [link.ampacity_a * link.voltage_v for link in imported.grid.links]
    ratings_mva = (40.0, 25.0, 15.0)
    for limit_w, rating_mva, kv, rated in zip(
        limits_w, ratings_mva, nominal_kv, rated_kv, strict=True
    ):
        assert limit_w == pytest.approx(rating_mva * 1e6 * kv / rated)
