"""Losses taken as linear around given currents: how a watt grows along each arc, and what it costs those beside it.

The loss on an arc is shared in proportion to current, so beside others' current B and these circuits' L each ampere
bears R (2B + L), and what a path needs is linear in its power: the gains. An ampere more makes every other circuit
there pay R L more, and that must come all the way from their sources: the tolls. Gains and tolls together are the
gradient of what is injected in all.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.assignments.standing import Circuits, Paths
from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph

# Of losses after currents and currents after losses: as losses are small, each leaves little of the error before it.
_ROUNDS = 4


class Linear(NamedTuple):
    """Per arc: what must enter its tail for each watt into its head, and what that watt costs others there (W/W).

    ``current_a`` are the currents of these circuits at which this holds, ``injected_w`` what they inject there, and
    ``offset_w`` what the cost of an assignment counts too much, at that point.
    """

    gain: Floats
    toll: Floats
    current_a: Floats
    injected_w: float
    offset_w: float


def linear_at(
    graph: PowerGraph, circuits: Circuits, others_a: Floats, paths: Paths, of: Ints, weight: Floats
) -> Linear:
    """Linear losses where ``weight[j]`` of circuit ``of[j]`` goes along path j of ``paths``.

    Currents follow from losses and these from currents: the round is repeated until it stands (losses are small).
    """
    current_a = np.zeros(graph.arc_count)
    entering_w = circuits.power_w[of] * weight / graph.efficiency[circuits.sink[of]]
    efficiency = graph.efficiency[graph.tail]
    injected = 0.0
    for _ in range(_ROUNDS):
        share = graph.resistance_ohm * (2.0 * others_a + current_a) / graph.voltage_v
        gain = (1.0 + share) / efficiency
        current_a = np.zeros(graph.arc_count)
        injected = _load(paths, entering_w, gain, graph.voltage_v, current_a)
    dearness = _dearness(paths, entering_w, gain, efficiency, graph.voltage_v, current_a)
    toll = graph.resistance_ohm * current_a * dearness / graph.voltage_v
    offset_w = float(np.sum(toll * graph.voltage_v * current_a))
    return Linear(gain, toll, current_a, injected, offset_w)


@compiled
def _load(
    paths: Paths, entering_w: Floats, gain: Floats, voltage_v: Floats, current_a: Floats
) -> float:
    """Add the currents of all paths, and return what is injected together."""
    total_w = 0.0
    for index in range(len(entering_w)):
        power_w = entering_w[index]
        for at in range(paths.start[index + 1] - 1, paths.start[index] - 1, -1):
            arc = paths.arcs[at]
            current_a[arc] += power_w / voltage_v[arc]
            power_w *= gain[arc]
        total_w += power_w
    return total_w


@compiled
def _dearness(
    paths: Paths,
    entering_w: Floats,
    gain: Floats,
    efficiency: Floats,
    voltage_v: Floats,
    current_a: Floats,
) -> Floats:
    """What a watt lost on each arc costs at the sources of those that share it, by their currents."""
    dearness = np.zeros(len(gain))
    for index in range(len(entering_w)):
        power_w = entering_w[index]
        for at in range(paths.start[index], paths.start[index + 1]):
            power_w *= gain[paths.arcs[at]]
        injected_w = power_w
        # Of what is injected, power_w is what has come as far as this router.
        for at in range(paths.start[index], paths.start[index + 1]):
            arc = paths.arcs[at]
            if power_w > 0.0:
                arriving_w = power_w / gain[arc]
                per_w = injected_w / power_w / efficiency[arc]
                dearness[arc] += arriving_w / voltage_v[arc] * per_w
                power_w = arriving_w
    for arc in range(len(gain)):
        if current_a[arc] > 0.0:
            dearness[arc] /= current_a[arc]
        else:
            dearness[arc] = 0.0
    return dearness


@compiled
def weigh(
    paths: Paths, entering_w: Floats, gain: Floats, toll: Floats, voltage_v: Floats
) -> tuple[Floats, Floats, Floats]:
    """Of each path: its cost and what it injects (W), and its current on each of its arcs (A)."""
    cost_w, injected_w = np.zeros(len(entering_w)), np.zeros(len(entering_w))
    current_a = np.zeros(len(paths.arcs))
    for index in range(len(entering_w)):
        power_w = entering_w[index]
        for at in range(paths.start[index + 1] - 1, paths.start[index] - 1, -1):
            arc = paths.arcs[at]
            current_a[at] = power_w / voltage_v[arc]
            cost_w[index] += toll[arc] * power_w
            power_w *= gain[arc]
        injected_w[index] = power_w
        cost_w[index] += power_w
    return cost_w, injected_w, current_a
