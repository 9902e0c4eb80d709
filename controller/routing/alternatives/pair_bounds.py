"""How much power must at least grow from a router to the sink of a pair: what leads both searches, compiled."""

from math import exp
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_in_place
from controller.routing.graph import Ints
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.bounds import NO_CLIMB, Climb, climb_of, descend, forget, rise
from controller.routing.paths.landmark_bounds import (
    LandmarkBounds,
    choose_landmarks,
    growth_to_sink,
    landmark_bounds_of,
)
from controller.routing.paths.landmarks import Landmarks

# Each is read for every router that is touched, and the next one raises the bound less.
_MAX_ACTIVE = 3
# How bounds are read, in the place of a number of landmarks: by the hierarchy.
_BY_HIERARCHY = -1


class PairBounds(NamedTuple):
    """``mirrored`` is a hierarchy with all arcs turned round: it is climbed from the sink, in logarithms of growth.

    The parts that there is no use for are empty.
    """

    by_landmarks: LandmarkBounds
    mirrored: Climb
    sink_alone: Ints


def pair_bounds_of(guide: Landmarks | AdditiveHierarchy | None) -> PairBounds:
    """Room for the bounds of one question at a time."""
    mirrored = NO_CLIMB
    if isinstance(guide, AdditiveHierarchy):
        mirrored = climb_of(guide.rows, guide.down, guide.up)
    by_landmarks = landmark_bounds_of(guide if isinstance(guide, Landmarks) else None, _MAX_ACTIVE)
    return PairBounds(by_landmarks, mirrored, np.zeros(1, dtype=np.int32))


@compiled_in_place
def begin_to_sink(bounds: PairBounds, sink: int, sources: Ints, share: float) -> int:
    """Prepare the bounds of one question. Says how they are to be read and ended."""
    if len(bounds.mirrored.rank) > 0:
        bounds.sink_alone[0] = sink
        rise(bounds.mirrored, bounds.sink_alone, 0.0)
        return _BY_HIERARCHY
    return choose_landmarks(bounds.by_landmarks, sink, sources, share)


@compiled_in_place
def growth_onward(bounds: PairBounds, how: int, node: int, share: float) -> float:
    """By what factor power shrinks at least from a router to the sink; 1 where nothing is known."""
    if how == _BY_HIERARCHY:
        rank = bounds.mirrored.rank[node]
        descend(bounds.mirrored, rank)
        # Both columns are the same: they start alike, and all factors are 1.
        return exp(bounds.mirrored.known[rank, 1])
    return growth_to_sink(bounds.by_landmarks, how, node, share)


@compiled_in_place
def end_to_sink(bounds: PairBounds, how: int) -> None:
    """Leave nothing of a question."""
    if how == _BY_HIERARCHY:
        forget(bounds.mirrored, bounds.sink_alone)
