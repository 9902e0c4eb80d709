"""What the emulation puts into the root namespace besides processes, and its removal.

Everything is found by marks that only we set (the owner of a bridge, the group of an interface, the
exact route), so it is safe to call at any time, also when a crash left no record.
"""

import json

from topologies.emulator import addresses, ovs
from topologies.emulator.shell import run

# Somebody else's route to the same addresses goes before ours.
_MIN_PREFERRED_METRIC = 4278198272
_FENCE = ("unreachable", str(addresses.CONTROL_NETWORK), "metric", str(_MIN_PREFERRED_METRIC))


def fence_off() -> None:
    """Nothing for the control network leaves this machine, also when its interfaces are gone."""
    run("ip", "route", "replace", *_FENCE)


def our_interfaces() -> list[str]:
    """Interfaces of the root namespace that the emulation made."""
    listed = run("ip", "-json", "link", "show", "group", str(addresses.INTERFACE_GROUP))
    # ip prints an empty object for each interface of another group.
    return [link["ifname"] for link in json.loads(listed or "[]") if link]


def leftovers() -> list[str]:
    """The names of all that is there: bridges, interfaces and the route."""
    route = ["the route that fences the control network off"] if _is_fenced_off() else []
    return _our_bridges() + route + our_interfaces()


def remove_network() -> list[str]:
    """Remove bridges, interfaces and the route; returns the names of what was there."""
    found = leftovers()
    ovs.delete_bridges(_our_bridges())
    if our_interfaces():
        run("ip", "link", "delete", "group", str(addresses.INTERFACE_GROUP))
    if _is_fenced_off():
        run("ip", "route", "delete", *_FENCE)
    return found


def _our_bridges() -> list[str]:
    return ovs.our_bridges() if ovs.is_running() else []


def _is_fenced_off() -> bool:
    return bool(run("ip", "route", "show", "type", *_FENCE))
