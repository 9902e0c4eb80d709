"""Lexicographic service of loads: strict priorities, and values within a priority, without weights that swamp costs.

Every solve lets every load go unserved at a price, so each has a solution. First all loads are made dear, so that
none goes unserved to save cost; where all are served, that is the answer. Otherwise tiers of loads (a priority, or a
part of it, see :func:`tiers_of`) are served one after another, each with those before it dear and those after it
left out, and the costs come last.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.routing.dispatch.interior_point import Solution, minimise
from controller.routing.dispatch.ldl import Factor
from controller.routing.dispatch.newton import Network, Point
from controller.routing.dispatch.reduction import Reduction
from controller.routing.graph import Floats, Ints

Bools = npt.NDArray[np.bool_]

# How much dearer a load is than a usual cost, and than the greatest one: more than any sensible path loses.
# A load that could only be served by losing more than that many times its power is not served.
_DEAR = 1e4
_DEARER_THAN_ANY = 1e2
# The weights of an earlier tier that is short are this many times as great, up to the last figure.
_BY_TIER = 10.0
_DEAREST = 1e8
# While service is what counts, a loss still costs this little, so that nothing is wasted.
_LOSS = 1e-6
# Values this far below the greatest in a priority come in a tier of their own.
_VALUE_RANGE = 1e-3
# Of a load, or of the unit of power, what counts as nothing.
_RELATIVE = 1e-9
_ABSOLUTE = 1e-10
# Of all limits: how much less is tried where the solver does not converge.
_LESS = (1e-7, 1e-5)
# Of what a tier could be served, how little less counts as as much.
_SAME = 1e-6


@dataclass(frozen=True, slots=True)
class Tier:
    """Loads (by number in the reduction) that are weighed against each other; weights are at most 1."""

    loads: npt.NDArray[np.intp]
    weights: Floats


@dataclass(frozen=True, slots=True)
class Costs:
    """Of a scaled unit of power from each source, and over each arc; a usual one, delivered, costs about 1."""

    source: Floats
    arc: Floats

    @property
    def dear(self) -> float:
        greatest = max(np.abs(self.source).max(initial=0.0), np.abs(self.arc).max(initial=0.0))
        return max(_DEAR, _DEARER_THAN_ANY * float(greatest))


@dataclass(frozen=True, slots=True)
class Served:
    """The solution at the least cost, and what it serves of each load (scaled)."""

    solution: Solution
    served: Floats
    iterations: int
    # Whether no tier has less than it could have had.
    is_strict: bool
    # What was solved last, with its costs.
    network: Network

    @property
    def point(self) -> Point:
        return self.solution.point


def tiers_of(priority: Ints, value: Floats) -> list[Tier]:
    """The highest priority first; within one the valued loads before the others, which all weigh the same."""
    tiers = []
    for level in np.unique(priority)[::-1]:
        left = np.flatnonzero(priority == level)
        while len(left):
            greatest = value[left].max()
            now = value[left] > _VALUE_RANGE * greatest if greatest > 0.0 else value[left] == 0.0
            loads = left[now]
            weights = value[loads] / greatest if greatest > 0.0 else np.ones(len(loads))
            tiers.append(Tier(loads, weights))
            left = left[~now]
    return tiers


class Server:
    """Solves of one reduced problem that differ in their costs."""

    def __init__(self, reduction: Reduction, factor: Factor, tiers: list[Tier]) -> None:
        self._reduction = reduction
        self._factor = factor
        self._tiers = tiers
        network = reduction.network
        self._limit = network.cell_limit[len(reduction.sources) :]
        free = np.zeros(len(network.tail))
        loss = _LOSS / reduction.dearest_delivery
        self._service_costs = Costs(np.full(len(reduction.sources), loss), free)
        self._iterations = 0
        self._last = network

    def serve(self, costs: Costs) -> Served:
        dear = np.full(len(self._limit), costs.dear)
        solution, served = self._solve(costs, dear)
        network = self._last
        if solution.converged:
            if np.array_equal(served, self._limit):
                return Served(solution, served, self._iterations, True, network)
            by_tier = self._serve_by_tier(costs)
            if by_tier.solution.converged:
                return by_tier
        # With all loads equally dear, much is served at little cost, but not by priority.
        unproven = solution._replace(converged=False)
        return Served(unproven, served, self._iterations, len(self._tiers) == 1, network)

    def _serve_by_tier(self, costs: Costs) -> Served:
        most = self._most_of_each_tier()
        if isinstance(most, Solution):
            return Served(most, np.zeros_like(self._limit), self._iterations, True, self._last)
        for factor in (1.0, 1e2):
            solution, served = self._solve(costs, self._weights(most, costs.dear * factor))
            is_strict = all(
                tier.weights @ served[tier.loads] >= tier.weights @ reached * (1.0 - _SAME)
                for tier, reached in zip(self._tiers, most, strict=True)
            )
            if is_strict or not solution.converged:
                break
        return Served(solution, served, self._iterations, is_strict, self._last)

    def _most_of_each_tier(self) -> list[Floats] | Solution:
        """What the loads of each tier get, those before it having theirs; a solution that did not converge."""
        most = self._whole(self._count_fully_served())
        while len(most) < len(self._tiers):
            tier = self._tiers[len(most)]
            weights = self._weights(most, _DEAR)
            weights[tier.loads] = tier.weights
            solution, served = self._solve(self._service_costs, weights)
            if not solution.converged:
                return solution
            most.append(served[tier.loads])
        return most

    def _count_fully_served(self) -> int:
        """How many tiers can be served fully, from the first on, found by halving."""
        some, all_ = 0, len(self._tiers)
        while some < all_ - 1:
            middle = (some + all_) // 2
            weights = self._weights(self._whole(middle), _DEAR)
            solution, served = self._solve(self._service_costs, weights)
            tried = weights > 0.0
            fully = solution.converged and np.array_equal(served[tried], self._limit[tried])
            some, all_ = (middle, all_) if fully else (some, middle)
        return some

    def _whole(self, count: int) -> list[Floats]:
        return [self._limit[tier.loads] for tier in self._tiers[:count]]

    def _weights(self, most: list[Floats], least: float) -> Floats:
        """What serving each load is worth when the tiers in ``most`` are to keep what they reached there.

        An interior point solution serves whatever some optimum serves. So loads that got nothing never get anything
        and are left out (worth less than nothing), and those that got all always do: they need only be dear. Only
        loads that got a part are traded, so only their weights must be so much greater than those of later tiers.
        """
        weights = np.full(len(self._limit), -1.0)
        for tier, reached in reversed(list(zip(self._tiers, most, strict=False))):
            whole = reached == self._limit[tier.loads]
            in_part = (reached > 0.0) & ~whole
            scale = least / tier.weights[in_part].min() if in_part.any() else least
            now = np.maximum(tier.weights * scale, least)
            weights[tier.loads] = np.where(reached > 0.0, now, -1.0)
            if in_part.any():
                greatest = float(now[in_part].max())
                least = max(least, min(greatest * _BY_TIER, _DEAREST))
        return weights

    def _minimise(self, network: Network) -> Solution:
        """Where limits meet by chance in one point, rounding can keep the solver from it: a little less parts them."""
        solution = minimise(network, self._reduction.pattern, self._factor)
        self._iterations += solution.iterations
        for less in _LESS:
            if solution.converged:
                break
            by_chance = np.random.default_rng(0)
            capacity = network.capacity * (1.0 - less * by_chance.random(len(network.capacity)))
            limit = network.cell_limit.copy()
            sources = network.cell_gain > 0.0
            limit[sources] *= 1.0 - less * by_chance.random(np.count_nonzero(sources))
            tighter = network._replace(capacity=capacity, cell_limit=limit)
            solution = minimise(tighter, self._reduction.pattern, self._factor)
            self._iterations += solution.iterations
        return solution

    def _solve(self, costs: Costs, weights: Floats) -> tuple[Solution, Floats]:
        cell_cost = np.concatenate([costs.source, -weights])
        network = self._reduction.network._replace(arc_cost=costs.arc, cell_cost=cell_cost)
        self._last = network
        solution = self._minimise(network)
        count = len(costs.source)
        power, rest = solution.point.power[count:], solution.point.rest[count:]
        nothing = np.maximum(_RELATIVE * self._limit, _ABSOLUTE)
        served = np.where(power <= nothing, 0.0, power)
        return solution, np.where(rest <= nothing, self._limit, served)
