"""A pandapower network becomes a grid; whatever is left out or approximated becomes a warning.

Each group of buses that closed switches join is a router. Buses are passive: their efficiency is 1, since nothing
is converted there, and on a radial feeder Kirchhoff's laws leave only one flow, which is the one that a plan finds.
Power routers stand where the network has DC lines and, with ``tie_routers``, at its open ties.
"""

import math
from typing import Any

from digitalgrid.gridfile import Grid, Link, Router
from digitalgrid.limits import MAX_AMPACITY_A, MAX_RESISTANCE_OHM
from topologies.importers.branch import Branch
from topologies.importers.bus_groups import join_buses
from topologies.importers.dc_lines import read_dc_lines
from topologies.importers.imported import Imported, Options
from topologies.importers.injections import InjectionReader
from topologies.importers.islands import passive_loops, useful_routers
from topologies.importers.lines import (
    read_impedances,
    read_lines,
    read_series_compensators,
    read_switches_with_impedance,
)
from topologies.importers.places import placed
from topologies.importers.reading import Reading, named
from topologies.importers.ties import read_ties
from topologies.importers.transformers import (
    IronLoss,
    read_three_winding_transformers,
    read_transformers,
)

_BRANCH_TABLES = ("switch", "line", "impedance", "tcsc", "trafo", "trafo3w", "dcline")
_LOAD_TABLES = ("load", "asymmetric_load", "motor", "ward", "xward", "shunt")
_SOURCE_TABLES = ("sgen", "asymmetric_sgen", "gen", "storage", "ext_grid")
_IMPORTED_TABLES = frozenset({"bus", *_BRANCH_TABLES, *_LOAD_TABLES, *_SOURCE_TABLES})
# They set voltages, reactive power and taps over time: nothing that a grid file describes.
_WITHOUT_MEANING_HERE = frozenset({"controller", "svc", "ssc"})


def import_pandapower(net: Any, options: Options = Options(), name: str = "") -> Imported:  # noqa: B008
    """The grid of a pandapower network, which is only read.

    Raises NetworkError where no grid can be made of it.
    """
    reading = Reading(net, options)
    join_buses(reading)
    lines, open_lines = read_lines(reading)
    two_windings, iron = read_transformers(reading)
    stars, iron_of_stars, centres = read_three_winding_transformers(reading)
    dc_lines = read_dc_lines(reading)
    ties = read_ties(reading, open_lines)
    branches = [
        *lines,
        *two_windings,
        *stars,
        *read_impedances(reading),
        *read_switches_with_impedance(reading),
        *read_series_compensators(reading),
        *dc_lines.branches,
        *ties.branches,
    ]
    iron += iron_of_stars
    injections = InjectionReader(reading).read(iron)
    links, reactance_ohm = _links(reading, branches, injections.endless_w())
    converters = {router.id: router for router in (*dc_lines.routers, *ties.routers)}
    passive = [*dict.fromkeys(reading.router_of.values()), *centres]
    useful = useful_routers(reading, [*passive, *converters], links, injections)
    efficiency = options.router_efficiency or 1.0
    links = [link for link in links if link.a in useful]
    _note_negative_resistances(reading)
    loops = _count_loops(reading, links, converters)
    _note_fixed_losses(reading, iron)
    _note_reactive_power(reading)
    _note_unknown_tables(reading)
    routers = [Router(router_id, efficiency) for router_id in passive] + list(converters.values())
    grid = Grid(
        name=name or str(getattr(net, "name", "") or "network"),
        routers=tuple(placed(reading, (each for each in routers if each.id in useful), links)),
        links=tuple(links),
        sources=tuple(injections.sources),
        loads=tuple(injections.loads),
    )
    return Imported(
        grid=grid,
        warnings=reading.all_warnings(),
        router_of_bus={bus: at for bus, at in reading.router_of.items() if at in useful},
        load_origins=injections.load_origins,
        source_origins=injections.source_origins,
        reactance_ohm={link.id: reactance_ohm[link.id] for link in links},
        fixed_losses_w=reading.fixed_losses_w,
        passive_loops=loops,
        tie_router_ids=tuple(router.id for router in ties.routers if router.id in useful),
        dc_router_ids=tuple(router.id for router in dc_lines.routers if router.id in useful),
        external_source_ids=tuple(injections.external_source_ids),
    )


