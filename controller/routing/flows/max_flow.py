"""Maximum flow from many sources to many sinks, by Dinic's algorithm on float capacities.

E. Dinic, "Algorithm for solution of a problem of maximum flow in networks with power estimation" (1970): blocking
flows on the shortest ways, which get longer with each phase, so there are no more phases than nodes. Searches for
the ways begin at the sinks, and end at the nearest sources that have something left.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled, compiled_in_place
from controller.routing.flows.spanning_tree import Bools
from controller.routing.graph import Floats, Ints

# What is left of something that is used up, but for rounding.
_RELATIVE_TOLERANCE = 1e-12
# No arc; ~k stands for arc k against its direction.
_NONE = np.iinfo(np.int32).min


class Room(NamedTuple):
    """A PowerGraph's arcs, by head and by tail; by arc, what it carries, may carry more, and what counts as nothing."""

    start: Ints
    tail: Ints
    leaving_start: Ints
    leaving: Ints
    head: Ints
    flow: Floats
    free: Floats
    nothing: Floats


class Ends(NamedTuple):
    """By node, what is still offered and wanted, and what of each counts as nothing."""

    offered: Floats
    wanted: Floats
    no_offer: Floats
    no_want: Floats


@compiled
def maximum_flow(
    start: Ints,
    tail: Ints,
    leaving_start: Ints,
    leaving: Ints,
    head: Ints,
    capacity: Floats,
    offered: Floats,
    wanted: Floats,
) -> tuple[Floats, Bools]:
    """The flow by arc, and a mark on the nodes from which more could still reach a sink.

    Between those and the others lies the minimum cut nearest to the sinks; where all that is wanted arrives, no node
    is marked. Capacities and what nodes offer and want are finite and at least 0; a node takes its own first.
    """
    n = len(offered)
    ends = Ends(
        np.maximum(offered - wanted, 0.0),
        np.maximum(wanted - offered, 0.0),
        offered * _RELATIVE_TOLERANCE,
        wanted * _RELATIVE_TOLERANCE,
    )
    room = Room(
        start,
        tail,
        leaving_start,
        leaving,
        head,
        np.zeros(len(tail)),
        capacity.copy(),
        capacity * _RELATIVE_TOLERANCE,
    )
    level, queue = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    tried, way = np.empty(n, dtype=np.int32), np.empty(n + 1, dtype=np.int32)
    for _ in range(n + 1):
        reached, farthest = _set_levels(room, ends, level, queue)
        if farthest < 0:
            break
        for at in range(reached):
            tried[queue[at]] = 0
        for at in range(reached - 1, -1, -1):
            node = queue[at]
            if level[node] == farthest and ends.offered[node] > ends.no_offer[node]:
                _send_from(room, ends, node, level, tried, way)
    return room.flow, level >= 0


@compiled_in_place
def _set_levels(room: Room, ends: Ends, level: Ints, queue: Ints) -> tuple[int, int]:
    """Distances to sinks that want more, up to the first at which more is offered: -1 where there is none.

    Also gives how many nodes were reached; they are in ``queue``, and of all others the level is -1.
    """
    level[:] = -1
    reached, farthest = 0, -1
    for node in range(len(level)):
        if ends.wanted[node] > ends.no_want[node]:
            level[node] = 0
            queue[reached] = node
            reached += 1
    at = 0
    while at < reached:
        node = queue[at]
        at += 1
        if farthest >= 0 and level[node] >= farthest:
            break
        for arc in range(room.start[node], room.start[node + 1]):
            other = room.tail[arc]
            if level[other] < 0 and room.free[arc] > room.nothing[arc]:
                level[other] = level[node] + 1
                queue[reached] = other
                reached += 1
                if ends.offered[other] > ends.no_offer[other]:
                    farthest = level[other]
        for place in range(room.leaving_start[node], room.leaving_start[node + 1]):
            arc = room.leaving[place]
            other = room.head[arc]
            if level[other] < 0 and room.flow[arc] > room.nothing[arc]:
                level[other] = level[node] + 1
                queue[reached] = other
                reached += 1
                if ends.offered[other] > ends.no_offer[other]:
                    farthest = level[other]
    return reached, farthest


@compiled_in_place
def _send_from(room: Room, ends: Ends, source: int, level: Ints, tried: Ints, way: Ints) -> None:
    """Send what a source offers down the levels, until it is gone or no way is left.

    ``tried[v]`` is how many of the arcs at node v are of no more use; ``way`` has room for the arcs of a way, of which
    ~k is arc k against its direction.
    """
    node, length = source, 0
    while ends.offered[source] > ends.no_offer[source]:
        if level[node] == 0 and ends.wanted[node] > ends.no_want[node]:
            length = _send(room, ends, source, node, way, length)
            node = source if length == 0 else _ahead(room, way[length - 1])
            continue
        arc = _next(room, node, level, tried)
        if arc != _NONE:
            way[length] = arc
            length += 1
            node = _ahead(room, arc)
        elif length == 0:
            return
        else:
            length -= 1
            node = _behind(room, way[length])
            tried[node] += 1


@compiled_in_place
def _next(room: Room, node: int, level: Ints, tried: Ints) -> int:
    """The next arc by which something can go one level down; ``tried`` moves up to it.

    None leads down from a sink that wants no more: what is not on any level was not reached, and has level -1.
    """
    if level[node] == 0:
        return _NONE
    out = room.leaving_start[node + 1] - room.leaving_start[node]
    every = out + room.start[node + 1] - room.start[node]
    while tried[node] < every:
        if tried[node] < out:
            arc = room.leaving[room.leaving_start[node] + tried[node]]
            if level[room.head[arc]] == level[node] - 1 and room.free[arc] > room.nothing[arc]:
                return int(arc)
        else:
            arc = room.start[node] + tried[node] - out
            if level[room.tail[arc]] == level[node] - 1 and room.flow[arc] > room.nothing[arc]:
                return int(~arc)
        tried[node] += 1
    return _NONE


@compiled_in_place
def _send(room: Room, ends: Ends, source: int, sink: int, way: Ints, length: int) -> int:
    """Send what fits along a way. Returns how long its beginning is that has room left."""
    most = min(ends.offered[source], ends.wanted[sink])
    for at in range(length):
        arc = way[at]
        most = min(most, room.free[arc] if arc >= 0 else room.flow[~arc])
    ends.offered[source] -= most
    ends.wanted[sink] -= most
    left = length
    for at in range(length - 1, -1, -1):
        arc = way[at]
        if arc >= 0:
            room.free[arc] -= most
            room.flow[arc] += most
            full = room.free[arc] <= room.nothing[arc]
        else:
            room.free[~arc] += most
            room.flow[~arc] -= most
            full = room.flow[~arc] <= room.nothing[~arc]
        if full:
            left = at
    return left if left < length else 0


@compiled_in_place
def _ahead(room: Room, arc: int) -> int:
    """The node to which something sent by an arc comes."""
    return int(room.head[arc] if arc >= 0 else room.tail[~arc])


@compiled_in_place
def _behind(room: Room, arc: int) -> int:
    return int(room.tail[arc] if arc >= 0 else room.head[~arc])
