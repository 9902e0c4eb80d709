"""How much power must at least grow from a router to the sink of a pair: what leads both searches, compiled."""

from copy import copy
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_in_place
from controller.routing.graph import Ints
from controller.routing.paths.bounds import Bounds, begin, bounds_of, end, least_growth
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.landmark_bounds import (
    LandmarkBounds,
    choose_landmarks,
    growth_to_sink,
    landmark_bounds_of,
)
from controller.routing.paths.landmarks import Landmarks

# Each is read for every router that is touched, and the next one raises the bound less.
_MOST_ACTIVE = 3
_BY_HIERARCHY = -1


class PairBounds(NamedTuple):
    """``mirrored`` are those of a hierarchy with all arcs turned round: what they count as a source is the sink.

    The parts that there is no use for are empty.
    """

    reference_w: float
    by_landmarks: LandmarkBounds
    mirrored: Bounds
    sink_alone: Ints


def pair_bounds_of(guide: Landmarks | Hierarchy | None) -> PairBounds:
    """Room for the bounds of one question at a time."""
    mirrored = None
    if isinstance(guide, Hierarchy):
        mirrored = copy(guide)
        mirrored.up, mirrored.down = guide.down, guide.up
    return PairBounds(
        1.0 if guide is None else guide.reference_w,
        landmark_bounds_of(guide if isinstance(guide, Landmarks) else None, _MOST_ACTIVE),
        bounds_of(mirrored),
        np.zeros(1, dtype=np.int32),
    )


@compiled_in_place
def begin_to_sink(bounds: PairBounds, sink: int, sources: Ints, share: float) -> int:
    """Prepare the bounds of one question. Says how they are to be read and ended."""
    if len(bounds.mirrored.climb.rank) > 0:
        bounds.sink_alone[0] = sink
        begin(bounds.mirrored, sink, bounds.sink_alone, share)
        return _BY_HIERARCHY
    return choose_landmarks(bounds.by_landmarks, sink, sources, share)


@compiled_in_place
def growth_onward(bounds: PairBounds, how: int, node: int, share: float) -> float:
    """By what factor power shrinks at least from a router to the sink; 1 where nothing is known."""
    if how == _BY_HIERARCHY:
        return least_growth(bounds.mirrored, how, node, share)
    return growth_to_sink(bounds.by_landmarks, how, node, share)


@compiled_in_place
def end_to_sink(bounds: PairBounds, how: int) -> None:
    """Leave nothing of a question."""
    if how == _BY_HIERARCHY:
        end(bounds.mirrored, how, bounds.sink_alone)
