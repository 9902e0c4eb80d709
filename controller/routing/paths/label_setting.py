"""The search itself, compiled: labels set from the sink upstream, in the order of a bound on what is injected.

The label of a router is the power that must enter it. Arc k with head label p needs ``p (1 + R x) `` at its tail,
which is ``p (1/eta + R/(U² eta) (2 U I + p))``: the three figures of an arc stand beside each other, and arcs of one
head too, so that a router is expanded from a few cache lines and without a division.
"""

from math import inf

from controller.routing.compiled import compiled
from controller.routing.paths.bounds import BY_HIERARCHY, Bounds, Reading, least_growth
from controller.routing.paths.heap import heap_push, heap_remove_first, with_room
from controller.routing.paths.path_power import RELATIVE_TOLERANCE, through_arc, write_powers
from controller.routing.paths.raising import LATER, raise_bounds
from controller.routing.paths.search_arrays import Arcs, Ask, Room

# Routers settled before bounds are raised, where no hierarchy leads: more than there are.
_NEVER = 2**62


@compiled
def least_power(
    arcs: Arcs,
    room: Room,
    bounds: Bounds,
    ask: Ask,
    sink_w: float,
    reading: Reading,
    raise_from: int,
) -> tuple[int, int]:
    """The number of arcs of the best path, -1 where there is none; and of routers settled.

    Where bounds miss the triangle inequality labels may fall again after they were set, so nothing is lost by that. The
    best that was found around a router waits outside the heap: with good bounds it mostly is the next to be settled.
    """
    nodes, touched, packed = room.nodes, room.touched, arcs.packed
    keys, items = room.keys, room.items
    load_a, headroom_a = arcs.load_a, arcs.headroom_a
    limit_w, with_credit = ask.limit_w, ask.with_credit
    growth = least_growth(bounds, reading, ask.sink)
    nodes[ask.sink]["label_w"] = sink_w
    nodes[ask.sink]["least_growth"] = growth
    touched[0] = ask.sink
    touched_count, size, settled, found = 1, 0, 0, -1
    next_key, next_node = sink_w * growth, ask.sink
    if not (next_key <= limit_w and next_key < inf):
        next_node = -1
    raise_at = raise_from if reading.how == BY_HIERARCHY else _NEVER
    while next_node >= 0 or size > 0:
        if settled >= raise_at:
            raise_at = int(raise_at * LATER) + 1
            if next_node >= 0:
                keys, items = with_room(keys, items, size + 1)
                heap_push(keys, items, size, next_key, next_node)
                size += 1
                next_node = -1
            size, reading = raise_bounds(nodes, bounds, reading, keys, items, size, limit_w)
            continue
        if size > 0 and (next_node < 0 or keys[0] < next_key):
            key, node = keys[0], items[0]
            heap_remove_first(keys, items, size)
            size -= 1
            if next_node >= 0:
                heap_push(keys, items, size, next_key, next_node)
                size += 1
        else:
            key, node = next_key, next_node
        next_node = -1
        label_w = nodes[node]["label_w"]
        if key > label_w * nodes[node]["least_growth"]:
            continue
        settled += 1
        if nodes[node]["available_w"] * (1.0 + RELATIVE_TOLERANCE) >= label_w:
            found = node
            break
        must_fit_w = label_w / (1.0 + RELATIVE_TOLERANCE)
        for arc in range(arcs.start[node], arcs.start[node + 1]):
            tail = packed[arc]["tail"]
            if with_credit:
                needed_w = through_arc(arcs, arc, label_w, room.credit_a[arc])
            else:
                voltage_v = packed[arc]["voltage_v"]
                if not must_fit_w <= headroom_a[arc] * voltage_v:
                    continue
                needed_w = label_w * (
                    packed[arc]["of_converter"]
                    + packed[arc]["of_line_per_w"] * (2.0 * voltage_v * load_a[arc] + label_w)
                )
            known_w = nodes[tail]["label_w"]
            if not needed_w < known_w:
                continue
            if known_w == inf:
                nodes[tail]["least_growth"] = least_growth(bounds, reading, tail)
                touched[touched_count] = tail
                touched_count += 1
            nodes[tail]["label_w"] = needed_w
            nodes[tail]["arc"] = arc
            key = needed_w * nodes[tail]["least_growth"]
            if not (key <= limit_w and key < inf):
                continue
            if next_node < 0:
                next_key, next_node = key, tail
                continue
            if key < next_key:
                key, next_key = next_key, key
                tail, next_node = next_node, tail
            keys, items = with_room(keys, items, size + 1)
            heap_push(keys, items, size, key, tail)
            size += 1
    length = _write_path(arcs, room, ask, found, sink_w) if found >= 0 else -1
    for k in range(touched_count):
        nodes[touched[k]]["label_w"] = inf
    return length, settled


@compiled
def _write_path(arcs: Arcs, room: Room, ask: Ask, source: int, sink_w: float) -> int:
    """The path along the arcs that set the labels."""
    length = 0
    node = source
    while node != ask.sink:
        arc = room.nodes[node]["arc"]
        room.path_arcs[length] = arc
        length += 1
        node = arcs.head[arc]
    write_powers(arcs, room, ask, length, sink_w)
    return length
