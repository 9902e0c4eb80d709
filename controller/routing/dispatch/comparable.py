"""A dispatch with figures of comparable size, for where the solver finds no answer with the ones that were given.

What is far beyond need cannot bind, and what is next to nothing cannot help: the first is cut down to some times the
power that the network could serve at most, the second is left out. Whoever uses the answer checks that nothing binds
which was cut down.
"""

from dataclasses import replace

import numpy as np

from controller.routing.dispatch.problem import Dispatch, DispatchProblem
from controller.routing.flows.cut import minimum_cut_to_sinks
from controller.routing.graph import Floats, Ints

# A line on which a further watt would cost this many is not worth having.
_DEAREST_WATT = 1e4
# Of a limit: what is nearer to it than that is at it.
_AT_LIMIT = 1e-3


def comparable(problem: DispatchProblem, most: float, least: float) -> DispatchProblem:
    """The same with no figure above ``most`` times what could be served without losses, nor below ``least`` times."""
    graph = problem.graph.snapshot()
    graph.headroom_a = useful_headroom_a(problem)
    wanted_w = _by_node(problem.load_node, problem.load_power_w)
    offered_w = _by_node(problem.source_node, problem.source_max_w)
    usual_w = minimum_cut_to_sinks(graph, wanted_w, offered_w).deliverable_w
    graph.headroom_a = _within(graph.headroom_a, usual_w / graph.voltage_v, most, least)
    return replace(
        problem,
        graph=graph,
        source_max_w=_within(problem.source_max_w, usual_w, most, least),
        load_power_w=_within(problem.load_power_w, usual_w, most, least),
    )


def useful_headroom_a(problem: DispatchProblem) -> Floats:
    """What an arc may still carry before a further watt costs far too many."""
    graph = problem.graph
    with np.errstate(divide="ignore"):
        most_a = _DEAREST_WATT * graph.voltage_v / (2.0 * graph.resistance_ohm)
    useful: Floats = np.minimum(graph.headroom_a, np.maximum(most_a - graph.load_a, 0.0))
    return useful


def binds(problem: DispatchProblem, cut_down: DispatchProblem, answer: Dispatch) -> bool:
    """Whether an answer is at a limit that was cut down, and could be better without it."""
    graph = problem.graph
    used_a = answer.received_w / graph.voltage_v
    both_a = used_a + np.where(graph.twin >= 0, used_a[graph.twin], 0.0)
    pairs = (
        (both_a, cut_down.graph.headroom_a, useful_headroom_a(problem)),
        (answer.generated_w, cut_down.source_max_w, problem.source_max_w),
        (answer.served_w, cut_down.load_power_w, problem.load_power_w),
    )
    return any(
        bool(np.any((used >= limit * (1.0 - _AT_LIMIT)) & (limit > 0.0) & (limit < before)))
        for used, limit, before in pairs
    )


def _by_node(nodes: Ints, power_w: Floats) -> dict[int, float]:
    sums: dict[int, float] = {}
    for node, each_w in zip(nodes.tolist(), power_w.tolist(), strict=True):
        sums[node] = sums.get(node, 0.0) + each_w
    return sums


def _within(values: Floats, usual: Floats | float, most: float, least: float) -> Floats:
    kept = np.minimum(values, most * usual)
    within: Floats = np.where(values >= least * usual, kept, np.minimum(values, 0.0))
    return within
