"""Linear minimum-cost flow from many sources to all loads of a mesh, against network simplex, cost scaling and HiGHS.

All figures are whole (kW, and a cost per kW that grows with a line's resistance), the same for all. Sources have a
quarter more than is asked for; loads are scaled, alike, to a share of the most that lines and sources can serve, so
some capacities bind. Ours is told that supply may be left; peers have one more node, from which as much comes as is
wanted, and an arc from it to every source. Their data are prepared beforehand, all but OR-Tools' arcs, which are added
from arrays as ours are; its seconds are taken in its own process. networkx has whole numbers too, since with others its
network simplex may not end; it has one turn, and none with 100,000 routers, where it would take hours.

``agree``: by the same evaluation, in whole numbers, our flow is one, serves all, and costs no more than any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from benchmarks.harness import Row, seconds_of
from benchmarks.instances import mesh
from benchmarks.ortools_peer import OrtoolsFlow
from controller.routing.flows.cut import minimum_cut_to_sinks
from controller.routing.flows.linear_flow import Status, compile_kernels, linear_min_cost_flow
from controller.routing.graph import PowerGraph

Whole = npt.NDArray[np.int64]

_SOURCE_SHARES = (0.05, 0.1)
# Of the most that can be served: much of which binds, and where little does.
_LOADS = (0.95, 0.6)
_SURPLUS = 1.25
# Size: seeds, and turns.
_QUICK = {1_000: ((1, 2), 25), 10_000: ((1,), 7)}
_FULL = {1_000: ((1, 2, 3, 4), 25), 10_000: ((1, 2, 3), 9), 100_000: ((1,), 3)}
_MAX_NETWORKX = 10_000
_MAX_CUTS = 50


@dataclass(frozen=True)
class Question:
    """Arcs and supplies in whole kW; ``cost`` is for each."""

    name: str
    tail: Whole
    head: Whole
    capacity: Whole
    cost: Whole
    supply: Whole

    def balanced(self) -> "Question":
        """The same with one more node, whose supply is all that is wanted, and which alone has any."""
        n = len(self.supply)
        sources = np.flatnonzero(self.supply > 0)
        wanted = np.minimum(self.supply, 0)
        return Question(
            self.name,
            np.concatenate([self.tail, np.full(len(sources), n)]),
            np.concatenate([self.head, sources]),
            np.concatenate([self.capacity, self.supply[sources]]),
            np.concatenate([self.cost, np.zeros_like(sources)]),
            np.append(wanted, -wanted.sum()),
        )

    def cost_of(self, flow: npt.NDArray[Any]) -> int | None:
        """What a flow costs, in whole numbers; None where it is not whole, or serves not all from what there is."""
        whole = np.round(flow).astype(np.int64)
        left = self.supply.copy()
        np.subtract.at(left, self.tail, whole)
        np.add.at(left, self.head, whole)
        kept = np.all((whole >= 0) & (whole <= self.capacity)) and np.all(
            np.abs(flow - whole) < 1e-5
        )
        served = np.all(left[self.supply <= 0] == 0)
        within = np.all((left >= 0) & (left <= np.maximum(self.supply, 0)))
        return int(whole @ self.cost) if kept and served and within else None


def rows(full: bool) -> Iterator[Row]:
    compile_kernels()
    with OrtoolsFlow() as ortools:
        for size, (seeds, turns) in (_FULL if full else _QUICK).items():
            for seed in seeds:
                for source_share in _SOURCE_SHARES:
                    for load in _LOADS:
                        yield _row(ortools, _question(size, seed, source_share, load), turns)


def _row(ortools: OrtoolsFlow, question: Question, turns: int) -> Row:
    balanced = question.balanced()
    m = len(question.tail)
    size = len(question.supply)
    ours_s, ortools_s = [], []
    for _ in range(turns):
        took_s, found = seconds_of(
            lambda: linear_min_cost_flow(
                size,
                question.tail,
                question.head,
                question.capacity,
                question.cost,
                question.supply,
                spare_supply=True,
            )
        )
        ours_s.append(took_s)
        build_s = ortools.load(balanced.tail, balanced.head, balanced.capacity, balanced.cost)
        solved = ortools.solve(np.arange(size + 1), balanced.supply)
        ortools_s.append(build_s + solved.seconds)
    ours = question.cost_of(found.flow) if found.status is Status.OPTIMAL else None
    costs = [question.cost_of(solved.flows[:m])]
    peers = {"ortools": median(ortools_s)}
    peers["scipy"], flow = _scipy(balanced)
    costs.append(question.cost_of(flow[:m]))
    if size <= _MAX_NETWORKX:
        peers["networkx"], flow = _networkx(balanced)
        costs.append(question.cost_of(flow[:m]))
    agree = ours is not None and all(each is not None and ours <= each for each in costs)
    return Row("linear-flow", size, question.name, median(ours_s), peers, agree)


def _question(size: int, seed: int, source_share: float, load: float) -> Question:
    grid = mesh(size, seed, source_share)
    graph = grid.graph()
    rng = np.random.default_rng([size, seed])
    sources = grid.source_nodes
    wanted = rng.uniform(0.1, 1.0, size)
    wanted[sources] = 0.0
    shares = rng.uniform(0.5, 1.5, len(sources))
    available = shares / shares.sum() * wanted.sum() * _SURPLUS
    most = load * _most_scale(graph, wanted, dict(zip(sources.tolist(), available, strict=True)))
    supply = -np.floor(wanted * most / 1e3).astype(np.int64)
    supply[sources] = np.ceil(available * most / 1e3).astype(np.int64)
    return Question(
        f"{grid.name} load={load:g} of the most",
        graph.tail.astype(np.int64),
        graph.head.astype(np.int64),
        np.floor(graph.ampacity_a * graph.voltage_v / 1e3).astype(np.int64),
        np.maximum(np.round(graph.resistance_ohm * 1e4), 1.0).astype(np.int64),
        supply,
    )


def _most_scale(
    graph: PowerGraph, wanted_w: npt.NDArray[np.float64], available_w: dict[int, float]
) -> float:
    """By what wants and supplies can be multiplied so that all can just be served: Newton's method on minimum cuts."""
    # No more than lines bring to each alone.
    brought_w = np.bincount(graph.head, graph.headroom_a * graph.voltage_v, len(wanted_w))
    scale = float((brought_w[wanted_w > 0.0] / wanted_w[wanted_w > 0.0]).min())
    for _ in range(_MAX_CUTS):
        # Converters count in cuts, and not in linear flows.
        delivered_w = wanted_w * graph.efficiency * scale
        wants = {node: float(want_w) for node, want_w in enumerate(delivered_w) if want_w > 0.0}
        offers = {node: float(power_w) * scale for node, power_w in available_w.items()}
        cut = minimum_cut_to_sinks(graph, wants, offers)
        far = np.ones(len(wanted_w), dtype=bool)
        far[list(cut.near_nodes)] = False
        lines_w = float((graph.headroom_a * graph.voltage_v)[list(cut.arcs)].sum())
        own_w = sum(available_w[node] for node in cut.source_nodes)
        if not far.any():
            break
        scale = min(scale * (1.0 - 1e-9), lines_w / (float(wanted_w[far].sum()) - own_w))
    return scale


