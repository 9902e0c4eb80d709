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
    Network,
    Point,
    Residuals,
    assemble,
    direction,
    empty_point,
    residuals,
)
from controller.routing.graph import Floats

_MOST_ITERATIONS = 200
# In scaled power, in scaled price (and of the greatest cost), and their product.
_POWER_TOLERANCE = 1e-10
_PRICE_TOLERANCE = 1e-10
_GAP_TOLERANCE = 1e-17
# Products are not driven further down, where rounding would take over.
_LEAST_TARGET = 1e-21
# Where rounding ends progress, less will do. What balance then lacks is corrected afterwards.
_GOOD_POWER = 1e-5
_GOOD_PRICE = 1e-6
_GOOD_GAP = 1e-9
_PROGRESS = 0.9
_MOST_WITHOUT_PROGRESS = 15


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
    predictor, step = empty_point(network), empty_point(network)
    costs = (np.abs(network.arc_cost).max(initial=0.0), np.abs(network.cell_cost).max(initial=0.0))
    rounding = 1e-14 * float(max(costs))
    price_tolerance = _PRICE_TOLERANCE + rounding
    iterations, primal, dual, gap = _iterate(
        network, pattern, factor, point, best, lacking, predictor, step, price_tolerance
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
    point.flow[:] = np.minimum(0.25 * network.capacity, 0.5)[network.link_of_arc]
    used = np.bincount(network.link_of_arc, point.flow, minlength=len(network.first))
    point.spare[:] = network.capacity - used
    point.power[:] = share * network.cell_limit
    point.rest[:] = network.cell_limit - point.power
    # What is far from its limit says little of its price.
    reduced = network.cell_cost - network.cell_gain
    least = 1.0 / np.maximum(1.0, point.rest)
    point.power_dual[:] = np.maximum(1.0 / np.maximum(1.0, point.power), reduced + least)
    point.rest_dual[:] = np.maximum(least, point.power_dual - reduced)
    point.spare_dual[:] = 1.0 / np.maximum(1.0, point.spare)
    for ones in (point.flow_dual, point.waste, point.price):
        ones[:] = 1.0
    return point


@compiled_numeric
def _longest(values: Floats, steps: Floats) -> float:
    longest = np.inf
    for i in range(len(values)):
        if steps[i] < 0.0:
            longest = min(longest, -values[i] / steps[i])
    return longest


@compiled_numeric
def _longest_step(point: Point, step: Point) -> float:
    """How far all values and multipliers may go until the first is 0."""
    length = min(_longest(point.flow, step.flow), _longest(point.flow_dual, step.flow_dual))
    length = min(length, _longest(point.spare, step.spare))
    length = min(length, _longest(point.spare_dual, step.spare_dual))
    length = min(length, _longest(point.power, step.power))
    length = min(length, _longest(point.power_dual, step.power_dual))
    length = min(length, _longest(point.rest, step.rest))
    length = min(length, _longest(point.rest_dual, step.rest_dual))
    return min(length, _longest(point.waste, step.waste), _longest(point.price, step.price))


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
def _iterate(
    network: Network,
    pattern: Pattern,
    factor: Factor,
    point: Point,
    best: Point,
    lacking: Residuals,
    predictor: Point,
    step: Point,
    price_tolerance: float,
) -> tuple[int, float, float, float]:
    """Leaves the best point in ``best``; returns iterations, and what it lacks: balance, stationarity, and its gap."""
    diagonal, upper = np.zeros(len(network.efficiency)), np.zeros(len(pattern.row))
    least, since = np.inf, 0
    lacks = (np.inf, np.inf, np.inf)
    for iteration in range(_MOST_ITERATIONS):
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
        if max(missed, balance) <= 1.0 or since > _MOST_WITHOUT_PROGRESS:
            return iteration, *lacks
        assemble(network, point, diagonal, upper)
        factorise(pattern, diagonal, upper, factor)
        direction(
            network, pattern, factor, diagonal, upper, point, lacking, 0.0, point, 0.0, predictor
        )
        length = min(1.0, _longest_step(point, predictor))
        centring = (_gap(point, predictor, length) / gap) ** 3
        target = max(centring * gap, _LEAST_TARGET)
        direction(
            network,
            pattern,
            factor,
            diagonal,
            upper,
            point,
            lacking,
            target,
            predictor,
            length,
            step,
        )
        length = min(1.0, max(0.995, 1.0 - gap) * _longest_step(point, step))
        _move(point, step, length)
    return _MOST_ITERATIONS, *lacks
