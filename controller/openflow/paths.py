"""Shortest paths over the trunks between switches."""

from collections import deque
from collections.abc import Mapping

from controller.openflow.frames import PortId

# Switch -> (its port, the neighbour's port), one entry for each usable trunk.
Trunks = Mapping[int, tuple[tuple[int, PortId], ...]]


def two_way_trunks(heard: Mapping[PortId, PortId]) -> Trunks:
    """Trunks whose both ends heard the other.

    ``heard`` maps a port to the port whose probe it heard last.
    """
    trunks: dict[int, list[tuple[int, PortId]]] = {}
    for here, there in heard.items():
        if heard.get(there) == here and here.dpid != there.dpid:
            trunks.setdefault(here.dpid, []).append((here.port, there))
    return {dpid: tuple(sorted(ends)) for dpid, ends in trunks.items()}


def ports_towards(target: int, trunks: Trunks) -> dict[int, int]:
    """For each other switch that reaches ``target``: its port on a shortest path there.

    Breadth first; ties are broken by the order of ports, so that the same trunks always give the
    same paths.
    """
    towards: dict[int, int] = {}
    seen, queue = {target}, deque([target])
    while queue:
        for _, neighbor_end in trunks.get(queue.popleft(), ()):
            if neighbor_end.dpid not in seen:
                seen.add(neighbor_end.dpid)
                towards[neighbor_end.dpid] = neighbor_end.port
                queue.append(neighbor_end.dpid)
    return towards
