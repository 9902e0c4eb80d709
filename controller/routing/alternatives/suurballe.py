"""Two disjoint paths of least cost, compiled: Suurballe's algorithm, goal-directed, on the growth of power along arcs.

What must enter an arc's tail is what enters its head times its *growth* ``(1 + R (2 I + P/U) / U) / eta``. At one
power P it is a constant of at least 1, so costs are products, and the logarithm of one is a sum of costs that are
never negative. Products spare the logarithms; one that exceeds the range of floats counts as no path.

J. W. Suurballe, R. E. Tarjan, "A quick method for finding shortest pairs of disjoint paths", Networks 14 (1984), and
for splitting only the routers of the first path R. Bhandari, "Survivable networks", 1999. The first search runs
upstream from the sink and ends at the first source. Its labels, cut off at the growth of that source, are
potentials under which no arc is shorter than 1. The second runs downstream through what the first path leaves over,
may take back arcs of it, and is drawn to the sink by these potentials, so that it sees few routers.

Where elements may be shared, labels are pairs (shared elements, growth) in lexicographic order: the second search
goes on to one more shared element only when without it nothing is left to search, so no penalty is ever added to a
cost.
"""

from math import inf

import numpy as np

from controller.routing.alternatives.growth import Leaving, growth_at, log_growth
from controller.routing.alternatives.pair_room import (
    TAKEN_BACK,
    WITHOUT_ARC,
    PairAsk,
    PairRoom,
    stamp,
)
from controller.routing.alternatives.untangle import untangle
from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints
from controller.routing.paths.heap import heap_push, heap_remove_first
from controller.routing.paths.landmark_bounds import (
    LandmarkBounds,
    choose_landmarks,
    growth_from_sources,
    growth_to_sink,
)
from controller.routing.paths.path_power import RELATIVE_TOLERANCE
from controller.routing.paths.search_arrays import Arcs, Records

# Outcomes other than a number of shared elements.
NO_PATH = -1
NO_SECOND_PATH = -2


@compiled
def search_upstream(
    arcs: Arcs, room: PairRoom, bounds: LandmarkBounds, ask: PairAsk, active: int
) -> int:
    """Label routers with their growth to the sink until the first source is final; return it, or -1 for none."""
    upstream, keys, items = room.upstream, room.keys, room.items
    tentative, final = 2 * ask.query, 2 * ask.query + 1
    if upstream[ask.sink].mark == final:
        return -1
    upstream[ask.sink].growth = 1.0
    upstream[ask.sink].mark = tentative
    upstream[ask.sink].arc = -1
    heap_push(keys, items, 0, 1.0, ask.sink)
    size = 1
    bound = inf
    while size > 0:
        node = items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if upstream[node].mark == final:
            continue
        upstream[node].mark = final
        if upstream[node].source == ask.query:
            return int(node)
        growth = upstream[node].growth
        for arc in range(arcs.start[node], arcs.start[node + 1]):
            tail = arcs.packed[arc].tail
            known = upstream[tail].mark
            if known == final or room.avoided_arc[arc] == ask.query:
                continue
            reached = growth * growth_at(arcs, arc, ask.power_w)
            if not reached < bound or (known == tentative and reached >= upstream[tail].growth):
                continue
            if known != tentative:
                upstream[tail].least_before = growth_from_sources(bounds, active, tail, ask.share)
            key = reached * upstream[tail].least_before
            if key < bound:
                upstream[tail].growth = reached
                upstream[tail].mark = tentative
                upstream[tail].arc = arc
                if upstream[tail].source == ask.query:
                    bound = key
                heap_push(keys, items, size, key, tail)
                size += 1
    return -1


@compiled
def keep_first(arcs: Arcs, leaving: Leaving, room: PairRoom, ask: PairAsk, source: int) -> int:
    """Lay down the path that the upstream search found; return its number of arcs."""
    node, length = source, 0
    while True:
        room.first_nodes[length] = node
        room.upstream[node].on_first = ask.query
        room.upstream[node].position = length
        if node == ask.sink:
            return length
        arc = room.upstream[node].arc
        room.first_arcs[length] = arc
        room.first_links[length] = leaving.link[arc]
        node = arcs.head[arc]
        length += 1


