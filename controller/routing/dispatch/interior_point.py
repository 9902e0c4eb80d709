"""Primal-dual interior point method for lossy flow: the convex relaxation in which a router may throw power away.

Minimise what sources, loads (a negative cost) and tolls cost, subject at every router to
``efficiency * (received + generated) - sent - served >= 0`` with ``sent = linear * x + square * x**2`` for the
received power x of each arc, and ``x_ab + x_ba <= capacity`` on each link. Losses are the exact quadratic, not pieces.

Mehrotra's predictor and corrector, the corrector with the exact second-order terms of the quadratic losses (Nocedal
and Wright, "Numerical Optimization", chapters 14 and 19). All but the routers' prices is eliminated by hand, so a
step factors one sparse matrix as large as there are routers. Nothing here releases or holds anything: pure arrays.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_numeric
from controller.routing.dispatch.ldl import Factor, Pattern, factorise
from controller.routing.dispatch.newton import (
    Blocks,
    Network,
    Point,
    Residuals,
    Targets,
    assemble,
    direction,
    empty_blocks,
    empty_point,
    empty_targets,
    residuals,
)
from controller.routing.graph import Floats

# Several times the 20-34 that networks take: it only ends what does not converge.
_MAX_ITERATIONS = 200
# In scaled power, in scaled price (and of the greatest cost), and their product.
_POWER_TOLERANCE = 1e-10
_PRICE_TOLERANCE = 1e-10
_GAP_TOLERANCE = 1e-17
# Products are not driven further down, where rounding would take over.
_MIN_TARGET = 1e-21
# Where rounding ends progress, less will do. What balance then lacks is corrected afterwards.
_GOOD_POWER = 1e-5
_GOOD_PRICE = 1e-6
_GOOD_GAP = 1e-9
# Progress is to miss less than this part of the least so far; after so many iterations without, the best is taken.
_PROGRESS = 0.9
_MAX_WITHOUT_PROGRESS = 15
# Gondzio's corrections: how many at most in one iteration, for steps below which length, what part of the target a
# product may be, and what part of the length that was hoped for must be won.
_MAX_CORRECTIONS = 3
_LONG_STEP = 0.9
_CENTRAL = 0.1
_MIN_GAIN = 0.1
# Of a flow: the loss on its line in the beginning, at most.
_START_LOSS = 0.1


class Solution(NamedTuple):
    """``residual``: the greatest violation of balance or of optimality, scaled, at ``point``."""

    point: Point
    converged: bool
    residual: float
    iterations: int


def minimise(network: Network, pattern: Pattern, factor: Factor) -> Solution:
    """Solve from an inner point of the bounds; no balance is needed there."""
    point, best = _start(network), empty_point(network)
    lacking = Residuals(*(np.zeros_like(each) for each in (point.flow, point.power, point.waste)))
    predictor, step, other = (empty_point(network) for _ in range(3))
    bent = Residuals(*(np.zeros_like(each) for each in lacking))
    targets = empty_targets(network)
    costs = (np.abs(network.arc_cost).max(initial=0.0), np.abs(network.cell_cost).max(initial=0.0))
    rounding = 1e-14 * float(max(costs))
    price_tolerance = _PRICE_TOLERANCE + rounding
    iterations, primal, dual, gap = _iterate(
        network,
        pattern,
        factor,
        point,
        best,
        lacking,
        predictor,
        step,
        other,
        targets,
        bent,
        empty_blocks(network),
        price_tolerance,
    )
    good = primal <= _GOOD_POWER and dual <= _GOOD_PRICE + 1e2 * rounding and gap <= _GOOD_GAP
    return Solution(best, good, max(primal, dual, gap), iterations)


def _start(network: Network) -> Point:
    """Well inside all bounds: links lightly loaded, sources about as large as loads, prices of 1."""
    point = empty_point(network)
    is_source = network.cell_gain > 0.0
    offered = network.cell_limit[is_source].sum()
    asked = network.cell_limit[~is_source].sum()
    share = np.where(is_source, min(0.5, 1.2 * asked / offered), 0.5)
    # Both directions of a link at once, and waste at each router: no more than routers usually take.
    usual = asked / len(point.price)
    point.flow[:] = np.minimum(0.25 * network.capacity, usual)[network.link_of_arc]
    with np.errstate(divide="ignore"):
        point.flow[:] = np.minimum(point.flow, _START_LOSS / network.square)
    used = np.bincount(network.link_of_arc, point.flow, minlength=len(network.first))
    point.spare[:] = network.capacity - used
    point.power[:] = share * network.cell_limit
    point.rest[:] = network.cell_limit - point.power
    point.price[:] = 1.0
    point.waste[:] = usual
    # What is far from its limit says little of its price.
    reduced = network.cell_cost - network.cell_gain * point.price[network.cell_node]
    least = 1.0 / np.maximum(1.0, point.rest)
    point.power_dual[:] = np.maximum(1.0 / np.maximum(1.0, point.power), reduced + least)
    point.rest_dual[:] = np.maximum(least, point.power_dual - reduced)
    point.spare_dual[:] = 1.0 / np.maximum(1.0, point.spare)
    point.flow_dual[:] = 1.0
    return point


@compiled_numeric
def _longest(values: Floats, steps: Floats, longest: float) -> float:
    """No longer than that."""
    for i in range(len(values)):
        # Divided only where it would be too far: that is seldom. Values are above 0.
        if values[i] + longest * steps[i] < 0.0:
            longest = -values[i] / steps[i]
    return longest


@compiled_numeric
def _longest_step(point: Point, step: Point) -> float:
    """How far all values and multipliers may go until the first is 0."""
    length = _longest(point.flow, step.flow, np.inf)
    length = _longest(point.flow_dual, step.flow_dual, length)
    length = _longest(point.spare, step.spare, length)
    length = _longest(point.spare_dual, step.spare_dual, length)
    length = _longest(point.power, step.power, length)
    length = _longest(point.power_dual, step.power_dual, length)
    length = _longest(point.rest, step.rest, length)
    length = _longest(point.rest_dual, step.rest_dual, length)
    return float(_longest(point.price, step.price, _longest(point.waste, step.waste, length)))


@compiled_numeric
def _product(
    one: Floats, one_step: Floats, other: Floats, other_step: Floats, length: float
) -> float:
    total = 0.0
    for i in range(len(one)):
        total += (one[i] + length * one_step[i]) * (other[i] + length * other_step[i])
    return total


@compiled_numeric
def _gap(point: Point, step: Point, length: float) -> float:
    """Mean product of values and multipliers after a step of this length."""
    total = _product(point.flow, step.flow, point.flow_dual, step.flow_dual, length)
    total += _product(point.spare, step.spare, point.spare_dual, step.spare_dual, length)
    total += _product(point.power, step.power, point.power_dual, step.power_dual, length)
    total += _product(point.rest, step.rest, point.rest_dual, step.rest_dual, length)
    total += _product(point.waste, step.waste, point.price, step.price, length)
    pairs = len(point.flow) + len(point.spare) + 2 * len(point.power) + len(point.waste)
    return total / pairs


@compiled_numeric
def _advance(values: Floats, steps: Floats, length: float) -> None:
    for i in range(len(values)):
        values[i] += length * steps[i]


@compiled_numeric
def _move(point: Point, step: Point, length: float) -> None:
    _advance(point.flow, step.flow, length)
    _advance(point.flow_dual, step.flow_dual, length)
    _advance(point.spare, step.spare, length)
    _advance(point.spare_dual, step.spare_dual, length)
    _advance(point.power, step.power, length)
    _advance(point.power_dual, step.power_dual, length)
    _advance(point.rest, step.rest, length)
    _advance(point.rest_dual, step.rest_dual, length)
    _advance(point.waste, step.waste, length)
    _advance(point.price, step.price, length)


@compiled_numeric
def _copy(point: Point, to: Point) -> None:
    to.flow[:] = point.flow
    to.flow_dual[:] = point.flow_dual
    to.spare[:] = point.spare
    to.spare_dual[:] = point.spare_dual
    to.power[:] = point.power
    to.power_dual[:] = point.power_dual
    to.rest[:] = point.rest
    to.rest_dual[:] = point.rest_dual
    to.waste[:] = point.waste
    to.price[:] = point.price


@compiled_numeric
def _aim(
    network: Network,
    lacking: Residuals,
    target: float,
    predictor: Point,
    length: float,
    targets: Targets,
    bent: Residuals,
) -> None:
    """Targets and residuals for the corrector: less what the predictor's second order brings over its length."""
    bent.node[:] = lacking.node
    bent.cell[:] = lacking.cell
    for k in range(len(predictor.flow)):
        moved, square, tail = predictor.flow[k], network.square[k], network.tail[k]
        targets.flow[k] = target - length * moved * predictor.flow_dual[k]
        bent.arc[k] = lacking.arc[k] + length * 2.0 * square * moved * predictor.price[tail]
        bent.node[tail] -= length * square * moved * moved
    for e in range(len(predictor.spare)):
        targets.spare[e] = target - length * predictor.spare[e] * predictor.spare_dual[e]
    for c in range(len(predictor.power)):
        targets.power[c] = target - length * predictor.power[c] * predictor.power_dual[c]
        targets.rest[c] = target - length * predictor.rest[c] * predictor.rest_dual[c]
    for v in range(len(predictor.waste)):
        targets.waste[v] = target - length * predictor.waste[v] * predictor.price[v]


