"""A grid as plain processes on loopback, without root: for laptops and fast tests.

Power links are pairs of UDP ports; what breaks them is told to both ends' agents, which play a line
that lost its carrier, or all that it carries.
"""

import secrets
import socket
import time
from contextlib import ExitStack

from digitalgrid.gridfile import Grid, Link
from router_agent.transport import LineCarrier, carrier_command
from topologies.emulator import plan, workspace
from topologies.emulator.agents import Agents
from topologies.emulator.controller_process import ControllerProcess, serve_command
from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import EmulationError
from topologies.emulator.plan import EmulationOptions, LineEnd, RunFiles
from topologies.emulator.ports import free_ports, require_free
from topologies.emulator.processes import ProcessId
from topologies.emulator.workspace import RunRecord

# For a router's start (s), which takes half a second; hundreds may start at once.
_AGENT_LISTENS_WITHIN_S = 10.0
# Between two looks at whether it listens (s).
_POLL_S = 0.01


class LocalEmulation(Emulation):
    """One at a time in a run directory (AlreadyRunning)."""

    backend = "local"

    def __init__(self, grid: Grid, options: EmulationOptions) -> None:
        super().__init__(grid)
        files = RunFiles.under(options.run_dir)
        with ExitStack() as undo:
            undo.callback(workspace.prepare(files).close)
            require_free(options.northbound, "--northbound")
            require_free(f"127.0.0.1:{options.southbound_port}", "--southbound-port")
            undo.callback(workspace.erase_record, files)
            workspace.write_record(files, RunRecord(self.backend, ProcessId.current()))
            self._carrier_key = secrets.token_hex(16)
            ports = free_ports(2 * len(grid.links), socket.SOCK_DGRAM)
            self._ends = plan.local_line_ends(grid, ports, self._carrier_key)
            _write_configs(grid, options, files, self._ends)
            self.controller = ControllerProcess(serve_command(files), files.controller_log)
            undo.callback(self.controller.stop)
            # Ended first: agents need not notice that the controller ends.
            self.agents = Agents(files)
            undo.callback(self.agents.close)
            self._undo = undo.pop_all()

    def start(self) -> None:
        self.controller.start()
        for router in self.grid.routers:
            self.agents.start(router.id)

    def stop(self) -> None:
        self._undo.close()

    def restart_router(self, router_id: str) -> None:
        super().restart_router(router_id)
        broken = self._cut | self._silent
        for link in self.grid.links:
            if link.id in broken and router_id in (link.a, link.b):
                self._apply(link)

    def _set_line(self, link: Link, *, carrier: bool, silent: bool) -> None:
        state = LineCarrier.SILENT if silent else LineCarrier.UP
        command = carrier_command(state if carrier else LineCarrier.DOWN, self._carrier_key)
        running = self.agents.running()
        for router_id in (link.a, link.b):
            # An agent that does not run is told when it is started again.
            if router_id in running:
                _tell(self._ends[link.id, router_id]["local"], command)


def _tell(address: str, command: bytes) -> None:
    """Send a datagram to an agent, which may not have opened its lines yet."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _AGENT_LISTENS_WITHIN_S
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.connect((host, int(port)))
        while time.monotonic() < deadline:
            sender.send(command)
            # On loopback, a datagram that nobody takes is an error at once.
            if sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                return
            time.sleep(_POLL_S)
    raise EmulationError(f"no agent listens on {address}; see the routers' logs")


def _write_configs(
    grid: Grid, options: EmulationOptions, files: RunFiles, ends: dict[LineEnd, dict[str, str]]
) -> None:
    config = plan.controller_config(grid, files, options, mininet=False)
    workspace.write_yaml(files.controller_config, config)
    controller = f"127.0.0.1:{options.southbound_port}"
    routers = grid.routers if options.router_metrics else ()
    metrics = {
        router.id: f"127.0.0.1:{port}"
        for router, port in zip(routers, free_ports(len(routers)), strict=True)
    }
    workspace.write_targets(files, plan.metrics_targets(metrics))
    for router in grid.routers:
        config = plan.router_config(grid, router, files, controller, ends, metrics, options.trace)
        workspace.write_yaml(files.router_config(router.id), config, secret=True)
