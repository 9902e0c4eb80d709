"""Raising of bounds: what a search has found out leads it on more closely. Compiled.

While a search goes on, the least of its keys is a power K below which nothing is injected, and more than the bounds
were read for: they ignore what lines can carry. As more is injected a greater part of it is lost, so bounds that are
read for K lead better, which raises the least key again.

They stay true. Some router w on the best path waits in the heap with its right label, and whatever way leads there
from a source injects K or more, lines that can not carry it included. So the label of a router from w to the source is
no less than what of K can arrive there, or a way by that router to w would inject less than K; and what is lost of a
label grows faster than it does. That a search goes on where it was is as with any consistent bounds that only rise;
where they miss the triangle inequality, the search takes up a router again.
"""

from math import inf

from controller.routing.compiled import compiled, compiled_in_place
from controller.routing.graph import Floats, Ints
from controller.routing.paths.bounds import Bounds, Leaving, Reading, least_growth, mixed
from controller.routing.paths.heap import heap_push
from controller.routing.paths.path_power import through_arc
from controller.routing.paths.search_arrays import Arcs, Records

# Bounds are raised whenever so many times as many routers are settled.
LATER = 1.5
# And again at once while the least key grows by such a factor, so many times at most.
_NOTABLY = 1.01
_MAX_TURNS = 5
# More than labels may exceed a capacity by, and than bounds are rounded by.
_CLEARLY = 1.0 + 1e-7


@compiled
def raise_bounds(
    records: Records,
    bounds: Bounds,
    reading: Reading,
    keys: Floats,
    items: Ints,
    size: int,
    limit_w: float,
) -> tuple[int, Reading]:
    """Raise the bounds of all that waits in the heap; how much is left in it that may lead to a path."""
    if size == 0:
        return 0, reading
    least_w = keys[0]
    size = _without_old(records, keys, items, size)
    for _ in range(_MAX_TURNS):
        reading = mixed(reading.lesser_w, reading.reference_w, least_w)
        lowest_w = inf
        for k in range(size):
            node = items[k]
            growth = max(records[node]["least_growth"], least_growth(bounds, reading, node))
            records[node]["least_growth"] = growth
            lowest_w = min(lowest_w, records[node]["label_w"] * growth)
        if not least_w * _NOTABLY <= lowest_w < inf:
            break
        least_w = lowest_w
    return _heap_again(records, keys, items, size, limit_w), reading


@compiled_in_place
def _without_old(records: Records, keys: Floats, items: Ints, size: int) -> int:
    """Move to the front what is still true, each router once: what got a lesser label stands there twice."""
    kept = 0
    for k in range(size):
        node = items[k]
        if keys[k] <= records[node]["label_w"] * records[node]["least_growth"]:
            items[kept] = node
            kept += 1
    return kept


@compiled_in_place
def _heap_again(records: Records, keys: Floats, items: Ints, count: int, limit_w: float) -> int:
    """Make a heap of these routers by the keys that they have now; its size."""
    size = 0
    for k in range(count):
        node = items[k]
        key = records[node]["label_w"] * records[node]["least_growth"]
        if key <= limit_w and key < inf:
            heap_push(keys, items, size, key, node)
            size += 1
    return size


@compiled
def most_leaving_w(arcs: Arcs, leaving: Leaving, sources: Ints, sink: int) -> float:
    """What a source can inject at most, as far as the lines that leave it tell."""
    most_w = 0.0
    for source in sources:
        if source == sink:
            return inf
        for at in range(leaving.start[source], leaving.start[source + 1]):
            arc = leaving.arcs[at]
            carried_w = arcs.headroom_a[arc] * arcs.packed[arc]["voltage_v"]
            if carried_w > 0.0:
                most_w = max(most_w, through_arc(arcs, arc, carried_w, 0.0))
    return most_w * _CLEARLY