def _links(
    reading: Reading, branches: list[Branch], endless_w: float
) -> tuple[list[Link], dict[str, float]]:
    """Links, and their reactances by id. A voltage lowered by cos phi gives real power its real current."""
    links: list[Link] = []
    reactance_ohm: dict[str, float] = {}
    unrated: list[str] = []
    for branch in branches:
        if branch.resistance_ohm > MAX_RESISTANCE_OHM:
            reading.warn(f"{branch.otherwise} is left out: {branch.resistance_ohm:g} ohm insulate")
            continue
        voltage_v = branch.voltage_v * reading.options.power_factor
        rated = math.isfinite(branch.ampacity_a)
        if not rated:
            unrated.append(branch.otherwise)
        ampacity_a = branch.ampacity_a if rated else min(endless_w / voltage_v, MAX_AMPACITY_A)
        link_id = reading.names.unique(branch.name, branch.otherwise)
        figures = branch.resistance_ohm, voltage_v, ampacity_a
        link = Link(link_id, branch.a, branch.b, *figures, via=branch.via)
        links.append(link)
        reactance_ohm[link_id] = branch.reactance_ohm
    reading.warn_of(
        len(unrated),
        "link without a known rating",
        "links without a known rating",
        f"the ampacity written never binds: {named(unrated)}",
    )
    return links, reactance_ohm


def _count_loops(reading: Reading, links: list[Link], converters: dict[str, Router]) -> int:
    if reading.options.router_efficiency is not None:
        return 0
    loops, parallel = passive_loops(links, converters.keys())
    also = f" ({parallel} of parallel links)" if parallel else ""
    reading.warn_of(
        loops,
        f"loop without a power router{also}",
        f"loops without a power router{also}",
        "there currents follow impedances, not plans; flows and losses planned for them are optimistic",
    )
    return loops


def _note_negative_resistances(reading: Reading) -> None:
    """Equivalents of reduced networks, and windings of three-winding transformers, have some."""
    found = reading.negative_resistance_ohm
    reading.warn_of(
        len(found),
        "negative resistance",
        "negative resistances",
        "taken as 0, which is lossier than the network: "
        + named([f"{name} ({ohm:.3g} ohm)" for name, ohm in found.items()]),
    )


def _note_fixed_losses(reading: Reading, iron: list[IronLoss]) -> None:
    if not reading.options.iron_losses_as_loads:
        reading.fixed_losses_w += sum(loss.power_w for loss in iron)
    if reading.fixed_losses_w > 0.0:
        reading.warn(
            f"{reading.fixed_losses_w:.6g} W are lost whatever flows (iron of transformers, DC lines) "
            "and are not in the grid; iron_losses_as_loads makes loads of those of transformers"
        )


def _note_reactive_power(reading: Reading) -> None:
    """How much more current the loads' reactive power would draw."""
    real = reactive = 0.0
    for row in reading.rows_in_service("load"):
        scaling = row.figure("scaling")
        real += row.figure("p_mw") * scaling
        reactive += row.figure("q_mvar") * scaling
    if reading.options.power_factor < 1.0:
        reading.warn(
            f"reactive power is counted as a power factor of {reading.options.power_factor:g}, "
            "the same for all currents"
        )
    elif real > 0.0 and reactive != 0.0:
        power_factor = real / math.hypot(real, reactive)
        reading.warn(
            f"reactive power is left out: the loads have a power factor of {power_factor:.3f}, so real currents "
            f"are about {1 / power_factor - 1:.1%} and losses {1 / power_factor**2 - 1:.1%} higher; "
            f"a power factor of {power_factor:.3f} (--power-factor) counts that"
        )


def _note_unknown_tables(reading: Reading) -> None:
    for table, content in sorted(reading.net.items()):
        if table.startswith(("_", "res_")) or table in _IMPORTED_TABLES | _WITHOUT_MEANING_HERE:
            continue
        if "in_service" in getattr(content, "columns", ()) and len(content):
            reading.warn(
                f"{len(content)} of the table {table!r} left out: grid files have no such thing"
            )
