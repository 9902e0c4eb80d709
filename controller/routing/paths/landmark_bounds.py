"""How much power must at least grow between a router and both ends of a search, by landmarks; compiled.

For each column of ``Landmarks.tables`` and all routers u and v, what is read at v less what is read at u is a lower
bound for the logarithm of the growth from u to v (first half of the columns: from a landmark; second half: to it,
hence negative). Bounds are known at no power and at a reference power; ``ln(1 + R p / U²)`` is concave in p, so that
what mixes both in proportion is a bound for a power between them.
"""

from math import exp
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_in_place
from controller.routing.graph import Floats, Ints
from controller.routing.paths.landmarks import Landmarks


class LandmarkBounds(NamedTuple):
    """``tables`` is (columns, n, 2), without columns where there are no landmarks.

    A question makes some columns active, and notes for each what is read of the sources, and of the sink beyond that.
    """

    reference_w: float
    tables: Floats
    active: Ints
    at_sources: Floats
    apart: Floats


def landmark_bounds_of(landmarks: Landmarks | None, most_active: int) -> LandmarkBounds:
    """Room for the bounds of one question at a time, with at most so many columns active.

    Each is read for every router that is touched, and the next one raises the bound less.
    """
    return LandmarkBounds(
        1.0 if landmarks is None else landmarks.reference_w,
        np.zeros((0, 0, 2)) if landmarks is None else landmarks.tables,
        np.zeros(most_active, dtype=np.int32),
        np.zeros(most_active),
        np.zeros(most_active),
    )


@compiled_in_place
def _read(tables: Floats, column: int, node: int, share: float) -> float:
    mixed = float((1.0 - share) * tables[column, node, 0] + share * tables[column, node, 1])
    return mixed if 2 * column < len(tables) else -mixed


@compiled_in_place
def choose_landmarks(bounds: LandmarkBounds, sink: int, sources: Ints, share: float) -> int:
    """Make the columns active that promise most for the way from the nearest source to the sink, and count them."""
    apart, active, at_sources = bounds.apart, bounds.active, bounds.at_sources
    count = 0
    if len(sources) == 0:
        return 0
    for column in range(len(bounds.tables)):
        here = _read(bounds.tables, column, sources[0], share)
        for k in range(1, len(sources)):
            here = max(here, _read(bounds.tables, column, sources[k], share))
        # Differences of infinities are not numbers, and compare as such.
        beyond = _read(bounds.tables, column, sink, share) - here
        if not beyond > 0.0:
            continue
        at = count
        if count == len(active):
            at -= 1
            if beyond <= apart[at]:
                continue
        else:
            count += 1
        while at > 0 and apart[at - 1] < beyond:
            apart[at], at_sources[at] = apart[at - 1], at_sources[at - 1]
            active[at] = active[at - 1]
            at -= 1
        apart[at], at_sources[at], active[at] = beyond, here, column
    return count


@compiled_in_place
def growth_from_sources(bounds: LandmarkBounds, active: int, node: int, share: float) -> float:
    """By what factor power shrinks at least from the nearest source to a router; 1 where nothing is known."""
    least = 0.0
    for k in range(active):
        bound = _read(bounds.tables, bounds.active[k], node, share) - bounds.at_sources[k]
        if bound > least:
            least = bound
    return exp(least) if least > 0.0 else 1.0


@compiled_in_place
def growth_to_sink(bounds: LandmarkBounds, active: int, node: int, share: float) -> float:
    """By what factor power shrinks at least from a router to the sink; 1 where nothing is known."""
    least = 0.0
    for k in range(active):
        read = _read(bounds.tables, bounds.active[k], node, share) - bounds.at_sources[k]
        if bounds.apart[k] - read > least:
            least = bounds.apart[k] - read
    return exp(least) if least > 0.0 else 1.0
