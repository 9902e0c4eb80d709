"""Which buses are one router: those that closed bus-bus switches without impedance join."""

from collections import defaultdict

from topologies.importers.errors import NetworkError
from topologies.importers.reading import Reading
from topologies.importers.switches import switches

# Of a switch with impedance, pandapower takes this ratio of resistance to reactance unless told otherwise.
SWITCH_R_TO_X = 2.0


def join_buses(reading: Reading) -> None:
    """Fills ``router_of`` and ``nominal_kv`` for all buses in service. Raises NetworkError where there are none."""
    buses = {row.index: row for row in reading.rows("bus")}
    in_service = [index for index in sorted(buses) if buses[index].flag("in_service", True)]
    if not in_service:
        raise NetworkError("the network has no bus in service; there is nothing to import")
    reading.warn_of(
        len(buses) - len(in_service),
        "bus out of service",
        "buses out of service",
        "left out, with everything that hangs on them",
    )
    parent = {index: index for index in in_service}
    for switch in switches(reading, "b"):
        ends = (switch.bus, switch.element)
        joins = switch.closed and switch.row.figure("z_ohm") <= 0.0
        if joins and all(end in parent for end in ends):
            first, second = sorted(_root(parent, end) for end in ends)
            parent[second] = first
    members: dict[int, list[int]] = defaultdict(list)
    for index in in_service:
        members[_root(parent, index)].append(index)
    for root, group in members.items():
        router_id = reading.names.unique(buses[root].name, f"bus{root}")
        for index in group:
            reading.router_of[index] = router_id
            reading.nominal_kv[index] = buses[index].figure("vn_kv")


def _root(parent: dict[int, int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index
