"""Circuits that stand, as arrays, and what they inject together under any assignment of paths."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph


class Paths(NamedTuple):
    """Paths in compressed rows: ``arcs[start[i]:start[i + 1]]`` lead from source ``source[i]`` to its sink."""

    source: Ints
    start: Ints
    arcs: Ints

    def of(self, index: int) -> Ints:
        return self.arcs[self.start[index] : self.start[index + 1]]


def paths_of(source: Collection[int], arcs: Sequence[Sequence[int] | Ints]) -> Paths:
    """Compressed rows from one list of arcs a path, source first."""
    start = np.zeros(len(arcs) + 1, dtype=np.int32)
    np.cumsum([len(each) for each in arcs], out=start[1:])
    flat = [np.asarray(each, dtype=np.int32) for each in arcs]
    none = [np.zeros(0, dtype=np.int32)]
    return Paths(np.array(source, dtype=np.int32), start, np.concatenate(flat or none))


def picked(paths: Paths, chosen: Ints) -> Paths:
    """Only these paths, in this order."""
    return paths_of(paths.source[chosen].tolist(), [paths.of(int(each)) for each in chosen])


@dataclass(frozen=True, slots=True)
class Choice:
    """What a circuit may be served from, and what its path must keep off; circuits may share one."""

    sources: tuple[int, ...]
    avoid_nodes: frozenset[int] = frozenset()
    avoid_arcs: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Circuits:
    """``c`` circuits in the order of their admission, and ``s`` sources that they may be served from.

    ``sink``, ``power_w``, ``choice`` (an index into ``choices``), ``max_injected_w`` and ``max_hops`` have length c.
    ``source_node`` and ``source_limit_w``, the most that all these circuits together may draw there, have length s.
    ``current_a`` is what each holds on each arc of its path in ``paths``, ``held_w`` (length c) what it holds of its
    source; the graph's loads contain it.
    """

    sink: Ints
    power_w: Floats
    choice: Ints
    choices: Sequence[Choice]
    source_node: Ints
    source_limit_w: Floats
    paths: Paths
    current_a: Floats
    max_injected_w: Floats
    max_hops: Ints
    held_w: Floats

    @property
    def count(self) -> int:
        return len(self.sink)


def circuits_of(
    graph: PowerGraph,
    *,
    sink: Collection[int],
    power_w: Collection[float],
    choice: Collection[int],
    choices: Sequence[Choice],
    source_node: Collection[int],
    source_limit_w: Collection[float],
    paths: Paths,
    current_a: Floats,
    max_injected_w: Collection[float] | None = None,
    max_hops: Collection[int] | None = None,
    held_w: Collection[float] | None = None,
) -> Circuits:
    """Circuits with their figures checked; without ``held_w`` as :func:`injected_w` has it.

    Raises ValueError where a path does not lead from its source to its sink, a power is not above 0, or lengths differ.
    """
    count = len(sink)
    circuits = Circuits(
        np.array(sink, dtype=np.int32),
        np.array(power_w, dtype=np.float64),
        np.array(choice, dtype=np.int32),
        tuple(choices),
        np.array(source_node, dtype=np.int32),
        np.array(source_limit_w, dtype=np.float64),
        paths,
        np.array(current_a, dtype=np.float64),
        np.full(count, inf) if max_injected_w is None else np.array(max_injected_w, np.float64),
        np.full(count, graph.node_count, dtype=np.int32)
        if max_hops is None
        else np.array(max_hops, dtype=np.int32),
        np.zeros(count) if held_w is None else np.array(held_w, np.float64),
    )
    _check(graph, circuits)
    if held_w is None:
        return replace(circuits, held_w=injected_w(graph, circuits, circuits.paths))
    return circuits


def _check(graph: PowerGraph, circuits: Circuits) -> None:
    count = circuits.count
    lengths = {
        len(circuits.power_w),
        len(circuits.choice),
        len(circuits.paths.source),
        len(circuits.paths.start) - 1,
        len(circuits.max_injected_w),
        len(circuits.max_hops),
        len(circuits.held_w),
    }
    if lengths != {count}:
        raise ValueError(f"every figure of the {count} circuits must be given once a circuit")
    if len(circuits.current_a) != len(circuits.paths.arcs):
        raise ValueError("every arc of every path must have its current")
    if not np.all((circuits.power_w > 0.0) & np.isfinite(circuits.power_w)):
        raise ValueError("powers of circuits must be above 0 and finite")
    for index in range(count):
        arcs = circuits.paths.of(index)
        begin = int(circuits.source_node[circuits.paths.source[index]])
        nodes = [begin, *(int(head) for head in graph.head[arcs])]
        if nodes[:-1] != graph.tail[arcs].tolist() or nodes[-1] != circuits.sink[index]:
            raise ValueError(
                f"the path of circuit {index} does not lead from its source to its sink"
            )


def load_of_others_a(graph: PowerGraph, circuits: Circuits) -> Floats:
    """What is reserved on each arc for others than these circuits (A)."""
    own_a = np.bincount(circuits.paths.arcs, circuits.current_a, minlength=graph.arc_count)
    return np.maximum(graph.load_a - own_a, 0.0)


def injected_w(
    graph: PowerGraph,
    circuits: Circuits,
    paths: Paths,
    order: Ints | None = None,
) -> Floats:
    """What each circuit injects if all take these paths, admitted in this order (default: that of the arrays) (W).

    Exact: each is charged for the loss that it adds to others' and to those before it, so on every arc the charges
    together are R ((I + x)² - I²) of the total x of these circuits beside the current I of others. Whether
    everything fits is not asked.
    """
    if order is None:
        order = np.arange(circuits.count, dtype=np.int32)
    load_a = load_of_others_a(graph, circuits)
    result = np.zeros(circuits.count)
    _inject(
        order,
        paths,
        circuits.sink,
        circuits.power_w,
        graph.tail,
        graph.resistance_ohm,
        graph.voltage_v,
        graph.efficiency,
        load_a,
        result,
    )
    return result


def total_injected_w(
    graph: PowerGraph, circuits: Circuits, paths: Paths, order: Ints | None = None
) -> float:
    """The sum of :func:`injected_w`: what an assignment of paths costs."""
    return float(injected_w(graph, circuits, paths, order).sum())


@compiled
def _inject(
    order: Ints,
    paths: Paths,
    sink: Ints,
    power_w: Floats,
    tail: Ints,
    resistance_ohm: Floats,
    voltage_v: Floats,
    efficiency: Floats,
    load_a: Floats,
    result: Floats,
) -> None:
    for index in order:
        entering_w = power_w[index] / efficiency[sink[index]]
        for at in range(paths.start[index + 1] - 1, paths.start[index] - 1, -1):
            arc = paths.arcs[at]
            added_a = entering_w / voltage_v[arc]
            sent_w = entering_w + resistance_ohm[arc] * added_a * (2.0 * load_a[arc] + added_a)
            load_a[arc] += added_a
            entering_w = sent_w / efficiency[tail[arc]]
        result[index] = entering_w
