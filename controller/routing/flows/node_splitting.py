"""Node splitting: routers whose converter is limited become two nodes, with an arc of that capacity between them.

What a router receives and generates enters by its number; what it sends and delivers leaves by its outlet. The arc
between both is one-way, loses nothing, and stands at one volt, so that it has as many amperes as watts. Single paths
need none of this: see :meth:`~controller.routing.graph.PowerGraph.limit_headroom`.
"""

from dataclasses import dataclass

import numpy as np

from controller.routing.graph import Floats, Ints, PowerGraph


@dataclass(frozen=True, slots=True)
class SplitGraph:
    """``outlet`` is by router, ``arc_before`` by arc: its number in the graph that was split, -1 for one between.

    ``arc_after`` is the number here of each arc there, ``between`` that of each limited router's, in ``routers``.
    ``link_before`` is the number there of each link here: that of a line, or from -1 downwards a limited router's.
    """

    graph: PowerGraph
    outlet: Ints
    arc_before: Ints
    arc_after: Ints
    routers: Ints
    between: Ints
    link_before: Ints

    def arcs_before(self, arcs: tuple[int, ...]) -> tuple[int, ...]:
        """A path of this graph in the one that was split."""
        return tuple(int(self.arc_before[arc]) for arc in arcs if self.arc_before[arc] >= 0)


def split_nodes(graph: PowerGraph, *, apart: bool = False) -> SplitGraph | None:
    """None where no router's converter is limited.

    At a router that is split, both directions of a line no longer join the same two nodes. With ``apart`` each is then
    a link of its own, with all that the line may carry: for whoever sends nothing to and fro.
    """
    if not graph.through_w:
        return None
    routers = np.array(sorted(graph.through_w), dtype=np.int32)
    free_w = np.array([max(0.0, graph.through_w[int(each)]) for each in routers])
    count = len(routers)
    link, link_before = _links(graph, routers, apart=apart)
    outlet = np.arange(graph.node_count, dtype=np.int32)
    outlet[routers] = graph.node_count + np.arange(count)
    efficiency = np.concatenate([graph.efficiency, graph.efficiency[routers]])
    efficiency[routers] = 1.0
    head = np.concatenate([graph.head, outlet[routers]])
    order = np.argsort(head, kind="stable").astype(np.int32)
    arc_before = np.where(order < graph.arc_count, order, -1).astype(np.int32)
    after = np.empty(len(order), dtype=np.int32)
    after[order] = np.arange(len(order), dtype=np.int32)
    both = PowerGraph(
        efficiency,
        np.concatenate([outlet[graph.tail], routers])[order],
        head[order],
        link[order],
        _with(graph.resistance_ohm, np.zeros(count))[order],
        _with(graph.voltage_v, np.ones(count))[order],
        _with(graph.ampacity_a, free_w)[order],
    )
    of_lines_a = graph.headroom_a.copy()
    for arc in np.flatnonzero(np.isin(graph.tail, routers)).tolist():
        of_lines_a[arc] = graph.room_of_line_a(arc)
    both.load_a[:] = _with(graph.load_a, np.zeros(count))[order]
    both.headroom_a[:] = _with(of_lines_a, free_w)[order]
    return SplitGraph(
        both,
        outlet,
        arc_before,
        after[: graph.arc_count],
        routers,
        after[graph.arc_count :],
        link_before,
    )


def _links(graph: PowerGraph, routers: Ints, *, apart: bool) -> tuple[Ints, Ints]:
    """The links of all arcs, those between last, and what each was before."""
    count = int(graph.link.max(initial=-1)) + 1
    link = graph.link.copy()
    before = [np.arange(count, dtype=np.int32)]
    if apart:
        split = np.isin(graph.tail, routers) | np.isin(graph.head, routers)
        second = np.flatnonzero(split & (graph.twin >= 0) & (graph.twin < np.arange(len(link))))
        link[second] = count + np.arange(len(second))
        before.append(graph.link[second])
        count += len(second)
    between = np.arange(len(routers), dtype=np.int32)
    before.append(-1 - between)
    return (
        np.concatenate([link, count + between]).astype(np.int32),
        np.concatenate(before).astype(np.int32),
    )


def _with(of_lines: Floats, between: Floats) -> Floats:
    return np.concatenate([of_lines, between])
