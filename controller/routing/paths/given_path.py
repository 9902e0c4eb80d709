"""Evaluation of a given path: what it needs, arc by arc, as the search would have found it."""

from collections.abc import Mapping, Sequence
from math import inf

from controller.routing.graph import PowerGraph
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, Path
from digitalgrid.physics import current_a, sent_w


def along(
    graph: PowerGraph,
    arcs: Sequence[int],
    sink: int,
    power_w: float,
    available_w: float = inf,
    *,
    credit_a: Mapping[int, float] | None = None,
) -> Path | None:
    """The path over ``arcs``, source first, that delivers ``power_w`` at ``sink``; None where it does not fit.

    ``available_w`` is what the source may inject, ``credit_a`` what the circuit holds already on an arc and may use
    again. Raises ValueError where the arcs do not join.
    """
    credit_a = credit_a or {}
    nodes, entering_w = [sink], [power_w / float(graph.efficiency[sink])]
    for arc in reversed(arcs):
        if graph.head[arc] != nodes[-1]:
            raise ValueError(f"arc {arc} leads to router {graph.head[arc]}, not to {nodes[-1]}")
        tail, voltage_v = int(graph.tail[arc]), float(graph.voltage_v[arc])
        own_a = credit_a.get(arc, 0.0)
        added_a = current_a(entering_w[-1], voltage_v)
        if added_a > (float(graph.headroom_a[arc]) + own_a) * (1.0 + RELATIVE_TOLERANCE):
            return None
        before_a = float(graph.load_a[arc]) - min(own_a, added_a)
        sent = sent_w(entering_w[-1], float(graph.resistance_ohm[arc]), voltage_v, before_a)
        nodes.append(tail)
        entering_w.append(sent / float(graph.efficiency[tail]))
    if entering_w[-1] > available_w * (1.0 + RELATIVE_TOLERANCE):
        return None
    return Path(tuple(reversed(nodes)), tuple(arcs), tuple(reversed(entering_w)))
