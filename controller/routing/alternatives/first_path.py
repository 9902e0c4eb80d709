"""The first of two disjoint paths, the one of least cost, compiled: A* on the growth of power along arcs.

P. E. Hart, N. J. Nilsson, B. Raphael, "A formal basis for the heuristic determination of minimum cost paths", IEEE
Transactions on Systems Science and Cybernetics 4 (1968).
"""

from math import inf

from controller.routing.alternatives.growth import Leaving
from controller.routing.alternatives.pair_bounds import PairBounds, growth_onward
from controller.routing.alternatives.pair_room import PairAsk, PairRoom
from controller.routing.compiled import compiled_in_place
from controller.routing.graph import Floats, Ints
from controller.routing.paths.heap import heap_push, heap_remove_first
from controller.routing.paths.path_power import RELATIVE_TOLERANCE
from controller.routing.paths.search_arrays import Arcs, Records


@compiled_in_place
def search_first(
    arcs: Arcs,
    leaving: Leaving,
    room: PairRoom,
    bounds: PairBounds,
    ask: PairAsk,
    how: int,
    sources: Ints,
) -> bool:
    """Label routers with their growth from the nearest source until the sink is final; whether it is reached."""
    nodes, packed, keys, items = room.nodes, leaving.packed, room.keys, room.items
    avoided_arc, load_a, headroom_a = room.avoided_arc, arcs.load_a, arcs.headroom_a
    tentative, final = 2 * ask.query, 2 * ask.query + 1
    must_fit_w = ask.power_w / (1.0 + RELATIVE_TOLERANCE)
    size, bound = 0, inf
    for source in sources:
        # No label could be better, so they need no bound.
        if nodes[source].mark != final:
            size = _label(nodes, keys, items, size, tentative, source, -1, 1.0, 1.0)
    while size > 0:
        node = items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if nodes[node].mark == final:
            continue
        nodes[node].mark = final
        if node == ask.sink:
            return True
        so_far = nodes[node].growth
        for index in range(leaving.start[node], leaving.start[node + 1]):
            head, arc = packed[index].head, packed[index].arc
            known = nodes[head].mark
            if known == final or avoided_arc[arc] == ask.query:
                continue
            voltage_v = packed[index].voltage_v
            if not must_fit_w <= headroom_a[arc] * voltage_v:
                continue
            reached = so_far * (
                packed[index].of_converter
                + packed[index].of_line_per_w * (2.0 * voltage_v * load_a[arc] + ask.power_w)
            )
            if not reached < bound or (known == tentative and reached >= nodes[head].growth):
                continue
            if known != tentative:
                nodes[head].least_onward = growth_onward(bounds, how, head, ask.share)
            onward = nodes[head].least_onward
            if reached * onward < bound:
                if head == ask.sink:
                    bound = reached
                size = _label(nodes, keys, items, size, tentative, head, arc, reached, onward)
    return False


@compiled_in_place
def _label(
    nodes: Records,
    keys: Floats,
    items: Ints,
    size: int,
    tentative: int,
    node: int,
    arc: int,
    growth: float,
    onward: float,
) -> int:
    """Set a router's label; return the size of the heap."""
    nodes[node].growth = growth
    nodes[node].least_onward = onward
    nodes[node].mark = tentative
    nodes[node].arc = arc
    heap_push(keys, items, size, growth * onward, node)
    return size + 1


@compiled_in_place
def keep_first(arcs: Arcs, leaving: Leaving, room: PairRoom, ask: PairAsk) -> int:
    """Lay down the path that the first search found, with the potentials of its routers; return its number of arcs."""
    nodes, hops, node = room.nodes, 0, ask.sink
    most = nodes[ask.sink].growth
    while nodes[node].arc >= 0:
        node = arcs.tail[nodes[node].arc]
        hops += 1
    position, node = hops, ask.sink
    while True:
        room.first_nodes[position] = node
        nodes[node].on_first = ask.query
        nodes[node].position = position
        nodes[node].growth = most / nodes[node].growth
        nodes[node].potential_of = ask.query
        if position == 0:
            return hops
        position -= 1
        arc = nodes[node].arc
        room.first_arcs[position] = arc
        room.first_links[position] = leaving.link[arc]
        node = arcs.tail[arc]
