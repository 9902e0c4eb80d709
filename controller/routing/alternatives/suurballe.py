"""Two disjoint paths of least cost, compiled: Suurballe's algorithm, goal-directed, on the growth of power along arcs.

What must enter an arc's tail is what enters its head times its *growth* ``(1 + R (2 I + P/U) / U) / eta``. At one
power P it is a constant of at least 1, so costs are products, and the logarithm of one is a sum of costs that are
never negative. Products spare the logarithms; one that exceeds the range of floats counts as no path.

J. W. Suurballe, R. E. Tarjan, "A quick method for finding shortest pairs of disjoint paths", Networks 14 (1984), and
for splitting only the routers of the first path R. Bhandari, "Survivable networks", 1999. The first search runs
from the sources to the sink, led by what power grows at least on the rest of the way (A*). Its labels, cut off where
it ended, and beyond them these bounds are potentials under which no arc is shorter than 1, and those of the first path
are no longer than that. The second search runs through what the first path leaves over, may take back arcs of it, and
is led to the sink by these potentials; where bounds are close to the truth, so are they, and few routers are seen.

Where elements may be shared, labels are pairs (shared elements, growth) in lexicographic order: the second search
goes on to one more shared element only when without it nothing is left to search, so no penalty is ever added to a
cost.
"""

from math import inf

import numpy as np

from controller.routing.alternatives.first_path import keep_first, search_first
from controller.routing.alternatives.growth import Leaving, growth_at, log_growth
from controller.routing.alternatives.pair_bounds import (
    PairBounds,
    begin_to_sink,
    end_to_sink,
    growth_onward,
)
from controller.routing.alternatives.pair_room import (
    TAKEN_BACK,
    WITHOUT_ARC,
    PairAsk,
    PairRoom,
    stamp,
)
from controller.routing.alternatives.untangle import untangle
from controller.routing.compiled import compiled, compiled_in_place
from controller.routing.graph import Floats, Ints
from controller.routing.paths.heap import heap_push, heap_remove_first
from controller.routing.paths.path_power import RELATIVE_TOLERANCE
from controller.routing.paths.search_arrays import Arcs, Records

# Outcomes other than a number of shared elements.
NO_PATH = -1
NO_SECOND_PATH = -2


@compiled_in_place
def search_second(
    arcs: Arcs,
    leaving: Leaving,
    room: PairRoom,
    bounds: PairBounds,
    ask: PairAsk,
    how: int,
    sources: Ints,
    hops: int,
) -> int:
    """Find the best second path beside a first of ``hops`` arcs, as a walk on states in ``room.downstream``.

    Labels are growths under the potentials that the first one left. Returns the number of elements that it shares
    with the first path, or NO_SECOND_PATH.
    """
    nodes, downstream, packed = room.nodes, room.downstream, leaving.packed
    first_nodes, avoided_arc, keys, items = (
        room.first_nodes,
        room.avoided_arc,
        room.keys,
        room.items,
    )
    load_a, headroom_a = arcs.load_a, arcs.headroom_a
    n = len(nodes)
    query, tentative, final = ask.query, 2 * ask.query, 2 * ask.query + 1
    must_fit_w = ask.power_w / (1.0 + RELATIVE_TOLERANCE)
    most = nodes[first_nodes[0]].growth
    size, shared, kept, bound = 0, 0, 0, inf
    for node in sources:
        if nodes[node].potential_of != query:
            _set_potential(nodes, bounds, how, most, node, query, ask.share)
        label = nodes[node].growth / most
        size = _reach(downstream, keys, items, size, query, node, label, WITHOUT_ARC, -1)
    while True:
        if size == 0:
            if kept == 0:
                return NO_SECOND_PATH
            shared += 1
            size, kept, bound = _take_up(room, query, kept), 0, inf
            continue
        label, state = keys[0], items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if downstream[state].mark == final:
            continue
        downstream[state].mark = final
        if state == ask.sink:
            return shared
        node = state if state < n else first_nodes[state - n]
        link_before, link_after = -1, -1
        if nodes[node].on_first == query:
            size, kept, leaves = _along_first(room, ask, hops, state, label, size, kept)
            if not leaves:
                continue
            position = nodes[node].position
            if position > 0:
                link_before = room.first_links[position - 1]
            if position < hops:
                link_after = room.first_links[position]
        if nodes[node].potential_of != query:
            _set_potential(nodes, bounds, how, most, node, query, ask.share)
        so_far = label / nodes[node].growth
        for index in range(leaving.start[node], leaving.start[node + 1]):
            head, arc = packed[index].head, packed[index].arc
            if downstream[head].mark == final or avoided_arc[arc] == query:
                continue
            voltage_v = packed[index].voltage_v
            if not must_fit_w <= headroom_a[arc] * voltage_v:
                continue
            if link_before == packed[index].link or link_after == packed[index].link:
                continue
            if nodes[head].potential_of != query:
                _set_potential(nodes, bounds, how, most, head, query, ask.share)
            growth = packed[index].of_converter + packed[index].of_line_per_w * (
                2.0 * voltage_v * load_a[arc] + ask.power_w
            )
            # Under the potentials no arc is shorter than 1, but for rounding.
            reached = max(label, so_far * growth * nodes[head].growth)
            if not reached < bound or (
                downstream[head].mark == tentative and downstream[head].label <= reached
            ):
                continue
            downstream[head].label = reached
            downstream[head].mark = tentative
            downstream[head].by = arc
            downstream[head].before = state
            heap_push(keys, items, size, reached, head)
            size += 1
            if head == ask.sink:
                bound = reached


