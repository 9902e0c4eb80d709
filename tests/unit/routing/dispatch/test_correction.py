from itertools import count

import numpy as np
import pytest

from controller.routing.dispatch.balance import without_cycles
from controller.routing.dispatch.correction import corrected
from controller.routing.dispatch.ldl import room_for
from controller.routing.dispatch.newton import Network
from controller.routing.dispatch.reduction import Reduction, reduce
from controller.routing.dispatch.service import Costs, Served, Server, tiers_of
from controller.routing.graph import Floats
from tests.support.dispatch_cases import random_problem


def lacking(network: Network, flow: Floats, power: Floats) -> Floats:
    """Independent of the kernels: what each router sends and serves beyond what it puts out."""
    left = np.zeros(len(network.efficiency))
    np.add.at(left, network.head, -network.efficiency[network.head] * flow)
    np.add.at(left, network.tail, (network.linear + network.square * flow) * flow)
    np.add.at(left, network.cell_node, -network.cell_gain * power)
    return left


def solved(seed: int) -> tuple[Reduction, Served] | None:
    """A problem and its solution; None where nothing can be served."""
    problem = random_problem(seed, most_routers=30)
    reduction = reduce(problem)
    if reduction is None:
        return None
    tiers = tiers_of(np.zeros(len(reduction.loads), np.int32), np.zeros(len(reduction.loads)))
    costs = Costs(np.ones(len(reduction.sources)), np.zeros(len(reduction.arcs)))
    return reduction, Server(reduction, room_for(reduction.pattern), tiers).serve(costs)


def surely_solved(seed: int) -> tuple[Reduction, Served]:
    """The first of a series of problems of which something can be served."""
    return next(
        found
        for each in count(seed, 1000)
        if (found := solved(each)) is not None and found[1].solution.converged
    )


@pytest.mark.parametrize("seed", range(60))
def test_small_errors_are_corrected_to_rounding_within_all_limits(seed: int) -> None:
    reduction, served = surely_solved(seed)
    network, point = reduction.network, served.point
    rng = np.random.default_rng(seed)
    flow = without_cycles(network, point.flow * (1.0 + 1e-7 * rng.normal(size=len(point.flow))))
    flow = np.minimum(flow, network.capacity[network.link_of_arc])
    power = point.power * (1.0 + 1e-7 * rng.normal(size=len(point.power)))
    power = np.minimum(power, network.cell_limit)
    before = np.abs(lacking(network, flow, power)).max(initial=0.0)
    every = np.ones(len(power), dtype=np.bool_)
    flow, power = corrected(network, flow, power, every)
    left = np.abs(lacking(network, flow, power)).max(initial=0.0)
    assert left <= max(1e-14, 1e-15 * network.capacity.max(initial=0.0)) < before or before == 0.0
    assert np.all(flow >= 0.0) and np.all(power >= 0.0)
    assert np.all(power <= network.cell_limit)
    used = np.bincount(network.link_of_arc, flow, minlength=len(network.capacity))
    assert np.all(used <= network.capacity * (1.0 + 1e-15))


def test_what_has_no_room_is_left_alone() -> None:
    found = solved(0)
    assert found is not None
    reduction, served = found
    network, point = reduction.network, served.point
    flow = without_cycles(network, point.flow)
    none = np.zeros(len(point.power), dtype=np.bool_)
    _, power = corrected(network, flow, point.power, none)
    assert np.array_equal(power, point.power)
