"""Addresses and names in the emulation; what stands here in the root namespace is ours to remove."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

CONTROL_NETWORK = IPv4Network("10.213.0.0/16")
CONTROLLER_ADDRESS = CONTROL_NETWORK[1]
SOUTHBOUND_PORT = 50052
OPENFLOW_HOST, OPENFLOW_PORT = "127.0.0.1", 6653
NORTHBOUND_ADDRESS = "127.0.0.1:50051"

# Switches and the controller's end of the control network; no other program names interfaces so.
SWITCH_PREFIX = "dgs"
CONTROLLER_NODE = "dgc"
CONTROLLER_INTERFACE = "dgc-ctl"
CONTROL_INTERFACE = "ctl"
# A mark on our interfaces in the root namespace, by which the kernel removes all of them at once.
INTERFACE_GROUP = 0xD61D
# The kernel picks indexes from 1 upwards; ours are far from those.
FIRST_INTERFACE_INDEX = 100_000

_FIRST_ROUTER = 11
# Linux takes 15 characters.
_USABLE_AS_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_TAKEN_NAMES = frozenset({"lo", CONTROL_INTERFACE, "all", "default"})


def router_address(index: int) -> IPv4Address:
    """The control address of the router at this place of the grid file, from 0."""
    return CONTROL_NETWORK[_FIRST_ROUTER + index]


def mac_address(address: IPv4Address) -> str:
    """A locally administered MAC address made from a control address."""
    return (b"\x02\xd6" + address.packed).hex(":")


def switch_name(index: int) -> str:
    """The name of the control network's switch at this place, from 0."""
    return f"{SWITCH_PREFIX}{index + 1}"


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
    return router_id == CONTROLLER_NODE or bool(re.fullmatch(SWITCH_PREFIX + r"[0-9]+", router_id))