@compiled_in_place
def _reach(
    downstream: Records,
    keys: Floats,
    items: Ints,
    size: int,
    query: int,
    state: int,
    label: float,
    by: int,
    before: int,
) -> int:
    """Improve the label of a state, if this does; return the size of the heap."""
    mark = downstream[state].mark
    if mark == 2 * query + 1 or (mark == 2 * query and downstream[state].label <= label):
        return size
    downstream[state].label = label
    downstream[state].mark = 2 * query
    downstream[state].by = by
    downstream[state].before = before
    heap_push(keys, items, size, label, state)
    return size + 1


@compiled_in_place
def _along_first(
    room: PairRoom, ask: PairAsk, hops: int, state: int, label: float, size: int, kept: int
) -> tuple[int, int, bool]:
    """Steps along the first path from a state on it: take back what leads to it, or share what leads on.

    Returns the sizes of the heap and of what is put off, and whether the state may leave the first path.
    """
    n = len(room.nodes)
    node = state if state < n else room.first_nodes[state - n]
    position = room.nodes[node].position
    split = ask.split_routers and 0 < position < hops
    arriving = state < n
    to, by = -1, WITHOUT_ARC
    if position > 0 and arriving:
        before = position - 1
        to = n + before if ask.split_routers and before > 0 else room.first_nodes[before]
        by = TAKEN_BACK - before
    elif split:
        to = node
    if to >= 0:
        size = _reach(room.downstream, room.keys, room.items, size, ask.query, to, label, by, state)
    if ask.may_share and split and arriving:
        kept = _put_off(room.later, kept, n + position, label, WITHOUT_ARC, state)
    elif position < hops:
        arc, following = room.first_arcs[position], room.first_nodes[position + 1]
        if room.free_arc[arc] == ask.query:
            size = _reach(
                room.downstream,
                room.keys,
                room.items,
                size,
                ask.query,
                following,
                label,
                arc,
                state,
            )
        elif ask.may_share:
            kept = _put_off(room.later, kept, following, label, arc, state)
    return size, kept, not (split and arriving)


@compiled_in_place
def _put_off(later: Records, kept: int, state: int, label: float, by: int, before: int) -> int:
    """Keep a step that shares one more element for when nothing else is left."""
    later[kept].label = label
    later[kept].state = state
    later[kept].by = by
    later[kept].before = before
    return kept + 1


