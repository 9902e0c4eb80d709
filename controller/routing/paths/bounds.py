"""Lower bounds of A*: how much power must at least grow on its way, which leads a search to the sources. Compiled.

A bound is the least factor by which a label grows. Two figures are known of each router, which a question mixes in
proportion.

*Landmarks*: logarithms of the growth at no power and at a reference power, mixed for the power at the sink, because
``ln(1 + R p / U²)`` is concave in p; see ``landmark_bounds``.

*Hierarchy*: how little of what the sources inject can arrive at a router, over shortcuts that first rise in rank and
then fall. If no less than P can be injected to serve the sink, and at most B of P arrives at a router, then a label of
at least B there still grows by P/B or more, because what is lost grows faster than power. Labels are at least B: who
needs less would be served by less than P. So near
the sink bounds are as close as near a source. They may miss the triangle inequality a little: a search that they lead
must take up a router again whose label falls after all.
"""

from math import inf
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_in_place
from controller.routing.graph import Floats, Ints
from controller.routing.paths.elimination import Rows
from controller.routing.paths.hierarchy import Hierarchy, Shortcuts
from controller.routing.paths.landmark_bounds import (
    LandmarkBounds,
    choose_landmarks,
    growth_from_sources,
    landmark_bounds_of,
)
from controller.routing.paths.landmarks import Landmarks

# Each is read for every router that is touched, and the next one raises the bound less.
MAX_ACTIVE = 8
# How bounds are read, in the place of a number of landmarks: by the hierarchy.
BY_HIERARCHY = -1
# No bound was worked out yet.
_UNKNOWN = -1.0


class Reading(NamedTuple):
    """How the bounds of one question are read: ``how`` names the kind, or counts active landmarks; 0 if there are none.

    Both weights are of the two figures that are known of each router: at a lesser power, at the reference. A hierarchy
    has them for ``lesser_w`` and ``reference_w``.
    """

    how: int
    of_lesser: float
    of_reference: float
    lesser_w: float
    reference_w: float


