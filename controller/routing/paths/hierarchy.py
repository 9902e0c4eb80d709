"""A hierarchy of routers, from which every search takes bounds that are exact for the loads that it was made for.

Customizable contraction (Dibbelt, Strasser and Wagner 2016): routers are taken out one by one, and what joins their
neighbours afterwards are shortcuts. Distances in the hierarchy lead a search, worked out only where it looks
(Strasser and Zeitz 2021). The weight of an arc is the logarithm of the least growth of a label along it,
``-ln(eta) + ln(1 + R (2 U I + p) / U²)``, for a current I that it carries at least.
"""

from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.elimination import Rows, eliminate
from controller.routing.paths.landmarks import usual_power_w

Flags = npt.NDArray[np.bool_]

# Pairs of entries in a row are what the making of a hierarchy costs; planar networks have some hundred a router.
MOST_PAIRS = 2000


class TooEntangled(ValueError):
    """Graphs that no map could show, as random ones are; landmarks can lead searches there."""


class Shortcuts(NamedTuple):
    """Rows of the hierarchy that searches need, each entry with its weight at no power and at the reference power."""

    start: Ints
    to: Ints
    weight: Floats


class Hierarchy:
    """Bounds for searches on one graph, true while no arc carries less than it was made for.

    ``up`` are shortcuts to routers of higher rank, ``down`` those from them.
    """

    def __init__(
        self,
        graph: PowerGraph,
        standing_a: Floats | None = None,
        reference_power_w: float | None = None,
    ) -> None:
        """``standing_a`` is what each arc carries at least, nothing if not given. All arcs count, in service or not.

        Bounds are best for powers between 0 and the reference, by default what the median arc can carry. Raises
        TooEntangled, and ValueError where the reference is not above 0 W.
        """
        rows = eliminate(graph, MOST_PAIRS)
        if rows is None:
            raise TooEntangled("the graph is too entangled for a hierarchy")
        self._graph = graph
        self.rows = rows
        self.reference_w = usual_power_w(graph) if reference_power_w is None else reference_power_w
        if not 0.0 < self.reference_w < inf:
            raise ValueError(f"the reference power must be above 0 W, not {self.reference_w} W")
        self.customise(standing_a)

    def true_for(self, load_a: Floats) -> bool:
        """Whether bounds hold for these loads: none may be below what it was made for."""
        return self.standing_a is None or bool(np.all(load_a >= self.standing_a))

    def customise(self, standing_a: Floats | None = None) -> None:
        """Take the figures of all arcs from the graph again, and other loads below which none falls.

        Searches that were made before keep the bounds that they have.
        """
        graph = self._graph
        self.standing_a = None if standing_a is None else standing_a.copy()
        load_a = np.zeros(graph.arc_count) if standing_a is None else standing_a
        weight = np.empty((graph.arc_count, 2))
        for at_power, power_w in enumerate((0.0, self.reference_w)):
            beside_w = 2.0 * graph.voltage_v * load_a
            line = graph.resistance_ohm * (power_w + beside_w) / graph.voltage_v**2
            weight[:, at_power] = np.log1p(line) - np.log(graph.efficiency[graph.tail])
        up, down = _shortcuts(self.rows, graph.tail, graph.head, weight)
        shorter_up, shorter_down = _shorten(self.rows, up, down)
        self.up = _needed(self.rows, up, shorter_up)
        self.down = _needed(self.rows, down, shorter_down)


@compiled
def _shortcuts(rows: Rows, tail: Ints, head: Ints, weight: Floats) -> tuple[Floats, Floats]:
    """Weights of all entries, to the higher router and from it: the least over arcs and over lower routers."""
    up = np.full((len(rows.to), 2), inf)
    down = np.full((len(rows.to), 2), inf)
    for arc in range(len(tail)):
        low, high = rows.rank[tail[arc]], rows.rank[head[arc]]
        if low == high:
            continue
        rises = low < high
        if not rises:
            low, high = high, low
        row = rows.to[rows.start[low] : rows.start[low + 1]]
        entry = rows.start[low] + np.searchsorted(row, high)
        _lower((up if rises else down)[entry], weight[arc, 0], weight[arc, 1])
    for low in range(len(rows.rank)):
        for i in range(rows.start[low], rows.start[low + 1]):
            entry = rows.start[rows.to[i]]
            for j in range(i + 1, rows.start[low + 1]):
                while rows.to[entry] != rows.to[j]:
                    entry += 1
                _lower(up[entry], down[i, 0] + up[j, 0], down[i, 1] + up[j, 1])
                _lower(down[entry], down[j, 0] + up[i, 0], down[j, 1] + up[i, 1])
    return up, down


@compiled
def _lower(weight: Floats, at_none: float, at_reference: float) -> bool:
    """Lower both weights of an entry to these; whether both fell."""
    fell = bool(at_none < weight[0] and at_reference < weight[1])
    weight[0] = min(weight[0], at_none)
    weight[1] = min(weight[1], at_reference)
    return fell


@compiled
def _shorten(rows: Rows, up: Floats, down: Floats) -> tuple[Flags, Flags]:
    """Lower weights by ways over higher routers; entries of which there is such a shorter way are not needed."""
    shorter_up = np.isinf(up[:, 0])
    shorter_down = np.isinf(down[:, 0])
    for low in range(len(rows.rank) - 1, -1, -1):
        for i in range(rows.start[low], rows.start[low + 1]):
            entry = rows.start[rows.to[i]]
            for j in range(i + 1, rows.start[low + 1]):
                while rows.to[entry] != rows.to[j]:
                    entry += 1
                rise, fall = up[entry], down[entry]
                shorter_up[i] |= _lower(up[i], up[j, 0] + fall[0], up[j, 1] + fall[1])
                shorter_up[j] |= _lower(up[j], up[i, 0] + rise[0], up[i, 1] + rise[1])
                shorter_down[i] |= _lower(down[i], rise[0] + down[j, 0], rise[1] + down[j, 1])
                shorter_down[j] |= _lower(down[j], fall[0] + down[i, 0], fall[1] + down[i, 1])
    return shorter_up, shorter_down


def _needed(rows: Rows, weight: Floats, shorter: Flags) -> Shortcuts:
    before = np.concatenate([[0], np.cumsum(~shorter)]).astype(np.int32)
    return Shortcuts(before[rows.start], rows.to[~shorter], weight[~shorter])
