"""How much power must at least grow on its way: what leads a search towards the sources, compiled.

A bound is the logarithm of the least growth of a label. Both kinds are known at no power and at a reference power;
``ln(1 + R p / U²)`` is concave in p, so that what mixes both in proportion is a lower bound for a power between them.

*Landmarks*: see ``landmark_bounds``.
*Hierarchy*: the distance from the sources to a router, over shortcuts that first rise in rank and then fall.
"""

from math import exp, inf
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_in_place
from controller.routing.graph import Floats, Ints
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.landmark_bounds import (
    LandmarkBounds,
    choose_landmarks,
    growth_from_sources,
    landmark_bounds_of,
)
from controller.routing.paths.landmarks import Landmarks

# Each is read for every router that is touched, and the next one raises the bound less.
MOST_ACTIVE = 8
_BY_HIERARCHY = -1
_UNKNOWN = -1.0


class Climb(NamedTuple):
    """A hierarchy, and distances from the sources by rank: ``rising`` those upward only, ``known`` the least.

    ``touched`` lists the ranks that are known, ``touched_count[0]`` of them.
    """

    rank: Ints
    parent: Ints
    up_start: Ints
    up_to: Ints
    up_weight: Floats
    down_start: Ints
    down_to: Ints
    down_weight: Floats
    rising: Floats
    known: Floats
    touched: Ints
    touched_count: Ints
    stack: Ints


class Bounds(NamedTuple):
    """What one search may use; the parts that it has no use for are empty."""

    reference_w: float
    by_landmarks: LandmarkBounds
    climb: Climb


def bounds_of(guide: Landmarks | Hierarchy | None) -> Bounds:
    """Room for the bounds of one search at a time."""
    by_landmarks = landmark_bounds_of(guide if isinstance(guide, Landmarks) else None, MOST_ACTIVE)
    reference_w = 1.0 if guide is None else guide.reference_w
    return Bounds(
        reference_w, by_landmarks, _climb(guide if isinstance(guide, Hierarchy) else None)
    )


def _climb(hierarchy: Hierarchy | None) -> Climb:
    none, no_weights = np.zeros(0, dtype=np.int32), np.zeros((0, 2))
    if hierarchy is None:
        empty = (none, none, none, none, no_weights, none, none, no_weights)
        return Climb(*empty, np.zeros(0), np.zeros(0), none, np.zeros(1, dtype=np.int32), none)
    count = len(hierarchy.rows.rank)
    return Climb(
        hierarchy.rows.rank,
        hierarchy.rows.parent,
        *hierarchy.up,
        *hierarchy.down,
        np.full(count, inf),
        np.full(count, _UNKNOWN),
        np.zeros(count, dtype=np.int32),
        np.zeros(1, dtype=np.int32),
        np.zeros(count, dtype=np.int32),
    )


@compiled_in_place
def worth_leading(sources: int, nodes: int) -> bool:
    """Whether bounds pay: among many sources one is near, and what promises to be near many promises little."""
    return sources > 0 and 16 * sources * sources <= nodes


@compiled_in_place
def begin(bounds: Bounds, sink: int, sources: Ints, share: float) -> int:
    """Prepare the bounds of one question. Says how they are to be read, and to be ended; 0 if there are none."""
    if len(sources) == 0:
        return 0
    if len(bounds.climb.rank) > 0:
        _rise(bounds.climb, sources, share)
        return _BY_HIERARCHY
    return choose_landmarks(bounds.by_landmarks, sink, sources, share)


@compiled_in_place
def least_growth(bounds: Bounds, how: int, node: int, share: float) -> float:
    """By what factor a label at this router grows at least until it is at a source. What is not known counts as 1."""
    if how == 0:
        return 1.0
    if how == _BY_HIERARCHY:
        return exp(_distance(bounds.climb, bounds.climb.rank[node], share))
    return growth_from_sources(bounds.by_landmarks, how, node, share)


@compiled_in_place
def end(bounds: Bounds, how: int, sources: Ints) -> None:
    """Leave nothing of a question."""
    if how != _BY_HIERARCHY:
        return
    climb = bounds.climb
    for k in range(climb.touched_count[0]):
        climb.known[climb.touched[k]] = _UNKNOWN
    climb.touched_count[0] = 0
    for source in sources:
        rank = climb.rank[source]
        while rank >= 0:
            climb.rising[rank] = inf
            rank = climb.parent[rank]


@compiled_in_place
def _rise(climb: Climb, sources: Ints, share: float) -> None:
    """Distances from the sources to all higher routers, over shortcuts that rise."""
    rising, to, weight = climb.rising, climb.up_to, climb.up_weight
    for source in sources:
        rank = climb.rank[source]
        rising[rank] = 0.0
        while rank >= 0:
            so_far = rising[rank]
            if so_far < inf:
                for entry in range(climb.up_start[rank], climb.up_start[rank + 1]):
                    step = (1.0 - share) * weight[entry, 0] + share * weight[entry, 1]
                    if so_far + step < rising[to[entry]]:
                        rising[to[entry]] = so_far + step
            rank = climb.parent[rank]


@compiled_in_place
def _distance(climb: Climb, rank: int, share: float) -> float:
    """Distance from the sources to a router, once that of all above it in the elimination tree is known."""
    known, to, weight, stack = climb.known, climb.down_to, climb.down_weight, climb.stack
    depth, above = 0, rank
    while above >= 0 and known[above] == _UNKNOWN:
        stack[depth] = above
        depth += 1
        above = climb.parent[above]
    count = climb.touched_count[0]
    climb.touched_count[0] = count + depth
    while depth > 0:
        depth -= 1
        above = stack[depth]
        least = climb.rising[above]
        for entry in range(climb.down_start[above], climb.down_start[above + 1]):
            step = (1.0 - share) * weight[entry, 0] + share * weight[entry, 1]
            least = min(least, known[to[entry]] + step)
        known[above] = least
        climb.touched[count] = above
        count += 1
    return float(known[rank])
