"""Priority queue: a 4-ary heap over arrays that the caller owns; shallow, and children share a cache line.

Entries are never moved when a label improves; who pops one asks whether it is still true. So there is no index
from node to entry to keep.
"""

import numpy as np

from controller.routing.compiled import compiled, compiled_in_place
from controller.routing.graph import Floats, Ints

# Of a node: a flatter heap than a binary one takes fewer steps to push, which is what searches do most.
_CHILDREN = 4


@compiled_in_place
def heap_push(keys: Floats, items: Ints, size: int, key: float, item: int) -> None:
    """Add an entry to a heap of ``size`` entries that has room for one more."""
    at = size
    while at > 0:
        above = (at - 1) // _CHILDREN
        if keys[above] <= key:
            break
        keys[at] = keys[above]
        items[at] = items[above]
        at = above
    keys[at] = key
    items[at] = item


@compiled_in_place
def heap_remove_first(keys: Floats, items: Ints, size: int) -> None:
    """Take the entry with the least key, which is at 0, out of a heap of ``size`` entries."""
    last = size - 1
    key, item = keys[last], items[last]
    at = 0
    while True:
        child = _CHILDREN * at + 1
        if child >= last:
            break
        least = child
        for other in range(child + 1, min(child + _CHILDREN, last)):
            if keys[other] < keys[least]:
                least = other
        if keys[least] >= key:
            break
        keys[at] = keys[least]
        items[at] = items[least]
        at = least
    keys[at] = key
    items[at] = item


@compiled
def with_room(keys: Floats, items: Ints, size: int) -> tuple[Floats, Ints]:
    """The same heap, in arrays with room for one more entry."""
    if size < len(keys):
        return keys, items
    more_keys = np.empty(2 * len(keys) + 1, dtype=np.float64)
    more_items = np.empty(2 * len(keys) + 1, dtype=np.int32)
    more_keys[:size] = keys
    more_items[:size] = items
    return more_keys, more_items
