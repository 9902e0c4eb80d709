"""Books on random networks, and the same clearing as a cone program written independently (CVXPY, Clarabel)."""

from collections.abc import Sequence

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from controller.routing.graph import PowerGraph, graph_of_links
from tests.support.markets import INTERVAL, tender
from trading.core.orders import Order, Side, order_of
from trading.mechanisms.network import MarketNetwork

# One hour, so that Wh and W are one number.
HOUR_NS = 3_600_000_000_000


def network_of(graph: PowerGraph, **figures: object) -> MarketNetwork:
    """Of each router r a meter ``m{r}``."""
    links = int(graph.link.max(initial=-1)) + 1
    return MarketNetwork(
        graph,
        tuple(f"r{node}" for node in range(graph.node_count)),
        tuple(f"l{link}" for link in range(links)),
        {f"m{node}": node for node in range(graph.node_count)},
        **figures,  # type: ignore[arg-type]
    )


def at(side: Side, node: int, kw: int, limit: int, seq: int) -> Order:
    """An order of the party and meter of a router, in kW for an hour."""
    interval = type(INTERVAL)(0, HOUR_NS)
    made = tender(side, kw * 1000, limit, party=f"{side}er", meter_id=f"m{node}", interval=interval)
    return order_of(made, seq)


def random_market(seed: int, most_routers: int = 60) -> tuple[list[Order], MarketNetwork]:
    """Lines of 20 kV that are sometimes full, standing load, tolls, several orders at a router."""
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(2, most_routers + 1))
    links = int(rng.integers(nodes - 1, 2 * nodes + 1))
    a = np.concatenate([np.arange(nodes - 1), rng.integers(0, nodes, links - nodes + 1)])
    b = np.concatenate(
        [rng.integers(0, np.arange(1, nodes)), rng.integers(0, nodes, links - nodes + 1)]
    )
    a[: nodes - 1] += 1
    graph = graph_of_links(
        rng.uniform(0.95, 1.0, nodes),
        a,
        b,
        rng.uniform(0.05, 2.0, links),
        np.full(links, 20_000.0),
        rng.choice([20.0, 100.0, 400.0], links),
    )
    if rng.random() < 0.4:
        for arc in np.flatnonzero(rng.random(graph.arc_count) < 0.3).tolist():
            graph.set_load(arc, rng.uniform(0, 0.4 * graph.ampacity_a[arc]))
    toll = rng.choice([0.0, 2.0], links) * (rng.random() < 0.5)
    orders = []
    for seq in range(1, int(rng.integers(4, 4 * nodes + 5))):
        side = Side.BUY if rng.random() < 0.55 else Side.SELL
        low, high = (60_000, 320_000) if side is Side.BUY else (20_000, 200_000)
        limit = int(rng.integers(low, high))
        orders.append(at(side, int(rng.integers(nodes)), int(rng.integers(10, 3000)), limit, seq))
    return orders, network_of(graph, toll_per_mwh=tuple(toll.tolist()))


def greatest_welfare(orders: Sequence[Order], network: MarketNetwork) -> float:
    """Money an hour; orders are for an hour."""
    graph = network.graph
    m, n = graph.arc_count, graph.node_count
    unit = 1e6
    flow = cp.Variable(m, nonneg=True)
    power = cp.Variable(len(orders), nonneg=True)
    buys = np.array([order.side is Side.BUY for order in orders])
    node = np.array([network.router_of[order.meter_id] for order in orders])
    limit = np.array([order.limit / 1000 for order in orders])
    most = np.array([order.wh / unit for order in orders])
    linear = 1 + 2 * graph.resistance_ohm * graph.load_a / graph.voltage_v
    root = np.sqrt(graph.resistance_ohm * unit) / graph.voltage_v
    sent = cp.multiply(linear, flow) + cp.square(cp.multiply(root, flow))
    ones = np.ones(m)
    into = sp.csr_array((ones, (graph.head, np.arange(m))), shape=(n, m))
    out = sp.csr_array((ones, (graph.tail, np.arange(m))), shape=(n, m))
    here = sp.csr_array(
        (np.ones(len(orders)), (node, np.arange(len(orders)))), shape=(n, len(orders))
    )
    sold = here @ cp.multiply(np.where(buys, 0.0, 1.0), power)
    bought = here @ cp.multiply(np.where(buys, 1.0, 0.0), power)
    links = len(network.link_ids)
    per_link = sp.csr_array((ones, (graph.link, np.arange(m))), shape=(links, m))
    capacity = np.zeros(links)
    capacity[graph.link] = np.maximum(graph.headroom_a * graph.voltage_v, 0.0) / unit
    toll = np.array(network.toll_per_mwh)[graph.link]
    welfare = cp.multiply(np.where(buys, limit, -limit), power)
    problem = cp.Problem(
        cp.Maximize(cp.sum(welfare) - toll @ flow),
        [
            cp.multiply(graph.efficiency, into @ flow + sold) - out @ sent - bought >= 0,
            per_link @ flow <= capacity,
            power <= most,
        ],
    )
    problem.solve(solver=cp.CLARABEL)
    assert problem.status in ("optimal", "optimal_inaccurate"), problem.status
    return float(problem.value)
