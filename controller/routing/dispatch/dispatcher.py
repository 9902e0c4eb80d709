"""Min-cost flow over many sources and sinks at once, with the losses of lines and converters."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from controller.routing.dispatch.balance import (
    Balanced,
    balance,
    significant,
    without_cycles,
)
from controller.routing.dispatch.bound import cost_of, lower_bound
from controller.routing.dispatch.comparable import binds, comparable
from controller.routing.dispatch.correction import corrected
from controller.routing.dispatch.ldl import room_for
from controller.routing.dispatch.lossless import LinearDispatch, serve_all
from controller.routing.dispatch.newton import Network
from controller.routing.dispatch.problem import Dispatch, DispatchProblem, split_problem
from controller.routing.dispatch.reduction import Reduction, reduce
from controller.routing.dispatch.service import Costs, Served, Server, tiers_of
from controller.routing.flows.node_splitting import SplitGraph, split_nodes
from controller.routing.graph import Floats

# Price of loss that breaks ties only, as a share of what a usual unit of energy costs.
_TIE_BREAK = 3e-6
# Share of what is served from which a surplus at a router is one, and not the solver's tolerance.
_SURPLUS = 1e-6
# Share of what is served that balancing may correct; more, and the solution was none.
_MAX_MOVED = 1e-5
# Share of a limit that a plan may be beyond it in the end; reservations tolerate ten times as much.
_MAX_BEYOND = 1e-7
# Share of a load that is taken from it at once to keep within limits, so that little goes unserved.
_MAX_TAKEN = 1e-4
# Share of a limit that sums of floats may be beyond it.
_ROUNDING = 1e-9
# How often a plan is brought back within limits by serving less, before it is given up.
_MAX_CORRECTIONS = 8
# How exactly (a share) the part of a solution is found that is within all limits.
_MIN_PART = 1e-4
# Where figures differ too much in size for the solver, in turn: how many times what could be served limits are cut down
# to, and the share of it below which they are left out.
_COMPARABLE = ((100.0, 1e-9), (10.0, 1e-8), (3.0, 1e-6))
# Share of a usual cost that the cheapest source costs at least, where surplus is curtailed.
_MIN_COST = 1e-3


def dispatch(problem: DispatchProblem) -> Dispatch:
    """Serve as much as can be, by priority, then by value, at the least cost of generation and tolls, then of loss.

    The convex relaxation, in which a router may throw power away, is solved by an interior point method; it is exact
    where no power is worth less than nothing. Where sources would pay to be rid of power, losses are priced so that
    burning it gains nothing, and the result is marked as not exact. Loads that would get less than a ten-thousandth of
    what is generated for them are out of reach, as those on islands are. See :class:`Dispatch`.
    """
    split = split_nodes(problem.graph, apart=True)
    return _dispatched(problem) if split is None else _joined(split, problem)


def _joined(split: SplitGraph, problem: DispatchProblem) -> Dispatch:
    """The answer where routers' converters are limited, found on the split graph."""
    answer = _dispatched(split_problem(split, problem))
    return replace(
        answer,
        received_w=answer.received_w[split.arc_after],
        sent_w=answer.sent_w[split.arc_after],
        price_per_mwh=answer.price_per_mwh[split.outlet],
    )


def _dispatched(problem: DispatchProblem) -> Dispatch:
    answer = _solved(problem)
    for most, least in _COMPARABLE:
        if answer.status == "optimal":
            break
        cut_down = comparable(problem, most, least)
        again = _solved(cut_down)
        if again.status == "optimal" and not binds(problem, cut_down, again):
            answer = again
    return answer


def _solved(problem: DispatchProblem) -> Dispatch:
    reduction = reduce(problem)
    if reduction is None:
        surplus_w = float(problem.source_max_w[_is_unwanted(problem)].sum())
        nothing = _nothing(problem)
        return _curtailed(nothing, surplus_w) if surplus_w > 0.0 else nothing
    costs, money = _costs(problem, reduction)
    if reduction.is_lossless:
        linear = serve_all(reduction.network, costs.source, costs.arc, reduction.unit_w)
        if linear is not None:
            return _lossless_answer(problem, reduction, linear, money)
    load = reduction.loads
    tiers = tiers_of(problem.load_priority[load], problem.load_value_per_mwh[load])
    server = Server(reduction, room_for(reduction.pattern), tiers)
    served = server.serve(costs)
    if not (served.solution.converged and _is_wasted(problem, reduction, served)):
        return _answer(problem, reduction, served, money)
    # With losses dearer than the worst price is low, waste never pays.
    least = _MIN_COST / reduction.dearest_delivery
    dearer = replace(costs, source=costs.source - min(0.0, costs.source.min()) + least)
    answer = _answer(problem, reduction, server.serve(dearer), money)
    wanted_w = np.where(_is_unwanted(problem), problem.source_max_w, 0.0)
    wanted_w[reduction.sources] = served.point.power[: len(reduction.sources)] * reduction.unit_w
    return _curtailed(answer, float(wanted_w.sum() - answer.generated_w.sum()))


