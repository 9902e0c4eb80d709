"""Flow decomposition: a dispatch as circuits that, admitted one after another, add up to exactly its flows.

A newcomer on an arc that carries I pays the loss ``R * ((I + i)**2 - I**2)``. Along one arc these charges telescope:
all who use it pay together what its whole current loses, whatever their order. So at each router, walking from sinks
to sources, what enters may be shared among the incoming arcs and sources in any way that adds up; a piece that does
not fit is cut in two that follow each other in the order of admission. Where to cut is found by walking the first
part's power back down its path, which is exact as each arc's law can be inverted.
"""

from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from controller.routing.dispatch.problem import Dispatch, DispatchProblem
from controller.routing.graph import PowerGraph
from digitalgrid.physics import received_w, sent_w

# What is less is no circuit of its own, unless the load itself asks for so little.
MIN_CIRCUIT_W = 1.0
# Of what enters a router: less is rounding, and goes along with something else.
_ROUNDING = 1e-10


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


@dataclass(slots=True)
class _Piece:
    """``key`` is its place in the order of admission: parts of a piece follow each other. ``hops`` lead upstream
    from the load: each arc, and the current that is on it before this piece. ``entering_w``: at the last router.
    """

    key: tuple[int, ...]
    load: int
    delivered_w: float
    entering_w: float
    hops: list[tuple[int, float]] = field(default_factory=list)


@dataclass(slots=True)
class _Bin:
    """What an arc or a source still has to take of what enters a router."""

    left_w: float
    arc: int = -1
    source: int = -1
    pieces: list[_Piece] = field(default_factory=list)


_LEFT, _ENTERING, _ADMISSION = (attrgetter(name) for name in ("left_w", "entering_w", "key"))


def decompose(problem: DispatchProblem, answer: Dispatch) -> tuple[PlannedCircuit, ...]:
    """Circuits in the order in which they are to be admitted, on top of what the graph has reserved.

    Slivers below ``MIN_CIRCUIT_W`` that are left of larger loads are marked as residue: without them the others
    need a little less than planned.
    """
    return _Decomposition(problem, answer).circuits()


class _Lines:
    """The graph's arrays as lists: of these it is numbers by themselves that are wanted, many times each."""

    def __init__(self, graph: PowerGraph) -> None:
        self.tail: list[int] = graph.tail.tolist()
        self.head: list[int] = graph.head.tolist()
        self.resistance_ohm: list[float] = graph.resistance_ohm.tolist()
        self.voltage_v: list[float] = graph.voltage_v.tolist()
        self.load_a: list[float] = graph.load_a.tolist()
        self.efficiency: list[float] = graph.efficiency.tolist()


