"""Mininet's nodes and links, as the emulation needs them.

Mininet's own links take a dozen commands each; these take one, and both ends get different interface
indexes: where they are equal, Linux may hold the news of a lost carrier back for a second.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from mininet.link import Intf, Link
from mininet.node import Controller, Host, Node, OVSSwitch

from topologies.emulator import addresses, ovs
from topologies.emulator.addresses import ControlNetwork
from topologies.emulator.agents import Agents
from topologies.emulator.controller_process import ControllerProcess
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.shell import in_namespace, run

# Without IPv6 nobody multicasts on the control network. Open vSwitch's userspace datapath drops what
# relies on the sender's card for its checksum. One shell a host: a hundred of each would take long.
_TAKE_UP = """
[ ! -d /proc/sys/net/ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/{interface}/disable_ipv6
ip -batch -
ethtool -K {interface} tx off > /dev/null
"""


class RunningGrid(Protocol):
    """What nodes need of the network that they are part of."""

    @property
    def options(self) -> EmulationOptions: ...

    @property
    def controller(self) -> ControllerProcess: ...

    @property
    def agents(self) -> Agents: ...

    @property
    def control(self) -> ControlNetwork: ...

    @property
    def interface_indexes(self) -> Iterator[int]:
        """Of the interfaces of this network: each is used once."""

    @property
    def hosts(self) -> "dict[str, RouterHost]":
        """By router; a host enters itself."""

    def start_agents(self) -> None:
        """Start every router's agent in its host."""


class QuietInterface(Intf):  # type: ignore[misc]  # Mininet carries no types
    """An interface that its link or node sets up; Mininet's would run a command for each property."""

    def config(self, **_params: Any) -> dict[str, Any]:
        return {}


class Veth(Link):  # type: ignore[misc]  # Mininet carries no types
    """A veth pair between two nodes. Ends in the root namespace are up; hosts take theirs up."""

    def __init__(self, node1: Node, node2: Node, **params: Any) -> None:
        super().__init__(node1, node2, **params | {"intf": QuietInterface})

    @classmethod
    def makeIntfPair(
        cls,
        name1: str,
        name2: str,
        mac1: str,
        mac2: str,
        node1: Node,
        node2: Node,
        **_params: Any,
    ) -> None:
        # Only the first end can be made up at once: the second has no peer yet when it is made.
        ends = sorted(((node1, name1, mac1), (node2, name2, mac2)), key=lambda e: e[0].inNamespace)
        (near, *near_link), (far, *far_link) = ends
        network: RunningGrid = node1.network
        up = "" if near.inNamespace else "up"
        near_end, far_end = (
            f"name {name} index {next(network.interface_indexes)} address {mac}"
            f" group {network.control.interface_group} netns {node.pid}"
            for node, (name, mac) in ((near, near_link), (far, far_link))
        )
        batch = f"link add {near_end} {up} type veth peer {far_end}\n"
        if not far.inNamespace:
            batch += f"link set dev {far_link[0]} up\n"
        run("ip", "-batch", "-", stdin=batch)

    def stop(self) -> None:
        """Nothing: what hosts hold goes with them, the rest goes at once with its interface group."""


def take_up(node: Node, address: str, interfaces: list[str]) -> None:
    """Bring a host's interfaces up; its first one gets an address of the control network."""
    control = node.defaultIntf()
    network: RunningGrid = node.network
    control.ip, control.prefixLen = address, str(network.control.subnet.prefixlen)
    batch = "".join(f"link set dev {name} up\n" for name in ("lo", *interfaces))
    batch += f"address add {address}/{control.prefixLen} dev {control.name}\n"
    in_namespace(node.pid, "sh", "-ec", _TAKE_UP.format(interface=control.name), stdin=batch)


class RouterHost(Host):  # type: ignore[misc]  # Mininet carries no types
    """A host that is a router: its agent runs in it, its lines are its interfaces after the first."""

    def __init__(self, name: str, network: RunningGrid, address: str, **params: Any) -> None:
        self._address = address
        self.network = network
        super().__init__(name, **params)
        network.hosts[name] = self

    def config(self, **_params: Any) -> dict[str, Any]:
        take_up(self, self._address, self.intfNames())
        return {}


class ControllerNode(Node):  # type: ignore[misc]  # Mininet carries no types
    """The controller's place on the control network: an interface of its own in the root namespace."""

    def __init__(self, name: str, network: RunningGrid, **params: Any) -> None:
        self.network = network
        super().__init__(name, **params | {"inNamespace": False})

    def config(self, **_params: Any) -> dict[str, Any]:
        take_up(self, str(self.network.control.controller_address), self.intfNames())
        return {}


class ControlSwitch(OVSSwitch):  # type: ignore[misc]  # Mininet carries no types
    """Open vSwitch in user space (no kernel module needed), which forwards only what it is told."""

    def __init__(self, name: str, network: RunningGrid, **params: Any) -> None:
        self.network = network
        ours = {"datapath": "user", "failMode": "secure", "protocols": "OpenFlow13"}
        super().__init__(name, **params | ours | {"listenPort": None})

    def bridgeOpts(self) -> str:
        return f"{super().bridgeOpts()} external_ids:{ovs.OWNER_KEY}={self.network.control.owner}"

    @classmethod
    def batchStartup(cls, switches: Any, **params: Any) -> Any:
        """The last step of Mininet's start: from here on the control network carries traffic."""
        started = super().batchStartup(switches, **params)
        for network in {switch.network for switch in switches}:
            network.start_agents()
        return started


class GridController(Controller):  # type: ignore[misc]  # Mininet carries no types
    """``dgc serve``, which controls the switches and the routers."""

    def __init__(self, name: str, network: RunningGrid, **params: Any) -> None:
        self._network = network
        port = network.options.openflow_port
        super().__init__(name, **params | {"ip": addresses.OPENFLOW_HOST, "port": port})

    def checkListening(self) -> None:
        """Not yet: an error in a node's constructor would leave its shell behind."""

    def start(self) -> None:
        self._network.controller.start()
        # A switch that finds nobody there waits a second before it tries again.
        self._network.controller.wait_listening(self.ip, self.port)

    def stop(self, *_args: Any, **_params: Any) -> None:
        """The first step of Mininet's stop: agents end before what they stand on is taken away."""
        self._network.agents.close()
        self._network.controller.stop()
        self.terminate()