@compiled_numeric
def _worth(network: Network, point: Point, lacking: Residuals) -> float:
    """What is lacking in balance and stationarity as money, per pair of a value and its multiplier."""
    total = 0.0
    for k in range(len(point.flow)):
        total += abs(lacking.arc[k]) * point.flow[k]
    for c in range(len(point.power)):
        total += abs(lacking.cell[c]) * min(point.power[c], point.rest[c])
    for v in range(len(point.price)):
        total += abs(lacking.node[v]) * point.price[v]
    pairs = len(point.flow) + len(point.spare) + 2 * len(point.power) + len(point.waste)
    return total / pairs


@compiled_numeric
def _centre_all(
    one: Floats,
    one_step: Floats,
    other: Floats,
    other_step: Floats,
    length: float,
    target: float,
    targets: Floats,
) -> None:
    least, most = target * _CENTRAL, target / _CENTRAL
    for i in range(len(one)):
        product = (one[i] + length * one_step[i]) * (other[i] + length * other_step[i])
        if product < least:
            targets[i] += least - product
        elif product > most:
            targets[i] += max(most - product, -most)


@compiled_numeric
def _centre(point: Point, step: Point, length: float, target: float, targets: Targets) -> None:
    """Gondzio's correction: products that a longer step would leave far from the target are drawn nearer to it."""
    _centre_all(
        point.flow, step.flow, point.flow_dual, step.flow_dual, length, target, targets.flow
    )
    _centre_all(
        point.spare, step.spare, point.spare_dual, step.spare_dual, length, target, targets.spare
    )
    _centre_all(
        point.power, step.power, point.power_dual, step.power_dual, length, target, targets.power
    )
    _centre_all(
        point.rest, step.rest, point.rest_dual, step.rest_dual, length, target, targets.rest
    )
    _centre_all(point.waste, step.waste, point.price, step.price, length, target, targets.waste)


