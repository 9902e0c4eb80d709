"""Paths beside those that are known already, compiled: what the ranking of paths is made of.

The label of a router depends on the way from there to the sink alone, so paths branch where they come from the
sink: a *set* is all paths that begin there with the same arcs, less those that go on by certain arcs. One tree
downstream from the sources gives a lower bound for what any label grows to, as good as exact where losses in lines
are small; it tells what a set promises before that is searched, and leads the search.
"""

from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.alternatives.growth import Leaving, growth_at
from controller.routing.compiled import compiled, record_type
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.heap import heap_push, heap_remove_first
from controller.routing.paths.path_power import RELATIVE_TOLERANCE, through_arc
from controller.routing.paths.search_arrays import Arcs, Records

# Among the arcs by which a path may not go on: it may not begin here, at a source.
NOT_FROM_HERE = -1

_NODE = record_type(
    growth="f8",
    label_w="f8",
    available_w="f8",
    in_tree="i8",
    source="i8",
    avoided="i8",
    in_search="i8",
    on_path="i8",
    arc="i4",
)

Stamps = npt.NDArray[np.int64]


class RankingRoom(NamedTuple):
    """What a ranking writes to, stamped with running numbers, of which ``numbers[0]`` is the last that was used.

    ``growth`` of a router is from the sources there, true where it is in the tree. ``factor`` is what the growth of
    each arc is multiplied by, 1 between two rankings. A path that was found stands in ``path``, sink first.
    """

    nodes: Records
    avoided_arc: Stamps
    excluded_arc: Stamps
    factor: Floats
    keys: Floats
    items: Ints
    path: Ints
    numbers: Stamps


class RankingAsk(NamedTuple):
    """Scalars of one question; ``query`` is its number, ``most`` the growth of the sink in the tree.

    Labels grow by what is lost at the label itself, or, where ``linear``, by what is lost at ``sink_w``.
    """

    query: int
    sink: int
    sink_w: float
    limit_w: float
    linear: bool
    most: float


def ranking_room_for(graph: PowerGraph) -> RankingRoom:
    n, m = graph.node_count, graph.arc_count
    return RankingRoom(
        np.zeros(n, dtype=_NODE),
        np.zeros(m, dtype=np.int64),
        np.zeros(m, dtype=np.int64),
        np.ones(m),
        np.empty(m + n + 1),
        np.empty(m + n + 1, dtype=np.int32),
        np.zeros(n, dtype=np.int32),
        np.zeros(1, dtype=np.int64),
    )


@compiled
def grow_tree(
    arcs: Arcs,
    leaving: Leaving,
    room: RankingRoom,
    ask: RankingAsk,
    sources: Ints,
    available_w: Floats,
    avoid_nodes: Ints,
    avoid_arcs: Ints,
) -> float:
    """Label routers with their growth from the sources, at the least label that there is, as far as the sink.

    Returns the growth of the sink, infinite where it is not reached. All routers that are not in the tree then have
    at least as much.
    """
    nodes, keys, items, query = room.nodes, room.keys, room.items, ask.query
    tentative, final = 2 * query, 2 * query + 1
    for node in avoid_nodes:
        nodes[node].avoided = query
    for arc in avoid_arcs:
        room.avoided_arc[arc] = query
    size = 0
    for index in range(len(sources)):
        source = sources[index]
        most_w = available_w[index] * (1.0 + RELATIVE_TOLERANCE)
        if nodes[source].avoided != query and most_w >= ask.sink_w:
            nodes[source].source, nodes[source].available_w = query, most_w
            nodes[source].growth, nodes[source].in_tree = 1.0, tentative
            heap_push(keys, items, size, 1.0, source)
            size += 1
    while size > 0:
        growth, node = keys[0], items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if nodes[node].in_tree == final:
            continue
        nodes[node].in_tree = final
        if node == ask.sink:
            return float(growth)
        for index in range(leaving.start[node], leaving.start[node + 1]):
            arc, head = leaving.packed[index].arc, leaving.packed[index].head
            known = nodes[head].in_tree
            if known == final or room.avoided_arc[arc] == query or nodes[head].avoided == query:
                continue
            reached = growth * growth_at(arcs, arc, ask.sink_w) * room.factor[arc]
            if reached < inf and (known != tentative or reached < nodes[head].growth):
                nodes[head].growth = reached
                nodes[head].in_tree = tentative
                heap_push(keys, items, size, reached, head)
                size += 1
    return inf


@compiled
def _through(arcs: Arcs, factor: Floats, ask: RankingAsk, arc: int, label_w: float) -> float:
    if ask.linear:
        return label_w * growth_at(arcs, arc, ask.sink_w) * float(factor[arc])
    return through_arc(arcs, arc, label_w, 0.0)


@compiled
def _growth_from_sources(nodes: Records, ask: RankingAsk, node: int) -> float:
    return float(nodes[node].growth) if nodes[node].in_tree == 2 * ask.query + 1 else ask.most


