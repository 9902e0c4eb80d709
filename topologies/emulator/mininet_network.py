"""A grid as Mininet sees it: the topology, and what hosts, switches and the controller share."""

import itertools
import os
from contextlib import ExitStack
from ipaddress import IPv4Address

from mininet.topo import Topo

from digitalgrid.gridfile import Grid
from topologies.emulator import addresses, cleanup, ovs, plan, workspace
from topologies.emulator.addresses import ControlNetwork
from topologies.emulator.agents import Agents
from topologies.emulator.controller_process import ControllerProcess, serve_command
from topologies.emulator.errors import AlreadyRunning, EmulationError
from topologies.emulator.mininet_nodes import ControllerNode, RouterHost, Veth
from topologies.emulator.plan import EmulationOptions, RunFiles
from topologies.emulator.ports import require_free
from topologies.emulator.processes import ProcessId
from topologies.emulator.workspace import Lock, RunRecord


class GridNetwork:
    """One grid in Mininet: its files, its processes, and its mark on the root namespace.

    :meth:`close` it when Mininet has stopped. AlreadyRunning where its run directory, ports or subnet are in use.
    """

    def __init__(self, grid: Grid, options: EmulationOptions) -> None:
        if os.geteuid() != 0:
            raise EmulationError("Mininet needs root: run as root, or with '--backend local'")
        _refuse_reserved_names(grid)
        self.grid = grid
        self.options = options
        self.files = RunFiles.under(options.run_dir)
        self.hosts: dict[str, RouterHost] = {}
        with ExitStack() as undo:
            undo.callback(workspace.prepare(self.files).close)
            require_free(options.northbound, "--northbound")
            require_free(f"{addresses.OPENFLOW_HOST}:{options.openflow_port}", "--openflow-port")
            undo.callback(cleanup.stop_open_vswitch)
            with workspace.choosing():
                self.control = self._take_network(undo)
                undo.callback(workspace.erase_record, self.files)
                workspace.write_record(self.files, RunRecord("mininet", ProcessId.current()))
                undo.callback(cleanup.remove_network, self.control)
                cleanup.fence_off(self.control)
            self.interface_indexes = itertools.count(self.control.first_interface_index)
            self._write_configs()
            command = serve_command(self.files)
            self.controller = ControllerProcess(command, self.files.controller_log)
            undo.callback(self.controller.stop)
            self.agents = Agents(self.files)
            undo.callback(self.agents.close)
            self._undo = undo.pop_all()

    def topology(self) -> Topo:
        """Routers and the controller on the control network's switches; lines between routers."""
        topo = Topo()
        count = plan.switch_count(self.grid, self.options)
        switches = [
            topo.addSwitch(self.control.switch_name(index), network=self) for index in range(count)
        ]
        for a, b in plan.trunks(count):
            topo.addLink(switches[a], switches[b], cls=Veth)
        topo.addHost(addresses.CONTROLLER_NODE, cls=ControllerNode, network=self)
        self._join(topo, addresses.CONTROLLER_NODE, switches[0], self.control.controller_address)
        for index, router in enumerate(self.grid.routers):
            address = self.control.router_address(index)
            topo.addHost(router.id, network=self, address=str(address))
            self._join(topo, router.id, switches[index * count // len(self.grid.routers)], address)
        names = addresses.line_interfaces(link.id for link in self.grid.links)
        for link in self.grid.links:
            name = names[link.id]
            topo.addLink(link.a, link.b, intfName1=name, intfName2=name, cls=Veth)
        return topo

    def start_agents(self) -> None:
        """Start every router's agent in its host."""
        for router_id, host in self.hosts.items():
            self.agents.start(router_id, namespace_pid=host.pid)

    def close(self) -> None:
        """Remove what is left when Mininet has stopped. Safe to call again."""
        self._undo.close()

    def _take_network(self, undo: ExitStack) -> ControlNetwork:
        """The first control network of this machine that nobody has, without what was left of it."""
        number, lock = _first_free()
        undo.callback(lock.close)
        network = ControlNetwork(number, self.options.subnet)
        if not network.has_room_for(len(self.grid.routers)):
            raise EmulationError(
                f"{network.subnet} is too small for {len(self.grid.routers)} routers; give another with --subnet"
            )
        # From here on it stays: nobody stops it while a network is held.
        ovs.ensure_running()
        cleanup.remove_network(network)
        lock.sign(self.files.root)
        for other, subnet in cleanup.fenced_off():
            if subnet.overlaps(network.subnet):
                raise AlreadyRunning(
                    f"{network.subnet} is in use by the emulation in {workspace.run_dir_of(other)}:"
                    " stop that first, or give another with --subnet"
                )
        return network

    def _join(self, topo: Topo, node: str, switch: str, address: IPv4Address) -> None:
        is_router = node != addresses.CONTROLLER_NODE
        name = addresses.CONTROL_INTERFACE if is_router else self.control.controller_interface
        mac = addresses.mac_address(address)
        topo.addLink(node, switch, port1=0, intfName1=name, addr1=mac, cls=Veth)

    def _write_configs(self) -> None:
        config = plan.controller_config(self.grid, self.files, self.options, mininet=True)
        workspace.write_yaml(self.files.controller_config, config)
        controller = f"{self.control.controller_address}:{self.options.southbound_port}"
        ends = plan.mininet_line_ends(self.grid)
        metrics = self._metrics()
        workspace.write_targets(self.files, plan.metrics_targets(metrics))
        for router in self.grid.routers:
            config = plan.router_config(
                self.grid, router, self.files, controller, ends, metrics, self.options.trace
            )
            workspace.write_yaml(self.files.router_config(router.id), config)

    def _metrics(self) -> dict[str, str]:
        """Where each router's metrics are read: on the control network, which this machine reaches."""
        if not self.options.router_metrics:
            return {}
        return {
            router.id: f"{self.control.router_address(index)}:{addresses.ROUTER_METRICS_PORT}"
            for index, router in enumerate(self.grid.routers)
        }


def _first_free() -> tuple[int, Lock]:
    for number in range(addresses.MAX_NETWORKS):
        try:
            return number, workspace.network_lock(number)
        except AlreadyRunning:
            continue
    raise AlreadyRunning(f"{addresses.MAX_NETWORKS} networks run on this machine; stop one first")


def _refuse_reserved_names(grid: Grid) -> None:
    for router in grid.routers:
        if addresses.is_reserved(router.id):
            raise EmulationError(
                f"router {router.id!r}: the emulation names its own nodes so; choose another id"
            )
