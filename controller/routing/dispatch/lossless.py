"""Dispatch where nothing is lost: linear min-cost flow, exact, as far as all loads can be served."""

from typing import NamedTuple

import numpy as np

from controller.routing.dispatch.newton import Network
from controller.routing.flows.linear_flow import Status, linear_min_cost_flow
from controller.routing.graph import Floats


class LinearDispatch(NamedTuple):
    """Scaled power of arcs and of cells, and prices of routers in the costs' unit."""

    flow: Floats
    power: Floats
    price: Floats


def serve_all(
    network: Network, source_cost: Floats, arc_cost: Floats, unit_w: float
) -> LinearDispatch | None:
    """The cheapest flow that serves all loads; None where they cannot all be served.

    Costs are at least 0 on arcs. Worked out in W, so that whole numbers stay whole.
    """
    nodes, sources = len(network.efficiency), len(source_cost)
    root = nodes
    node = network.cell_node
    limit_w = network.cell_limit * unit_w
    supply_w = np.zeros(nodes + 1)
    np.subtract.at(supply_w, node[sources:], limit_w[sources:])
    supply_w[root] = limit_w[:sources].sum()
    # The two directions share one capacity; at costs of at least 0 no cheapest flow needs both.
    found = linear_min_cost_flow(
        nodes + 1,
        np.concatenate([network.tail, np.full(sources, root)]),
        np.concatenate([network.head, node[:sources]]),
        np.concatenate([network.capacity[network.link_of_arc] * unit_w, limit_w[:sources]]),
        np.concatenate([arc_cost, source_cost]),
        supply_w,
        spare_supply=True,
    )
    if found.status is not Status.OPTIMAL:
        return None
    arcs = len(network.tail)
    power_w = np.concatenate([found.flow[arcs:], limit_w[sources:]])
    price = found.price[:nodes] - found.price[root]
    return LinearDispatch(found.flow[:arcs] / unit_w, power_w / unit_w, price)
