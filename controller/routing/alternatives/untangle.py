"""Two paths out of a first one and a walk beside it that takes parts of it back, compiled."""

from controller.routing.alternatives.pair_room import TAKEN_BACK, PairAsk, PairRoom
from controller.routing.compiled import compiled_in_place
from controller.routing.graph import Ints
from controller.routing.paths.search_arrays import Arcs


@compiled_in_place
def untangle(arcs: Arcs, room: PairRoom, ask: PairAsk, hops: int) -> tuple[int, int]:
    """Make two paths of the first and the walk beside it, in ``room.one`` and ``room.other``; return their lengths."""
    query = ask.query
    state = ask.sink
    while room.downstream[state].before >= 0:
        by = room.downstream[state].by
        if by >= 0:
            at = room.onward[arcs.tail[by]]
            at.mark, at.arc = query, by
        elif by <= TAKEN_BACK:
            room.taken[TAKEN_BACK - by] = query
        state = room.downstream[state].before
    one = _walk(arcs, room, ask, hops, room.first_nodes[0], 2 * query, room.one)
    other = _walk(arcs, room, ask, hops, state, 2 * query + 1, room.other)
    return one, other


@compiled_in_place
def _walk(
    arcs: Arcs, room: PairRoom, ask: PairAsk, hops: int, node: int, walk: int, path: Ints
) -> int:
    """Follow arcs that are left over to the sink, and leave out loops, which can only be free of cost."""
    length = 0
    while node != ask.sink:
        at = room.onward[node]
        if at.walk == walk and at.step < length and arcs.tail[path[at.step]] == node:
            length = at.step
        at.walk, at.step = walk, length
        arc = at.arc
        if room.nodes[node].on_first == ask.query:
            position = room.nodes[node].position
            if room.taken[position] != ask.query:
                room.taken[position] = ask.query
                arc = room.first_arcs[position]
        path[length] = arc
        length += 1
        node = arcs.head[arc]
    return length
