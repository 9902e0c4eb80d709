"""Re-optimisation: better paths for the circuits that stand, all at once, and the moves that lead there.

What all inject together is convex in the flows, up to losses on losses. Frank & Wolfe (1956): losses are taken as
linear at the present point, column generation finds the best choice of paths under shared capacities, and the point
moves towards it as far as that pays. Each round bounds from below what any choice can reach. Then every circuit
takes one path: the heaviest, made to fit, and improved one by one under exact losses. Last, the moves are put in an
order in which each fits, most gain first.
"""

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from controller.routing.assignments.assignment import assign, columns_of, heaviest
from controller.routing.assignments.columns import Pool, Problem, Solution, problem_of, solve
from controller.routing.assignments.converters import converted
from controller.routing.assignments.improvement import improve
from controller.routing.assignments.linear_losses import Linear, linear_at
from controller.routing.assignments.moves import Demands, Network, Reserved, in_order_of_gain
from controller.routing.assignments.standing import (
    Circuits,
    Paths,
    picked,
    total_injected_w,
)
from controller.routing.graph import Floats, Ints, PowerGraph

# Of losses taken as linear anew, at most; plans are mostly close to their bound before.
_MAX_ROUNDS = 12
# Of what is injected: closer to the bound than this, no further round pays.
_CLOSE = 2e-4
# Losses are shared out a little differently where they are taken as linear, and so are currents.
_MARGIN = 1e-3
# The local search at linear losses ends this close to the bound.
_ENOUGH = 1e-4
# Of the golden section search for the best share: it is then known to 5e-4.
_STEPS = 16
# By which a step of that search shortens the interval.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Move:
    """A circuit's new path, source first, and how much less is injected after it, the moves before it made (W)."""

    circuit: int
    source: int
    arcs: tuple[int, ...]
    gain_w: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Moves in the order in which they fit; made all or any first ones of them.

    ``before_w`` and ``after_w`` are what all circuits inject in all, exactly, where those that moved are charged last.
    ``target_w`` would be reached by the paths that were found, could all circuits move at once.
    ``bound_w``: no choice of paths, circuits split at will, injects less, where loss is shared by current.
    """

    moves: tuple[Move, ...]
    before_w: float
    after_w: float
    target_w: float
    bound_w: float
    rounds: int


@dataclass(frozen=True, slots=True)
class LinearPlan:
    """A path for every circuit at linear losses: its cost and the linear program's bound on it (W, as injected)."""

    paths: Paths
    objective_w: float
    bound_w: float
    linear: Linear


def reoptimise(graph: PowerGraph, circuits: Circuits) -> Plan:
    """Find paths on which all circuits together inject less, and the moves that lead there.

    The graph, which contains what the circuits hold, stays as it is. Raises RuntimeError where HiGHS ends without
    an optimum.
    """
    if circuits.count == 0:
        return Plan((), 0.0, 0.0, 0.0, 0.0, 0)
    anew = converted(graph, circuits)
    problem = problem_of(anew.graph, anew.circuits, anew.is_hop)
    pool = Pool(anew.circuits)
    there, bound_w, rounds = best_paths(problem, pool)
    plan = _plan(problem, pool, there, bound_w, rounds)
    moves = (replace(each, arcs=anew.arcs_before(each.arcs)) for each in plan.moves)
    return replace(plan, moves=tuple(moves))


def best_paths(problem: Problem, pool: Pool) -> tuple[Ints, float, int]:
    """Of each circuit the column that it shall take, a bound on what any choice injects (W), and rounds made."""
    solution, weight, bound_w, rounds = _relaxed(problem, pool)
    return _integral(problem, pool, solution, weight), bound_w, rounds


def reoptimise_linear(graph: PowerGraph, circuits: Circuits) -> LinearPlan:
    """One round: the best paths at losses linear around what stands; what is gained by that may not be real.

    Limits of converters are not asked for. Raises ValueError where there are no circuits, and RuntimeError where HiGHS
    ends without an optimum.
    """
    if circuits.count == 0:
        raise ValueError(
            "there are no circuits, so there is nothing to take losses as linear around"
        )
    problem = problem_of(graph, circuits)
    pool = Pool(circuits)
    linear = linear_at(
        problem.graph, circuits, problem.others_a, pool.paths, pool.of, np.ones(pool.count)
    )
    solution = solve(problem, linear, pool)
    columns = columns_of(
        circuits.count, pool.of, solution.cost_w, solution.needs, len(problem.limit)
    )
    chosen = heaviest(columns, solution.weight)
    enough_w = (solution.bound_w + linear.offset_w) * (1.0 + _ENOUGH)
    if not assign(columns, chosen, enough_w):
        chosen = np.arange(circuits.count, dtype=np.int32)
        assign(columns, chosen, enough_w)
    return LinearPlan(
        picked(pool.paths, chosen),
        float(solution.cost_w[chosen].sum()) - linear.offset_w,
        solution.bound_w,
        linear,
    )


