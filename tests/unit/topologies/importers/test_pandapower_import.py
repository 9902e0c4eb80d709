import math
from typing import Any

import pytest

pytest.importorskip("pandapower")

import pandapower as pp
import pandapower.networks as networks

from digitalgrid.gridfile import Grid, dump_grid, loads_grid
from tests.support.pandapower_networks import feeder, line
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Imported, Options
from topologies.importers.pandapower_import import import_pandapower


def by_id(things: Any, wanted: str) -> Any:
    return next(thing for thing in things if thing.id == wanted)


def said(imported: Imported, part: str) -> bool:
    return any(part in warning for warning in imported.warnings)


def radial_loss_w(grid: Grid, root: str) -> float:
    """Independent of the project's kernels: recursion from the leaves, by the grid file's own formulas."""
    demand = {router.id: 0.0 for router in grid.routers}
    for load in grid.loads:
        demand[load.router] += load.power_w

    def below(router: str, came_by: str | None) -> tuple[float, float]:
        needed_w, lost_w = demand[router], 0.0
        for link in grid.links:
            if router in (link.a, link.b) and link.id != came_by:
                far_w, far_lost_w = below(link.b if link.a == router else link.a, link.id)
                loss_w = link.resistance_ohm * (far_w / link.voltage_v) ** 2
                needed_w += far_w + loss_w
                lost_w += far_lost_w + loss_w
        return needed_w, lost_w

    return below(root, None)[1]


def test_a_three_phase_line_has_its_power_and_its_loss() -> None:
    grid = import_pandapower(feeder()).grid
    link = by_id(grid.links, "Line_1")
    current_a, line_to_line_v, phase_ohm = 150.0, 20e3, 0.4
    assert link.voltage_v * current_a == pytest.approx(math.sqrt(3) * line_to_line_v * current_a)
    assert link.resistance_ohm * current_a**2 == pytest.approx(3 * phase_ohm * current_a**2)
    assert link.ampacity_a == pytest.approx(200.0)
    assert (link.a, link.b) == ("Bus_0", "Bus_1")


def test_parallel_systems_length_and_derating() -> None:
    net = feeder(2)
    line(net, 0, 1, length_km=2.5, parallel=2, df=0.9, name="double")
    link = by_id(import_pandapower(net).grid.links, "double")
    assert link.resistance_ohm == pytest.approx(3 * 0.4 * 2.5 / 2)
    assert link.ampacity_a == pytest.approx(200 * 0.9 * 2)


def test_a_transformer_has_its_copper_loss_and_rating_and_its_iron_loss_apart() -> None:
    net = feeder(2)
    low = pp.create_bus(net, vn_kv=0.4)
    figures = {"sn_mva": 0.4, "vn_hv_kv": 20.0, "vn_lv_kv": 0.4, "vk_percent": 6.0}
    figures |= {"vkr_percent": 1.5, "pfe_kw": 1.0, "i0_percent": 0.2}
    pp.create_transformer_from_parameters(net, 1, low, parallel=2, **figures)
    imported = import_pandapower(net)
    link = by_id(imported.grid.links, "trafo0")
    rated_a = 2 * 0.4e6 / link.voltage_v
    assert link.ampacity_a == pytest.approx(rated_a)
    assert link.resistance_ohm * rated_a**2 == pytest.approx(2 * 0.015 * 0.4e6)
    assert imported.fixed_losses_w == pytest.approx(2000.0)
    assert said(imported, "2000 W are lost whatever flows")
    with_loads = import_pandapower(net, Options(iron_losses_as_loads=True))
    assert with_loads.fixed_losses_w == 0.0
    assert by_id(with_loads.grid.loads, "trafo0-iron").power_w == pytest.approx(2000.0)


