"""Dispatch as a second-order cone program, written independently of the project's own method (CVXPY, Clarabel)."""

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from controller.routing.dispatch import DispatchProblem


class ConvexDispatch:
    """Variables in units of the largest load; a router may throw power away. ``served`` and ``cost`` are in W."""

    def __init__(self, problem: DispatchProblem) -> None:
        graph = problem.graph
        m, n = graph.arc_count, graph.node_count
        self.unit = unit = max(float(problem.load_power_w.max(initial=0.0)), 1e-300)
        self.flow = cp.Variable(m, nonneg=True)
        self.generated = cp.Variable(len(problem.source_node), nonneg=True)
        self.served = cp.Variable(len(problem.load_node), nonneg=True)
        linear = 1 + 2 * graph.resistance_ohm * graph.load_a / graph.voltage_v
        root = np.sqrt(graph.resistance_ohm * unit) / graph.voltage_v
        arcs = np.arange(m)
        sent = cp.multiply(linear, self.flow) + cp.square(cp.multiply(root, self.flow))
        into = sp.csr_array((np.ones(m), (graph.head, arcs)), shape=(n, m))
        out = sp.csr_array((np.ones(m), (graph.tail, arcs)), shape=(n, m))
        at_source = _places(problem.source_node, n)
        at_load = _places(problem.load_node, n)
        supply = into @ self.flow + at_source @ self.generated
        self.constraints = [
            cp.multiply(graph.efficiency, supply) - out @ sent - at_load @ self.served >= 0,
            self.generated <= problem.source_max_w / unit,
            self.served <= problem.load_power_w / unit,
        ]
        links = int(graph.link.max(initial=-1)) + 1
        per_link = sp.csr_array((np.ones(m), (graph.link, arcs)), shape=(links, m))
        capacity = np.zeros(links)
        capacity[graph.link] = np.maximum(graph.headroom_a * graph.voltage_v, 0.0) / unit
        self.constraints.append(per_link @ self.flow <= capacity)
        self.cost = (
            problem.source_price_per_mwh @ self.generated
            + problem.arc_toll_per_mwh @ self.flow
            + problem.prices.loss_per_mwh * (cp.sum(self.generated) - cp.sum(self.served))
        )
        self.generation = cp.sum(self.generated)

    def most(self, weights: np.ndarray, *floors: tuple[np.ndarray, float]) -> float:
        """The most of ``weights @ served`` (W), each of ``floors`` (weights, W) being kept."""
        return self._solve(cp.Maximize(weights @ self.served), floors) * self.unit

    def least(self, cost: cp.Expression, *floors: tuple[np.ndarray, float]) -> float:
        return self._solve(cp.Minimize(cost), floors) * self.unit

    def _solve(
        self, objective: cp.Maximize | cp.Minimize, floors: tuple[tuple[np.ndarray, float], ...]
    ) -> float:
        kept = [
            weights @ self.served >= floor / self.unit - 1e-8 * abs(floor / self.unit)
            for weights, floor in floors
        ]
        problem = cp.Problem(objective, self.constraints + kept)
        problem.solve(solver=cp.CLARABEL)
        assert problem.status in ("optimal", "optimal_inaccurate"), problem.status
        return float(problem.value)


def _places(nodes: np.ndarray, n: int) -> sp.csr_array:
    count = len(nodes)
    return sp.csr_array((np.ones(count), (nodes, np.arange(count))), shape=(n, count))
