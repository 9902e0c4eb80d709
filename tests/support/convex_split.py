"""Split requests as a convex programme on arcs, by CVXPY and Clarabel: what the kernel's answer is held against."""

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from controller.routing.graph import PowerGraph

_MOST = 1e3


def least_injected_w(
    graph: PowerGraph,
    sink: int,
    power_w: float,
    source_node: list[int],
    available_w: list[float],
    share_of_limits: float = 1.0,
) -> float | None:
    """What must be injected at least where flows may divide at will; None where the power cannot be served.

    ``share_of_limits`` of headroom and of sources may be used.
    """
    n, m, unit_w = graph.node_count, graph.arc_count, power_w
    flow = cp.Variable(m, nonneg=True)
    sent = cp.Variable(m, nonneg=True)
    injected = cp.Variable(len(source_node), nonneg=True)
    arcs = np.arange(m)
    into = sp.csr_matrix((graph.efficiency[graph.head], (graph.head, arcs)), shape=(n, m))
    out_of = sp.csr_matrix((np.ones(m), (graph.tail, arcs)), shape=(n, m))
    sources = np.arange(len(source_node))
    own = sp.csr_matrix((graph.efficiency[source_node], (source_node, sources)), (n, len(sources)))
    load = np.zeros(n)
    load[sink] = 1.0
    line = 2.0 * graph.resistance_ohm * graph.load_a / graph.voltage_v
    curve = graph.resistance_ohm / graph.voltage_v**2 * unit_w
    usable = np.maximum(graph.headroom_a, 0.0) * share_of_limits
    used = sp.csr_matrix((np.ones(m), (graph.link, arcs)), shape=(int(graph.link.max()) + 1, m))
    # Nothing needs a thousand times the power, and the solver is the better for it.
    most = np.minimum(usable * graph.voltage_v / unit_w, _MOST)
    room = np.zeros(used.shape[0])
    np.maximum.at(room, graph.link, most)
    problem = cp.Problem(
        cp.Minimize(cp.sum(injected)),
        [
            # Losing more than the line does is allowed, and never pays.
            sent >= cp.multiply(1.0 + line, flow) + cp.square(cp.multiply(np.sqrt(curve), flow)),
            into @ flow + own @ injected >= out_of @ sent + load,
            flow <= most,
            used @ flow <= room,
            injected <= np.minimum(np.array(available_w) * share_of_limits / unit_w, _MOST),
        ],
    )
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        return None
    return float(problem.value) * unit_w
