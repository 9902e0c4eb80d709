"""How much goes along each of a few known paths to one sink: one step of sequential quadratic programming.

Around given powers, what the parts inject together is taken as quadratic (2 R (I + x) and 2 R are the slope and the
curvature of the loss on an arc), and what each needs of links and sources as linear. PIQP, an interior-point method,
gives the powers, and prices of what binds. Where limits do not let all be served, some is left, at a high price.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.assignments.standing import Paths
from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints, PowerGraph

# What is not served costs this times itself, so it is not served only where it cannot be.
UNSERVED = 1e3
# Of the solver, absolute and relative: finer than a split's own tolerance (1e-7), by a margin.
_TOLERANCE = 1e-10


class Point(NamedTuple):
    """Parts at given powers, exactly, each charged for what it adds to those before it.

    By place of an arc in a path: ``current_a``; ``rate``, watts into its head for one more delivered; and ``dear``,
    what a watt lost there costs at the source. By path: ``injected_w`` and its slope. By arc: ``own_a``, all parts
    together.
    """

    current_a: Floats
    rate: Floats
    dear: Floats
    injected_w: Floats
    slope: Floats
    own_a: Floats


class Limits(NamedTuple):
    """What links and sources may give to these parts (A by link, W by source), and what a part may lose (W/W)."""

    link_a: Floats
    source_w: Floats
    most_injected: float


class Step(NamedTuple):
    """New powers; what is left (W); and what an ampere of each link and a watt of each source costs more, in W/W."""

    power_w: Floats
    unserved_w: float
    link_price: Floats
    source_price: Floats


def point_at(graph: PowerGraph, sink: int, paths: Paths, power_w: Floats) -> Point:
    """Raises nothing: what does not fit is worked out all the same."""
    return _point(
        paths,
        power_w,
        graph.efficiency[sink],
        graph.tail,
        graph.resistance_ohm,
        graph.voltage_v,
        graph.efficiency,
        graph.load_a,
    )


@compiled
def _point(
    paths: Paths,
    power_w: Floats,
    sink_efficiency: float,
    tail: Ints,
    resistance_ohm: Floats,
    voltage_v: Floats,
    efficiency: Floats,
    load_a: Floats,
) -> Point:
    entries, count = len(paths.arcs), len(power_w)
    current_a, rate, dear = np.zeros(entries), np.zeros(entries), np.zeros(entries)
    injected_w, slope, own_a = np.zeros(count), np.zeros(count), np.zeros(len(tail))
    for path in range(count):
        entering_w = power_w[path] / sink_efficiency
        for at in range(paths.start[path + 1] - 1, paths.start[path] - 1, -1):
            arc = paths.arcs[at]
            added_a = entering_w / voltage_v[arc]
            before_a = load_a[arc] + own_a[arc]
            sent_w = entering_w + resistance_ohm[arc] * added_a * (2.0 * before_a + added_a)
            current_a[at] = added_a
            own_a[arc] += added_a
            entering_w = sent_w / efficiency[tail[arc]]
        injected_w[path] = entering_w
    for path in range(count):
        each = 1.0 / sink_efficiency
        for at in range(paths.start[path + 1] - 1, paths.start[path] - 1, -1):
            arc = paths.arcs[at]
            rate[at] = each
            at_a = load_a[arc] + own_a[arc]
            each *= (1.0 + 2.0 * resistance_ohm[arc] * at_a / voltage_v[arc]) / efficiency[
                tail[arc]
            ]
            dear[at] = 1.0 / (each * efficiency[tail[arc]])
        slope[path] = each
        dear[paths.start[path] : paths.start[path + 1]] *= each
    return Point(current_a, rate, dear, injected_w, slope, own_a)


def step(
    graph: PowerGraph,
    paths: Paths,
    rows: list[int],
    limits: Limits,
    point: Point,
    before_w: Floats,
    power_w: float,
    stay: float,
) -> Step | None:
    """From powers ``before_w`` towards those that deliver ``power_w``; ``rows`` are the links asked for.

    ``stay`` is a curvature that keeps it near, as a share of what is injected. None where PIQP ends without a solution.
    """
    count = len(paths.source)
    path = np.repeat(np.arange(count), np.diff(paths.start))
    share = before_w / power_w
    curved = 2.0 * graph.resistance_ohm[paths.arcs] / graph.voltage_v[paths.arcs] ** 2 * point.dear
    arcs, column = np.unique(paths.arcs, return_inverse=True)
    bent = np.zeros((count, len(arcs)))
    bent[path, column] = point.rate * np.sqrt(curved * power_w)
    hessian = np.zeros((count + 1, count + 1), order="F")
    hessian[:count, :count] = bent @ bent.T
    # Where many ways to share out are equally good, it stays with the one it has.
    hessian[np.diag_indices(count + 1)] += stay
    cost = np.append(point.slope - hessian[:count, :count] @ share, UNSERVED)
    use, most = _rows(graph, paths, rows, limits, point, before_w, power_w)
    # Loaded when it is needed: a controller that starts has no time for it.
    import piqp

    solver = piqp.DenseSolver()
    settings = solver.settings
    settings.verbose = False
    settings.eps_abs = settings.eps_rel = _TOLERANCE
    settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = _TOLERANCE
    one = np.ones((1, count + 1), order="F")
    solver.setup(hessian, cost, one, np.ones(1), use, None, most, np.zeros(count + 1), None)
    if solver.solve() not in (piqp.PIQP_SOLVED, piqp.PIQP_MAX_ITER_REACHED):
        return None
    found = np.maximum(solver.result.x, 0.0)
    price = np.maximum(solver.result.z_u, 0.0)
    link_price = np.zeros(len(limits.link_a))
    link_price[rows] = price[: len(rows)] * power_w / limits.link_a[rows]
    sources = len(limits.source_w)
    source_price = price[len(rows) : len(rows) + sources] * power_w / limits.source_w
    return Step(found[:count] * power_w, float(found[count]) * power_w, link_price, source_price)


def _rows(
    graph: PowerGraph,
    paths: Paths,
    rows: list[int],
    limits: Limits,
    point: Point,
    before_w: Floats,
    power_w: float,
) -> tuple[Floats, Floats]:
    """Of links, of sources, and of what each part may lose, the share in use: its slopes, and what is left beside."""
    count, sources = len(before_w), len(limits.source_w)
    path = np.repeat(np.arange(count), np.diff(paths.start))
    number = np.full(len(limits.link_a), -1)
    number[rows] = np.arange(len(rows))
    row = number[graph.link[paths.arcs]]
    held = np.flatnonzero(row >= 0)
    lossy = limits.most_injected < np.inf
    height = len(rows) + sources + (count if lossy else 0)
    use = np.zeros((height, count + 1), order="F")
    used = np.zeros(height)
    per_a = point.rate[held] / graph.voltage_v[paths.arcs[held]]
    np.add.at(use, (row[held], path[held]), per_a / limits.link_a[rows][row[held]])
    np.add.at(used, row[held], point.current_a[held] / limits.link_a[rows][row[held]])
    at = len(rows) + paths.source
    use[at, np.arange(count)] = point.slope / limits.source_w[paths.source]
    np.add.at(used, at, point.injected_w / limits.source_w[paths.source])
    if lossy:
        own = len(rows) + sources + np.arange(count)
        use[own, np.arange(count)] = (point.slope / limits.most_injected - 1.0) / power_w
        used[own] = (point.injected_w / limits.most_injected - before_w) / power_w
    most = -used + use[:, :count] @ before_w
    most[: len(rows) + sources] += 1.0
    use *= power_w
    return use, most
