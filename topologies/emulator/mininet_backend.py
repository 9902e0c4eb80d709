"""A grid in Mininet: every router a host, every power link a veth between two hosts."""

from mininet.log import lg
from mininet.net import Mininet

from digitalgrid.gridfile import Grid, Link
from topologies.emulator import addresses
from topologies.emulator.emulation import Emulation
from topologies.emulator.mininet_network import GridNetwork
from topologies.emulator.mininet_nodes import ControlSwitch, GridController, RouterHost
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.shell import in_namespace

# What fits in no bucket is lost: the interface is up and nothing passes it.
_SILENCE = ("tbf", "rate", "8bit", "burst", "1", "limit", "1")


class MininetEmulation(Emulation):
    """Needs root and Open vSwitch; ports and subnet of its own beside others (AlreadyRunning)."""

    backend = "mininet"

    def __init__(self, grid: Grid, options: EmulationOptions) -> None:
        super().__init__(grid)
        lg.setLogLevel("warning")
        self._network = GridNetwork(grid, options)
        self.agents, self.controller = self._network.agents, self._network.controller
        self._interfaces = addresses.line_interfaces(link.id for link in grid.links)
        self._muted: set[str] = set()
        self.net: Mininet | None = None

    def start(self) -> None:
        network = self._network
        self.net = Mininet(
            topo=network.topology(),
            build=False,
            host=RouterHost,
            switch=ControlSwitch,
            controller=lambda name: GridController(name, network=network),
        )
        self.net.build()
        self.net.start()

    def stop(self) -> None:
        if self.net is not None:
            self.net.stop()
            self.net = None
        self._network.close()

    def _set_line(self, link: Link, *, carrier: bool, silent: bool) -> None:
        interface = self._interfaces[link.id]
        if silent != (link.id in self._muted):
            verb = "add" if silent else "delete"
            for router_id in (link.a, link.b):
                qdisc = ("tc", "qdisc", verb, "dev", interface, "root")
                self._in_host(router_id, *qdisc, *(_SILENCE if silent else ()))
            self._muted ^= {link.id}
        # One end is enough to take the carrier from both; both may have been taken down by hand.
        for router_id in (link.a, link.b) if carrier else (link.a,):
            state = "up" if carrier else "down"
            self._in_host(router_id, "ip", "link", "set", "dev", interface, state)

    def _in_host(self, router_id: str, *command: str) -> None:
        in_namespace(self._network.hosts[router_id].pid, *command)