def _is_wasted(problem: DispatchProblem, reduction: Reduction, served: Served) -> bool:
    """Whether power is thrown away, in the solution or where it reaches no load."""
    unusable = _is_unwanted(problem)
    unusable[reduction.sources] = False
    waste = served.point.waste.sum()
    return bool(unusable.any() or waste > _SURPLUS * max(served.served.sum(), _SURPLUS))


def _is_unwanted(problem: DispatchProblem) -> npt.NDArray[np.bool_]:
    """Which sources would pay to be rid of their power."""
    price = problem.source_price_per_mwh + problem.prices.loss_per_mwh
    return (price < 0.0) & (problem.source_max_w > 0.0)


def _curtailed(answer: Dispatch, surplus_w: float) -> Dispatch:
    note = (
        f"sources of negative cost would give {surplus_w:g} W more than the network can use; that "
        "is curtailed, and losses are kept low instead of burning it"
    )
    return replace(answer, exact=False, note=note, surplus_w=surplus_w)


def _costs(problem: DispatchProblem, reduction: Reduction) -> tuple[Costs, float]:
    """Costs, a usual one being 1, with a tie-breaking price of loss; the money per MWh that is 1 (0: none)."""
    price = problem.source_price_per_mwh[reduction.sources] + problem.prices.loss_per_mwh
    toll = problem.arc_toll_per_mwh[reduction.arcs]
    both = np.abs(np.concatenate([price, toll]))
    delivery = reduction.dearest_delivery
    if not both.any():
        return Costs(np.full_like(price, 1.0 / delivery), np.zeros_like(toll)), 0.0
    offered_w = problem.source_max_w[reduction.sources]
    asked_w = float(problem.load_power_w[reduction.loads].sum())
    by_merit = np.argsort(price, kind="stable")
    before_w = np.cumsum(offered_w[by_merit]) - offered_w[by_merit]
    used_w = np.clip(asked_w - before_w, 0.0, offered_w[by_merit])
    usual = float(abs(price[by_merit]) @ used_w / used_w.sum())
    # Where merit asks for free sources only, the least cost there is tells what matters.
    usual = max(usual, float(both[both > 0.0].min()))
    unit = usual * delivery
    return Costs((price + _TIE_BREAK * usual) / unit, toll / unit), unit


def _answer(
    problem: DispatchProblem, reduction: Reduction, served: Served, money: float
) -> Dispatch:
    empty = replace(_nothing(problem), iterations=served.iterations)
    if not np.all(np.isfinite(served.point.price)):
        return replace(empty, status="not converged", residual=served.solution.residual)
    flow, power = significant(reduction.network, served.point)
    balanced = _within_limits(reduction, served.point.price, flow, power, served.served)
    beyond = _beyond_limits(reduction.network, balanced)
    residual = max(balanced.moved, beyond)
    is_close = beyond <= _MAX_BEYOND
    is_close = is_close and balanced.moved <= _MAX_MOVED * max(1.0, served.served.sum())
    empty.price_per_mwh[reduction.nodes] = served.point.price * money
    if not (served.solution.converged and is_close):
        residual = max(residual, served.solution.residual)
        return _feasible(replace(empty, residual=residual), problem, reduction, served)
    note = "" if served.is_strict else "priorities are kept only to within one part in a million"
    return replace(_filled(empty, problem, reduction, balanced), residual=residual, note=note)