@pytest.mark.parametrize("loaded", [("mv",), ("lv",), ("mv", "lv")])
def test_a_three_winding_transformer_loses_what_pandapower_says(loaded: tuple[str, ...]) -> None:
    net = pp.create_empty_network()
    high, middle, low = (pp.create_bus(net, vn_kv=kv) for kv in (110.0, 20.0, 10.0))
    pp.create_ext_grid(net, high)
    ratings = {"sn_hv_mva": 63.0, "sn_mv_mva": 40.0, "sn_lv_mva": 25.0}
    voltages = {"vn_hv_kv": 110.0, "vn_mv_kv": 20.0, "vn_lv_kv": 10.0}
    shorts = {"vk_hv_percent": 10.0, "vk_mv_percent": 11.0, "vk_lv_percent": 12.0}
    copper = {"vkr_hv_percent": 0.3, "vkr_mv_percent": 0.31, "vkr_lv_percent": 0.32}
    figures = ratings | voltages | shorts | copper | {"pfe_kw": 0.0, "i0_percent": 0.0}
    pp.create_transformer3w_from_parameters(net, high, middle, low, **figures)
    for side, bus in (("mv", middle), ("lv", low)):
        if side in loaded:
            pp.create_load(net, bus, p_mw=10.0)
    imported = import_pandapower(net)
    assert said(imported, "star")
    assert len(imported.grid.links) == 3
    pp.runpp(net, numba=False)
    # The voltage at the loads falls by some 0.1 %, which the transport model does not see.
    ours_w = radial_loss_w(imported.grid, "bus0")
    assert ours_w == pytest.approx(net.res_trafo3w.pl_mw.sum() * 1e6, rel=0.02)
    by_side = {link.id.rpartition("-")[2]: link for link in imported.grid.links}
    assert by_side["lv"].ampacity_a * by_side["lv"].voltage_v == pytest.approx(25e6)


def test_closed_bus_switches_make_one_router_and_open_ones_do_not() -> None:
    net = feeder(4)
    pp.create_switch(net, 1, 2, et="b", closed=True)
    pp.create_switch(net, 0, 3, et="b", closed=False)
    imported = import_pandapower(net)
    assert imported.router_of_bus == {0: "Bus_0", 1: "Bus_1", 2: "Bus_1", 3: "Bus_3"}
    assert [link.id for link in imported.grid.links] == ["Line_1", "Line_3"]
    assert said(imported, "line 1: left out, closed switches join its two ends")
    assert said(imported, "1 open tie")


def test_a_switch_with_impedance_is_a_link() -> None:
    net = feeder(2)
    pp.create_switch(net, 0, 1, et="b", closed=True, z_ohm=0.1, name="coupler", in_ka=0.5)
    link = by_id(import_pandapower(net).grid.links, "coupler")
    assert link.resistance_ohm == pytest.approx(3 * 0.1 * 2 / math.sqrt(5))
    assert link.ampacity_a == pytest.approx(500.0)


@pytest.mark.parametrize("how", ["line switch", "out of service"])
def test_an_open_line_is_a_tie_that_may_become_a_power_router(how: str) -> None:
    net = feeder(3)
    tie = line(net, 0, 2, name="Tie", ohm_per_km=0.9)
    if how == "line switch":
        pp.create_switch(net, 0, tie, et="l", closed=False)
    else:
        net.line.loc[tie, "in_service"] = False
    assert len(import_pandapower(net).grid.links) == 2
    imported = import_pandapower(net, Options(tie_routers=True, tie_efficiency=0.95))
    assert imported.tie_router_ids == ("Tie_tie",)
    assert imported.passive_loops == 0
    router = by_id(imported.grid.routers, "Tie_tie")
    assert router.efficiency == 0.95
    long, busbar = imported.grid.links[2:]
    assert long.resistance_ohm == pytest.approx(3 * 0.9) and busbar.resistance_ohm == 0.0
    assert long.ampacity_a == busbar.ampacity_a == pytest.approx(200.0)
    # A switch at bus 0 puts the router there; otherwise it stands at the line's far end.
    near = "Bus_0" if how == "line switch" else "Bus_2"
    assert {long.a, long.b, busbar.a, busbar.b} == {"Bus_0", "Bus_2", "Tie_tie"}
    assert near in (busbar.a, busbar.b)


def test_loops_without_a_power_router_are_counted() -> None:
    net = feeder(3)
    line(net, 0, 2)
    line(net, 0, 2)
    imported = import_pandapower(net)
    assert imported.passive_loops == 2
    assert said(imported, "2 loops without a power router (1 of parallel links)")
    every_bus = import_pandapower(net, Options(router_efficiency=0.97))
    assert every_bus.passive_loops == 0
    assert {router.efficiency for router in every_bus.grid.routers} == {0.97}


