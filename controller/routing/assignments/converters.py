"""Routers whose converters are limited, among circuits that are moved: a limit of theirs is one of a line.

Each is split (:mod:`controller.routing.flows.node_splitting`), so that what passes it is what passes the arc between
its two nodes, and all that knows the limits of lines knows it too. That arc is no hop.
"""

from dataclasses import dataclass, replace

import numpy as np

from controller.routing.assignments.standing import Choice, Circuits, Paths, paths_of
from controller.routing.flows.node_splitting import SplitGraph, split_nodes
from controller.routing.graph import Floats, Ints, PowerGraph


@dataclass(frozen=True, slots=True)
class Converted:
    """The same question where no converter is limited. ``is_hop`` has a 1 for each arc of a line, ``split`` is None
    where nothing had to be split.
    """

    graph: PowerGraph
    circuits: Circuits
    is_hop: Ints
    split: SplitGraph | None = None

    def outlets(self, nodes: Ints) -> Ints:
        """The nodes at which what routers deliver leaves them."""
        return nodes if self.split is None else self.split.outlet[nodes]

    def choice(self, choice: Choice) -> Choice:
        """A choice of the network as it was."""
        return choice if self.split is None else _choice(self.split, choice)

    def arcs_before(self, arcs: tuple[int, ...]) -> tuple[int, ...]:
        """A path in the network as it was."""
        return arcs if self.split is None else self.split.arcs_before(arcs)


def converted(graph: PowerGraph, circuits: Circuits) -> Converted:
    split = split_nodes(graph)
    if split is None:
        return Converted(graph, circuits, np.ones(graph.arc_count, dtype=np.int32))
    rows = [_row(graph, split, circuits, index) for index in range(circuits.count)]
    none = (np.zeros(0, dtype=np.int32), np.zeros(0))
    return Converted(
        split.graph,
        replace(
            circuits,
            sink=split.outlet[circuits.sink],
            choices=tuple(_choice(split, each) for each in circuits.choices),
            paths=paths_of(circuits.paths.source.tolist(), [arcs for arcs, _ in rows]),
            current_a=np.concatenate([current_a for _, current_a in (*rows, none)]),
            max_hops=np.minimum(circuits.max_hops, graph.node_count),
        ),
        (split.arc_before >= 0).astype(np.int32),
        split,
    )


def _row(
    graph: PowerGraph, split: SplitGraph, circuits: Circuits, index: int
) -> tuple[Ints, Floats]:
    """A circuit's path with the arcs between, and what it holds of each arc: there as much as enters the router."""
    paths: Paths = circuits.paths
    between = dict(zip(split.routers.tolist(), split.between.tolist(), strict=True))
    node = int(circuits.source_node[paths.source[index]])
    entering_w = float(circuits.held_w[index])
    arcs, held_a = [], []
    if node in between:
        arcs.append(between[node])
        held_a.append(entering_w)
    for place in range(int(paths.start[index]), int(paths.start[index + 1])):
        arc = int(paths.arcs[place])
        current_a = float(circuits.current_a[place])
        arcs.append(int(split.arc_after[arc]))
        held_a.append(current_a)
        node = int(graph.head[arc])
        if node in between:
            arcs.append(between[node])
            held_a.append(current_a * float(graph.voltage_v[arc]))
    return np.array(arcs, dtype=np.int32), np.array(held_a)


def _choice(split: SplitGraph, choice: Choice) -> Choice:
    """Whoever keeps off a router keeps off its entrance, which leads to all that it sends."""
    return Choice(
        choice.sources,
        choice.avoid_nodes,
        frozenset(split.arc_after[list(choice.avoid_arcs)].tolist()),
    )
