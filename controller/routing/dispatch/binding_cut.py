"""Why loads of a dispatch go unserved: the lines and sources that would have to give more."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.routing.dispatch.flood import flooded
from controller.routing.dispatch.problem import Dispatch, DispatchProblem

# Of a limit: what is nearer to it than that is at it.
_FULL = 1e-6


@dataclass(frozen=True, slots=True)
class BindingCut:
    """Full ``links`` lead into the ``nodes`` around unserved loads, and all ``sources`` among these give all they can.

    Both are empty where no source reaches the loads over any line in service.
    """

    links: tuple[int, ...]
    sources: tuple[int, ...]
    nodes: npt.NDArray[np.bool_]


def binding_cut(problem: DispatchProblem, answer: Dispatch, loads: npt.ArrayLike) -> BindingCut:
    """The cut around ``loads``: all routers from which more power could come to them, losses and others' needs apart.

    A router whose own power passes a full line lies beyond it. Where power flows from v to u, less of it would
    leave more at v, so u belongs to the cut's inside with v.
    """
    graph = problem.graph
    used_a = answer.received_w / graph.voltage_v
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