def _feasible(
    empty: Dispatch, problem: DispatchProblem, reduction: Reduction, served: Served
) -> Dispatch:
    """As much of a solution as is within all limits, found by halving, and how far from the optimum that may be."""
    flow, power = significant(reduction.network, served.point)
    price = served.point.price
    best: Balanced | None = None
    least, most = 0.0, 2.0
    while best is None or least < 1.0:
        part = 0.5 * (least + most)
        if part < _MIN_PART or most - least < _MIN_PART:
            break
        balanced = _within_limits(reduction, price, part * flow, part * power, part * served.served)
        beyond = _beyond_limits(reduction.network, balanced)
        if np.isfinite(balanced.moved) and beyond <= _MAX_BEYOND:
            best, least = balanced, part
        else:
            most = part
    if best is None:
        return replace(empty, status="not converged")
    network = served.network
    excess = max(0.0, cost_of(network, best.flow, best.power) - lower_bound(network, price))
    paid = cost_of(network, best.flow, np.where(network.cell_gain > 0.0, best.power, 0.0))
    gap = excess / max(abs(paid), _MIN_COST * float(served.served.sum()))
    note = "" if served.is_strict else "priorities may not be kept"
    answer = _filled(empty, problem, reduction, best)
    return replace(answer, status="feasible", gap=gap, note=note)


def _lossless_answer(
    problem: DispatchProblem, reduction: Reduction, linear: LinearDispatch, money: float
) -> Dispatch:
    network = reduction.network
    served = network.cell_limit[len(reduction.sources) :]
    balanced = balance(network, linear.price, linear.flow, linear.power, served)
    empty = _nothing(problem)
    empty.price_per_mwh[reduction.nodes] = linear.price * money
    answer = _filled(empty, problem, reduction, balanced)
    surplus_w = float((problem.source_max_w - answer.generated_w)[_is_unwanted(problem)].sum())
    return _curtailed(answer, surplus_w) if surplus_w > 0.0 else answer


def _within_limits(
    reduction: Reduction, price: Floats, flow: Floats, power: Floats, served: Floats
) -> Balanced:
    """Balance; what the last digits then have beyond a limit is taken from loads served in part, else from all."""
    network = reduction.network
    limit = network.cell_limit[len(reduction.sources) :]
    sources = len(reduction.sources)
    is_adjustable = np.ones(len(power), dtype=np.bool_)
    flow = without_cycles(network, flow)
    for _ in range(_MAX_CORRECTIONS):
        is_adjustable[sources:] = (served > 0.0) & (served < limit)
        power[sources:] = served
        flow, power = corrected(network, flow, power, is_adjustable)
        served = power[sources:]
        balanced = balance(network, price, flow, power, served)
        over = _beyond_limits(network, balanced)
        in_part = (served > 0.0) & (served < limit)
        if over <= 0.0:
            break
        less = in_part if in_part.any() else served > 0.0
        served = np.where(less, served * (1.0 - 2.0 * min(over, _MAX_TAKEN)), served)
    return balanced


def _beyond_limits(network: Network, balanced: Balanced) -> float:
    """By what part of its limit a link or cell is above it at the most, rounding apart."""
    used = np.bincount(network.link_of_arc, balanced.flow, minlength=len(network.capacity))
    over_link = (used / network.capacity).max(initial=0.0)
    over_cell = (balanced.power / network.cell_limit).max(initial=0.0)
    return float(max(over_link, over_cell)) - 1.0 - _ROUNDING


def _filled(
    empty: Dispatch, problem: DispatchProblem, reduction: Reduction, balanced: Balanced
) -> Dispatch:
    network, flow, sources = reduction.network, balanced.flow, len(reduction.sources)
    for array, where, scaled in (
        (empty.received_w, reduction.arcs, flow),
        (empty.sent_w, reduction.arcs, (network.linear + network.square * flow) * flow),
        (empty.generated_w, reduction.sources, balanced.power[:sources]),
        (empty.served_w, reduction.loads, balanced.power[sources:]),
    ):
        array[where] = scaled * reduction.unit_w
    # What is served wholly is so to the last digit.
    whole = reduction.loads[balanced.power[sources:] == network.cell_limit[sources:]]
    empty.served_w[whole] = problem.load_power_w[whole]
    return empty


def _nothing(problem: DispatchProblem) -> Dispatch:
    arcs, nodes = problem.graph.arc_count, problem.graph.node_count
    sources, loads = len(problem.source_node), len(problem.load_node)
    return Dispatch(
        status="optimal",
        received_w=np.zeros(arcs),
        sent_w=np.zeros(arcs),
        generated_w=np.zeros(sources),
        served_w=np.zeros(loads),
        price_per_mwh=np.zeros(nodes),
    )