@compiled
def search_downstream(
    arcs: Arcs,
    leaving: Leaving,
    room: PairRoom,
    bounds: LandmarkBounds,
    ask: PairAsk,
    active: int,
    sources: Ints,
    hops: int,
) -> int:
    """Find the best second path beside a first of ``hops`` arcs, as a walk on states in ``room.downstream``.

    Labels are growths under the potentials of the upstream search. Returns the number of elements that it shares
    with the first path, or NO_SECOND_PATH.
    """
    upstream, downstream, packed = room.upstream, room.downstream, leaving.packed
    first_nodes, avoided_arc, keys, items = (
        room.first_nodes,
        room.avoided_arc,
        room.keys,
        room.items,
    )
    load_a, headroom_a = arcs.load_a, arcs.headroom_a
    n = len(upstream)
    query, tentative, final = ask.query, 2 * ask.query, 2 * ask.query + 1
    must_fit_w = ask.power_w / (1.0 + RELATIVE_TOLERANCE)
    most = upstream[first_nodes[0]].growth
    size, shared, kept, bound = 0, 0, 0, inf
    for node in sources:
        if upstream[node].mark != final:
            _set_potential(upstream, bounds, active, most, node, query, ask.share)
        label = upstream[node].growth / most
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
        if upstream[node].on_first == query:
            size, kept, leaves = _along_first(room, ask, hops, state, label, size, kept)
            if not leaves:
                continue
            position = upstream[node].position
            if position > 0:
                link_before = room.first_links[position - 1]
            if position < hops:
                link_after = room.first_links[position]
        if upstream[node].mark != final:
            _set_potential(upstream, bounds, active, most, node, query, ask.share)
        so_far = label / upstream[node].growth
        for index in range(leaving.start[node], leaving.start[node + 1]):
            head, arc = packed[index].head, packed[index].arc
            if downstream[head].mark == final or avoided_arc[arc] == query:
                continue
            voltage_v = packed[index].voltage_v
            if not must_fit_w <= headroom_a[arc] * voltage_v:
                continue
            if link_before == packed[index].link or link_after == packed[index].link:
                continue
            if upstream[head].mark != final:
                _set_potential(upstream, bounds, active, most, head, query, ask.share)
            growth = packed[index].of_converter + packed[index].of_line_per_w * (
                2.0 * voltage_v * load_a[arc] + ask.power_w
            )
            # Under the potentials no arc is shorter than 1, but for rounding.
            reached = max(label, so_far * growth * upstream[head].growth)
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


@compiled
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


@compiled
def _along_first(
    room: PairRoom, ask: PairAsk, hops: int, state: int, label: float, size: int, kept: int
) -> tuple[int, int, bool]:
    """Steps along the first path from a state on it: take back what leads to it, or share what leads on.

    Returns the sizes of the heap and of what is put off, and whether the state may leave the first path.
    """
    n = len(room.upstream)
    node = state if state < n else room.first_nodes[state - n]
    position = room.upstream[node].position
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


@compiled
def _put_off(later: Records, kept: int, state: int, label: float, by: int, before: int) -> int:
    """Keep a step that shares one more element for when nothing else is left."""
    later[kept].label = label
    later[kept].state = state
    later[kept].by = by
    later[kept].before = before
    return kept + 1


@compiled
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


@compiled
def _set_potential(
    upstream: Records,
    bounds: LandmarkBounds,
    active: int,
    most: float,
    node: int,
    query: int,
    share: float,
) -> None:
    """A router's least growth to the sink, where the upstream search has not found the true one."""
    if upstream[node].mark == 2 * query:
        least_before = upstream[node].least_before
    else:
        least_before = growth_from_sources(bounds, active, node, share)
    least = growth_to_sink(bounds, active, node, share)
    upstream[node].growth = max(most / least_before, least)
    upstream[node].mark = 2 * query + 1


@compiled
def least_pair(
    arcs: Arcs,
    leaving: Leaving,
    room: PairRoom,
    bounds: LandmarkBounds,
    ask: PairAsk,
    sources: Ints,
    avoid_nodes: Ints,
    avoid_arcs: Ints,
    free_arcs: Ints,
) -> tuple[int, int, int, float, float]:
    """Both searches: (shared elements or why there is no pair, both lengths, both costs).

    The paths stand in ``room.one`` and ``room.other``.
    """
    stamp(room, ask.query, sources, avoid_nodes, avoid_arcs, free_arcs)
    active = choose_landmarks(bounds, ask.sink, sources, ask.share)
    source = search_upstream(arcs, room, bounds, ask, active)
    if source < 0:
        return NO_PATH, 0, 0, inf, inf
    hops = keep_first(arcs, leaving, room, ask, source)
    shared = search_downstream(arcs, leaving, room, bounds, ask, active, sources, hops)
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
    bounds: LandmarkBounds,
    ask: PairAsk,
    sources: Ints,
    avoid_nodes: Ints,
    avoid_arcs: Ints,
) -> tuple[int, float]:
    """One path alone, left in ``room.first_arcs``: how many arcs it has and what it costs; -1 where there is none."""
    stamp(room, ask.query, sources, avoid_nodes, avoid_arcs, avoid_arcs[:0])
    active = choose_landmarks(bounds, ask.sink, sources, ask.share)
    source = search_upstream(arcs, room, bounds, ask, active)
    if source < 0:
        return -1, inf
    hops = keep_first(arcs, leaving, room, ask, source)
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
        gained = room.upstream[head].growth / room.upstream[tail].growth
        for node, power in ((tail, 1.0), (head, -1.0)):
            if room.downstream[node].mark == final:
                gained *= room.downstream[node].label ** power
            else:
                gained *= most**power
        factor[index] = max(1.0, 1.0 / (gained * growth_at(arcs, path[index], ask.power_w)))
    return factor
