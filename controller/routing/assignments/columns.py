"""Column generation: circuits over paths under shared capacities, at linear losses (Ford & Fulkerson 1958).

The master program chooses among the paths known so far, and its duals price links and sources. The cheapest path of
every circuit at these prices is either known, and then the choice is the best there is, or it is a column more. The
best value of the Lagrangian over all rounds bounds from below what any choice costs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from controller.routing.assignments.linear_losses import Linear, weigh
from controller.routing.assignments.master import Master, Needs
from controller.routing.assignments.priced_trees import (
    Groups,
    Leaving,
    groups_of,
    leaving_of,
    price_circuits,
)
from controller.routing.assignments.standing import Circuits, Paths, load_of_others_a
from controller.routing.graph import Floats, Ints, PowerGraph

# The gap tells what is left if these rounds of pricing do not do.
_MAX_ROUNDS = 60
# Of what is injected: closer to its bound than this, no further round pays.
_CLOSE = 1e-5
# A path is worth it only if it is cheaper by more than rounding.
_CHEAPER = 1.0 - 1e-9
# Of what a limit typically is: with less room than that it is closed.
_NEXT_TO_NOTHING = 1e-6


@dataclass(frozen=True, slots=True)
class Problem:
    """Who is to be routed where: what stays the same while losses are taken as linear anew.

    ``limit`` has an entry a link, the current for both directions together (A), then one a source, what all circuits
    together may inject there (W). None is less than what stands needs. ``typical`` is what a circuit needs of each
    on the whole. ``entering_w`` must enter each sink's router. ``is_hop`` is 0 for an arc within a router, else 1.
    """

    graph: PowerGraph
    circuits: Circuits
    leaving: Leaving
    groups: Groups
    others_a: Floats
    link_count: int
    limit: Floats
    typical: Floats
    out_of_service: Ints
    entering_w: Floats
    is_hop: Ints


def problem_of(graph: PowerGraph, circuits: Circuits, is_hop: Ints | None = None) -> Problem:
    """Without ``is_hop`` every arc is one."""
    own_a = np.bincount(circuits.paths.arcs, circuits.current_a, minlength=graph.arc_count)
    link_count = int(graph.link.max(initial=-1)) + 1
    free_a = np.full(link_count, -np.inf)
    np.maximum.at(free_a, graph.link, graph.headroom_a)
    own_of_link_a = np.bincount(graph.link, own_a, minlength=link_count)
    drawn_w = np.bincount(
        circuits.paths.source, circuits.held_w, minlength=len(circuits.source_node)
    )
    limits = (
        np.maximum(free_a, 0.0) + own_of_link_a,
        np.maximum(circuits.source_limit_w, drawn_w),
    )
    entering_w = circuits.power_w / graph.efficiency[circuits.sink]
    typical = np.full(link_count + len(circuits.source_node), float(entering_w.mean()))
    typical[graph.link] /= graph.voltage_v
    return Problem(
        graph,
        circuits,
        leaving_of(graph),
        groups_of(graph, circuits),
        load_of_others_a(graph, circuits),
        link_count,
        np.concatenate(limits),
        typical,
        np.flatnonzero(np.isneginf(graph.headroom_a)).astype(np.int32),
        entering_w,
        np.ones(graph.arc_count, dtype=np.int32) if is_hop is None else is_hop,
    )


class Pool:
    """The columns: paths known so far, each of a circuit. The first are those that stand, one a circuit."""

    def __init__(self, circuits: Circuits) -> None:
        self.of = np.arange(circuits.count, dtype=np.int32)
        self.paths = circuits.paths

    @property
    def count(self) -> int:
        return len(self.of)

    def add(self, of: Ints, paths: Paths) -> None:
        self.of = np.concatenate([self.of, of])
        self.paths = Paths(
            np.concatenate([self.paths.source, paths.source]),
            np.concatenate([self.paths.start, self.paths.start[-1] + paths.start[1:]]),
            np.concatenate([self.paths.arcs, paths.arcs]),
        )

    def since(self, first: int) -> Paths:
        begin = self.paths.start[first]
        return Paths(
            self.paths.source[first:], self.paths.start[first:] - begin, self.paths.arcs[begin:]
        )


class Solution(NamedTuple):
    """Of the linear program: weights of columns, its value and a bound on the best there is (both W, as injected).

    ``cost_w`` is the cost of each column, ``needs`` what it needs of the problem's limits.
    """

    weight: Floats
    value_w: float
    bound_w: float
    cost_w: Floats
    needs: Needs
    rounds: int


def solve(problem: Problem, linear: Linear, pool: Pool, margin: float = 0.0) -> Solution:
    """Add to the pool the columns that the linear program lacks, and solve it.

    ``margin`` is a share of every limit that is left free, though not by those who hold it now; the bound is one on
    what could be had without it. What is counted as injected is the linear cost less the offset, which is right
    where losses were linearised. Raises RuntimeError where HiGHS ends without an optimum.
    """
    graph, circuits = problem.graph, problem.circuits
    limit = _limits(problem, linear, margin)
    # A share of next to nothing could be anything; such limits are closed.
    closed = limit < _NEXT_TO_NOTHING * problem.typical
    limit[closed] = problem.typical[closed]
    toll = linear.toll.copy()
    toll[problem.out_of_service] = np.inf
    master = Master(circuits.count, len(limit), float(np.mean(problem.entering_w)))
    first, bound_w, rounds = 0, -np.inf, 0
    while True:
        master.add(pool.of[first:], *_weighed(problem, linear, pool, limit, first))
        optimum = master.solve()
        rounds += 1
        price = optimum.rent / limit
        open_price = np.where(closed, np.inf, price)
        priced = price_circuits(
            problem.leaving,
            problem.groups,
            circuits,
            problem.entering_w,
            linear.gain,
            toll + open_price[graph.link] / graph.voltage_v,
            open_price[problem.link_count :],
            optimum.worth * _CHEAPER,
            graph.tail,
        )
        least_w = float(np.minimum(priced.least, optimum.worth).sum())
        rented = price > 0.0
        rent_w = float(price[rented] @ np.maximum(problem.limit, limit)[rented])
        bound_w = max(bound_w, least_w - rent_w)
        close = optimum.cost - least_w + float(optimum.rent.sum()) <= _CLOSE * abs(bound_w)
        if close or rounds == _MAX_ROUNDS or not len(priced.circuit):
            break
        first = pool.count
        pool.add(priced.circuit, priced.paths)
    cost_w, needs = master.cost, master.needs
    offset_w = linear.offset_w
    return Solution(
        optimum.weight, optimum.cost - offset_w, bound_w - offset_w, cost_w, needs, rounds
    )


def _limits(problem: Problem, linear: Linear, margin: float) -> Floats:
    """The limits less the margin, but at least what stands needs where losses are taken as linear: that must fit."""
    graph, circuits = problem.graph, problem.circuits
    _, injected, current_a = weigh(
        circuits.paths, problem.entering_w, linear.gain, linear.toll, graph.voltage_v
    )
    of_links_a = np.bincount(
        graph.link[circuits.paths.arcs], current_a, minlength=problem.link_count
    )
    of_sources_w = np.bincount(circuits.paths.source, injected, minlength=len(circuits.source_node))
    standing = np.concatenate([of_links_a, of_sources_w])
    limits: Floats = np.maximum(problem.limit * (1.0 - margin), standing)
    return limits


def _weighed(
    problem: Problem, linear: Linear, pool: Pool, limits: Floats, first: int
) -> tuple[Floats, Needs]:
    """Costs of the pool's columns from ``first`` on, and what they need."""
    paths, graph = pool.since(first), problem.graph
    entering_w = problem.entering_w[pool.of[first:]]
    cost_w, injected, current_a = weigh(
        paths, entering_w, linear.gain, linear.toll, graph.voltage_v
    )
    count = len(cost_w)
    start = (paths.start + np.arange(count + 1)).astype(np.int32)
    limit, amount = np.empty(start[-1], dtype=np.int32), np.empty(start[-1])
    at_source = start[1:] - 1
    on_arcs = np.ones(len(limit), dtype=bool)
    on_arcs[at_source] = False
    limit[at_source], amount[at_source] = problem.link_count + paths.source, injected
    limit[on_arcs], amount[on_arcs] = graph.link[paths.arcs], current_a
    return cost_w, Needs(start, limit, amount / limits[limit])