@compiled_in_place
def _take_up(room: PairRoom, query: int, kept: int) -> int:
    """Take the steps that were put off; return the size of the heap."""
    size = 0
    for index in range(kept):
        at = room.later[index]
        size = _reach(
            room.downstream,
            room.keys,
            room.items,
            size,
            query,
            at.state,
            at.label,
            at.by,
            at.before,
        )
    return size


@compiled_in_place
def _set_potential(
    nodes: Records,
    bounds: PairBounds,
    how: int,
    most: float,
    node: int,
    query: int,
    share: float,
) -> None:
    """What is left to grow from a router to the sink, on the first path all of it, elsewhere no more than that."""
    mark = nodes[node].mark
    if mark == 2 * query + 1:
        nodes[node].growth = most / nodes[node].growth
    elif mark == 2 * query:
        nodes[node].growth = nodes[node].least_onward
    else:
        nodes[node].growth = growth_onward(bounds, how, node, share)
    nodes[node].potential_of = query


@compiled
def least_pair(
    arcs: Arcs,
    leaving: Leaving,
    room: PairRoom,
    bounds: PairBounds,
    ask: PairAsk,
    sources: Ints,
    avoid_nodes: Ints,
    avoid_arcs: Ints,
    free_arcs: Ints,
) -> tuple[int, int, int, float, float]:
    """Both searches: (shared elements or why there is no pair, both lengths, both costs).

    The paths stand in ``room.one`` and ``room.other``.
    """
    stamp(room, ask.query, avoid_nodes, avoid_arcs, free_arcs)
    how = begin_to_sink(bounds, ask.sink, sources, ask.share)
    if not search_first(arcs, leaving, room, bounds, ask, how, sources):
        end_to_sink(bounds, how)
        return NO_PATH, 0, 0, inf, inf
    hops = keep_first(arcs, leaving, room, ask)
    shared = search_second(arcs, leaving, room, bounds, ask, how, sources, hops)
    end_to_sink(bounds, how)
    if shared < 0:
        return shared, 0, 0, inf, inf
    one, other = untangle(arcs, room, ask, hops)
    return (
        shared,
        one,
        other,
        log_growth(arcs, room.one, one, ask.power_w),
        log_growth(arcs, room.other, other, ask.power_w),
    )


@compiled
def least_path(
    arcs: Arcs,
    leaving: Leaving,
    room: PairRoom,
    bounds: PairBounds,
    ask: PairAsk,
    sources: Ints,
    avoid_nodes: Ints,
    avoid_arcs: Ints,
) -> tuple[int, float]:
    """One path alone, left in ``room.first_arcs``: how many arcs it has and what it costs; -1 where there is none."""
    stamp(room, ask.query, avoid_nodes, avoid_arcs, avoid_arcs[:0])
    how = begin_to_sink(bounds, ask.sink, sources, ask.share)
    found = search_first(arcs, leaving, room, bounds, ask, how, sources)
    end_to_sink(bounds, how)
    if not found:
        return -1, inf
    hops = keep_first(arcs, leaving, room, ask)
    return hops, log_growth(arcs, room.first_arcs, hops, ask.power_w)


@compiled
def scarcity(arcs: Arcs, room: PairRoom, ask: PairAsk, path: Ints) -> Floats:
    """The dual prices of a pair that shares nothing: by what factor each arc of its paths would have to grow more.

    With these factors all paths from a source are at least as long as both of the pair are, though it needs no
    second use of any arc. What an arc of the pair would be worth twice is its factor; all others have the factor 1.
    """
    final = 2 * ask.query + 1
    most = room.downstream[ask.sink].label
    factor = np.ones(len(path))
    for index in range(len(path)):
        tail, head = arcs.tail[path[index]], arcs.head[path[index]]
        gained = room.nodes[head].growth / room.nodes[tail].growth
        for node, power in ((tail, 1.0), (head, -1.0)):
            if room.downstream[node].mark == final:
                gained *= room.downstream[node].label ** power
            else:
                gained *= most**power
        factor[index] = max(1.0, 1.0 / (gained * growth_at(arcs, path[index], ask.power_w)))
    return factor
