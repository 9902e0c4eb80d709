"""Nodal prices of a dispatch: what a MWh more would cost at each router to which more can come at all.

The solver's prices are the multipliers of its balances. It prices losses on all that is generated; what a load gets is
no loss, so its share of that is taken off again.
"""

import numpy as np
import numpy.typing as npt

from controller.routing.dispatch import Dispatch, DispatchProblem
from controller.routing.dispatch.flood import flooded
from controller.routing.dispatch.problem import split_problem
from controller.routing.flows.node_splitting import split_nodes
from controller.routing.graph import Floats

# Of a limit: what is nearer to it than that is at it, as where cuts are looked for.
_FULL = 1e-6


def nodal_prices(problem: DispatchProblem, found: Dispatch) -> dict[int, float]:
    """Money per MWh by node: how the objective rises with each watt more that is delivered there.

    Nodes to which no watt more can come are left out: the solver's multiplier is then how dear it holds service, which
    is no money. None where the optimum is not known, or nothing is served.
    """
    if not found.exact or not found.served_w.any():
        return {}
    multipliers = found.price_per_mwh
    priced = _more_can_come(problem, found)
    if multipliers.any():
        # What is on no way from a source to a load was not priced; where nothing costs anything, all is free.
        priced &= multipliers != 0.0
    prices = multipliers - problem.prices.loss_per_mwh
    return {node: float(prices[node]) for node in np.flatnonzero(priced).tolist()}


def _more_can_come(problem: DispatchProblem, found: Dispatch) -> npt.NDArray[np.bool_]:
    """Where power to spare can come from some source, over lines with room, or by less being sent another way."""
    split = split_nodes(problem.graph)
    if split is None:
        return _reached(problem, found.received_w, found.generated_w)
    entering_w = np.bincount(problem.graph.head, found.received_w, problem.graph.node_count)
    np.add.at(entering_w, problem.source_node, found.generated_w)
    received_w = np.zeros(split.graph.arc_count)
    received_w[split.arc_after] = found.received_w
    received_w[split.between] = entering_w[split.routers]
    reached = _reached(split_problem(split, problem), received_w, found.generated_w)
    return reached[split.outlet]


def _reached(
    problem: DispatchProblem, received_w: Floats, generated_w: Floats
) -> npt.NDArray[np.bool_]:
    graph = problem.graph
    used_a = received_w / graph.voltage_v
    both_a = used_a + np.where(graph.twin >= 0, used_a[graph.twin], 0.0)
    has_room = both_a < graph.headroom_a * (1.0 - _FULL)
    spare = generated_w < problem.source_max_w * (1.0 - _FULL)
    return flooded(graph, problem.source_node[spare], upstream=used_a > 0.0, downstream=has_room)
