"""Shortest-path trees from sources under prices: what a watt costs at every router, and the paths that are worth it.

A watt that enters router v costs ``y(v) = min over arcs (u, v) of gain y(u) + toll``, with gains of at least 1 and
tolls of at least 0, so label-setting from the sources downstream is exact, and one tree serves all the sinks.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.assignments.standing import Choice, Circuits, Paths
from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.heap import heap_push, heap_remove_first, with_room

# Arcs of trees that there is room for at first; it grows.
_FIRST_ARCS = 4096


class Leaving(NamedTuple):
    """Arcs in the order of their tails: those that leave u have places ``start[u]`` up to ``start[u + 1]``."""

    start: Ints
    arc: Ints
    head: Ints


class Groups(NamedTuple):
    """Circuits by their choice, in compressed rows; sources and places of forbidden arcs of each choice likewise."""

    circuit_start: Ints
    circuit: Ints
    source_start: Ints
    source: Ints
    blocked_start: Ints
    blocked: Ints


class Priced(NamedTuple):
    """What the cheapest path of each circuit costs, and those paths that were worth it, with their circuits."""

    least: Floats
    circuit: Ints
    paths: Paths


def leaving_of(graph: PowerGraph) -> Leaving:
    return Leaving(graph.leaving_start, graph.leaving, graph.head[graph.leaving])


def groups_of(graph: PowerGraph, circuits: Circuits) -> Groups:
    members = np.argsort(circuits.choice, kind="stable").astype(np.int32)
    sizes = np.bincount(circuits.choice, minlength=len(circuits.choices))
    sources = [np.array(choice.sources, dtype=np.int32) for choice in circuits.choices]
    blocked = [_blocked(graph, choice) for choice in circuits.choices]
    empty = [np.zeros(0, dtype=np.int32)]
    return Groups(
        _starts(sizes.tolist()),
        members,
        _starts([len(each) for each in sources]),
        np.concatenate(sources or empty),
        _starts([len(each) for each in blocked]),
        np.concatenate(blocked or empty),
    )


def _blocked(graph: PowerGraph, choice: Choice) -> Ints:
    nodes = np.zeros(graph.node_count, dtype=bool)
    nodes[list(choice.avoid_nodes)] = True
    arcs = nodes[graph.tail] | nodes[graph.head]
    arcs[list(choice.avoid_arcs)] = True
    return np.flatnonzero(arcs[graph.leaving]).astype(np.int32)


def _starts(sizes: list[int]) -> Ints:
    starts = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=starts[1:])
    return starts


@compiled
def grow_tree(
    leaving: Leaving,
    gain: Floats,
    toll: Floats,
    label: Floats,
    parent: Ints,
    wanted: Ints,
    wanted_count: int,
    keys: Floats,
    items: Ints,
) -> tuple[Floats, Ints]:
    """Settle labels downstream of those routers whose label is finite, until all that are wanted have theirs.

    Gains and tolls stand in the places of ``leaving``. ``parent`` becomes the arc by which a label came, -1 at a
    source. ``wanted[v]`` is how often router v is waited for, ``wanted_count`` the number of routers for which that
    is above 0. Gives back the heap's arrays, which may have grown.
    """
    size = 0
    for node in range(len(label)):
        parent[node] = -1
        if label[node] < np.inf:
            keys, items = with_room(keys, items, size)
            heap_push(keys, items, size, label[node], node)
            size += 1
    while size > 0:
        price, node = keys[0], items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if price > label[node]:
            continue
        if wanted[node] > 0:
            wanted_count -= 1
            if wanted_count == 0:
                break
        for at in range(leaving.start[node], leaving.start[node + 1]):
            head = leaving.head[at]
            through = price * gain[at] + toll[at]
            if through < label[head]:
                label[head] = through
                parent[head] = leaving.arc[at]
                keys, items = with_room(keys, items, size)
                heap_push(keys, items, size, through, head)
                size += 1
    return keys, items


class Room(NamedTuple):
    """What trees are grown in. Between two of them nothing of it matters, but that no router is wanted."""

    label: Floats
    parent: Ints
    source_at: Ints
    wanted: Ints


def price_circuits(
    leaving: Leaving,
    groups: Groups,
    circuits: Circuits,
    entering_w: Floats,
    gain: Floats,
    toll: Floats,
    source_price: Floats,
    worth: Floats,
    tail: Ints,
) -> Priced:
    """One tree a choice: the cheapest path of every circuit, and those cheaper than ``worth`` of their circuit.

    ``entering_w`` is what must enter the sink's router; gains and tolls are given by arc, an infinite toll closes one.
    """
    node_count = len(leaving.start) - 1
    room = Room(
        np.empty(node_count),
        np.empty(node_count, dtype=np.int32),
        np.empty(node_count, dtype=np.int32),
        np.zeros(node_count, dtype=np.int32),
    )
    return _price(
        leaving,
        groups,
        room,
        circuits.source_node,
        circuits.sink,
        entering_w,
        gain[leaving.arc],
        toll[leaving.arc],
        source_price,
        worth,
        tail,
    )


@compiled
def _price(
    leaving: Leaving,
    groups: Groups,
    room: Room,
    source_node: Ints,
    sink: Ints,
    entering_w: Floats,
    gain: Floats,
    toll: Floats,
    source_price: Floats,
    worth: Floats,
    tail: Ints,
) -> Priced:
    keys, items = np.empty(256), np.empty(256, dtype=np.int32)
    count = len(sink)
    least, found = np.full(count, np.inf), 0
    circuit, source = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    start, arcs = np.zeros(count + 1, dtype=np.int32), np.empty(_FIRST_ARCS, dtype=np.int32)
    for choice in range(len(groups.circuit_start) - 1):
        members = groups.circuit[groups.circuit_start[choice] : groups.circuit_start[choice + 1]]
        if len(members) == 0:
            continue
        blocked = groups.blocked[groups.blocked_start[choice] : groups.blocked_start[choice + 1]]
        tolls = toll
        if len(blocked) > 0:
            tolls = toll.copy()
            for at in blocked:
                tolls[at] = np.inf
        own = groups.source[groups.source_start[choice] : groups.source_start[choice + 1]]
        wanted_count = _set_out(room, own, source_node, source_price, members, sink)
        keys, items = grow_tree(
            leaving,
            gain,
            tolls,
            room.label,
            room.parent,
            room.wanted,
            wanted_count,
            keys,
            items,
        )
        for index in members:
            node = sink[index]
            room.wanted[node] = 0
            least[index] = room.label[node] * entering_w[index]
            if least[index] < worth[index]:
                arcs, last, begin = _unwind(room.parent, tail, node, arcs, start[found])
                start[found + 1] = last
                circuit[found], source[found] = index, room.source_at[begin]
                found += 1
    paths = Paths(source[:found], start[: found + 1], arcs[: start[found]])
    return Priced(least, circuit[:found], paths)


@compiled
def _set_out(
    room: Room, own: Ints, source_node: Ints, source_price: Floats, members: Ints, sink: Ints
) -> int:
    """Labels at the routers of these sources, and the sinks of these circuits wanted; how many routers that are."""
    room.label[:] = np.inf
    for source in own:
        node = source_node[source]
        if 1.0 + source_price[source] < room.label[node]:
            room.label[node] = 1.0 + source_price[source]
            room.source_at[node] = source
    wanted_count = 0
    for index in members:
        wanted_count += room.wanted[sink[index]] == 0
        room.wanted[sink[index]] += 1
    return wanted_count


@compiled
def _unwind(parent: Ints, tail: Ints, sink: int, arcs: Ints, first: int) -> tuple[Ints, int, int]:
    """Write the path of the tree to a sink from ``arcs[first]`` on: the array, where it ends, and its first router."""
    length, node = 0, sink
    while parent[node] >= 0:
        node = tail[parent[node]]
        length += 1
    if first + length > len(arcs):
        more = np.empty(2 * len(arcs) + length, dtype=np.int32)
        more[:first] = arcs[:first]
        arcs = more
    begin, node = node, sink
    for place in range(first + length - 1, first - 1, -1):
        arcs[place] = parent[node]
        node = tail[parent[node]]
    return arcs, first + length, begin
