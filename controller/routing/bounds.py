"""How much power must at least grow on its way: what leads a search towards the sources, compiled.

A table holds, for each of its columns and each router, the logarithm of the least growth between the router and a
landmark, with nothing reserved: in the first half of the columns from the landmark to the router, in the second
half from the router to the landmark. It does so at no power and at a reference power; ``ln(1 + R p / U²)`` is concave
in p, so that what mixes both in proportion is a lower bound for a power between them.
"""

from math import exp
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints

# A third one seldom raises the bound, and each is read for every router that is touched.
MOST_ACTIVE = 8
# The bound of many sources is that of the best of them, hence poor, and has to be worked out for each.
MOST_CANDIDATES = 8


class Bounds(NamedTuple):
    """``tables`` is (columns, n, 2). A question makes some columns active, and notes in ``offset`` what to take off."""

    tables: Floats
    reference_w: float
    active: Ints
    offset: Floats
    score: Floats


def no_bounds(node_count: int) -> Bounds:
    return bounds_of(np.zeros((0, node_count, 2)), 1.0)


def bounds_of(tables: Floats, reference_w: float) -> Bounds:
    return Bounds(
        tables,
        reference_w,
        np.zeros(MOST_ACTIVE, dtype=np.int32),
        np.zeros(MOST_ACTIVE),
        np.zeros(MOST_ACTIVE),
    )


@compiled
def _read(tables: Floats, column: int, node: int, share: float) -> float:
    mixed = float((1.0 - share) * tables[column, node, 0] + share * tables[column, node, 1])
    return mixed if 2 * column < len(tables) else -mixed


@compiled
def choose_active(bounds: Bounds, sink: int, sources: Ints, share: float) -> int:
    """Make the columns active that promise most for the way from the sources to the sink, and count them."""
    if len(sources) > MOST_CANDIDATES or len(sources) == 0:
        return 0
    count = 0
    for column in range(len(bounds.tables)):
        offset = _read(bounds.tables, column, sources[0], share)
        for k in range(1, len(sources)):
            offset = max(offset, _read(bounds.tables, column, sources[k], share))
        score = _read(bounds.tables, column, sink, share) - offset
        if not score > 0.0:
            continue
        if count < MOST_ACTIVE:
            at = count
            count += 1
        elif score > bounds.score[count - 1]:
            at = count - 1
        else:
            continue
        while at > 0 and bounds.score[at - 1] < score:
            bounds.score[at] = bounds.score[at - 1]
            bounds.offset[at] = bounds.offset[at - 1]
            bounds.active[at] = bounds.active[at - 1]
            at -= 1
        bounds.score[at] = score
        bounds.offset[at] = offset
        bounds.active[at] = column
    return count


@compiled
def least_growth(bounds: Bounds, count: int, node: int, share: float) -> float:
    """By what factor a label at this router grows at least until it is at a source. What is not known counts as 1."""
    growth = 0.0
    for k in range(count):
        # Differences of infinities are not numbers, and compare as such.
        bound = _read(bounds.tables, bounds.active[k], node, share) - bounds.offset[k]
        if bound > growth:
            growth = bound
    return exp(growth) if growth > 0.0 else 1.0
