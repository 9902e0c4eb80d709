"""What an import takes and gives."""

from dataclasses import dataclass
from typing import NamedTuple

from digitalgrid.gridfile import Grid
from topologies.importers.errors import NetworkError

# Of the converters that a tie line gets, where nobody says otherwise.
TIE_EFFICIENCY = 0.97


@dataclass(frozen=True, slots=True)
class Options:
    """How a network becomes a grid.

    ``tie_routers``: open line switches, open bus switches and lines out of service that would close a loop become
    power routers with ``tie_efficiency``. ``router_efficiency``: every bus is a power router with that efficiency;
    None, the default, leaves buses passive (efficiency 1, nothing is converted). ``power_factor``: cos phi of all
    currents; below 1 it raises currents and losses as reactive power does. ``iron_losses_as_loads``: what a
    transformer loses under voltage becomes a load of its own; by default it is only added up. ``assume_missing``:
    an empty cell that should hold a figure is no error, but a usual figure and a warning.
    """

    tie_routers: bool = False
    tie_efficiency: float = TIE_EFFICIENCY
    router_efficiency: float | None = None
    power_factor: float = 1.0
    iron_losses_as_loads: bool = False
    assume_missing: bool = False

    def __post_init__(self) -> None:
        for name in ("tie_efficiency", "router_efficiency", "power_factor"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value <= 1.0:
                raise NetworkError(f"{name} is {value:g}; it must be above 0 and at most 1")


class Origin(NamedTuple):
    """Where a load or source came from: a row of a pandapower table, and the sign that its power has there.

    ``sign`` is +1 where the table's ``p_mw`` is the power of the load or source, -1 where it is its negative.
    """

    table: str
    row: int
    sign: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A grid, everything that was left out or approximated on the way, and where its parts came from.

    ``router_of_bus`` maps pandapower's bus indexes to router ids; ``reactance_ohm`` gives a link's reactance by id,
    in the convention of the grid file's resistance (three times the phase's). ``fixed_losses_w`` is lost whatever
    flows: iron of transformers, and the constant part of DC lines. ``tie_router_ids`` and ``dc_router_ids`` are the
    power routers made of ties and of DC lines, ``external_source_ids`` the sources that stand for the grid beyond.
    """

    grid: Grid
    warnings: tuple[str, ...]
    router_of_bus: dict[int, str]
    load_origins: dict[str, Origin]
    source_origins: dict[str, Origin]
    reactance_ohm: dict[str, float]
    fixed_losses_w: float = 0.0
    passive_loops: int = 0
    tie_router_ids: tuple[str, ...] = ()
    dc_router_ids: tuple[str, ...] = ()
    external_source_ids: tuple[str, ...] = ()