@compiled
def _search(
    arcs: Arcs,
    room: RankingRoom,
    ask: RankingAsk,
    begin: int,
    begin_w: float,
    number: int,
    stops: bool,
) -> int:
    """The best way from a source to ``begin`` that keeps off what is marked with ``number``; that source, or -1.

    ``stops``: begin is not to be the source itself.
    """
    nodes, keys, items, query = room.nodes, room.keys, room.items, ask.query
    tentative, final = 2 * number, 2 * number + 1
    nodes[begin].label_w = begin_w
    nodes[begin].in_search = tentative
    heap_push(keys, items, 0, begin_w, begin)
    size = 1
    while size > 0:
        node = items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if nodes[node].in_search == final:
            continue
        nodes[node].in_search = final
        label_w = nodes[node].label_w
        is_source = nodes[node].source == query and nodes[node].available_w >= label_w
        if is_source and not (stops and node == begin):
            return int(node)
        for arc in range(arcs.start[node], arcs.start[node + 1]):
            tail = arcs.packed[arc].tail
            known = nodes[tail].in_search
            if known == final or nodes[tail].on_path == number or nodes[tail].avoided == query:
                continue
            if room.excluded_arc[arc] == number or room.avoided_arc[arc] == query:
                continue
            needed_w = _through(arcs, room.factor, ask, arc, label_w)
            if known == tentative and needed_w >= nodes[tail].label_w:
                continue
            key = needed_w * _growth_from_sources(nodes, ask, tail)
            if key <= ask.limit_w and key < inf:
                nodes[tail].label_w = needed_w
                nodes[tail].in_search = tentative
                nodes[tail].arc = arc
                heap_push(keys, items, size, key, tail)
                size += 1
    return -1


@compiled
def _bound(
    arcs: Arcs,
    room: RankingRoom,
    ask: RankingAsk,
    node: int,
    here_w: float,
    on_path: int,
    number: int,
    stops: bool,
) -> float:
    """What is injected at least where a path is left at ``node``; infinite where there is no way to leave it."""
    nodes, query = room.nodes, ask.query
    if nodes[node].source == query and nodes[node].available_w >= here_w and not stops:
        return here_w
    bound_w = inf
    for arc in range(arcs.start[node], arcs.start[node + 1]):
        tail = arcs.packed[arc].tail
        if nodes[tail].on_path == on_path or nodes[tail].avoided == query:
            continue
        if room.excluded_arc[arc] == number or room.avoided_arc[arc] == query:
            continue
        growth = _growth_from_sources(nodes, ask, tail)
        bound_w = min(bound_w, _through(arcs, room.factor, ask, arc, here_w) * growth)
    return bound_w


@compiled
def _exclude(room: RankingRoom, excluded: Ints, number: int) -> bool:
    """Mark arcs with a number; whether a path may not begin here either."""
    stops = False
    for arc in excluded:
        if arc == NOT_FROM_HERE:
            stops = True
        else:
            room.excluded_arc[arc] = number
    return stops


@compiled
def promises(
    arcs: Arcs, room: RankingRoom, ask: RankingAsk, path: Ints, at: int, excluded: Ints
) -> Floats:
    """What is injected at least by the sets that leave a path after ``at`` arcs, after one more, and so on.

    Paths are given sink first. ``excluded`` is by what the first of them may not go on besides the path's own arc.
    """
    bounds_w = np.full(len(path) + 1 - at, inf)
    room.numbers[0] += len(path) + 2
    number = room.numbers[0]
    node, label_w = ask.sink, ask.sink_w
    for step in range(len(path) + 1):
        room.nodes[node].on_path = number
        if step >= at:
            # Numbers below this one were not used yet.
            excluding = number - 1 - step
            stops = step == at and _exclude(room, excluded, excluding)
            if step < len(path):
                room.excluded_arc[path[step]] = excluding
            stops = stops or step == len(path)
            bounds_w[step - at] = _bound(arcs, room, ask, node, label_w, number, excluding, stops)
        if step < len(path):
            label_w = _through(arcs, room.factor, ask, path[step], label_w)
            node = arcs.tail[path[step]]
    return bounds_w


@compiled
def best_of_set(
    arcs: Arcs, room: RankingRoom, ask: RankingAsk, path: Ints, at: int, excluded: Ints
) -> tuple[int, float]:
    """Find the best path that begins with the first ``at`` arcs of a path and does not go on by any excluded.

    Leaves it in the room. Returns how many arcs it has, and what its source injects; -1 where there is none.
    """
    room.numbers[0] += 1
    number = room.numbers[0]
    node, label_w = ask.sink, ask.sink_w
    for step in range(at):
        room.nodes[node].on_path = number
        room.path[step] = path[step]
        label_w = _through(arcs, room.factor, ask, path[step], label_w)
        node = arcs.tail[path[step]]
    stops = _exclude(room, excluded, number)
    source = _search(arcs, room, ask, node, label_w, number, stops)
    if source < 0:
        return -1, inf
    length, upon = at, source
    while upon != node:
        room.path[length] = room.nodes[upon].arc
        upon = arcs.head[room.path[length]]
        length += 1
    room.path[at:length] = room.path[at:length][::-1].copy()
    return length, room.nodes[source].label_w
