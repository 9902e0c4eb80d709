"""Flow decomposition: a dispatch as circuits that, admitted one after another, add up to exactly its flows.

A newcomer on an arc that carries I pays the loss ``R * ((I + i)**2 - I**2)``. Along one arc these charges telescope:
all who use it pay together what its whole current loses, whatever their order. So at each router, walking from sinks
to sources, what enters may be shared among the incoming arcs and sources in any way that adds up; a piece that does
not fit is cut in two that follow each other in the order of admission. Where to cut is found by walking the first
part's power back down its path, which is exact as each arc's law can be inverted.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.routing.dispatch.balance import sinks_first
from controller.routing.dispatch.pieces import Bins, Lines, Pieces, walk_up
from controller.routing.dispatch.problem import Dispatch, DispatchProblem
from controller.routing.graph import Floats, Ints, row_starts

# What is less is no circuit of its own, unless the load itself asks for so little.
MIN_CIRCUIT_W = 1.0


@dataclass(frozen=True, slots=True)
class PlannedCircuit:
    """Power of one load over one path; ``nodes`` and ``arcs`` lead from the source to the load.

    ``source`` and ``load`` are numbers of the problem; ``injected_w`` is what the source gives when the circuit is
    admitted in its turn.
    """

    source: int
    load: int
    nodes: tuple[int, ...]
    arcs: tuple[int, ...]
    delivered_w: float
    injected_w: float
    is_residue: bool


@dataclass(frozen=True, slots=True)
class Circuits:
    """Planned circuits in columns, in the order in which they are to be admitted; what :class:`PlannedCircuit` says
    of one. The arcs of circuit i are ``arc[start[i]:start[i + 1]]``, source first.
    """

    source: Ints
    load: Ints
    delivered_w: Floats
    injected_w: Floats
    start: Ints
    arc: Ints

    def arcs(self, circuit: int) -> Ints:
        return self.arc[self.start[circuit] : self.start[circuit + 1]]


def decompose(problem: DispatchProblem, answer: Dispatch) -> tuple[PlannedCircuit, ...]:
    """Circuits in the order in which they are to be admitted, on top of what the graph has reserved.

    Slivers below ``MIN_CIRCUIT_W`` that are left of larger loads are marked as residue: without them the others
    need a little less than planned.
    """
    found = circuits_of(problem, answer)
    whole_w = answer.served_w[found.load]
    is_residue = (found.delivered_w < MIN_CIRCUIT_W) & (found.delivered_w < whole_w)
    start, arc = found.start.tolist(), found.arc.tolist()
    tail = problem.graph.tail[found.arc].tolist()
    columns = (
        found.source,
        found.load,
        problem.load_node[found.load],
        found.delivered_w,
        found.injected_w,
        is_residue,
    )
    return tuple(
        PlannedCircuit(
            source,
            load,
            (*tail[begin:end], node),
            tuple(arc[begin:end]),
            delivered_w,
            injected_w,
            residue,
        )
        for begin, end, source, load, node, delivered_w, injected_w, residue in zip(
            start[:-1], start[1:], *(column.tolist() for column in columns), strict=True
        )
    )


def circuits_of(problem: DispatchProblem, answer: Dispatch) -> Circuits:
    """As :func:`decompose`, in columns. Raises ValueError where power flows in a circle."""
    graph = problem.graph
    order = np.empty(graph.node_count, dtype=np.int32)
    every = np.arange(graph.arc_count, dtype=np.int32)
    if not sinks_first(graph.tail, graph.head, graph.start, every, answer.received_w, order):
        raise ValueError("power flows in a circle, which no dispatch does")
    lines = Lines(
        graph.tail,
        graph.head,
        graph.resistance_ohm,
        graph.voltage_v,
        graph.load_a,
        graph.efficiency,
    )
    bins = _bins(problem, answer)
    served = _where(answer.served_w > 0.0)
    largest_first = served[np.argsort(-answer.served_w[served], kind="stable")]
    pieces = _pieces(problem, answer, largest_first, len(largest_first) + len(bins.arc))
    paths = walk_up(lines, order, bins, pieces, problem.load_node, len(largest_first))
    piece = paths.piece
    return Circuits(
        pieces.source[piece],
        pieces.load[piece],
        pieces.delivered_w[piece],
        pieces.entering_w[piece],
        paths.start,
        paths.arc,
    )


def _bins(problem: DispatchProblem, answer: Dispatch) -> Bins:
    """What has to be filled at each router: arcs first, then sources."""
    graph = problem.graph
    arcs, sources = _where(answer.received_w > 0.0), _where(answer.generated_w > 0.0)
    node = np.concatenate([graph.head[arcs], problem.source_node[sources]])
    order = np.argsort(node, kind="stable")
    left_w = np.concatenate([answer.received_w[arcs], answer.generated_w[sources]])
    nothing = np.full(len(order), -1, dtype=np.int32)
    return Bins(
        row_starts(node, graph.node_count),
        left_w[order],
        np.concatenate([arcs, nothing[: len(sources)]])[order],
        np.concatenate([nothing[: len(arcs)], sources])[order],
        nothing,
    )


def _pieces(problem: DispatchProblem, answer: Dispatch, loads: Ints, room: int) -> Pieces:
    """One for each of these loads, in this order, and room for those that they are cut into."""
    count = len(loads)
    delivered_w, entering_w, label = np.zeros(room), np.zeros(room), np.zeros(room)
    load, after = np.zeros(room, dtype=np.int32), np.full(room, -1, dtype=np.int32)
    load[:count] = loads
    delivered_w[:count] = answer.served_w[loads]
    entering_w[:count] = delivered_w[:count] / problem.graph.efficiency[problem.load_node[loads]]
    label[:count] = np.arange(count)
    after[: max(count - 1, 0)] = np.arange(1, max(count, 1))
    return Pieces(
        load,
        delivered_w,
        entering_w,
        hop=np.full(room, -1, dtype=np.int32),
        depth=np.zeros(room, dtype=np.int32),
        source=np.full(room, -1, dtype=np.int32),
        label=label,
        after=after,
        beside=np.full(room, -1, dtype=np.int32),
    )


def _where(condition: npt.NDArray[np.bool_]) -> Ints:
    return np.flatnonzero(condition).astype(np.int32)
