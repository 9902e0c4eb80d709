"""500 circuits re-optimised together, against the edge-flow linear program of the same instance, by HiGHS.

What stands is what is left of twice as many circuits, admitted one by one at least injection, after half of them
went. Losses are taken as linear around that, and capacities bind in places: among paths for every circuit (ours),
and among flows on arcs by source (the peer), the least that can be injected is the same linear program. Ours then
has one path for every circuit, which is dearer than the bound; ``gap`` says by how much. ``agree``: by at most 0.1 %.
The peer has the quicker of HiGHS' interior-point methods, with and without crossover; building its model is not
counted. In ``full``, its simplex is listed for the first instance: on others it takes up to a quarter of an hour.

``exact_s`` and ``exact_gap`` are for what the controller does: losses exact, re-linearised until the bound is near;
``moved_gap`` is after the moves that fit one by one, make-before-break.
"""

from collections.abc import Iterator
from functools import partial
from statistics import mean
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp

from benchmarks.harness import Row, by_turns, seconds_of
from benchmarks.instances import Mesh, mesh
from controller.routing.assignments.columns import Problem, problem_of
from controller.routing.assignments.linear_losses import Linear
from controller.routing.assignments.reoptimise import LinearPlan, reoptimise, reoptimise_linear
from controller.routing.assignments.standing import Choice, Circuits, circuits_of, paths_of
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.cspf import PathSearch

_CIRCUITS = 500
_POWER_W = (30e3, 300e3)
_MAX_REFUSED = 400
_TOLERANCE = 1e-3
# Mesh of a thousand routers: seed, share of routers with sources, ampacity on the whole (A).
_QUICK = ((1, 0.02, 500.0), (2, 0.02, 500.0), (3, 0.02, 400.0))
_FULL = (*_QUICK, (1, 0.05, 400.0), (2, 0.1, 300.0))
_INTERIOR_POINT = {"solver": "ipm"}
_NO_CROSSOVER = {"solver": "ipm", "run_crossover": "off"}
_SIMPLEX = {"solver": "simplex"}


def rows(full: bool) -> Iterator[Row]:
    for number, (seed, source_share, ampacity_a) in enumerate(_FULL if full else _QUICK):
        grid = mesh(1_000, seed, source_share, ampacity_a=ampacity_a)
        graph, circuits = standing_circuits(grid, _CIRCUITS, seed)
        name = f"{grid.name} ampacity={ampacity_a:g} A, {_CIRCUITS} circuits"
        yield _row(name, graph, circuits, with_simplex=full and number == 0)


def _row(name: str, graph: PowerGraph, circuits: Circuits, *, with_simplex: bool) -> Row:
    # Compiled before anything is timed.
    reoptimise_linear(graph, circuits)
    reoptimise(graph, circuits)
    taken = []
    peers, values = {}, []
    linear = reoptimise_linear(graph, circuits)
    model, scale_w = edge_flow_model(problem_of(graph, circuits), linear.linear)
    for key, options in (("ipm", _INTERIOR_POINT), ("no-crossover", _NO_CROSSOVER)):
        ours, found = by_turns({"linear": lambda: reoptimise_linear(graph, circuits)}, 5)
        linear = found["linear"]
        taken.append(ours["linear"])
        peers[key], value = seconds_of(partial(solved, model, options))
        values.append(value * scale_w - linear.linear.offset_w)
    exact_s, plan = seconds_of(lambda: reoptimise(graph, circuits))
    listed = {"edge-flow-lp": min(peers.values())}
    if with_simplex:
        listed["edge-flow-lp-simplex"] = seconds_of(lambda: solved(model, _SIMPLEX))[0]
    bound_w = min(values)
    gap = linear.objective_w / bound_w - 1.0
    return Row(
        "reoptimise",
        graph.node_count,
        name,
        mean(taken),
        listed,
        is_fitting(graph, circuits, linear) and gap <= _TOLERANCE,
        {
            "gap": gap,
            "bound_difference": linear.bound_w / bound_w - 1.0,
            "exact_s": exact_s,
            "exact_gap": plan.target_w / plan.bound_w - 1.0,
            "moved_gap": plan.after_w / plan.bound_w - 1.0,
            "saved_share": 1.0 - plan.after_w / plan.before_w,
            "moves": len(plan.moves),
        },
    )


