"""Random dispatch problems, awkward ones among them, and what must be true of every answer."""

from collections.abc import Sequence

import numpy as np

from controller.routing.dispatch import Dispatch, DispatchProblem, Prices
from controller.routing.graph import PowerGraph, graph_of_links


def problem_of(
    graph: PowerGraph,
    source_node: Sequence[int],
    source_max_w: Sequence[float],
    load_node: Sequence[int],
    load_power_w: Sequence[float],
    *,
    load_priority: Sequence[int] = (),
    prices: Prices | None = None,
    **figures: Sequence[float],
) -> DispatchProblem:
    """A problem written down by hand, in lists."""
    return DispatchProblem(
        graph,
        np.array(source_node, np.int32),
        np.array(source_max_w, np.float64),
        np.array(load_node, np.int32),
        np.array(load_power_w, np.float64),
        load_priority=np.array(load_priority, np.int32),
        prices=prices or Prices(),
        **{name: np.array(values, np.float64) for name, values in figures.items()},
    )


def random_problem(seed: int, most_routers: int = 10) -> DispatchProblem:
    """Islands, parallel lines, self-loops, lines and converters without loss, standing load, negative costs."""
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(1, most_routers + 1))
    links = int(rng.integers(0, 3 * nodes + 1))
    a, b = rng.integers(0, nodes, links), rng.integers(0, nodes, links)
    lossless = rng.random() < 0.2
    efficiency = np.ones(nodes) if lossless or rng.random() < 0.3 else rng.uniform(0.8, 1, nodes)
    ohm = np.zeros(links) if lossless else rng.choice([0.0, 0.1, 1.0, 5.0], links)
    ampacity_a = rng.choice([5.0, 50.0, 1000.0], links)
    graph = graph_of_links(efficiency, a, b, ohm, np.full(links, 1000.0), ampacity_a)
    if rng.random() < 0.3:
        for arc in np.flatnonzero(rng.random(graph.arc_count) < 0.3).tolist():
            graph.set_load(arc, rng.uniform(0, 0.4 * graph.ampacity_a[arc]))
    sources, loads = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    cost = rng.choice([0.0, 10.0, 20.0, 50.0], sources) * (rng.random() < 0.7)
    if rng.random() < 0.2:
        cost = rng.choice([-20.0, 5.0, 30.0], sources)
    value = rng.choice([0.0, 100.0, 1000.0], loads) * (rng.random() < 0.5)
    return DispatchProblem(
        graph,
        source_node=rng.integers(0, nodes, sources, np.int32),
        source_max_w=rng.choice([1e3, 1e4, 1e5], sources),
        source_cost_per_mwh=cost,
        source_carbon_kg_per_mwh=rng.uniform(0, 500, sources),
        load_node=rng.integers(0, nodes, loads, np.int32),
        load_power_w=rng.choice([0.0, 1e3, 1e4, 3e4], loads),
        load_priority=rng.integers(0, 3, loads, np.int32),
        load_value_per_mwh=value,
        toll_per_mwh=rng.choice([0.0, 5.0], links) * (rng.random() < 0.3),
        prices=Prices(
            carbon_per_kg=float(rng.choice([0.0, 0.0, 0.1])),
            loss_per_mwh=float(rng.choice([0.0, 0.0, 30.0])),
        ),
    )


def assert_physical(problem: DispatchProblem, answer: Dispatch) -> None:
    """Balance at each router, losses from the formulas, limits, one direction on a link."""
    graph = problem.graph
    current_a = answer.received_w / graph.voltage_v
    line_loss_w = graph.resistance_ohm * current_a * (2 * graph.load_a + current_a)
    np.testing.assert_allclose(answer.sent_w, answer.received_w + line_loss_w, rtol=1e-12)
    n = graph.node_count
    entering_w, leaving_w = np.zeros(n), np.zeros(n)
    np.add.at(entering_w, graph.head, answer.received_w)
    np.add.at(entering_w, problem.source_node, answer.generated_w)
    np.add.at(leaving_w, graph.tail, answer.sent_w)
    np.add.at(leaving_w, problem.load_node, answer.served_w)
    much_w = max(float(leaving_w.max(initial=0.0)), 1e-9)
    np.testing.assert_allclose(
        graph.efficiency * entering_w, leaving_w, rtol=1e-9, atol=1e-12 * much_w
    )
    loss_w = line_loss_w.sum() + ((1 - graph.efficiency) * entering_w).sum()
    generated_w = answer.generated_w.sum()
    assert abs(generated_w - answer.served_w.sum() - loss_w) <= 1e-9 * max(generated_w, 1e-9)
    assert (answer.received_w >= 0).all() and (answer.generated_w >= 0).all()
    assert (answer.served_w >= 0).all() and (answer.served_w <= problem.load_power_w).all()
    assert (answer.generated_w <= problem.source_max_w * (1 + 1e-9) + 1e-12 * much_w).all()
    twins = np.flatnonzero(graph.twin >= 0)
    back_w = answer.received_w[graph.twin[twins]]
    assert not np.any((answer.received_w[twins] > 0) & (back_w > 0)), "power both ways"
    capacity_w = np.maximum(graph.headroom_a * graph.voltage_v, 0.0)
    assert (answer.received_w <= capacity_w * (1 + 1e-9) + 1e-12 * much_w).all()


def service_tiers(problem: DispatchProblem) -> list[np.ndarray]:
    """Weights of all loads for each thing to be maximised in turn."""
    tiers = []
    for priority in sorted(set(problem.load_priority.tolist()), reverse=True):
        here = (problem.load_priority == priority) & (problem.load_power_w > 0)
        value = np.where(here, problem.load_value_per_mwh, 0.0)
        if value.max() > 0:
            tiers.append(value / value.max())
        if (here & (value == 0)).any():
            tiers.append(np.where(here & (value == 0), 1.0, 0.0))
    return tiers


def money(problem: DispatchProblem, answer: Dispatch) -> float:
    """What the answer costs under the problem's prices, per hour, times 1e6."""
    loss_w = answer.generated_w.sum() - answer.served_w.sum()
    return float(
        problem.source_price_per_mwh @ answer.generated_w
        + problem.arc_toll_per_mwh @ answer.received_w
        + problem.prices.loss_per_mwh * loss_w
    )