class _Decomposition:
    def __init__(self, problem: DispatchProblem, answer: Dispatch) -> None:
        graph = problem.graph
        self._lines = _Lines(graph)
        self._load_node: list[int] = problem.load_node.tolist()
        self._served_w: list[float] = answer.served_w.tolist()
        self._waiting: list[list[_Piece]] = [[] for _ in range(graph.node_count)]
        # What has to be filled at each router: arcs first, then sources.
        self._bins: list[list[_Bin]] = [[] for _ in range(graph.node_count)]
        for arc in np.flatnonzero(answer.received_w > 0.0).tolist():
            bin_ = _Bin(float(answer.received_w[arc]), arc=arc)
            self._bins[self._lines.head[arc]].append(bin_)
        self._order = _sinks_first(self._lines.tail, self._bins)
        for source in np.flatnonzero(answer.generated_w > 0.0).tolist():
            bin_ = _Bin(float(answer.generated_w[source]), source=source)
            self._bins[problem.source_node[source]].append(bin_)

    def circuits(self) -> tuple[PlannedCircuit, ...]:
        served_w = np.array(self._served_w)
        largest_first = np.argsort(-served_w, kind="stable")[: np.count_nonzero(served_w > 0.0)]
        for rank, load in enumerate(largest_first.tolist()):
            node, delivered_w = self._load_node[load], self._served_w[load]
            entering_w = delivered_w / self._lines.efficiency[node]
            self._waiting[node].append(_Piece((rank,), load, delivered_w, entering_w))
        finished: list[tuple[tuple[int, ...], PlannedCircuit]] = []
        for node in self._order:
            for bin_ in self._fill_bins(node):
                if bin_.arc >= 0:
                    self._send_up(bin_)
                else:
                    finished += [(p.key, self._circuit(p, bin_.source)) for p in bin_.pieces]
        return tuple(circuit for _, circuit in sorted(finished, key=lambda each: each[0]))

    def _fill_bins(self, node: int) -> list[_Bin]:
        """Share what enters a router among its arcs and sources: largest first, each where it fits best."""
        bins, waiting = self._bins[node], self._waiting[node]
        self._waiting[node] = []
        little_w = _ROUNDING * sum(bin_.left_w for bin_ in bins)
        waiting.sort(key=_ENTERING)
        while waiting and bins:
            piece = waiting.pop()
            fitting = [b for b in bins if b.left_w >= piece.entering_w - little_w]
            bin_ = min(fitting, key=_LEFT) if fitting else max(bins, key=_LEFT)
            if not fitting and bin_.left_w > little_w:
                rest = self._cut(piece, bin_.left_w, node)
                insort(waiting, rest, key=_ENTERING)
            bin_.left_w -= piece.entering_w
            bin_.pieces.append(piece)
        return bins

    def _cut(self, piece: _Piece, entering_w: float, node: int) -> _Piece:
        """Leave in the piece so much of it that ``entering_w`` enters the router; returns the rest, its follower."""
        lines = self._lines
        through_w = entering_w * lines.efficiency[node]
        rest_hops = list(piece.hops)
        for index in range(len(piece.hops) - 1, -1, -1):
            arc, before_a = piece.hops[index]
            voltage_v = lines.voltage_v[arc]
            arriving_w = received_w(through_w, lines.resistance_ohm[arc], voltage_v, before_a)
            rest_hops[index] = (arc, before_a + arriving_w / voltage_v)
            through_w = arriving_w * lines.efficiency[lines.head[arc]]
        first_w = min(through_w, piece.delivered_w)
        rest = _Piece((*piece.key, 1), piece.load, piece.delivered_w - first_w, 0.0, rest_hops)
        rest.entering_w = self._entering_w(rest)
        piece.key = (*piece.key, 0)
        piece.delivered_w = first_w
        piece.entering_w = entering_w
        return rest

    def _entering_w(self, piece: _Piece) -> float:
        """Walk the piece's power up its path."""
        entering_w = piece.delivered_w / self._lines.efficiency[self._load_node[piece.load]]
        for arc, before_a in piece.hops:
            entering_w = self._through(arc, entering_w, before_a)
        return entering_w

    def _through(self, arc: int, arriving_w: float, before_a: float) -> float:
        lines = self._lines
        needed_w = sent_w(arriving_w, lines.resistance_ohm[arc], lines.voltage_v[arc], before_a)
        return needed_w / lines.efficiency[lines.tail[arc]]

    def _send_up(self, bin_: _Bin) -> None:
        """All pieces of an arc to its tail, each paying in the order of admission."""
        arc = bin_.arc
        tail, voltage_v = self._lines.tail[arc], self._lines.voltage_v[arc]
        before_a = self._lines.load_a[arc]
        for piece in sorted(bin_.pieces, key=_ADMISSION):
            arriving_w = piece.entering_w
            piece.hops.append((arc, before_a))
            piece.entering_w = self._through(arc, arriving_w, before_a)
            before_a += arriving_w / voltage_v
            self._waiting[tail].append(piece)

    def _circuit(self, piece: _Piece, source: int) -> PlannedCircuit:
        arcs = tuple([arc for arc, _ in reversed(piece.hops)])
        tail = self._lines.tail
        nodes = (*[tail[arc] for arc in arcs], self._load_node[piece.load])
        small = piece.delivered_w < MIN_CIRCUIT_W
        is_residue = small and piece.delivered_w < self._served_w[piece.load]
        return PlannedCircuit(
            source, piece.load, nodes, arcs, piece.delivered_w, piece.entering_w, is_residue
        )


def _sinks_first(tail: Sequence[int], arcs_into: Sequence[Sequence[_Bin]]) -> list[int]:
    """Routers in an order in which power flows from later to earlier ones. ``arcs_into`` a router: all that carry."""
    leaving = Counter(tail[bin_.arc] for bins in arcs_into for bin_ in bins)
    order = [node for node in range(len(arcs_into)) if not leaving[node]]
    for node in order:
        for bin_ in arcs_into[node]:
            upstream = tail[bin_.arc]
            leaving[upstream] -= 1
            if not leaving[upstream]:
                order.append(upstream)
    if len(order) < len(arcs_into):
        raise ValueError("power flows in a circle, which no dispatch does")
    return order
