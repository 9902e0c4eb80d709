"""Re-optimisation on random small graphs: its bound against the edge-flow program, its moves made one by one."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import assume, given, settings
from scipy.optimize import linprog

from controller.routing.assignments.columns import Problem, problem_of
from controller.routing.assignments.linear_losses import Linear, linear_at
from controller.routing.assignments.reoptimise import Plan, reoptimise, reoptimise_linear
from controller.routing.assignments.standing import (
    Circuits,
    Paths,
    injected_w,
    load_of_others_a,
    paths_of,
    total_injected_w,
)
from controller.routing.graph import Ints
from tests.support.random_cases import examples
from tests.support.standing_circuits import held_by, make_move, random_standing

MOST = settings(max_examples=examples(100))


def edge_flow_bound_w(problem: Problem, linear: Linear) -> float:
    """The least cost of flows on arcs, one commodity a circuit, at the same linear losses and limits."""
    graph, circuits = problem.graph, problem.circuits
    n, m, count = graph.node_count, graph.arc_count, circuits.count
    sources = len(circuits.source_node)
    width = m + sources
    scale_w = float(circuits.power_w.mean())
    balance = np.zeros((count * n, count * width))
    limits = np.zeros((len(problem.limit), count * width))
    load, bounds = np.zeros(count * n), []
    for index in range(count):
        choice = circuits.choices[circuits.choice[index]]
        avoided = set(choice.avoid_nodes)
        row, column = index * n, index * width
        load[row + circuits.sink[index]] = circuits.power_w[index] / scale_w
        for arc in range(m):
            tail, head = int(graph.tail[arc]), int(graph.head[arc])
            balance[row + head, column + arc] += graph.efficiency[head]
            balance[row + tail, column + arc] -= linear.gain[arc] * graph.efficiency[tail]
            share = scale_w / graph.voltage_v[arc] / problem.limit[graph.link[arc]]
            limits[graph.link[arc], column + arc] = share
            shut = tail in avoided or head in avoided or arc in choice.avoid_arcs
            bounds.append((0.0, 0.0 if shut else None))
        for source in range(sources):
            node = circuits.source_node[source]
            balance[row + node, column + m + source] = graph.efficiency[node]
            limit_w = problem.limit[problem.link_count + source]
            limits[problem.link_count + source, column + m + source] = scale_w / limit_w
            bounds.append((0.0, None if source in choice.sources else 0.0))
    cost = np.tile(np.concatenate([linear.toll, np.ones(sources)]), count)
    found = linprog(
        cost, limits, np.ones(len(limits)), balance, load, bounds, method="highs", options={}
    )
    assert found.status == 0
    return float(found.fun) * scale_w - linear.offset_w


@MOST
@given(st.integers(0, 2**32 - 1))
def test_the_bound_is_that_of_the_edge_flow_program(seed: int) -> None:
    graph, circuits = random_standing(seed)
    assume(circuits.count > 0)
    found = reoptimise_linear(graph, circuits)
    problem = problem_of(graph, circuits)
    np.testing.assert_allclose(found.bound_w, edge_flow_bound_w(problem, found.linear), rtol=2e-5)
    assert found.objective_w >= found.bound_w * (1 - 1e-9)
    assert found.objective_w <= found.linear.injected_w * (1 + 1e-9)


@MOST
@given(st.integers(0, 2**32 - 1))
def test_moves_fit_one_by_one_and_less_is_injected_after_them(seed: int) -> None:
    graph, circuits = random_standing(seed)
    loads_a, rooms_a = graph.load_a.copy(), graph.headroom_a.copy()
    plan = reoptimise(graph, circuits)
    assert np.array_equal(graph.load_a, loads_a) and np.array_equal(graph.headroom_a, rooms_a)
    np.testing.assert_allclose(plan.before_w, total_injected_w(graph, circuits, circuits.paths))
    assert plan.after_w <= plan.before_w
    assert (plan.after_w < plan.before_w) == bool(plan.moves)
    held = held_by(circuits)
    for move in plan.moves:
        choice = circuits.choices[circuits.choice[move.circuit]]
        assert move.source in choice.sources
        nodes = {*graph.tail[list(move.arcs)].tolist(), *graph.head[list(move.arcs)].tolist()}
        assert not nodes & choice.avoid_nodes
        make_move(graph, circuits, held, move)
    assert np.all(graph.headroom_a >= -1e-6 * graph.ampacity_a)


@MOST
@given(st.integers(0, 2**32 - 1))
def test_what_is_reached_is_what_is_said_and_the_bound_is_below(seed: int) -> None:
    graph, circuits = random_standing(seed)
    plan = reoptimise(graph, circuits)
    paths, order = after(circuits, plan)
    reached_w = injected_w(graph, circuits, paths, order)
    np.testing.assert_allclose(plan.after_w, reached_w.sum())
    assert plan.target_w <= plan.before_w * (1 + 1e-12)
    if circuits.count:
        every = np.arange(circuits.count, dtype=np.int32)
        others_a = load_of_others_a(graph, circuits)
        shared = linear_at(graph, circuits, others_a, paths, every, np.ones(circuits.count))
        assert plan.bound_w <= shared.injected_w * (1 + 1e-6)
        for source, limit_w in enumerate(circuits.source_limit_w.tolist()):
            # Order decides who is charged for what, by a little.
            assert reached_w[paths.source == source].sum() <= limit_w * 1.01


def after(circuits: Circuits, plan: Plan) -> tuple[Paths, Ints]:
    """Everybody's path after the moves, and who is charged before whom."""
    source = circuits.paths.source.tolist()
    arcs = [circuits.paths.of(index).tolist() for index in range(circuits.count)]
    for move in plan.moves:
        source[move.circuit], arcs[move.circuit] = move.source, list(move.arcs)
    moved = [move.circuit for move in plan.moves]
    stayed = [index for index in range(circuits.count) if index not in moved]
    return paths_of(source, arcs), np.array(stayed + moved, dtype=np.int32)
