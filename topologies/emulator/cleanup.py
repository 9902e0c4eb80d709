"""What emulations put into the root namespace besides processes, and its removal.

Everything is found by marks that only we set (the owner of a bridge, the group of an interface, the metric of a
route), so it is safe to call at any time, also when a crash left no record. Each network has marks of its own.
"""

import json
from collections.abc import Iterator
from ipaddress import IPv4Network

from topologies.emulator import ovs, workspace
from topologies.emulator.addresses import MAX_NETWORKS, ControlNetwork
from topologies.emulator.shell import run


def fence_off(network: ControlNetwork) -> None:
    """Nothing for the control network leaves this machine, also when its interfaces are gone."""
    run("ip", "route", "replace", *_fence(network, network.subnet))


def fenced_off() -> Iterator[tuple[int, IPv4Network]]:
    """The numbers and subnets of control networks that are there."""
    numbers = {ControlNetwork(number).fence_metric: number for number in range(MAX_NETWORKS)}
    for route in json.loads(run("ip", "-json", "route", "show", "type", "unreachable") or "[]"):
        if route.get("metric") in numbers and "." in route["dst"]:
            yield numbers[route["metric"]], IPv4Network(route["dst"])


def leftovers(network: ControlNetwork) -> list[str]:
    """The names of all that is there of a network: bridges, interfaces and the route."""
    fences = [f"the route that fences {subnet} off" for subnet in _fenced_off(network)]
    return _bridges(network) + fences + _interfaces(network)


def remove_network(network: ControlNetwork) -> list[str]:
    """Remove bridges, interfaces and the route of a network; returns the names of what was there."""
    found = leftovers(network)
    ovs.delete_bridges(_bridges(network))
    if _interfaces(network):
        run("ip", "link", "delete", "group", str(network.interface_group))
    for subnet in _fenced_off(network):
        run("ip", "route", "delete", *_fence(network, subnet))
    return found


def stop_open_vswitch() -> None:
    """Stop Open vSwitch where emulations alone needed it, and none has a control network any more, or takes one."""
    with workspace.choosing():
        if not any(workspace.is_held(number) for number in workspace.used_numbers()):
            ovs.stop_unless_used()


def _fence(network: ControlNetwork, subnet: IPv4Network) -> tuple[str, ...]:
    return ("unreachable", str(subnet), "metric", str(network.fence_metric))


def _fenced_off(network: ControlNetwork) -> list[IPv4Network]:
    return [subnet for number, subnet in fenced_off() if number == network.number]


def _interfaces(network: ControlNetwork) -> list[str]:
    listed = run("ip", "-json", "link", "show", "group", str(network.interface_group))
    # ip prints an empty object for each interface of another group.
    return [link["ifname"] for link in json.loads(listed or "[]") if link]


def _bridges(network: ControlNetwork) -> list[str]:
    return ovs.bridges_of(network.owner) if ovs.is_running() else []
