"""The file that ``dgc emulate`` is given: a grid file, or a topology file for Mininet that exports one of our grids."""

import logging
import runpy
import traceback
from typing import TYPE_CHECKING, Any

from digitalgrid.errors import ExplainedError
from digitalgrid.gridfile import Grid, load_grid
from topologies.emulator.errors import EmulationError

if TYPE_CHECKING:
    from topologies.emulator.topology_file import TopologyFile

_log = logging.getLogger(__name__)

_HOW_TO_EXPORT = "topologies/grid.py shows how; or give a *.grid.yaml file"
MININET_IS_MISSING = (
    "Mininet is not installed: run pip install 'digitalgrid[emulation]', or use --backend local"
)


def load_network(file: str) -> Grid:
    """The grid of a grid file or a topology file; arguments of the latter follow it after commas.

    EmulationError where it is no such file, ConfigError where a grid file is wrong.
    """
    name, *arguments = file.split(",")
    grid = _grid_of_topology(name, file, arguments) if name.endswith(".py") else load_grid(file)
    if grid.standing:
        _log.warning(
            "%s: standing flows are for plans; a running network has only the circuits it is asked for",
            grid.name,
        )
    return grid


def _grid_of_topology(name: str, file: str, arguments: list[str]) -> Grid:
    try:
        from mininet.util import splitArgs
    except ImportError as error:
        raise EmulationError(f"{name} is for Mininet. {MININET_IS_MISSING}") from error
    _, args, kwargs = splitArgs(",".join(["", *arguments]))
    topology = _topology_of(name)
    try:
        grid: Any = topology.grid(*args, **kwargs)
    except Exception as error:  # a person's own code, which may raise anything
        raise EmulationError(f"{file}: {_said_by(error)}") from error
    if not isinstance(grid, Grid):
        raise EmulationError(
            f"{file} makes a {type(grid).__name__}, and no digitalgrid.gridfile.Grid"
        )
    return grid


def _topology_of(name: str) -> "TopologyFile":
    """The only topology of ours that a file exports."""
    from topologies.emulator.topology_file import TopologyFile

    try:
        exported = runpy.run_path(name).get("topos")
    except OSError as error:
        raise EmulationError(f"{name} cannot be read: {error.strerror}") from error
    except (Exception, SystemExit) as error:  # as above: whatever stands in the file is run
        raise EmulationError(f"{name}: {_said_by(error)}") from error
    if not isinstance(exported, dict):
        raise EmulationError(f"{name} exports no topos; {_HOW_TO_EXPORT}")
    ours = [each for each in exported.values() if isinstance(each, TopologyFile)]
    if not ours:
        raise EmulationError(
            f"{name} exports topologies of hosts and switches, which have no sources, loads or resistances,"
            f" and none of digital grid routers; {_HOW_TO_EXPORT}"
        )
    if len(ours) > 1:
        names = ", ".join(each.name for each in ours)
        raise EmulationError(f"{name} exports {len(ours)} networks ({names}); export one")
    return ours[0]


def _said_by(error: BaseException) -> str:
    """An error of a person's own code, and where it was raised."""
    if isinstance(error, ExplainedError):
        return str(error)
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{words} ({frame.filename}:{frame.lineno})"