def _relaxed(problem: Problem, pool: Pool) -> tuple[Solution, Floats, float, int]:
    """Circuits split at will: the last linear solution, weights of the pool's columns, and the best bound."""
    circuits = problem.circuits
    weight = np.ones(circuits.count)
    bound_w, rounds = -inf, 0
    while True:
        rounds += 1
        linear = _linear(problem, pool, weight)
        solution = solve(problem, linear, pool, _MARGIN)
        bound_w = max(bound_w, solution.bound_w)
        weight = np.concatenate([weight, np.zeros(pool.count - len(weight))])
        if linear.injected_w - bound_w <= _CLOSE * bound_w or rounds == _MAX_ROUNDS:
            return solution, weight, bound_w, rounds
        weight = weight + _step(problem, pool, weight, solution.weight) * (solution.weight - weight)


def _linear(problem: Problem, pool: Pool, weight: Floats) -> Linear:
    return linear_at(problem.graph, problem.circuits, problem.others_a, pool.paths, pool.of, weight)


def _step(problem: Problem, pool: Pool, here: Floats, there: Floats) -> float:
    """How far to go so that least is injected, by golden section."""

    def along(step: float) -> float:
        return _linear(problem, pool, here + step * (there - here)).injected_w

    low, high = 0.0, 1.0
    first, second = 1.0 - _GOLDEN, _GOLDEN
    at_first, at_second = along(first), along(second)
    for _ in range(_STEPS):
        if at_first < at_second:
            high, second, at_second = second, first, at_first
            first = high - _GOLDEN * (high - low)
            at_first = along(first)
        else:
            low, first, at_first = first, second, at_second
            second = low + _GOLDEN * (high - low)
            at_second = along(second)
    return (low + high) / 2.0


def _integral(problem: Problem, pool: Pool, solution: Solution, weight: Floats) -> Ints:
    """A column for every circuit, improved under exact losses; from the relaxed weights, and from what stands."""
    count = problem.circuits.count
    columns = columns_of(count, pool.of, solution.cost_w, solution.needs, len(problem.limit))
    network, demands = network_of(problem), demands_of(problem.circuits)
    standing = np.arange(count, dtype=np.int32)
    found = [standing]
    rounded = heaviest(columns, weight)
    # Any cost is enough: it is made to fit and no more, for what follows knows the exact losses.
    if assign(columns, rounded, inf):
        found.append(rounded)
    for first in tuple(found):
        chosen = first.copy()
        improve(
            network,
            demands,
            pool.paths,
            columns.start,
            columns.column,
            problem.others_a,
            problem.limit,
            chosen,
        )
        found.append(chosen)

    def total_w(chosen: Ints) -> float:
        return total_injected_w(problem.graph, problem.circuits, picked(pool.paths, chosen))

    return min(found, key=total_w)


def _plan(problem: Problem, pool: Pool, there: Ints, bound_w: float, rounds: int) -> Plan:
    graph, circuits = problem.graph, problem.circuits
    here = np.arange(circuits.count, dtype=np.int32)
    before_w = total_injected_w(graph, circuits, circuits.paths)
    order, gains_w = in_order_of_gain(
        network_of(problem),
        demands_of(circuits),
        pool.paths,
        here,
        there,
        standing_of(problem, pool),
    )
    # A move that costs may make room for others; at the end there is no use in one.
    gained_w = np.cumsum(gains_w)
    kept = int(np.argmax(gained_w)) + 1 if len(order) and gained_w.max() > 0.0 else 0
    order, gains_w = order[:kept], gains_w[:kept]
    chosen = here.copy()
    chosen[order] = there[order]
    admitted = np.concatenate([np.setdiff1d(here, order), order]).astype(np.int32)
    after_w = total_injected_w(graph, circuits, picked(pool.paths, chosen), admitted)
    target_w = total_injected_w(graph, circuits, picked(pool.paths, there))
    if after_w >= before_w:
        return Plan((), before_w, before_w, target_w, bound_w, rounds)
    moves = tuple(
        Move(
            int(circuit),
            int(pool.paths.source[there[circuit]]),
            tuple(pool.paths.of(int(there[circuit])).tolist()),
            float(gain_w),
        )
        for circuit, gain_w in zip(order, gains_w, strict=True)
    )
    return Plan(moves, before_w, after_w, target_w, bound_w, rounds)


def network_of(problem: Problem) -> Network:
    graph = problem.graph
    return Network(
        graph.tail,
        graph.link,
        graph.resistance_ohm,
        graph.voltage_v,
        graph.efficiency,
        problem.limit[problem.link_count :],
        problem.is_hop,
    )


def demands_of(circuits: Circuits) -> Demands:
    return Demands(circuits.sink, circuits.power_w, circuits.max_injected_w, circuits.max_hops)


def standing_of(problem: Problem, pool: Pool) -> Reserved:
    """What is taken now."""
    graph, circuits = problem.graph, problem.circuits
    current_a = np.zeros(len(pool.paths.arcs))
    current_a[: len(circuits.current_a)] = circuits.current_a
    room_a = np.full(problem.link_count, -inf)
    np.maximum.at(room_a, graph.link, graph.headroom_a)
    drawn_w: Floats = np.zeros(len(circuits.source_node))
    np.add.at(drawn_w, circuits.paths.source, circuits.held_w)
    return Reserved(graph.load_a.copy(), current_a, room_a, circuits.held_w.copy(), drawn_w)
