"""How much power grows along an arc, compiled: a constant at one power, so that paths have costs that add up.

What must enter an arc's tail is what enters its head times its *growth*, ``(1 + R (2 I + P/U) / U) / eta``, at least 1.
Growths multiply along a path, and the logarithm of one is an additive cost that is never negative.
"""

from math import inf, log
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_in_place, record_type
from controller.routing.graph import Ints, PowerGraph
from controller.routing.paths.path_power import RELATIVE_TOLERANCE
from controller.routing.paths.search_arrays import Arcs, Records

_LEAVING = record_type(
    arc="i4", head="i4", link="i4", of_converter="f8", of_line_per_w="f8", voltage_v="f8"
)


class Leaving(NamedTuple):
    """The arcs once more, in the order of ``PowerGraph.leaving``: those that leave a router stand beside each other."""

    start: Ints
    packed: Records
    link: Ints


def leaving_of(graph: PowerGraph) -> Leaving:
    leaving = graph.leaving
    packed = np.zeros(graph.arc_count, dtype=_LEAVING)
    efficiency = graph.efficiency[graph.tail[leaving]]
    packed["arc"] = leaving
    packed["head"] = graph.head[leaving]
    packed["link"] = graph.link[leaving]
    packed["of_converter"] = 1.0 / efficiency
    packed["of_line_per_w"] = (graph.resistance_ohm / graph.voltage_v**2)[leaving] / efficiency
    packed["voltage_v"] = graph.voltage_v[leaving]
    return Leaving(graph.leaving_start, packed, graph.link)


@compiled_in_place
def growth_at(arcs: Arcs, arc: int, power_w: float) -> float:
    """What enters the arc's tail for each watt that enters its head; infinite if ``power_w`` does not fit."""
    figures = arcs.packed[arc]
    voltage_v = figures.voltage_v
    if not power_w <= arcs.headroom_a[arc] * voltage_v * (1.0 + RELATIVE_TOLERANCE):
        return inf
    of_line = figures.of_line_per_w * (2.0 * voltage_v * arcs.load_a[arc] + power_w)
    return float(figures.of_converter + of_line)


@compiled_in_place
def log_growth(arcs: Arcs, path: Ints, length: int, power_w: float) -> float:
    """The cost of a path: the sum over its arcs of the logarithm of their growth."""
    cost = 0.0
    for step in range(length):
        cost += log(growth_at(arcs, path[step], power_w))
    return cost
