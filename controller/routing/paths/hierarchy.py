"""Contraction hierarchy of routers: every search takes bounds from it, close for the loads that it was made for.

Customizable contraction (Dibbelt, Strasser and Wagner 2016): routers are taken out one by one, and what joins their
neighbours afterwards are shortcuts. Distances in the hierarchy lead a search, worked out only where it looks
(Strasser and Zeitz 2021).

A distance here is how far power falls short of a reference P on its way from a source: the shortfall of p is
``z = P/p - 1``. An arc delivers p for ``p (a + b p)`` at its tail, with ``a = (1 + 2 R I / U) / eta`` for a current I
that it carries at least, and ``b = R / (U² eta)``. So 1/p is ``a`` times the reciprocal at the tail and
``b / (a + b p)``; where no more than P enters the tail, p is at most P/a, and the shortfall at the head at least
``a z + a - 1 + b P / (a + b P / a)``. The weight of an arc is this factor and this addend. Such maps follow each
other as one of the same kind, and lesser weights make lesser maps, so a shortcut keeps the least of both over its ways.
Where these are of different ways, distances may miss the triangle inequality by a little.
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
MAX_PAIRS = 2000
# One way is worked out in several orders, which differ by rounding.
_NOTABLY = 1.0 - 1e-12


class TooEntangled(ValueError):
    """Graphs that no map could show, as random ones are; landmarks can lead searches there."""


class Shortcuts(NamedTuple):
    """Rows of the hierarchy that searches need, each entry with its factor and addend."""

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

        Bounds are best where no more than the reference is injected, by default what the median arc can carry. Raises
        TooEntangled, and ValueError where the reference is not above 0 W.
        """
        rows = eliminate(graph, MAX_PAIRS)
        if rows is None:
            raise TooEntangled("the graph is too entangled for a hierarchy")
        self.graph = graph
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
        graph = self.graph
        self.standing_a = None if standing_a is None else standing_a.copy()
        factor = self.growth_at_no_power()
        efficiency = graph.efficiency[graph.tail]
        line = graph.resistance_ohm * self.reference_w / graph.voltage_v**2 / efficiency
        addend = factor - 1.0 + line / (factor + line / factor)
        self.up, self.down = shortcuts_of(self.rows, graph, np.stack([factor, addend], axis=1))

    def growth_at_no_power(self) -> Floats:
        """By what factor the least of powers grows along each arc, beside what that carries at least."""
        graph = self.graph
        load_a = np.zeros(graph.arc_count) if self.standing_a is None else self.standing_a
        beside = 2.0 * graph.resistance_ohm * load_a / graph.voltage_v
        return (1.0 + beside) / graph.efficiency[graph.tail]


def shortcuts_of(rows: Rows, graph: PowerGraph, weight: Floats) -> tuple[Shortcuts, Shortcuts]:
    """Those to routers of higher rank, and those from them, for a factor and an addend of each arc."""
    up, down = _lowest(rows, graph.tail, graph.head, weight)
    shorter_up, shorter_down = _shorten(rows, up, down)
    return _needed(rows, up, shorter_up), _needed(rows, down, shorter_down)


@compiled
def _lowest(rows: Rows, tail: Ints, head: Ints, weight: Floats) -> tuple[Floats, Floats]:
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
        _lower((up if rises else down)[entry], (weight[arc, 0], weight[arc, 1]))
    for low in range(len(rows.rank)):
        for i in range(rows.start[low], rows.start[low + 1]):
            entry = rows.start[rows.to[i]]
            for j in range(i + 1, rows.start[low + 1]):
                while rows.to[entry] != rows.to[j]:
                    entry += 1
                _lower(up[entry], _way(down[i], up[j]))
                _lower(down[entry], _way(down[j], up[i]))
    return up, down


@compiled
def _way(first: Floats, then: Floats) -> tuple[float, float]:
    """Factor and addend of one entry after another."""
    return then[0] * first[0], then[0] * first[1] + then[1]


@compiled
def _lower(weight: Floats, way: tuple[float, float]) -> None:
    """Lower both figures of an entry to these. Infinity times 0 is no number, and lowers nothing."""
    weight[0] = min(weight[0], way[0])
    weight[1] = min(weight[1], way[1])


@compiled
def _lower_to(weight: Floats, way: tuple[float, float], shorter: bool) -> bool:
    """Lower an entry, of which there was a way as short in both figures or not; whether there is now."""
    notably = way[0] < weight[0] * _NOTABLY or way[1] < weight[1] * _NOTABLY
    in_both = way[0] * _NOTABLY <= weight[0] and way[1] * _NOTABLY <= weight[1]
    _lower(weight, way)
    return bool(in_both if notably else shorter)


@compiled
def _shorten(rows: Rows, up: Floats, down: Floats) -> tuple[Flags, Flags]:
    """Lower weights by ways over higher routers; entries that are no less than one such way are not needed.

    Where the factor is from one way and the addend from another, no way is as short as the entry, by which others were
    found too long.
    """
    shorter_up = np.isinf(up[:, 0])
    shorter_down = np.isinf(down[:, 0])
    for low in range(len(rows.rank) - 1, -1, -1):
        for i in range(rows.start[low], rows.start[low + 1]):
            entry = rows.start[rows.to[i]]
            for j in range(i + 1, rows.start[low + 1]):
                while rows.to[entry] != rows.to[j]:
                    entry += 1
                rise, fall = up[entry], down[entry]
                shorter_up[i] = _lower_to(up[i], _way(up[j], fall), shorter_up[i])
                shorter_up[j] = _lower_to(up[j], _way(up[i], rise), shorter_up[j])
                shorter_down[i] = _lower_to(down[i], _way(rise, down[j]), shorter_down[i])
                shorter_down[j] = _lower_to(down[j], _way(fall, down[i]), shorter_down[j])
    return shorter_up, shorter_down


def _needed(rows: Rows, weight: Floats, shorter: Flags) -> Shortcuts:
    before = np.concatenate([[0], np.cumsum(~shorter)]).astype(np.int32)
    return Shortcuts(before[rows.start], rows.to[~shorter], weight[~shorter])
