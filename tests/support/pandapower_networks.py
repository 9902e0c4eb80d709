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
