"""How far a feasible dispatch can be from the best one: a bound by Lagrange's duality, at any prices."""

import numpy as np

from controller.routing.dispatch.newton import Network
from controller.routing.graph import Floats


def cost_of(network: Network, flow: Floats, power: Floats) -> float:
    """What flows and cells' powers cost; a load's cost is the negative of what serving it is worth."""
    return float(network.arc_cost @ flow + network.cell_cost @ power)


def lower_bound(network: Network, price: Floats) -> float:
    """No dispatch costs less, whatever the prices (at least 0) are; at the optimum's own prices this is its cost.

    With routers' balances priced, each arc and cell is by itself. The two directions of a link share one limit, but at
    any prices one of them at most is worth using unless its toll is negative, which no toll is.
    """
    asked = network.cell_cost - network.cell_gain * price[network.cell_node]
    cells = float(np.minimum(asked, 0.0) @ network.cell_limit)
    at_tail = price[network.tail]
    slope = network.arc_cost + network.linear * at_tail
    slope = slope - network.efficiency[network.head] * price[network.head]
    curve = network.square * at_tail
    most = network.capacity[network.link_of_arc]
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.where(slope < 0.0, np.minimum(-slope / (2.0 * curve), most), 0.0)
    arcs = float(np.sum((slope + curve * best) * best))
    return cells + arcs
