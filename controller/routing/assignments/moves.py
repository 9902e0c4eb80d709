"""Moving circuits one by one on a loaded network, make-before-break, every move weighed exactly.

A circuit that moves enters all its arcs after everything else, so it is charged R ((I + x)² - I²) beside what
others carry. What a move gains is what the circuit would inject on its path of now, entered anew, less what it
injects on the other: by that much all inject less together.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.assignments.standing import Paths
from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints
from controller.routing.paths.path_power import RELATIVE_TOLERANCE


class Network(NamedTuple):
    """What paths are weighed in; arrays of arcs, but for ``efficiency`` (of routers) and ``source_limit_w``."""

    tail: Ints
    link: Ints
    resistance_ohm: Floats
    voltage_v: Floats
    efficiency: Floats
    source_limit_w: Floats
    is_hop: Ints


class Demands(NamedTuple):
    """What every circuit asks for, and what limits its path."""

    sink: Ints
    power_w: Floats
    max_injected_w: Floats
    max_hops: Ints


class Reserved(NamedTuple):
    """What is taken of each arc, and by each path that is in use on each of its arcs; what links have left.

    ``injected_w`` is what each circuit injects, ``drawn_w`` what is drawn from each source.
    """

    load_a: Floats
    current_a: Floats
    room_a: Floats
    injected_w: Floats
    drawn_w: Floats


@compiled
def hops_of(network: Network, paths: Paths, path: int) -> int:
    hops = 0
    for at in range(paths.start[path], paths.start[path + 1]):
        hops += network.is_hop[paths.arcs[at]]
    return hops


@compiled
def _sent_w(
    network: Network, arc: int, added_a: float, power_w: float, reserved: Reserved
) -> float:
    """What must enter the arc's tail so that ``power_w`` leaves it, as ``added_a`` beside what is there."""
    loss_w = network.resistance_ohm[arc] * added_a * (2.0 * reserved.load_a[arc] + added_a)
    return float((power_w + loss_w) / network.efficiency[network.tail[arc]])


@compiled
def enter(
    network: Network, demands: Demands, paths: Paths, circuit: int, path: int, reserved: Reserved
) -> float:
    """What a circuit injects on a path, entered after all else; infinite where it does not fit (W).

    Leaves its currents in the places of the path in ``reserved.current_a``, and takes nothing yet.
    """
    first, last = paths.start[path], paths.start[path + 1]
    if hops_of(network, paths, path) > demands.max_hops[circuit]:
        return np.inf
    power_w = demands.power_w[circuit] / network.efficiency[demands.sink[circuit]]
    for at in range(last - 1, first - 1, -1):
        arc = paths.arcs[at]
        added_a = power_w / network.voltage_v[arc]
        if not added_a <= reserved.room_a[network.link[arc]] * (1.0 + RELATIVE_TOLERANCE):
            return np.inf
        reserved.current_a[at] = added_a
        power_w = _sent_w(network, arc, added_a, power_w, reserved)
    source = paths.source[path]
    most_w = network.source_limit_w[source] * (1.0 + RELATIVE_TOLERANCE)
    if power_w > demands.max_injected_w[circuit] * (1.0 + RELATIVE_TOLERANCE):
        return np.inf
    return power_w if reserved.drawn_w[source] + power_w <= most_w else np.inf


@compiled
def take(
    network: Network, paths: Paths, circuit: int, path: int, sign: float, reserved: Reserved
) -> None:
    """Reserve what :func:`enter` left in the places of a path, or give it back (sign -1)."""
    for at in range(paths.start[path], paths.start[path + 1]):
        arc = paths.arcs[at]
        reserved.load_a[arc] = max(0.0, reserved.load_a[arc] + sign * reserved.current_a[at])
        reserved.room_a[network.link[arc]] -= sign * reserved.current_a[at]
    reserved.drawn_w[paths.source[path]] += sign * reserved.injected_w[circuit]


@compiled
def in_order_of_gain(
    network: Network,
    demands: Demands,
    paths: Paths,
    here: Ints,
    there: Ints,
    reserved: Reserved,
) -> tuple[Ints, Floats]:
    """Move circuits from paths ``here`` to ``there``, each time the one that gains most of those that fit by now.

    Links that both its paths use must carry only the larger of the two. Returns the circuits moved, and what each
    gained beside those moved before it; circuits that never fit are left out.
    """
    pending = np.flatnonzero(here != there).astype(np.int32)
    order, gains_w = np.empty(len(pending), dtype=np.int32), np.empty(len(pending))
    done = 0
    left = len(pending)
    while left > 0:
        best, most_w = -1, -np.inf
        for place in range(left):
            circuit = pending[place]
            gain_w = _gain(network, demands, paths, circuit, here, there, reserved)
            if gain_w > most_w:
                best, most_w = place, gain_w
        if best < 0:
            break
        circuit = pending[best]
        take(network, paths, circuit, here[circuit], -1.0, reserved)
        injected_w = enter(network, demands, paths, circuit, there[circuit], reserved)
        reserved.injected_w[circuit] = injected_w
        take(network, paths, circuit, there[circuit], 1.0, reserved)
        order[done], gains_w[done] = circuit, most_w
        done += 1
        left -= 1
        pending[best] = pending[left]
    return order[:done], gains_w[:done]


@compiled
def _gain(
    network: Network,
    demands: Demands,
    paths: Paths,
    circuit: int,
    here: Ints,
    there: Ints,
    reserved: Reserved,
) -> float:
    """Minus infinity where the new path does not fit beside the old one."""
    old, new = here[circuit], there[circuit]
    first, last = paths.start[old], paths.start[old + 1]
    held_a = reserved.current_a[first:last].copy()
    take(network, paths, circuit, old, -1.0, reserved)
    now_w = reserved.injected_w[circuit]
    anew_w = enter(network, demands, paths, circuit, old, reserved)
    anew_w = now_w if anew_w == np.inf else anew_w
    reserved.current_a[first:last] = held_a
    gain_w = anew_w - enter(network, demands, paths, circuit, new, reserved)
    if gain_w > -np.inf:
        for at in range(paths.start[new], paths.start[new + 1]):
            # With the old path gone there is room; with it still there, what both need is the larger.
            link = network.link[paths.arcs[at]]
            beside_a = 0.0
            for other in range(first, last):
                if network.link[paths.arcs[other]] == link and paths.arcs[other] != paths.arcs[at]:
                    beside_a += held_a[other - first]
            room_a = (reserved.room_a[link] - beside_a) * (1.0 + RELATIVE_TOLERANCE)
            if reserved.current_a[at] > room_a:
                gain_w = -np.inf
    take(network, paths, circuit, old, 1.0, reserved)
    return gain_w
