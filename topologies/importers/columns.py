"""The figures that an import reads: for each column of pandapower's tables its domain, and what an empty cell means.

A figure outside its domain makes the network meaningless and is an error. An empty cell is one, too, unless pandapower
itself has a figure for it (``otherwise``, taken with a note); ``assumed`` is what ``assume_missing`` takes instead,
with a note as well. Cells that may well be empty (limits, ratings) are ``optional``.
"""

from math import inf
from typing import NamedTuple

from digitalgrid.limits import MAX_POWER_W, MAX_PRICE_PER_MWH, MAX_RESISTANCE_OHM
from digitalgrid.units import W_PER_MEGAWATT


class Column(NamedTuple):
    """``least`` and ``most`` belong to the domain, unless ``positive`` asks for more than 0."""

    least: float = -inf
    most: float = inf
    positive: bool = False
    optional: bool = False
    otherwise: float | None = None
    assumed: float | None = None


_MAX_POWER_MW = MAX_POWER_W / W_PER_MEGAWATT
# No line of the world has more than 1,500 kV, and no device works at less than a volt.
_MIN_VOLTAGE_KV, _MAX_VOLTAGE_KV = 1e-3, 1e4
# Beyond any line, any transformer and any number of systems in parallel.
_MAX_LENGTH_KM, _MAX_RATING_MVA, _MAX_PARALLEL = 1e5, 1e6, 1e4
# Reduced networks have transformers of some 1e5 %.
_MAX_PERCENT = 1e9
# The least base of a per-unit figure; less would make endless ohms of nothing.
_MIN_RATING_MVA = 1e-6

_POWER = Column(-_MAX_POWER_MW, _MAX_POWER_MW, assumed=0.0)
_SCALING = Column(-1e3, 1e3, otherwise=1.0)
_LIMIT = Column(least=0.0, optional=True)
_VOLTAGE = Column(_MIN_VOLTAGE_KV, _MAX_VOLTAGE_KV)
_RATING = Column(_MIN_RATING_MVA, _MAX_RATING_MVA)
_DERATING = Column(0.0, 1e3, positive=True, otherwise=1.0)
_PARALLEL = Column(1.0, _MAX_PARALLEL, otherwise=1.0)
# A lossless line, a usual resistance of a transformer: what assume_missing takes.
_SERIES = Column(-MAX_RESISTANCE_OHM, MAX_RESISTANCE_OHM, assumed=0.0)
_COPPER = Column(-_MAX_PERCENT, _MAX_PERCENT, assumed=0.5)
_SHORT_CIRCUIT = Column(-_MAX_PERCENT, _MAX_PERCENT, assumed=10.0)
_IRON = Column(0.0, _MAX_POWER_MW * 1e3, assumed=0.0)
_SHARE = Column(0.0, 1e3, otherwise=100.0)
_PER_UNIT = Column(-1e6, 1e6, assumed=0.0)
_PRICE = Column(-MAX_PRICE_PER_MWH, MAX_PRICE_PER_MWH, assumed=0.0)
_CURVE = Column(-inf, inf, otherwise=0.0)
_TAP = Column(-1e6, 1e6, optional=True)

_INJECTION = {"p_mw": _POWER, "scaling": _SCALING}
_PHASES = {f"p_{phase}_mw": _POWER for phase in "abc"}
_WARD = {"ps_mw": _POWER, "pz_mw": _POWER}

COLUMNS: dict[str, dict[str, Column]] = {
    "bus": {"vn_kv": _VOLTAGE},
    "line": {
        "length_km": Column(0.0, _MAX_LENGTH_KM, assumed=1.0),
        "r_ohm_per_km": _SERIES,
        "x_ohm_per_km": _SERIES,
        "g_us_per_km": Column(otherwise=0.0),
        "max_i_ka": _LIMIT,
        "df": _DERATING,
        "parallel": _PARALLEL,
    },
    "trafo": {
        "sn_mva": _RATING,
        "vn_hv_kv": _VOLTAGE,
        "vn_lv_kv": _VOLTAGE,
        "vk_percent": _SHORT_CIRCUIT,
        "vkr_percent": _COPPER,
        "pfe_kw": _IRON,
        "df": _DERATING,
        "parallel": _PARALLEL,
        "tap_pos": _TAP,
        "tap_neutral": _TAP,
    },
    "trafo3w": {
        **{f"sn_{side}_mva": _RATING for side in ("hv", "mv", "lv")},
        **{f"vn_{side}_kv": _VOLTAGE for side in ("hv", "mv", "lv")},
        **{f"vk_{side}_percent": _SHORT_CIRCUIT for side in ("hv", "mv", "lv")},
        **{f"vkr_{side}_percent": _COPPER for side in ("hv", "mv", "lv")},
        "pfe_kw": _IRON,
        "tap_pos": _TAP,
        "tap_neutral": _TAP,
    },
    "impedance": {
        "rft_pu": _PER_UNIT,
        "rtf_pu": _PER_UNIT,
        "xft_pu": _PER_UNIT,
        "sn_mva": _RATING,
    },
    "switch": {
        "z_ohm": Column(0.0, MAX_RESISTANCE_OHM, otherwise=0.0),
        "in_ka": _LIMIT,
    },
    "dcline": {
        "p_mw": _POWER,
        "loss_percent": Column(0.0, 99.0, assumed=0.0),
        "loss_mw": Column(0.0, _MAX_POWER_MW, assumed=0.0),
        "max_p_mw": _LIMIT,
    },
    "load": _INJECTION | {"q_mvar": Column(-_MAX_POWER_MW, _MAX_POWER_MW, otherwise=0.0)},
    "sgen": _INJECTION | {"max_p_mw": _LIMIT._replace(least=-_MAX_POWER_MW)},
    "gen": _INJECTION | {"max_p_mw": _LIMIT._replace(least=-_MAX_POWER_MW)},
    "ext_grid": {"max_p_mw": _LIMIT._replace(least=-_MAX_POWER_MW)},
    "storage": _INJECTION,
    "asymmetric_load": _PHASES | {"scaling": _SCALING},
    "asymmetric_sgen": _PHASES | {"scaling": _SCALING},
    "motor": {
        "pn_mech_mw": _POWER,
        "scaling": _SCALING,
        "efficiency_percent": Column(0.0, 100.0, positive=True, otherwise=100.0),
        "loading_percent": _SHARE,
    },
    "ward": _WARD,
    "xward": _WARD,
    "shunt": {
        "p_mw": _POWER,
        "step": Column(0.0, 1e3, otherwise=1.0),
        "vn_kv": _VOLTAGE._replace(optional=True),
    },
    "poly_cost": {"cp1_eur_per_mw": _PRICE, "cp2_eur_per_mw2": _CURVE},
}
