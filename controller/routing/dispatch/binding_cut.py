"""Why loads of a dispatch go unserved: the lines and sources that would have to give more."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.routing.dispatch.flood import flooded
from controller.routing.dispatch.problem import Dispatch, DispatchProblem, split_problem
from controller.routing.flows.node_splitting import split_nodes
from controller.routing.graph import Floats

# Of a limit: what is nearer to it than that is at it.
_FULL = 1e-6


@dataclass(frozen=True, slots=True)
class BindingCut:
    """Full ``links`` lead into the ``nodes`` around unserved loads, and all ``sources`` among these give all they can;
    ``converters`` are routers at the border that convert all they can.

    All are empty where no source reaches the loads over any line in service.
    """

    links: tuple[int, ...]
    sources: tuple[int, ...]
    nodes: npt.NDArray[np.bool_]
    converters: tuple[int, ...] = ()


def binding_cut(problem: DispatchProblem, answer: Dispatch, loads: npt.ArrayLike) -> BindingCut:
    """The cut around ``loads``: all routers from which more power could come to them, losses and others' needs apart.

    A router whose own power passes a full line lies beyond it. Where power flows from v to u, less of it would
    leave more at v, so u belongs to the cut's inside with v.
    """
    split = split_nodes(problem.graph)
    if split is None:
        return _around(problem, answer.received_w, loads)
    entering_w = np.bincount(problem.graph.head, answer.received_w, problem.graph.node_count)
    np.add.at(entering_w, problem.source_node, answer.generated_w)
    received_w = np.zeros(split.graph.arc_count)
    received_w[split.arc_after] = answer.received_w
    received_w[split.between] = entering_w[split.routers]
    cut = _around(split_problem(split, problem), received_w, loads)
    before = split.link_before[np.array(cut.links, dtype=np.intp)]
    return BindingCut(
        tuple(before[before >= 0].tolist()),
        cut.sources,
        cut.nodes[split.outlet],
        tuple(split.routers[-1 - before[before < 0]].tolist()),
    )


def _around(problem: DispatchProblem, received_w: Floats, loads: npt.ArrayLike) -> BindingCut:
    graph = problem.graph
    used_a = received_w / graph.voltage_v
    both_a = used_a + np.where(graph.twin >= 0, used_a[graph.twin], 0.0)
    has_room = both_a < graph.headroom_a * (1.0 - _FULL)
    nodes = problem.load_node[np.asarray(loads, dtype=np.intp)]
    inside = flooded(graph, nodes, upstream=has_room, downstream=used_a > 0.0)
    into = ~inside[graph.tail] & inside[graph.head] & (graph.headroom_a > 0.0)
    sources = inside[problem.source_node] & (problem.source_max_w > 0.0)
    return BindingCut(
        tuple(np.unique(graph.link[into]).tolist()),
        tuple(np.flatnonzero(sources).tolist()),
        inside,
    )