@compiled_numeric
def _iterate(
    network: Network,
    pattern: Pattern,
    factor: Factor,
    point: Point,
    best: Point,
    lacking: Residuals,
    predictor: Point,
    step: Point,
    other: Point,
    targets: Targets,
    bent: Residuals,
    blocks: Blocks,
    price_tolerance: float,
) -> tuple[int, float, float, float]:
    """Leaves the best point in ``best``; returns iterations, and what it lacks: balance, stationarity, and its gap."""
    diagonal, upper = np.zeros(len(network.efficiency)), np.zeros(len(pattern.row))
    least, since = np.inf, 0
    lacks = (np.inf, np.inf, np.inf)
    for iteration in range(_MAX_ITERATIONS):
        primal, dual = residuals(network, point, lacking)
        gap = _gap(point, point, 0.0)
        balance = primal / _POWER_TOLERANCE
        missed = max(primal / _GOOD_POWER, dual / price_tolerance)
        missed = max(missed, gap / _GAP_TOLERANCE)
        # A comparison with nan is false: what has overflowed ends here.
        if not (gap < np.inf and missed < np.inf):
            return iteration, *lacks
        since += 1
        if missed < _PROGRESS * least:
            least, since = missed, 0
            lacks = (primal, dual, gap)
            _copy(point, best)
        if max(missed, balance) <= 1.0 or since > _MAX_WITHOUT_PROGRESS:
            return iteration, *lacks
        assemble(network, point, blocks, diagonal, upper)
        factorise(pattern, diagonal, upper, factor)
        for each in targets:
            each[:] = 0.0
        direction(
            network, pattern, factor, blocks, diagonal, upper, point, lacking, targets, predictor
        )
        length = min(1.0, _longest_step(point, predictor))
        centring = (_gap(point, predictor, length) / gap) ** 3
        target = max(centring * gap, _MIN_TARGET)
        # Products that fall faster than what is lacking leave the solver at a wall.
        if primal > _GOOD_POWER or dual > _GOOD_PRICE:
            target = max(target, min(gap, _worth(network, point, lacking)))
        _aim(network, lacking, target, predictor, length, targets, bent)
        direction(network, pattern, factor, blocks, diagonal, upper, point, bent, targets, step)
        length = min(1.0, _longest_step(point, step))
        for _ in range(_MAX_CORRECTIONS):
            if length >= _LONG_STEP:
                break
            wanted = min(1.0, 1.08 * length + 0.08)
            _centre(point, step, wanted, target, targets)
            direction(
                network, pattern, factor, blocks, diagonal, upper, point, bent, targets, other
            )
            longer = min(1.0, _longest_step(point, other))
            if longer < length + _MIN_GAIN * (wanted - length):
                break
            step, other, length = other, step, longer
        length = min(1.0, max(0.995, 1.0 - gap) * _longest_step(point, step))
        _move(point, step, length)
    return _MAX_ITERATIONS, *lacks