class Climb(NamedTuple):
    """A hierarchy, and least shortfalls by rank, ``rising`` those over shortcuts upward only, ``known`` over all.

    Both have two columns: the sources inject as much as the sink takes, or the reference power.
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


class Leaving(NamedTuple):
    """The arcs out of router v: ``arcs[start[v]:start[v + 1]]``."""

    start: Ints
    arcs: Ints


class Bounds(NamedTuple):
    """What one search may use; the parts that it has no use for are empty."""

    reference_w: float
    by_landmarks: LandmarkBounds
    climb: Climb
    leaving: Leaving


def bounds_of(guide: Landmarks | Hierarchy | None) -> Bounds:
    """Room for the bounds of one search at a time."""
    by_landmarks = landmark_bounds_of(guide if isinstance(guide, Landmarks) else None, MAX_ACTIVE)
    reference_w = 1.0 if guide is None else guide.reference_w
    if not isinstance(guide, Hierarchy):
        return Bounds(reference_w, by_landmarks, NO_CLIMB, Leaving(_NONE, _NONE))
    climb = climb_of(guide.rows, guide.up, guide.down)
    return Bounds(
        reference_w, by_landmarks, climb, Leaving(guide.graph.leaving_start, guide.graph.leaving)
    )


def climb_of(rows: Rows, up: Shortcuts, down: Shortcuts) -> Climb:
    """Room for one question at a time; nothing is known yet."""
    count = len(rows.rank)
    return Climb(
        rows.rank,
        rows.parent,
        *up,
        *down,
        np.full((count, 2), inf),
        np.full((count, 2), _UNKNOWN),
        np.zeros(count, dtype=np.int32),
        np.zeros(1, dtype=np.int32),
        np.zeros(count, dtype=np.int32),
    )


_NONE = np.zeros(0, dtype=np.int32)
_NO_SHORTCUTS = Shortcuts(_NONE, _NONE, np.zeros((0, 2)))
# For searches that no hierarchy leads.
NO_CLIMB = climb_of(Rows(_NONE, _NONE, _NONE, _NONE), _NO_SHORTCUTS, _NO_SHORTCUTS)


@compiled_in_place
def worth_leading(sources: int, nodes: int) -> bool:
    """Whether bounds pay: among many sources one is near, and what promises to be near many promises little."""
    return sources > 0 and 16 * sources * sources <= nodes


@compiled_in_place
def begin(bounds: Bounds, sink: int, sources: Ints, sink_w: float) -> Reading:
    """Prepare the bounds of one question: power for a sink from the best of the sources."""
    if len(sources) == 0:
        return Reading(0, 0.0, 0.0, 0.0, 0.0)
    if len(bounds.climb.rank) > 0:
        return _read_hierarchy(bounds, sink, sources, sink_w)
    share = min(sink_w / bounds.reference_w, 1.0)
    active = choose_landmarks(bounds.by_landmarks, sink, sources, share)
    return Reading(active, 1.0 - share, share, 0.0, 0.0)


@compiled_in_place
def least_growth(bounds: Bounds, reading: Reading, node: int) -> float:
    """By what factor a label at this router grows at least until it is at a source. What is not known counts as 1."""
    if reading.how == 0:
        return 1.0
    if reading.how != BY_HIERARCHY:
        return growth_from_sources(bounds.by_landmarks, reading.how, node, reading.of_reference)
    rank, known = bounds.climb.rank[node], bounds.climb.known
    descend(bounds.climb, rank)
    if known[rank, 0] == inf:
        return inf
    of_lesser = reading.of_lesser * (1.0 + known[rank, 0])
    return float(of_lesser + reading.of_reference * (1.0 + known[rank, 1]))


@compiled_in_place
def end(bounds: Bounds, reading: Reading, sources: Ints) -> None:
    """Leave nothing of a question."""
    if reading.how == BY_HIERARCHY:
        forget(bounds.climb, sources)


@compiled_in_place
def forget(climb: Climb, sources: Ints) -> None:
    """Make nothing known again that was from these sources."""
    for k in range(climb.touched_count[0]):
        climb.known[climb.touched[k], 0] = _UNKNOWN
    climb.touched_count[0] = 0
    for source in sources:
        rank = climb.rank[source]
        while rank >= 0:
            climb.rising[rank, 0] = inf
            climb.rising[rank, 1] = inf
            rank = climb.parent[rank]


@compiled_in_place
def _read_hierarchy(bounds: Bounds, sink: int, sources: Ints, sink_w: float) -> Reading:
    """Find the least power that may serve the sink.

    Reciprocals of powers, in parts of that of the reference: what arrives is concave in what is injected, so mixing
    both columns says too little of it, and the injection for which the sink gets what it takes is not overestimated.
    """
    climb, reference_w = bounds.climb, bounds.reference_w
    at_source = max(reference_w / sink_w, 1.0)
    rise(climb, sources, at_source - 1.0)
    rank = climb.rank[sink]
    descend(climb, rank)
    lesser, reference = 1.0 + climb.known[rank, 0], 1.0 + climb.known[rank, 1]
    share = 0.0
    if reference < lesser < inf:
        share = min((lesser - at_source) / (lesser - reference), 1.0)
    injected = (1.0 - share) * at_source + share
    return mixed(reference_w / at_source, reference_w, reference_w / injected)


@compiled_in_place
def mixed(lesser_w: float, reference_w: float, injected_w: float) -> Reading:
    """How a hierarchy is read where no less than a power is injected: its columns are of two powers around that."""
    most = reference_w / lesser_w
    injected = min(max(reference_w / injected_w, 1.0), most)
    share = (most - injected) / (most - 1.0) if most > 1.0 else 0.0
    return Reading(BY_HIERARCHY, (1.0 - share) / injected, share / injected, lesser_w, reference_w)


@compiled_in_place
def rise(climb: Climb, sources: Ints, shortfall: float) -> None:
    """From sources that inject this much less than the reference power, or all of it, to all higher routers."""
    rising, to, weight = climb.rising, climb.up_to, climb.up_weight
    for source in sources:
        rank = climb.rank[source]
        rising[rank, 0] = shortfall
        rising[rank, 1] = 0.0
        while rank >= 0:
            lesser, reference = rising[rank, 0], rising[rank, 1]
            if lesser < inf:
                for entry in range(climb.up_start[rank], climb.up_start[rank + 1]):
                    above, factor, addend = to[entry], weight[entry, 0], weight[entry, 1]
                    rising[above, 0] = min(rising[above, 0], factor * lesser + addend)
                    rising[above, 1] = min(rising[above, 1], factor * reference + addend)
            rank = climb.parent[rank]


@compiled_in_place
def descend(climb: Climb, rank: int) -> None:
    """Make a router known, once all above it in the elimination tree are."""
    known, to, weight, stack = climb.known, climb.down_to, climb.down_weight, climb.stack
    depth, above = 0, rank
    while above >= 0 and known[above, 0] == _UNKNOWN:
        stack[depth] = above
        depth += 1
        above = climb.parent[above]
    count = climb.touched_count[0]
    climb.touched_count[0] = count + depth
    while depth > 0:
        depth -= 1
        below = stack[depth]
        lesser, reference = climb.rising[below, 0], climb.rising[below, 1]
        for entry in range(climb.down_start[below], climb.down_start[below + 1]):
            above, factor, addend = to[entry], weight[entry, 0], weight[entry, 1]
            lesser = min(lesser, factor * known[above, 0] + addend)
            reference = min(reference, factor * known[above, 1] + addend)
        known[below, 0] = lesser
        known[below, 1] = reference
        climb.touched[count] = below
        count += 1
