"""Addresses and names in the emulation; what stands here in the root namespace is ours to remove."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

DEFAULT_SUBNET = IPv4Network("10.213.0.0/16")
# Where routers dial the controller, as its own default is.
SOUTHBOUND_PORT = 50052
OPENFLOW_HOST, OPENFLOW_PORT = "127.0.0.1", 6653
NORTHBOUND_ADDRESS = "127.0.0.1:50051"
# Of each router's own address, in Mininet.
ROUTER_METRICS_PORT = 50082

# Nodes of Mininet that are ours; no other program names interfaces so.
SWITCH_PREFIX = "dgs"
CONTROLLER_NODE = "dgc"
CONTROL_INTERFACE = "ctl"

# Networks in Mininet that one machine runs at once; each has a letter, but for the first.
MAX_NETWORKS = 10
_LETTERS = ("", *"bcdefghij")
# A mark on our interfaces in the root namespace, by which the kernel removes all of a network's at once.
_FIRST_INTERFACE_GROUP = 0xD61D
# The kernel picks indexes from 1 upwards; ours are far from those, and each network has as many for itself.
_FIRST_INTERFACE_INDEX = 100_000
# Somebody else's route to the same addresses goes before ours.
_FIRST_FENCE_METRIC = 4278198272

# Of the subnet: those before it are the controller's, the machine's, and free for what people add.
_FIRST_ROUTER = 11
# Linux takes 15 characters.
_USABLE_AS_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_TAKEN_NAMES = frozenset({"lo", CONTROL_INTERFACE, "all", "default"})


@dataclass(frozen=True, slots=True)
class ControlNetwork:
    """The control network of an emulation in Mininet. Its ``number``, from 0, is its own on this machine."""

    number: int = 0
    subnet: IPv4Network = DEFAULT_SUBNET

    @property
    def controller_address(self) -> IPv4Address:
        return self.subnet[1]

    def router_address(self, index: int) -> IPv4Address:
        """The control address of the router at this place of the grid file, from 0."""
        return self.subnet[_FIRST_ROUTER + index]

    def has_room_for(self, routers: int) -> bool:
        # The last address is for broadcasts.
        return self.subnet.num_addresses - 1 >= _FIRST_ROUTER + routers

    def switch_name(self, index: int) -> str:
        """The name of the switch at this place, from 0. Mininet makes its datapath id of the digits."""
        return f"{SWITCH_PREFIX}{index + 1}{_LETTERS[self.number]}"

    @property
    def controller_interface(self) -> str:
        return f"{CONTROLLER_NODE}{_LETTERS[self.number]}-{CONTROL_INTERFACE}"

    @property
    def interface_group(self) -> int:
        return _FIRST_INTERFACE_GROUP + self.number

    @property
    def first_interface_index(self) -> int:
        return _FIRST_INTERFACE_INDEX * (1 + self.number)

    @property
    def fence_metric(self) -> int:
        """Of the route that keeps what is for the control network on this machine."""
        return _FIRST_FENCE_METRIC + self.number

    @property
    def owner(self) -> str:
        """Written into each bridge; names alone could be somebody else's."""
        return f"digitalgrid{_LETTERS[self.number]}"


def mac_address(address: IPv4Address) -> str:
    """A locally administered MAC address made from a control address."""
    return (b"\x02\xd6" + address.packed).hex(":")


def line_interfaces(link_ids: Iterable[str]) -> dict[str, str]:
    """The interface name of each power link, at both ends: its id where Linux takes that as a name."""
    return {
        link_id: link_id
        if _USABLE_AS_INTERFACE.fullmatch(link_id) and link_id not in _TAKEN_NAMES
        else f"line~{index}"
        for index, link_id in enumerate(link_ids)
    }


def is_reserved(router_id: str) -> bool:
    """Whether a node of the emulation itself has, or may have, this name."""
    switch = re.fullmatch(SWITCH_PREFIX + r"[0-9]+[a-z]?", router_id)
    return router_id == CONTROLLER_NODE or switch is not None
