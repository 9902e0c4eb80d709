"""Small pandapower networks for tests of the importers; in a test file, pandapower is skipped where it is absent."""

from typing import Any

import pandapower as pp


def feeder(buses: int = 3, load_mw: float = 0.1, ohm_per_km: float = 0.4) -> Any:
    """An external grid, and 20 kV buses on a line of 1 km segments with 200 A, each after the first with a load."""
    net = pp.create_empty_network(name="feeder")
    for index in range(buses):
        pp.create_bus(net, vn_kv=20.0, name=f"Bus {index}")
    pp.create_ext_grid(net, 0, name="Grid")
    for index in range(1, buses):
        line(net, index - 1, index, ohm_per_km=ohm_per_km, name=f"Line {index}")
        pp.create_load(net, index, p_mw=load_mw, name=f"Load {index}")
    return net


def line(net: Any, a: int, b: int, **changed: Any) -> int:
    """A line of 1 km, 0.4 ohm per km and 200 A, or as given."""
    figures = {
        "length_km": 1.0,
        "r_ohm_per_km": changed.pop("ohm_per_km", 0.4),
        "x_ohm_per_km": 0.1,
        "c_nf_per_km": 0.0,
        "max_i_ka": 0.2,
    }
    index = pp.create_line_from_parameters(net, a, b, **{**figures, **changed})
    return int(index)


def everything() -> Any:
    """A small network with one element at least of every table that an import reads, all in service."""
    net = feeder(5, load_mw=1.0)
    high = pp.create_bus(net, vn_kv=110.0)
    low = pp.create_bus(net, vn_kv=0.4)
    middle = pp.create_bus(net, vn_kv=10.0)
    figures = {"sn_mva": 0.4, "vn_hv_kv": 20.0, "vn_lv_kv": 0.4, "vk_percent": 6.0}
    figures |= {"vkr_percent": 1.5, "pfe_kw": 1.0, "i0_percent": 0.2}
    pp.create_transformer_from_parameters(
        net, 1, low, parallel=2, tap_pos=1, tap_neutral=0, tap_side="hv", **figures
    )
    three = {"sn_hv_mva": 40.0, "sn_mv_mva": 25.0, "sn_lv_mva": 15.0}
    three |= {"vn_hv_kv": 110.0, "vn_mv_kv": 20.0, "vn_lv_kv": 10.0}
    three |= {"vk_hv_percent": 10.0, "vk_mv_percent": 11.0, "vk_lv_percent": 12.0}
    three |= {"vkr_hv_percent": 0.3, "vkr_mv_percent": 0.31, "vkr_lv_percent": 0.32}
    pp.create_transformer3w_from_parameters(
        net, high, 2, middle, pfe_kw=3.0, i0_percent=0.1, tap_pos=1, tap_neutral=0, **three
    )
    pp.create_ext_grid(net, high, max_p_mw=50.0)
    pp.create_impedance(net, 0, 1, rft_pu=0.01, xft_pu=0.05, sn_mva=10.0)
    pp.create_switch(net, 2, 3, et="b", closed=True, z_ohm=0.1, in_ka=0.5)
    pp.create_switch(net, 3, 3, et="l", closed=False)
    pp.create_switch(net, low, 0, et="t", closed=True)
    pp.create_switch(net, middle, 0, et="t3", closed=True)
    loss = {"loss_percent": 2.0, "loss_mw": 0.05, "vm_from_pu": 1.0, "vm_to_pu": 1.0}
    pp.create_dcline(net, 0, 4, p_mw=1.0, max_p_mw=5.0, **loss)
    pp.create_sgen(net, 1, p_mw=0.4, controllable=True, max_p_mw=0.6, type="PV")
    pp.create_gen(net, 1, p_mw=3.0, max_p_mw=4.0)
    pp.create_storage(net, 1, p_mw=-0.6, max_e_mwh=1.0)
    motor = {"pn_mech_mw": 0.9, "efficiency_percent": 90.0, "cos_phi": 0.9}
    pp.create_motor(net, 1, loading_percent=50.0, **motor)
    pp.create_ward(net, 1, ps_mw=0.1, qs_mvar=0, pz_mw=0.2, qz_mvar=0)
    pp.create_xward(
        net, 1, ps_mw=0.1, qs_mvar=0, pz_mw=0.2, qz_mvar=0, r_ohm=1.0, x_ohm=1.0, vm_pu=1.0
    )
    pp.create_shunt(net, 1, q_mvar=1.0, p_mw=0.05)
    pp.create_asymmetric_load(net, 1, p_a_mw=0.1, p_b_mw=0.2, p_c_mw=0.3)
    pp.create_asymmetric_sgen(net, 1, p_a_mw=0.1, p_b_mw=0.1, p_c_mw=0.1)
    pp.create_poly_cost(net, 0, "gen", cp1_eur_per_mw=40.0)
    pp.create_pwl_cost(net, 0, "sgen", [[0.0, 1.0, 5.0]])
    return net