def test_an_impedance_and_a_dc_line() -> None:
    net = feeder(3)
    pp.create_impedance(net, 0, 1, rft_pu=0.01, xft_pu=0.05, sn_mva=10.0, name="Z")
    loss = {"loss_percent": 2.0, "loss_mw": 0.05, "vm_from_pu": 1.0, "vm_to_pu": 1.0}
    pp.create_dcline(net, 0, 2, p_mw=1.0, max_p_mw=5.0, name="DC", **loss)
    imported = import_pandapower(net)
    assert by_id(imported.grid.links, "Z").resistance_ohm == pytest.approx(3 * 0.01 * 20**2 / 10)
    assert by_id(imported.grid.routers, "DC").efficiency == pytest.approx(0.98)
    legs = [link for link in imported.grid.links if "DC" in (link.a, link.b)]
    assert [leg.ampacity_a * leg.voltage_v for leg in legs] == pytest.approx([5e6, 5e6])
    assert imported.fixed_losses_w == pytest.approx(50e3)
    assert imported.passive_loops == 1


def test_all_kinds_of_loads_and_sources() -> None:
    net = feeder(2, load_mw=1.0)
    pp.create_load(net, 1, p_mw=2.0, scaling=0.5, name="half", controllable=True)
    pp.create_load(net, 1, p_mw=-0.3, name="feeds")
    pp.create_sgen(net, 1, p_mw=0.4, name="roof", type="PV")
    pp.create_sgen(net, 1, p_mw=0.2, name="engine", type="CHP")
    pp.create_gen(net, 1, p_mw=3.0, max_p_mw=4.0, name="plant")
    pp.create_storage(net, 1, p_mw=-0.6, max_e_mwh=1.0, name="battery")
    motor = {"pn_mech_mw": 0.9, "efficiency_percent": 90.0, "cos_phi": 0.9}
    pp.create_motor(net, 1, loading_percent=50.0, name="pump", **motor)
    pp.create_ward(net, 1, ps_mw=0.1, qs_mvar=0, pz_mw=0.2, qz_mvar=0, name="ward")
    pp.create_shunt(net, 1, q_mvar=1.0, p_mw=0.05, name="shunt")
    pp.create_asymmetric_load(net, 1, p_a_mw=0.1, p_b_mw=0.2, p_c_mw=0.3, name="uneven")
    pp.create_load(net, 1, p_mw=9.0, in_service=False, name="off")
    pp.create_poly_cost(net, 0, "gen", cp1_eur_per_mw=40.0)
    imported = import_pandapower(net)
    loads = {load.id: load.power_w for load in imported.grid.loads}
    assert loads == pytest.approx(
        {"Load_1": 1e6, "half": 1e6, "pump": 0.5e6, "ward": 0.3e6, "shunt": 5e4, "uneven": 0.6e6}
    )
    assert by_id(imported.grid.loads, "half").priority < by_id(imported.grid.loads, "ward").priority
    sources = {source.id: source.max_power_w for source in imported.grid.sources}
    external_w = sources.pop("Grid")
    assert sources == pytest.approx(
        {"feeds": 0.3e6, "roof": 0.4e6, "engine": 0.2e6, "plant": 4e6, "battery": 0.6e6}
    )
    assert external_w > 5 * sum(loads.values())
    assert imported.external_source_ids == ("Grid",)
    assert [source.id for source in imported.grid.sources if source.renewable] == ["roof"]
    assert by_id(imported.grid.sources, "plant").cost_per_mwh == 40.0
    assert imported.source_origins["feeds"] == ("load", 2, -1)
    for part in ("storage", "asymmetric", "ward"):
        assert said(imported, part)


def test_islands_out_of_service_parts_and_clashing_names() -> None:
    net = feeder(3)
    net.bus["name"] = "same"
    pp.create_bus(net, vn_kv=20.0, name="lonely")
    dark = pp.create_bus(net, vn_kv=20.0, name="dark")
    pp.create_load(net, dark, p_mw=0.25)
    gone = pp.create_bus(net, vn_kv=20.0, in_service=False)
    line(net, 2, gone)
    pp.create_load(net, gone, p_mw=1.0)
    imported = import_pandapower(net)
    assert [router.id for router in imported.grid.routers] == ["same", "same.2", "same.3", "dark"]
    assert said(imported, "1 bus out of service")
    assert said(imported, "1 island: dropped")
    assert said(imported, "kept without any source; 250000 W there stay unserved")
    assert said(imported, "load 3: left out, on a bus out of service")
    assert loads_grid(dump_grid(imported.grid)) == imported.grid