def standing_circuits(grid: Mesh, count: int, seed: int) -> tuple[PowerGraph, Circuits]:
    """Loads and circuits that are left of twice as many, of random ends and power, after a random half has gone."""
    rng = np.random.default_rng([grid.places_km.shape[0], seed])
    graph = grid.graph()
    search = PathSearch(graph)
    admitted: list[tuple[int, int, float, Ints, Floats]] = []
    refused = 0
    while len(admitted) < 2 * count and refused < _MAX_REFUSED:
        node, sink = int(rng.choice(grid.source_nodes)), int(rng.integers(graph.node_count))
        power_w = float(rng.uniform(*_POWER_W))
        path = search.best(sink, power_w, {node: np.inf})
        if path is None:
            refused += 1
            continue
        arcs = np.array(path.arcs, dtype=np.int32)
        current_a = np.array(path.entering_w[1:]) / graph.voltage_v[arcs]
        admitted.append((node, sink, power_w, arcs, current_a))
        _add_load(graph, arcs, current_a)
    gone = rng.choice(len(admitted), len(admitted) - count, replace=False)
    for index in gone:
        _add_load(graph, admitted[index][3], -admitted[index][4])
    left = [each for index, each in enumerate(admitted) if index not in set(gone.tolist())]
    nodes = sorted({node for node, *_ in left})
    source = [nodes.index(node) for node, *_ in left]
    return graph, circuits_of(
        graph,
        sink=[each[1] for each in left],
        power_w=[each[2] for each in left],
        choice=source,
        choices=[Choice((index,)) for index in range(len(nodes))],
        source_node=nodes,
        source_limit_w=[np.inf] * len(nodes),
        paths=paths_of(source, [each[3] for each in left]),
        current_a=np.concatenate([each[4] for each in left]),
    )


def _add_load(graph: PowerGraph, arcs: Any, current_a: Any) -> None:
    for arc, added_a in zip(arcs.tolist(), current_a.tolist(), strict=True):
        graph.set_load(arc, max(0.0, float(graph.load_a[arc]) + added_a))


def edge_flow_model(problem: Problem, linear: Linear) -> tuple[highspy.HighsLp, float]:
    """The flow into the head of every arc, for every source, that serves its circuits; and the unit it is in (W).

    At a router, ``efficiency (flows in + injected) = flows out + load``; a link carries both directions of all.
    """
    graph, circuits = problem.graph, problem.circuits
    n, m, sources = graph.node_count, graph.arc_count, len(circuits.source_node)
    source = np.array([circuits.choices[choice].sources[0] for choice in circuits.choice])
    scale_w = float(circuits.power_w.mean())
    sent = linear.gain * graph.efficiency[graph.tail]
    arc = np.arange(m)
    balance = sp.csc_matrix(
        (
            np.concatenate([graph.efficiency[graph.head], -sent]),
            (np.concatenate([graph.head, graph.tail]), np.tile(arc, 2)),
        ),
        shape=(n, m),
    )
    injection = sp.csc_matrix(
        (
            graph.efficiency[circuits.source_node],
            (np.arange(sources) * n + circuits.source_node, np.arange(sources)),
        ),
        shape=(sources * n, sources),
    )
    limit_a = problem.limit[: problem.link_count]
    share = scale_w / graph.voltage_v / limit_a[graph.link]
    use = sp.csc_matrix((share, (graph.link, arc)), shape=(problem.link_count, m))
    matrix = sp.block_array(
        [
            [sp.kron(sp.identity(sources), balance), injection],
            [sp.kron(np.ones((1, sources)), use), None],
        ],
        format="csc",
    )
    load = np.zeros(sources * n)
    np.add.at(load, source * n + circuits.sink, circuits.power_w / scale_w)
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = matrix.shape
    model.col_cost_ = np.concatenate([np.tile(linear.toll, sources), np.ones(sources)])
    model.col_lower_ = np.zeros(matrix.shape[1])
    model.col_upper_ = np.full(matrix.shape[1], np.inf)
    model.row_lower_ = np.concatenate([load, np.full(problem.link_count, -np.inf)])
    model.row_upper_ = np.concatenate([load, np.ones(problem.link_count)])
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = matrix.indptr
    model.a_matrix_.index_ = matrix.indices
    model.a_matrix_.value_ = matrix.data
    return model, scale_w


def solved(model: highspy.HighsLp, options: dict[str, str]) -> float:
    """The least value of a model. Raises RuntimeError where HiGHS finds no optimum."""
    highs = highspy.Highs()
    highs.silent()
    for name, value in options.items():
        highs.setOptionValue(name, value)
    highs.passModel(model)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS: {highs.modelStatusToString(highs.getModelStatus())}")
    return float(highs.getInfo().objective_function_value)


def is_fitting(graph: PowerGraph, circuits: Circuits, found: LinearPlan) -> bool:
    """Whether paths lead from source to sink, fit together, and cost what is said; worked out anew, arc by arc."""
    problem, linear = problem_of(graph, circuits), found.linear
    used_a = np.zeros(problem.link_count)
    cost_w = 0.0
    for index in range(circuits.count):
        node = int(circuits.sink[index])
        power_w = float(circuits.power_w[index] / graph.efficiency[node])
        for arc in found.paths.of(index)[::-1].tolist():
            if graph.head[arc] != node:
                return False
            used_a[graph.link[arc]] += power_w / graph.voltage_v[arc]
            cost_w += power_w * linear.toll[arc]
            power_w *= linear.gain[arc]
            node = int(graph.tail[arc])
        if node != circuits.source_node[found.paths.source[index]]:
            return False
        cost_w += power_w
    fits = np.all(used_a <= problem.limit[: problem.link_count] * (1.0 + 1e-6))
    return bool(fits) and abs(cost_w - linear.offset_w - found.objective_w) <= 1e-9 * cost_w
