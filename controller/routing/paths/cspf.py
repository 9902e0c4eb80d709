"""Constrained shortest path first for power: the path on which a source injects the least.

The search walks backward from the sink. A node's label is the power that must enter that router so that the sink
gets what was asked. Every arc's function is increasing and at least the identity, and a smaller label dominates,
so label-setting (Dijkstra) is exact, capacity and loss limits included. Under a limit of hops a label is a pair
(power, hops), and only one that is smaller in neither is dropped.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from controller.routing.compiled import compiled
from controller.routing.graph import Ints, PowerGraph
from controller.routing.paths.bounds import (
    BY_HIERARCHY,
    Bounds,
    begin,
    bounds_of,
    end,
    worth_leading,
)
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.hop_limited import least_power_in_few_hops
from controller.routing.paths.label_setting import least_power
from controller.routing.paths.landmarks import Landmarks
from controller.routing.paths.path_power import RELATIVE_TOLERANCE
from controller.routing.paths.raising import most_leaving_w
from controller.routing.paths.search_arrays import (
    NOTHING_AVAILABLE_W,
    Arcs,
    Ask,
    Room,
    arcs_of,
    room_for,
)

__all__ = ["RELATIVE_TOLERANCE", "Path", "PathSearch"]

# Searches that settle this many routers are led astray: from here on what they found out raises their bounds.
_RAISE_FROM = 500


@dataclass(frozen=True, slots=True)
class Path:
    """Routers from source to sink, the arcs between them, and the power that enters each router (W)."""

    nodes: tuple[int, ...]
    arcs: tuple[int, ...]
    entering_w: tuple[float, ...]

    @property
    def injected_w(self) -> float:
        return self.entering_w[0]


class PathSearch:
    """Searches on one graph, one at a time. Loads and headroom may change between them, all else is as it was.

    ``settled`` counts the routers that the last search expanded.
    """

    def __init__(self, graph: PowerGraph, guide: Landmarks | Hierarchy | None = None) -> None:
        """A guide must be of this graph, and true for its loads: see ``guided_search``, which keeps it so."""
        self.graph = graph
        self.arcs = arcs_of(graph)
        self.room = room_for(graph)
        self.bounds = bounds_of(guide)
        # Who may use again what it holds is charged less than stands, which bounds for what stands do not foresee.
        stands = isinstance(guide, Hierarchy) and guide.standing_a is not None
        self._bounds_with_credit = bounds_of(None) if stands else self.bounds
        self.settled = 0

    def best(
        self,
        sink: int,
        power_w: float,
        available_w: Mapping[int, float],
        *,
        max_injected_w: float = inf,
        max_hops: int | None = None,
        avoid_nodes: Collection[int] = (),
        avoid_arcs: Collection[int] = (),
        credit_a: Mapping[int, float] | None = None,
    ) -> Path | None:
        """Find the path that delivers ``power_w`` at ``sink`` with the least injected power.

        ``available_w`` gives, for each router with candidate sources, the most that one of them can inject.
        ``credit_a`` is current that the circuit itself holds already on an arc, and may use again (make-before-break).
        Returns None where no path meets all constraints. Raises ValueError where the power is not a finite
        positive number, or a router or an arc is not there.
        """
        if not 0.0 < power_w < inf:
            raise ValueError(f"a path is searched for a power above 0 W, not for {power_w} W")
        if max_hops is not None and max_hops < 0:
            raise ValueError(f"max_hops is {max_hops}; it must be at least 0")
        _require_within("router", (sink, *available_w, *avoid_nodes), self.graph.node_count)
        _require_within("arc", (*avoid_arcs, *(credit_a or ())), self.graph.arc_count)
        if not available_w or sink in avoid_nodes:
            return None
        limit_w = min(max_injected_w, max(available_w.values())) * (1.0 + RELATIVE_TOLERANCE)
        most_hops = -1 if max_hops is None else max_hops
        ask = Ask(sink, power_w, limit_w, most_hops, bool(credit_a or avoid_arcs))
        sources = np.fromiter(available_w, np.int32, len(available_w))
        nodes, reusable_a = self.room.nodes, self.room.credit_a
        avoided_nodes, avoided_arcs = list(avoid_nodes), list(avoid_arcs)
        credit_arcs = list(credit_a or ())
        try:
            nodes["available_w"][sources] = list(available_w.values())
            nodes["label_w"][avoided_nodes] = -1.0
            if credit_a:
                reusable_a[credit_arcs] = list(credit_a.values())
            reusable_a[avoided_arcs] = -inf
            bounds = self._bounds_with_credit if credit_a else self.bounds
            length, self.settled = best_path(self.arcs, self.room, bounds, ask, sources)
        finally:
            nodes["available_w"][sources] = NOTHING_AVAILABLE_W
            nodes["label_w"][avoided_nodes] = inf
            reusable_a[credit_arcs] = 0.0
            reusable_a[avoided_arcs] = 0.0
        return None if length < 0 else self._path(length, sink)

    def _path(self, length: int, sink: int) -> Path:
        arcs = self.room.path_arcs[:length]
        return Path(
            (*self.graph.tail[arcs].tolist(), sink),
            tuple(arcs.tolist()),
            tuple(self.room.path_w[: length + 1].tolist()),
        )


def _require_within(kind: str, indices: Iterable[int], count: int) -> None:
    """The kernels do not look where they read."""
    for index in indices:
        if not 0 <= index < count:
            raise ValueError(f"there is no {kind} {index}: there are {count}")


@compiled
def best_path(arcs: Arcs, room: Room, bounds: Bounds, ask: Ask, sources: Ints) -> tuple[int, int]:
    """Leave the best path in the room: how many arcs it has, -1 where there is none, and how many routers were settled.

    What each candidate router can inject stands in the room already; ``sources`` names these routers.
    """
    return best_path_raising(arcs, room, bounds, ask, sources, _RAISE_FROM)


@compiled
def best_path_raising(
    arcs: Arcs, room: Room, bounds: Bounds, ask: Ask, sources: Ints, raise_from: int
) -> tuple[int, int]:
    """As :func:`best_path`; bounds are first raised when ``raise_from`` routers are settled."""
    sink_w = ask.power_w / arcs.efficiency[ask.sink]
    if not sink_w <= ask.limit_w:
        return -1, 0
    if not worth_leading(len(sources), len(arcs.efficiency)):
        sources = sources[:0]
    reading = begin(bounds, ask.sink, sources, sink_w)
    if reading.how == BY_HIERARCHY and not ask.with_credit:
        limit_w = min(ask.limit_w, most_leaving_w(arcs, bounds.leaving, sources, ask.sink))
        ask = Ask(ask.sink, ask.power_w, limit_w, ask.most_hops, ask.with_credit)
    if ask.most_hops < 0:
        answer = least_power(arcs, room, bounds, ask, sink_w, reading, raise_from)
    else:
        answer = least_power_in_few_hops(arcs, room, bounds, ask, sink_w, reading)
    end(bounds, reading, sources)
    return answer