def test_bad_figures_are_clear() -> None:
    net = feeder(2)
    line(net, 0, 1, ohm_per_km=-0.2, name="equivalent")
    imported = import_pandapower(net)
    assert by_id(imported.grid.links, "equivalent").resistance_ohm == 0.0
    assert said(imported, "line1 (-0.2 ohm)")
    net.bus.loc[0, "vn_kv"] = 0.0
    with pytest.raises(NetworkError, match=r"bus 0: vn_kv is 0; it must be at least 0\.001"):
        import_pandapower(net)
    net.bus["in_service"] = False
    with pytest.raises(NetworkError, match="no bus in service"):
        import_pandapower(net)
    with pytest.raises(NetworkError, match=r"tie_efficiency is 1\.5"):
        Options(tie_efficiency=1.5)


def test_a_power_factor_raises_current_and_loss_as_reactive_power_does() -> None:
    net = feeder(2)
    net.load["q_mvar"] = 0.75 * net.load.p_mw
    assert said(import_pandapower(net), "power factor of 0.800")
    (plain,) = import_pandapower(net).grid.links
    (derated,) = import_pandapower(net, Options(power_factor=0.8)).grid.links
    power_w = 1e6
    current_a = power_w / derated.voltage_v
    assert current_a == pytest.approx(power_w / 0.8 / (math.sqrt(3) * 20e3))
    assert derated.ampacity_a == plain.ampacity_a


@pytest.mark.parametrize(
    "make",
    [
        lambda: feeder(6),
        networks.case33bw,
        networks.create_kerber_dorfnetz,
        networks.create_cigre_network_lv,
        networks.simple_mv_open_ring_net,
        networks.ieee_european_lv_asymmetric,
    ],
)
def test_losses_of_radial_networks_are_those_of_the_ac_power_flow(make: Any) -> None:
    """At a twentieth of the load, without reactive power and at nominal voltage.

    What remains is the voltage drop, which raises currents in pandapower by as much as the lowest voltage is below
    nominal, and losses by twice that: so much tolerance, and a promille for the rest.
    """
    net = make()
    for table in ("load", "asymmetric_load"):
        net[table]["scaling"] = 0.05
    net.load["q_mvar"] = 0.0
    net.asymmetric_load[["q_a_mvar", "q_b_mvar", "q_c_mvar"]] = 0.0
    net.line["c_nf_per_km"] = 0.0
    net.ext_grid["vm_pu"] = 1.0
    net.trafo[["i0_percent", "pfe_kw"]] = 0.0
    net.trafo["tap_pos"] = net.trafo.tap_neutral
    # pandapower's balanced power flow takes no asymmetric loads; a third on each phase is what we import.
    for row in list(net.asymmetric_load.itertuples()):
        pp.create_load(net, row.bus, row.p_a_mw + row.p_b_mw + row.p_c_mw, scaling=0.05)
    net.asymmetric_load["in_service"] = False
    imported = import_pandapower(net)
    assert imported.passive_loops == 0
    pp.runpp(net, numba=False)
    theirs_w = (net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum()) * 1e6
    ours_w = radial_loss_w(imported.grid, imported.router_of_bus[net.ext_grid.bus.iloc[0]])
    drop = 1.0 - net.res_bus.vm_pu.min()
    assert 0.0 < drop < 0.02
    assert theirs_w * (1.0 - 2.0 * drop) * 0.999 <= ours_w <= theirs_w * 1.001


@pytest.mark.parametrize(
    ("make", "routers", "links", "ties"),
    [
        (networks.case14, 14, 20, 0),
        (networks.case33bw, 33 + 5, 32 + 10, 5),
        (networks.create_cigre_network_mv, 15 + 3, 14 + 6, 3),
        (networks.example_multivoltage, 29, 32, 1),
        (networks.mv_oberrhein, 179 + 6, 177 + 12, 6),
    ],
)
def test_published_networks(make: Any, routers: int, links: int, ties: int) -> None:
    imported = import_pandapower(make(), Options(tie_routers=True))
    grid = imported.grid
    assert (len(grid.routers), len(grid.links)) == (routers, links)
    assert len(imported.tie_router_ids) == ties
    assert loads_grid(dump_grid(grid)) == grid
