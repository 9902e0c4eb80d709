"""What a topology file exports, for Mininet's own command; ``dgc emulate`` takes the grid of it."""

import atexit
import os
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from mininet.topo import Topo

from digitalgrid.gridfile import Grid, load_grid
from topologies.emulator import addresses
from topologies.emulator.errors import EmulationError
from topologies.emulator.mininet_network import GridNetwork
from topologies.emulator.mininet_nodes import ControlSwitch, GridController, RouterHost
from topologies.emulator.plan import EmulationOptions

Exports = tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]

_GRID_FILES = Path(__file__).parents[1]
_SUFFIX = ".grid.yaml"


class TopologyFile:
    """A topology by name: called by Mininet, with the arguments that follow ``--topo NAME,``."""

    def __init__(self, name: str, make_grid: Callable[..., Grid]) -> None:
        self.name = name
        self.grid = make_grid
        self._network: GridNetwork | None = None

    def __call__(
        self,
        *args: Any,
        run_dir: str = ".run",
        control_switches: int = 0,
        northbound: str = addresses.NORTHBOUND_ADDRESS,
        southbound_port: int = addresses.SOUTHBOUND_PORT,
        openflow_port: int = addresses.OPENFLOW_PORT,
        subnet: str = str(addresses.DEFAULT_SUBNET),
        **kwargs: Any,
    ) -> Topo:
        options = EmulationOptions(
            run_dir=Path(run_dir),
            control_switches=control_switches,
            northbound=northbound,
            southbound_port=southbound_port,
            openflow_port=openflow_port,
            subnet=IPv4Network(subnet),
        )
        self._network = GridNetwork(self.grid(*args, **kwargs), options)
        # Mininet's command says nobody when it has stopped.
        atexit.register(self._network.close)
        return self._network.topology()

    def controller(self, name: str, **params: Any) -> GridController:
        """Mininet makes its controllers by this, after the topology."""
        if self._network is None:
            raise EmulationError(f"controller dgc has no routers; give '--topo {self.name}' too")
        return GridController(name, self._network, **params)

    def exports(self) -> Exports:
        """``topos, hosts, switches, controllers`` of a file for ``mn --custom``."""
        return (
            {self.name: self},
            {"dgr": RouterHost},
            {"dgs": ControlSwitch},
            {"dgc": self.controller},
        )


def bundled_grid(name: str) -> Grid:
    """The grid of a file that comes with the topologies."""
    return load_grid(_GRID_FILES / f"{name}{_SUFFIX}")


def from_grid_file(name: str) -> Exports:
    """A topology that reads the grid file of its name beside it."""
    return TopologyFile(name, lambda: bundled_grid(name)).exports()


def from_any_grid_file(name: str, variable: str) -> Exports:
    """A topology whose first argument, or else an environment variable, names a grid file."""

    def read(path: str = "") -> Grid:
        chosen = path or os.environ.get(variable)
        if not chosen:
            raise EmulationError(f"name a grid file: '--topo {name},FILE', or set {variable}")
        return load_grid(chosen)

    return TopologyFile(name, read).exports()
