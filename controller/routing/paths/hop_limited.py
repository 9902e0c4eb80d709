"""The search under a limit of hops, compiled: a label is a pair (power, hops), and may be dropped for another."""

from math import inf

import numpy as np

from controller.routing.compiled import compiled, record_type
from controller.routing.paths.bounds import Bounds, Reading, least_growth
from controller.routing.paths.heap import heap_push, heap_remove_first, with_room
from controller.routing.paths.path_power import RELATIVE_TOLERANCE, through_arc, write_powers
from controller.routing.paths.search_arrays import NO_HOPS, Arcs, Ask, Records, Room

_LABEL = record_type(label_w="f8", node="i4", arc="i4", below="i4", hops="i4")
# Labels that there is room for at first; it grows.
_FIRST_LABELS = 256


@compiled
def least_power_in_few_hops(
    arcs: Arcs, room: Room, bounds: Bounds, ask: Ask, sink_w: float, reading: Reading
) -> tuple[int, int]:
    """A label is no use where the last one that was settled at its router has neither more hops nor more power.

    Labels of one router mostly leave the heap by power, so that the last one has the fewest hops; but where bounds
    miss the triangle inequality a label of less power may come later.
    """
    nodes, touched, settled_hops = room.nodes, room.touched, room.settled_hops
    keys, items = room.keys, room.items
    labels = np.empty(_FIRST_LABELS, dtype=_LABEL)
    _set_label(labels, 0, sink_w, ask.sink, -1, -1, 0)
    nodes[ask.sink]["least_growth"] = least_growth(bounds, reading, ask.sink)
    nodes[ask.sink]["label_w"] = sink_w
    touched[0] = ask.sink
    label_count, touched_count, settled, found = 1, 1, 0, -1
    heap_push(keys, items, 0, sink_w * nodes[ask.sink]["least_growth"], 0)
    size = 1
    while size > 0:
        key, index = keys[0], items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        label_w, node, hops = (
            labels[index]["label_w"],
            labels[index]["node"],
            labels[index]["hops"],
        )
        if key > ask.limit_w or key == inf:
            break
        if settled_hops[node] <= hops and nodes[node]["label_w"] <= label_w:
            continue
        settled_hops[node] = hops
        nodes[node]["label_w"] = label_w
        settled += 1
        if nodes[node]["available_w"] * (1.0 + RELATIVE_TOLERANCE) >= label_w:
            found = index
            break
        if hops == ask.most_hops:
            continue
        for arc in range(arcs.start[node], arcs.start[node + 1]):
            tail = arcs.tail[arc]
            known_w = nodes[tail]["label_w"]
            # What arrives is no more than what is needed, so most that are no use are told without working it out.
            if settled_hops[tail] <= hops + 1 and known_w <= label_w:
                continue
            needed_w = through_arc(arcs, arc, label_w, room.credit_a[arc])
            if needed_w == inf or known_w < 0.0:
                continue
            if settled_hops[tail] <= hops + 1 and known_w <= needed_w:
                continue
            if known_w == inf:
                nodes[tail]["least_growth"] = least_growth(bounds, reading, tail)
                nodes[tail]["label_w"] = needed_w
                touched[touched_count] = tail
                touched_count += 1
            key = needed_w * nodes[tail]["least_growth"]
            if key <= ask.limit_w and key < inf:
                if label_count == len(labels):
                    more = np.empty(2 * label_count, dtype=_LABEL)
                    more[:label_count] = labels
                    labels = more
                _set_label(labels, label_count, needed_w, tail, arc, index, hops + 1)
                keys, items = with_room(keys, items, size)
                heap_push(keys, items, size, key, label_count)
                label_count += 1
                size += 1
    length = -1
    if found >= 0:
        length = _write_path(room, labels, found)
        write_powers(arcs, room, ask, length, sink_w)
    for k in range(touched_count):
        nodes[touched[k]]["label_w"] = inf
        settled_hops[touched[k]] = NO_HOPS
    return length, settled


@compiled
def _set_label(
    labels: Records, index: int, label_w: float, node: int, arc: int, below: int, hops: int
) -> None:
    labels[index]["label_w"] = label_w
    labels[index]["node"] = node
    labels[index]["arc"] = arc
    labels[index]["below"] = below
    labels[index]["hops"] = hops


@compiled
def _write_path(room: Room, labels: Records, index: int) -> int:
    length = 0
    while labels[index]["arc"] >= 0:
        room.path_arcs[length] = labels[index]["arc"]
        length += 1
        index = labels[index]["below"]
    return length
