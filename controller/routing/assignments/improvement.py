"""Local search: one circuit after the other takes that of its paths on which all inject the least, at exact losses.

What a circuit adds to the losses of all decides where it goes. What it then carries is another matter: losses are
shared in proportion to current, so that currents add up to what flows, whoever came first.
"""

import numpy as np

from controller.routing.assignments.moves import Demands, Network, hops_of
from controller.routing.assignments.standing import Paths
from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints
from controller.routing.paths.path_power import RELATIVE_TOLERANCE

# Through all circuits: passes end by themselves where none moves, and this ends them for sure.
_MAX_PASSES = 20
# The part of what is injected that a move must gain, or rounding would move circuits to and fro.
_WORTH = 1e-9


@compiled
def improve(
    network: Network,
    demands: Demands,
    paths: Paths,
    start: Ints,
    column: Ints,
    others_a: Floats,
    limit: Floats,
    chosen: Ints,
) -> None:
    """Change ``chosen`` until no circuit gains by another of its paths, ``column[start[i]:start[i + 1]]``.

    ``limit`` has an entry a link (A), then one a source (W). What does not fit where it is goes where it fits.
    """
    current_a, injected_w = np.zeros(len(paths.arcs)), np.zeros(len(paths.source))
    load_a, left = others_a.copy(), limit.copy()
    for circuit in range(len(chosen)):
        _enter(
            network,
            demands,
            paths,
            circuit,
            chosen[circuit],
            others_a,
            load_a,
            current_a,
            injected_w,
        )
        _take(network, paths, chosen[circuit], 1.0, load_a, left, current_a, injected_w)
    for _ in range(_MAX_PASSES):
        moved = False
        for circuit in range(len(chosen)):
            if start[circuit + 1] - start[circuit] < 2:
                continue
            here = chosen[circuit]
            _take(network, paths, here, -1.0, load_a, left, current_a, injected_w)
            best, least_w = here, np.inf
            for at in range(start[circuit], start[circuit + 1]):
                path = column[at]
                added_w = _enter(
                    network, demands, paths, circuit, path, others_a, load_a, current_a, injected_w
                )
                if added_w >= (least_w if path == here else least_w * (1.0 - _WORTH)):
                    continue
                if _fits(network, demands, paths, circuit, path, left, current_a, injected_w):
                    best, least_w = path, added_w
            moved |= best != here
            chosen[circuit] = best
            _take(network, paths, best, 1.0, load_a, left, current_a, injected_w)
        if not moved:
            return


@compiled
def _enter(
    network: Network,
    demands: Demands,
    paths: Paths,
    circuit: int,
    path: int,
    others_a: Floats,
    load_a: Floats,
    current_a: Floats,
    injected_w: Floats,
) -> float:
    """What all inject more with a circuit on a path (W); its own currents and injection are left in their places."""
    added_w = own_w = demands.power_w[circuit] / network.efficiency[demands.sink[circuit]]
    for at in range(paths.start[path + 1] - 1, paths.start[path] - 1, -1):
        arc = paths.arcs[at]
        own_a = own_w / network.voltage_v[arc]
        ohm, efficiency = network.resistance_ohm[arc], network.efficiency[network.tail[arc]]
        current_a[at] = own_a
        added_w = (added_w + ohm * own_a * (2.0 * load_a[arc] + own_a)) / efficiency
        own_w = (own_w + ohm * own_a * (load_a[arc] + others_a[arc] + own_a)) / efficiency
    injected_w[path] = own_w
    return float(added_w)


@compiled
def _fits(
    network: Network,
    demands: Demands,
    paths: Paths,
    circuit: int,
    path: int,
    left: Floats,
    current_a: Floats,
    injected_w: Floats,
) -> bool:
    tolerance = 1.0 + RELATIVE_TOLERANCE
    if hops_of(network, paths, path) > demands.max_hops[circuit]:
        return False
    for at in range(paths.start[path], paths.start[path + 1]):
        if not current_a[at] <= left[network.link[paths.arcs[at]]] * tolerance:
            return False
    links = len(left) - len(network.source_limit_w)
    if injected_w[path] > demands.max_injected_w[circuit] * tolerance:
        return False
    return bool(injected_w[path] <= left[links + paths.source[path]] * tolerance)


@compiled
def _take(
    network: Network,
    paths: Paths,
    path: int,
    sign: float,
    load_a: Floats,
    left: Floats,
    current_a: Floats,
    injected_w: Floats,
) -> None:
    for at in range(paths.start[path], paths.start[path + 1]):
        arc = paths.arcs[at]
        load_a[arc] += sign * current_a[at]
        left[network.link[arc]] -= sign * current_a[at]
    links = len(left) - len(network.source_limit_w)
    left[links + paths.source[path]] -= sign * injected_w[path]
