"""Shortest-path trees from sources under prices: what a watt costs at every router, and the paths that are worth it.

A watt that enters router v costs ``y(v) = min over arcs (u, v) of gain y(u) + toll``, with gains of at least 1 and
tolls of at least 0, so label-setting from the sources downstream is exact, and one tree serves all the sinks.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.heap import heap_push, heap_remove_first, with_room
from controller.routing.standing import Choice, Circuits, Paths

_FIRST_ARCS = 4096


class Leaving(NamedTuple):
    """Arcs in the order of their tails: those that leave u stand at ``start[u]`` up to ``start[u + 1]``."""

    start: Ints
    arc: Ints
    head: Ints


class Groups(NamedTuple):
    """Circuits by their choice, in compressed rows; sources and forbidden arcs of each choice likewise."""

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
    return np.flatnonzero(arcs).astype(np.int32)


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

    ``parent`` becomes the arc by which a label came, -1 at a source. ``wanted[v]`` is how often router v is waited
    for, ``wanted_count`` the number of routers for which that is above 0. Gives back the heap's arrays, which may
    have grown.
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
            arc, head = leaving.arc[at], leaving.head[at]
            through = price * gain[arc] + toll[arc]
            if through < label[head]:
                label[head] = through
                parent[head] = arc
                keys, items = with_room(keys, items, size)
                heap_push(keys, items, size, through, head)
                size += 1
    return keys, items


@compiled
def price_circuits(
    leaving: Leaving,
    tail: Ints,
    groups: Groups,
    source_node: Ints,
    sink: Ints,
    entering_w: Floats,
    gain: Floats,
    toll: Floats,
    source_price: Floats,
    worth: Floats,
) -> Priced:
    """One tree a choice: the cheapest path of every circuit, and those cheaper than ``worth`` of their circuit.

    ``entering_w`` is what must enter the sink's router. ``toll`` is changed while it runs, and restored.
    """
    nodes, count = len(leaving.start) - 1, len(sink)
    label, parent = np.empty(nodes), np.empty(nodes, dtype=np.int32)
    source_at = np.empty(nodes, dtype=np.int32)
    wanted = np.zeros(nodes, dtype=np.int32)
    keys, items = np.empty(256), np.empty(256, dtype=np.int32)
    least = np.full(count, np.inf)
    found = 0
    circuit, source = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    start, arcs = np.zeros(count + 1, dtype=np.int32), np.empty(_FIRST_ARCS, dtype=np.int32)
    most_blocked = 0
    for choice in range(len(groups.blocked_start) - 1):
        most_blocked = max(
            most_blocked, groups.blocked_start[choice + 1] - groups.blocked_start[choice]
        )
    kept = np.empty(most_blocked)
    for choice in range(len(groups.circuit_start) - 1):
        first, last = groups.circuit_start[choice], groups.circuit_start[choice + 1]
        if first == last:
            continue
        blocked = groups.blocked[groups.blocked_start[choice] : groups.blocked_start[choice + 1]]
        for at in range(len(blocked)):
            kept[at] = toll[blocked[at]]
            toll[blocked[at]] = np.inf
        label[:] = np.inf
        for at in range(groups.source_start[choice], groups.source_start[choice + 1]):
            each = groups.source[at]
            node = source_node[each]
            if 1.0 + source_price[each] < label[node]:
                label[node] = 1.0 + source_price[each]
                source_at[node] = each
        wanted_count = 0
        for at in range(first, last):
            node = sink[groups.circuit[at]]
            wanted_count += wanted[node] == 0
            wanted[node] += 1
        keys, items = grow_tree(
            leaving, gain, toll, label, parent, wanted, wanted_count, keys, items
        )
        for at in range(first, last):
            index = groups.circuit[at]
            wanted[sink[index]] = 0
            least[index] = label[sink[index]] * entering_w[index]
            if not least[index] < worth[index]:
                continue
            length, node = 0, sink[index]
            while parent[node] >= 0:
                node = tail[parent[node]]
                length += 1
            while start[found] + length > len(arcs):
                more = np.empty(2 * len(arcs), dtype=np.int32)
                more[: len(arcs)] = arcs
                arcs = more
            circuit[found], source[found] = index, source_at[node]
            start[found + 1] = start[found] + length
            node = sink[index]
            for place in range(start[found + 1] - 1, start[found] - 1, -1):
                arcs[place] = parent[node]
                node = tail[parent[node]]
            found += 1
        for at in range(len(blocked) - 1, -1, -1):
            toll[blocked[at]] = kept[at]
    return Priced(
        least,
        circuit[:found],
        Paths(source[:found], start[: found + 1], arcs[: start[found]]),
    )
