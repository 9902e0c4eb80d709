"""Making room: the fewest moves of circuits that stand after which circuits that wait have a path.

A circuit that waits is taken to stand on a line of its own, from a source of last resort behind a converter that wastes
nearly all. So what re-optimisation finds serves it as soon as that costs the others less than the waste, and nobody who
is served can lose by it: each stays on its path or gets another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from controller.routing.assignments.columns import Pool, Problem, problem_of
from controller.routing.assignments.converters import Converted, converted
from controller.routing.assignments.moves import in_order_of_gain
from controller.routing.assignments.reoptimise import (
    Move,
    best_paths,
    demands_of,
    network_of,
    standing_of,
)
from controller.routing.assignments.standing import Choice, Circuits, Paths, circuits_of, paths_of
from controller.routing.graph import Floats, Ints, PowerGraph

# Injected for each watt that is not served (W): losses of others that serving it may cost are far below.
_WASTE = 1000.0
# The same for each rank above the least: a more urgent circuit comes before several that are less.
_PER_RANK = 4.0
# Moves of which each is tried to be done without: every try orders all of them anew.
_MAX_TRIES = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """Circuits that wait, as arrays of one length; ``choice`` is an index into ``choices``, ``rank`` begins at 0."""

    sink: Sequence[int]
    power_w: Sequence[float]
    choice: Sequence[int]
    choices: Sequence[Choice]
    max_injected_w: Sequence[float]
    max_hops: Sequence[int]
    rank: Sequence[int]


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """Moves in the order in which they fit, and which of those that wait fit after them."""

    moves: tuple[Move, ...] = ()
    served: tuple[int, ...] = ()


class _Extended(NamedTuple):
    """With lines and sources of last resort. ``arc_before`` is the number that each arc has without them."""

    graph: PowerGraph
    circuits: Circuits
    arc_before: Ints
    is_hop: Ints


class _LastResort(NamedTuple):
    """A line of its own for each circuit that waits, from a source for each ``rank``, least urgent first.

    ``place`` is the number that each arc has in ``graph``, first those of before, then these lines.
    """

    graph: PowerGraph
    place: Ints
    rank: Ints
    ranks: int
    entering_w: Floats


def make_room(graph: PowerGraph, circuits: Circuits, wanted: Wanted) -> RoomPlan:
    """The graph, which contains what the circuits hold, stays as it is.

    Raises RuntimeError where HiGHS ends without an optimum.
    """
    if not len(wanted.sink):
        return RoomPlan()
    anew = converted(graph, circuits)
    extended = _extended(anew, wanted)
    problem = problem_of(extended.graph, extended.circuits, extended.is_hop)
    pool = Pool(extended.circuits)
    there, _, _ = best_paths(problem, pool)
    order, gains_w = _in_order(problem, pool, there)
    standing = circuits.count
    served = {int(each) for each in order if each >= standing}
    if not served:
        return RoomPlan()
    for circuit in [each for each in order[::-1] if each < standing][:_MAX_TRIES]:
        fewer = there.copy()
        fewer[circuit] = circuit
        tried, tried_w = _in_order(problem, pool, fewer)
        if served <= set(tried.tolist()):
            there, order, gains_w = fewer, tried, tried_w
    last = max(place for place, each in enumerate(order) if each >= standing)
    moves = tuple(
        Move(
            int(circuit),
            int(pool.paths.source[there[circuit]]),
            anew.arcs_before(
                tuple(extended.arc_before[pool.paths.of(int(there[circuit]))].tolist())
            ),
            float(gain_w),
        )
        for circuit, gain_w in zip(order[:last], gains_w[:last], strict=True)
        if circuit < standing
    )
    return RoomPlan(moves, tuple(sorted(each - standing for each in served)))


def _in_order(problem: Problem, pool: Pool, there: Ints) -> tuple[Ints, Floats]:
    """Who can go where it shall, one after another, and what each gains (W)."""
    here = np.arange(problem.circuits.count, dtype=np.int32)
    return in_order_of_gain(
        network_of(problem),
        demands_of(problem.circuits),
        pool.paths,
        here,
        there,
        standing_of(problem, pool),
    )


def _extended(anew: Converted, wanted: Wanted) -> _Extended:
    graph, circuits = anew.graph, anew.circuits
    sinks = anew.outlets(np.array(wanted.sink, dtype=np.int32))
    more = _with_last_resort(graph, sinks, wanted)
    lines = more.place[graph.arc_count :]
    source_nodes = graph.node_count + np.arange(more.ranks)
    drawn_w = more.entering_w / more.graph.efficiency[graph.node_count + more.rank]
    wasted_w = 2.0 * float(drawn_w.sum())
    sources = (len(circuits.source_node) + more.rank).astype(np.int32)
    extended = circuits_of(
        more.graph,
        sink=[*circuits.sink.tolist(), *sinks.tolist()],
        power_w=[*circuits.power_w.tolist(), *wanted.power_w],
        choice=[
            *circuits.choice.tolist(),
            *(len(circuits.choices) + each for each in wanted.choice),
        ],
        choices=[
            _renumbered(each, circuits.source_node, more.place)
            for each in (*circuits.choices, *map(anew.choice, wanted.choices))
        ],
        source_node=[*circuits.source_node.tolist(), *source_nodes.tolist()],
        source_limit_w=[*circuits.source_limit_w.tolist(), *([wasted_w] * more.ranks)],
        paths=_joined(circuits.paths, more.place, sources, lines),
        current_a=np.concatenate([circuits.current_a, more.entering_w]),
        max_injected_w=[*circuits.max_injected_w.tolist(), *wanted.max_injected_w],
        max_hops=[*circuits.max_hops.tolist(), *wanted.max_hops],
        held_w=[*circuits.held_w.tolist(), *drawn_w.tolist()],
    )
    arc_before = np.argsort(more.place).astype(np.int32)
    is_hop = np.concatenate([anew.is_hop, np.ones(len(lines), dtype=np.int32)])
    return _Extended(more.graph, extended, arc_before, is_hop[arc_before])


def _with_last_resort(graph: PowerGraph, sink: Ints, wanted: Wanted) -> _LastResort:
    """The graph with the lines and sources that those who wait are taken to stand on, loaded with them."""
    count = len(sink)
    ranks, inverse = np.unique(np.array(wanted.rank), return_inverse=True)
    rank = inverse.astype(np.int32)
    waste = 1.0 / (_WASTE * _PER_RANK ** np.arange(len(ranks)))
    entering_w = np.array(wanted.power_w) / graph.efficiency[sink]
    tail = np.concatenate([graph.tail, graph.node_count + rank]).astype(np.int32)
    head = np.concatenate([graph.head, sink])
    order = np.argsort(head, kind="stable").astype(np.int32)
    place = np.argsort(order).astype(np.int32)
    first_link = int(graph.link.max(initial=-1)) + 1
    more = PowerGraph(
        np.concatenate([graph.efficiency, waste]),
        tail[order],
        head[order],
        np.concatenate([graph.link, first_link + np.arange(count)])[order],
        np.concatenate([graph.resistance_ohm, np.zeros(count)])[order],
        # At one volt, so that there are as many amperes as watts.
        np.concatenate([graph.voltage_v, np.ones(count)])[order],
        np.concatenate([graph.ampacity_a, 2.0 * entering_w])[order],
    )
    known, lines = place[: graph.arc_count], place[graph.arc_count :]
    more.load_a[known] = graph.load_a
    more.headroom_a[known] = graph.headroom_a
    for line, current_a in zip(lines.tolist(), entering_w.tolist(), strict=True):
        more.set_load(line, current_a)
    return _LastResort(more, place, rank, len(ranks), entering_w)


def _renumbered(choice: Choice, source_node: Ints, place: Ints) -> Choice:
    """A choice with its arcs numbered anew; a source at a router that is to be avoided has no line to be kept off."""
    return Choice(
        tuple(each for each in choice.sources if int(source_node[each]) not in choice.avoid_nodes),
        choice.avoid_nodes,
        frozenset(place[list(choice.avoid_arcs)].tolist()),
    )


def _joined(paths: Paths, place: Ints, source: Ints, lines: Ints) -> Paths:
    """Paths with their arcs numbered anew, then one of a single arc for each that waits."""
    count = len(paths.source)
    return paths_of(
        [*paths.source.tolist(), *source.tolist()],
        [*(place[paths.of(each)] for each in range(count)), *([line] for line in lines.tolist())],
    )
