"""Dispatch with exact line and converter losses, against the same program in Clarabel, CVXPY and PyPSA.

Sources of different costs have twice the power of all loads, which can all be served. Clarabel gets the second-order
cone program in its best form that was found (losses as variables, scaled; balances as equations; loads as numbers),
put together beforehand, and is timed from its set-up on; CVXPY gets the same in its own words and is timed without
making its objects. Our time is that of the whole call, which also chooses whom to serve. PyPSA has losses of its own
only for lines under Kirchhoff's laws, which converters do not obey; the closest that it has is each direction of a
line as three links, each with the efficiency of its part of the loss curve. HiGHS solves that, by its interior point
method without crossover, which is the fastest here; the time is that of ``Network.optimize``.

Every answer is judged by the received power of its arcs alone: generation follows from exact losses, and what a router
without a source then lacks or has too much is priced at our routers' prices. By duality that is never above the cost
of repairing the flows exactly, and never below the optimum where our prices are optimal, so ``agree`` also proves ours.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import clarabel
import cvxpy as cp
import numpy as np
import numpy.typing as npt
import pypsa
import scipy.sparse as sp

from benchmarks.harness import Row, seconds_of
from benchmarks.instances import mesh
from controller.routing.dispatch import Dispatch, DispatchProblem, dispatch

Floats = npt.NDArray[np.float64]

_SOURCE_SHARES = (0.05, 0.1)
_SURPLUS = 2.0
# Size: seeds, and turns.
_QUICK = {1_000: ((1, 2), 5)}
_FULL = {100: ((1, 2, 3), 9), 1_000: ((1, 2, 3), 7), 10_000: ((1,), 3)}
# From this size on CVXPY and PyPSA have one turn.
_MANY = 1_000
# The fastest of its ways here.
_HIGHS = {"output_flag": False, "solver": "ipm", "run_crossover": "off"}
_SEGMENTS = 3
_PEERS = ("clarabel", "cvxpy", "pypsa")
# The relative accuracy that all solvers are asked for is 1e-8 of their own measures.
_TOLERANCE = 1e-6
_COST_UNIT = 100.0


def rows(full: bool) -> Iterator[Row]:
    logging.getLogger("pypsa").setLevel(logging.ERROR)
    logging.getLogger("linopy").setLevel(logging.ERROR)
    dispatch(_question(100, 1, 0.1).problem)
    for size, (seeds, turns) in (_FULL if full else _QUICK).items():
        for seed in seeds:
            for source_share in _SOURCE_SHARES:
                yield row_of("lossy-dispatch", _question(size, seed, source_share), turns)


@dataclass(frozen=True)
class Question:
    name: str
    problem: DispatchProblem

    @property
    def unit_w(self) -> float:
        return float(self.problem.load_power_w.max())

    def cost_of(self, received_w: Floats, answer: Dispatch) -> float:
        """Money per hour of flows, by exact losses; ``answer`` has the prices."""
        problem, graph = self.problem, self.problem.graph
        received_w = np.maximum(received_w, 0.0)
        current_a = received_w / graph.voltage_v
        sent_w = received_w + graph.resistance_ohm * current_a**2
        leaving_w, arriving_w = np.zeros(graph.node_count), np.zeros(graph.node_count)
        np.add.at(leaving_w, graph.tail, sent_w)
        np.add.at(leaving_w, problem.load_node, problem.load_power_w)
        np.add.at(arriving_w, graph.head, received_w)
        generated_w = leaving_w / graph.efficiency - arriving_w
        price = answer.price_per_mwh * graph.efficiency
        within = np.zeros(graph.node_count)
        # One source a router; beyond its limits, too, its router's price counts.
        node = problem.source_node
        within[node] = np.clip(generated_w[node], 0.0, problem.source_max_w)
        source_cost = problem.source_cost_per_mwh @ within[node]
        return float(source_cost + price @ (generated_w - within)) / 1e6


def _question(n: int, seed: int, source_share: float) -> Question:
    network = mesh(n, seed, source_share)
    rng = np.random.default_rng([n, seed, 7])
    load_w = rng.uniform(0.2e6, 1e6, n)
    sources = len(network.source_nodes)
    problem = DispatchProblem(
        network.graph(),
        source_node=network.source_nodes,
        source_max_w=np.full(sources, _SURPLUS * load_w.sum() / sources),
        source_cost_per_mwh=rng.uniform(20.0, 100.0, sources),
        load_node=np.arange(n, dtype=np.int32),
        load_power_w=load_w,
    )
    return Question(network.name, problem)


def row_of(benchmark: str, question: Question, turns: int, peers: tuple[str, ...] = _PEERS) -> Row:
    size = question.problem.graph.node_count
    clarabel_program = _cone_program(question)
    cvxpy_program, cvxpy_flow = _cvxpy_program(question)
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        "ours": (lambda: dispatch(question.problem), turns),
        "clarabel": (lambda: _run_clarabel(clarabel_program), turns),
        "cvxpy": (lambda: cvxpy_program.solve(solver=cp.CLARABEL), 1 if size >= _MANY else 2),
        "pypsa": (lambda: None, 1 if size >= _MANY else 2),
    }
    calls = {name: call for name, call in calls.items() if name in ("ours", *peers)}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for turn in range(turns):
        for name, (call, most) in calls.items():
            if turn < most:
                if name == "pypsa":
                    network = _pypsa_network(question)
                    call = _pypsa_call(network)
                seconds, results[name] = seconds_of(call)
                taken[name].append(seconds)
                if name == "pypsa":
                    results[name] = _pypsa_flow(question, network)
    answer: Dispatch = results["ours"]
    unit_w, m = question.unit_w, question.problem.graph.arc_count
    flows: dict[str, Callable[[], Floats]] = {
        "clarabel": lambda: np.array(results["clarabel"].x[:m]) * unit_w,
        "cvxpy": lambda: np.asarray(cvxpy_flow.value) * unit_w,
        "pypsa": lambda: np.asarray(results["pypsa"]),
    }
    ours = question.cost_of(answer.received_w, answer)
    costs = {name: question.cost_of(flows[name](), answer) for name in peers}
    served = np.array_equal(answer.served_w, question.problem.load_power_w)
    agree = answer.status == "optimal" and served
    medians_s = {name: median(each) for name, each in taken.items()}
    return Row(
        benchmark,
        size,
        question.name,
        medians_s.pop("ours"),
        medians_s,
        bool(agree and ours <= min(costs.values()) * (1.0 + _TOLERANCE)),
        {"cost_per_h": ours, "peer_costs_per_h": costs},
    )


def _by_node(nodes: npt.NDArray[Any], count: int) -> sp.csr_array:
    """Sums by router of what stands at ``nodes``."""
    entries = np.ones(len(nodes)), (nodes, np.arange(len(nodes)))
    return sp.csr_array(entries, shape=(count, len(nodes)))


def _capacity(problem: DispatchProblem) -> Floats:
    graph = problem.graph
    capacity_w = np.zeros(int(graph.link.max()) + 1)
    capacity_w[graph.link] = graph.headroom_a * graph.voltage_v
    return capacity_w


def _cone_program(question: Question) -> tuple[Any, ...]:
    """Variables: received power and loss of each arc, generated power of each source."""
    problem, graph, unit_w = question.problem, question.problem.graph, question.unit_w
    n, m, sources = graph.node_count, graph.arc_count, len(problem.source_node)
    efficiency = sp.diags_array(graph.efficiency)
    into, out = _by_node(graph.head, n), _by_node(graph.tail, n)
    generated = efficiency @ _by_node(problem.source_node, n)
    load = _by_node(problem.load_node, n) @ problem.load_power_w / unit_w
    links = int(graph.link.max()) + 1
    one = sp.eye_array(sources)
    below = sp.block_array(
        [
            [_by_node(graph.link, links), None, sp.csr_array((links, sources))],
            [-sp.eye_array(m), None, None],
            [None, None, -one],
            [None, None, one],
        ]
    )
    below = sp.hstack([below[:, :m], sp.csr_array((below.shape[0], m)), below[:, m:]])
    balance = sp.hstack([out - efficiency @ into, out, -generated])
    # (loss + 1, loss - 1, 2 * root * x) in the cone: loss >= (root * x)**2.
    root = np.sqrt(graph.resistance_ohm * unit_w) / graph.voltage_v
    arc = np.arange(m)
    row = 3 * arc
    entries = np.concatenate([-np.ones(m), -np.ones(m), -2.0 * root])
    places = np.concatenate([row, row + 1, row + 2]), np.concatenate([m + arc, m + arc, arc])
    cone = sp.csr_array((entries, places), shape=(3 * m, 2 * m + sources))
    limits = [_capacity(problem) / unit_w, np.zeros(m), np.zeros(sources)]
    limits += [problem.source_max_w / unit_w]
    right = np.concatenate([-load, *limits, np.tile([1.0, -1.0, 0.0], m)])
    cost = np.concatenate([np.zeros(2 * m), problem.source_cost_per_mwh / _COST_UNIT])
    matrix = sp.csc_matrix(sp.vstack([balance, below, cone]))
    cones = [clarabel.ZeroConeT(n), clarabel.NonnegativeConeT(below.shape[0])]
    cones += [clarabel.SecondOrderConeT(3)] * m
    return sp.csc_matrix((len(cost), len(cost))), cost, matrix, right, cones


def _run_clarabel(program: tuple[Any, ...]) -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    return clarabel.DefaultSolver(*program, settings).solve()


def _cvxpy_program(question: Question) -> tuple[cp.Problem, cp.Variable]:
    problem, graph, unit_w = question.problem, question.problem.graph, question.unit_w
    n = graph.node_count
    flow = cp.Variable(graph.arc_count, nonneg=True)
    generated = cp.Variable(len(problem.source_node), nonneg=True)
    root = np.sqrt(graph.resistance_ohm * unit_w) / graph.voltage_v
    sent = flow + cp.square(cp.multiply(root, flow))
    supply = _by_node(graph.head, n) @ flow + _by_node(problem.source_node, n) @ generated
    load = _by_node(problem.load_node, n) @ problem.load_power_w / unit_w
    links = int(graph.link.max()) + 1
    constraints = [
        cp.multiply(graph.efficiency, supply) - _by_node(graph.tail, n) @ sent >= load,
        _by_node(graph.link, links) @ flow <= _capacity(problem) / unit_w,
        generated <= problem.source_max_w / unit_w,
    ]
    cost = problem.source_cost_per_mwh / _COST_UNIT @ generated
    return cp.Problem(cp.Minimize(cost), constraints), flow


def _pypsa_network(question: Question) -> pypsa.Network:
    """In MW. A bus is what a router's converter puts out; a link ends with the conversion at its head."""
    problem, graph = question.problem, question.problem.graph
    network = pypsa.Network()
    buses = [f"r{node}" for node in range(graph.node_count)]
    network.add("Bus", buses)
    at = np.array(buses)
    network.add(
        "Load",
        [f"load{index}" for index in range(len(problem.load_node))],
        bus=at[problem.load_node],
        p_set=problem.load_power_w / 1e6,
    )
    source_efficiency = graph.efficiency[problem.source_node]
    network.add(
        "Generator",
        [f"source{index}" for index in range(len(problem.source_node))],
        bus=at[problem.source_node],
        p_nom=problem.source_max_w * source_efficiency / 1e6,
        marginal_cost=problem.source_cost_per_mwh / source_efficiency,
    )
    step_w = graph.ampacity_a * graph.voltage_v / _SEGMENTS
    square = graph.resistance_ohm / graph.voltage_v**2
    for segment in range(_SEGMENTS):
        # The chord of x + square * x**2 between the ends of the segment.
        slope = 1.0 + square * step_w * (2 * segment + 1)
        network.add(
            "Link",
            [f"arc{arc}-{segment}" for arc in range(graph.arc_count)],
            bus0=at[graph.tail],
            bus1=at[graph.head],
            efficiency=graph.efficiency[graph.head] / slope,
            p_nom=step_w * slope / 1e6,
        )
    return network


def _pypsa_call(network: pypsa.Network) -> Callable[[], Any]:
    def optimise() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return network.optimize(
                solver_name="highs",
                solver_options=_HIGHS,
                include_objective_constant=False,
                progress=False,
            )

    return optimise


def _pypsa_flow(question: Question, network: pypsa.Network) -> Floats:
    graph = question.problem.graph
    received_w = np.zeros(graph.arc_count)
    for segment in range(_SEGMENTS):
        names = [f"arc{arc}-{segment}" for arc in range(graph.arc_count)]
        converted_mw = -network.links_t.p1.loc["now", names].to_numpy()
        received_w += converted_mw * 1e6 / graph.efficiency[graph.head]
    return received_w