def _networkx(question: Question) -> tuple[float, npt.NDArray[np.float64]]:
    network = nx.DiGraph()
    for node, supply in enumerate(question.supply.tolist()):
        network.add_node(node, demand=-supply)
    arcs = zip(
        question.tail.tolist(),
        question.head.tolist(),
        question.capacity.tolist(),
        question.cost.tolist(),
        strict=True,
    )
    for tail, head, capacity, cost in arcs:
        network.add_edge(tail, head, capacity=capacity, weight=cost)
    took_s, (_, flows) = seconds_of(lambda: nx.network_simplex(network))
    ends = zip(question.tail.tolist(), question.head.tolist(), strict=True)
    return took_s, np.array([flows[tail][head] for tail, head in ends], dtype=np.float64)


def _scipy(question: Question) -> tuple[float, npt.NDArray[np.float64]]:
    n, m = len(question.supply), len(question.tail)
    signs = np.repeat([1.0, -1.0], m)
    places = (np.concatenate([question.tail, question.head]), np.tile(np.arange(m), 2))
    balance = csr_matrix((signs, places), shape=(n, m))
    bounds = np.column_stack([np.zeros(m), question.capacity])
    took_s, solution = seconds_of(
        lambda: linprog(
            question.cost, A_eq=balance, b_eq=question.supply, bounds=bounds, method="highs"
        )
    )
    return took_s, np.zeros(m) if solution.x is None else solution.x
