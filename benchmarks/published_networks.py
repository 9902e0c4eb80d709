"""Dispatch of the networks that pandapower ships, beside Clarabel and PyPSA where they are large.

With peers: the loads are what each network can serve, its sources are those at one router together, and their costs are
drawn, since most of these networks have none; the programs and how answers are judged are those of ``lossy_dispatch``.
All others, and these as they are imported, must plan to optimality: that is what ``agree`` says of them.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.harness import Row, seconds_of
from benchmarks.lossy_dispatch import Question, row_of
from controller.planning.problem import problem_of
from controller.routing.dispatch import DispatchProblem, dispatch
from topologies.importers.imported import Options
from topologies.importers.specification import import_network, pandapower_networks

# Peers of each, and turns. PyPSA has no answer to the largest within minutes.
_COMPARED = {
    "case1354pegase": (("clarabel", "pypsa"), 5),
    "case2869pegase": (("clarabel", "pypsa"), 3),
    "case9241pegase": (("clarabel",), 3),
}
_QUICK = ("case1354pegase", "case9241pegase")
# Of what can be served. The last percent is only to be had at thousands of times the usual price.
_SERVABLE = 0.99
_WAYS = {"": Options(), " with power routers": Options(tie_routers=True, router_efficiency=0.98)}


def rows(full: bool) -> Iterator[Row]:
    dispatch(_imported("case9", Options()))
    for name, (peers, turns) in _COMPARED.items():
        if full or name in _QUICK:
            question = _servable(name, _imported(name, Options()))
            yield row_of("published-dispatch", question, turns, peers if full else ("clarabel",))
    for name in pandapower_networks() if full else _QUICK:
        for way, options in _WAYS.items():
            yield _planned(f"{name}{way}", _imported(name, options))


def _imported(name: str, options: Options) -> DispatchProblem:
    return problem_of(import_network(f"pandapower:{name}", options).grid)


def _planned(name: str, problem: DispatchProblem) -> Row:
    seconds, answer = seconds_of(lambda: dispatch(problem))
    asked_w = float(problem.load_power_w.sum())
    extra = {
        "status": answer.status,
        "gap": answer.gap,
        "residual": answer.residual,
        "iterations": answer.iterations,
        "served_share": float(answer.served_w.sum()) / asked_w if asked_w > 0.0 else 1.0,
    }
    size, optimal = problem.graph.node_count, answer.status == "optimal"
    return Row("published-networks", size, name, seconds, {}, optimal, extra)


def _servable(name: str, problem: DispatchProblem) -> Question:
    answer = dispatch(problem)
    served = answer.served_w > 0.0
    nodes, at = np.unique(problem.source_node, return_inverse=True)
    costs = np.random.default_rng([len(nodes), 7]).uniform(20.0, 100.0, len(nodes))
    servable = replace(
        problem,
        source_node=nodes,
        source_max_w=np.bincount(at, problem.source_max_w).astype(np.float64),
        source_cost_per_mwh=costs,
        source_carbon_kg_per_mwh=np.zeros(len(nodes)),
        load_node=problem.load_node[served],
        load_power_w=_SERVABLE * answer.served_w[served],
        load_priority=problem.load_priority[served] * 0,
        load_value_per_mwh=problem.load_value_per_mwh[served] * 0.0,
    )
    return Question(name, servable)
